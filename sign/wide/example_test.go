package wide_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/vouchmill/vouchmill/sign/wide"
)

func Example() {
	private := bytes.Repeat([]byte{0x51}, 32)
	signer, err := wide.NewSigner(private)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer signer.Close()

	var digests [][]byte
	for _, message := range []string{"first", "second", "third"} {
		d := sha256.Sum256([]byte(message))
		digests = append(digests, d[:])
	}
	sigs := make([]byte, wide.SignatureSize*len(digests))
	if err := signer.SignDigests(sigs, digests); err != nil {
		fmt.Println(err)
		return
	}
	for i, d := range digests {
		r, s := sigs[64*i:64*i+32], sigs[64*i+32:64*i+64]
		fmt.Println(ecdsa.Verify(signer.Public(), d, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)))
	}
	// Output:
	// true
	// true
	// true
}
