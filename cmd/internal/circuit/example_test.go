package circuit_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"

	"github.com/vouchmill/vouchmill/cmd/internal/circuit"
)

func Example() {
	registrar, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		c, err := registrar.Accept()
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintln(c, "who is there?")
	}()

	proxy, err := circuit.New(circuit.Config{Registrar: registrar.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- proxy.Run(ctx, []net.Listener{listener}) }()

	pledge, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	said, err := bufio.NewReader(pledge).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(said)
	pledge.Close()
	stop()
	fmt.Println(<-ended)
	// Output:
	// who is there?
	// <nil>
}
