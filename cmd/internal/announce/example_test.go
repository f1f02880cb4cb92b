package announce_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/cmd/internal/announce"
)

func Example() {
	a, err := announce.Start(announce.Config{
		Services:  []announce.Service{{Type: announce.Registrar, Port: 8443}, {Type: announce.Proxy, Port: 8443}},
		Instance:  announce.InstanceOf("registrar.example.com"),
		Interface: "a-network-that-is-not-here",
	})
	if err != nil {
		fmt.Println("not announced")
		return
	}
	defer a.Close()
	// Output: not announced
}
