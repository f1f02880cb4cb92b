package client_test

import (
	"fmt"
	"log"
	"os"

	"github.com/vouchmill/vouchmill/cmd/pledge/client"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

// What a device does when it is switched on: look whether it has joined.
func Example() {
	path, err := os.MkdirTemp("", "device")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)
	dir, err := client.OpenDir(path)
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Close()
	joined, err := pledge.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	if joined == nil {
		fmt.Println("in factory state: to join with a pledge.Config of Network, Storage and Clock")
		_ = pledge.Config{Network: client.NewTransport(client.Options{}), Storage: dir, Clock: client.SystemClock{}}
	}
	// Output:
	// in factory state: to join with a pledge.Config of Network, Storage and Clock
}
