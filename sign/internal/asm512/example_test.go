package asm512_test

import (
	"fmt"
	"log"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

// A function that adds vectors is of constant time; one that takes an address
// from the data it reads is not.
func ExampleCheckConstantTime() {
	w := asm512.NewWriter("amd64", "example")
	w.Func("add", "p *byte", 8, "add adds two vectors.")
	w.I("MOVQ p+0(FP), DI")
	w.I("VMOVDQU64 (DI), Z0")
	w.I("VPADDQ 64(DI), Z0, Z0")
	w.I("VMOVDQU64 Z0, (DI)")
	w.I("RET")
	w.Func("follow", "p *byte", 8, "follow reads where the data says.")
	w.I("MOVQ p+0(FP), DI")
	w.I("MOVQ (DI), AX")
	w.I("VMOVDQU64 (AX), Z1")
	w.I("RET")

	program, err := asm512.Parse(w.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("add:", asm512.CheckConstantTime(program, "add"))
	fmt.Println("follow:", asm512.CheckConstantTime(program, "follow"))
	// Output:
	// add: <nil>
	// follow: follow: line 24: MOVQ (DI), AX: AX depends on data
}
