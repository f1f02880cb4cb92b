package main

import (
	"go/format"
	"log"
	"os"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

// A file is the assembly being written.
type file struct{ *asm512.Writer }

const tags = "amd64 && !purego"

// generate returns the assembly and the declarations.
func generate() (assembly, declarations []byte, err error) {
	f := &file{asm512.NewWriter(tags, "SHA-256 on 16 and 32 lanes, AVX-512.\nThe generator in gen explains rows, registers and the chain of RFC 6979.")}
	f.Data("k256", roundConstants())
	swap := []uint64{0x0405060700010203, 0x0c0d0e0f08090a0b}
	f.Data("swap", append(append(append(swap, swap...), swap...), swap...))
	for _, groups := range []int{1, 2} {
		f.core(groups)
	}
	for _, groups := range []int{1, 2} {
		f.hash(groups)
		f.chain(groups)
	}
	declarations, err = format.Source([]byte(goTypes()))
	return f.Bytes(), declarations, err
}

func main() {
	log.SetFlags(0)
	assembly, declarations, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range map[string][]byte{"kernel_amd64.s": assembly, "layout_amd64.go": declarations} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
