package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

func TestCommittedFilesAreGenerated(t *testing.T) {
	assembly, declarations, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"../kernel_amd64.s": assembly, "../layout_amd64.go": declarations} {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes; run go generate", name)
		}
	}
}

// The chain sees the private key and the nonces. Hashing does not, and loads
// from addresses it is given.
func TestChainTakesConstantTime(t *testing.T) {
	text, err := os.ReadFile("../kernel_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	p, err := asm512.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range []string{"chain16", "chain32"} {
		if err := asm512.CheckConstantTime(p, function); err != nil {
			t.Error(err)
		}
	}
	if err := asm512.CheckConstantTime(p, "hash16"); err == nil {
		t.Error("the check lets addresses from memory pass")
	}
}
