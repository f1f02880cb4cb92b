package sign_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log"

	"github.com/vouchmill/vouchmill/sign"
)

// A batch of two signatures is made and checked.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer signer.Close()

	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	sigs := make([]byte, 2*sign.ES256.SignatureSize)
	if err := signer.SignBatch(sigs, [][]byte{one[:], two[:]}); err != nil {
		log.Fatal(err)
	}

	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		log.Fatal(err)
	}
	pub, err := sign.PreparePublicKey(sign.ES256, signer.Public())
	if err != nil {
		log.Fatal(err)
	}
	items := []sign.VerifyItem{
		{Key: pub, Input: one[:], Signature: sigs[:64]},
		{Key: pub, Input: one[:], Signature: sigs[64:]}, // two's
	}
	fmt.Println(verifier.VerifyBatch(items))
	fmt.Println(items[0].Err)
	// Output:
	// sign: 1 of the batch failed, first item 1: sign: the signature does not fit message and key
	// <nil>
}
