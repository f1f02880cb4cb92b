package sha256x16_test

import (
	"crypto/sha256"
	"fmt"

	"github.com/vouchmill/vouchmill/sign/sha256x16"
)

func ExampleHasher_SumTails() {
	prefix := sha256x16.NewPrefix([]byte("serial number: "))
	tails := [][]byte{[]byte("A1"), []byte("A2"), []byte("A3")}
	digests := make([]byte, sha256x16.Size*len(tails))
	if err := sha256x16.NewHasher().SumTails(digests, []*sha256x16.Prefix{prefix}, tails); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println([32]byte(digests[32:64]) == sha256.Sum256([]byte("serial number: A2")))
	// Output: true
}
