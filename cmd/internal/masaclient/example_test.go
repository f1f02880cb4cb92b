package masaclient_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/cmd/internal/masaclient"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func Example() {
	network := masaclient.New(masaclient.Config{})
	defer network.Close()
	// A device that names this machine as its MASA.
	_, err := network.Do(context.Background(), &registrar.Call{Method: "POST", URL: "https://127.0.0.1/.well-known/brski/requestvoucher"})
	var n *registrar.NetworkError
	fmt.Println(errors.As(err, &n) && n.Address)
	// Output: true
}
