package sign_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log"
	"time"

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

// Messages that begin alike are hashed from the kept state of their beginning.
func ExampleHasher_SumTails() {
	prefix, err := sign.NewPrefix(sign.SHA256, []byte("a long constant beginning, then serial number "))
	if err != nil {
		log.Fatal(err)
	}
	hasher, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		log.Fatal(err)
	}
	digests := make([]byte, 2*hasher.Size())
	tails := [][]byte{[]byte("0001"), []byte("0002")}
	if err := hasher.SumTails(digests, []*sign.Prefix{prefix, prefix}, tails); err != nil {
		log.Fatal(err)
	}
	whole := sha256.Sum256([]byte("a long constant beginning, then serial number 0002"))
	fmt.Println(bytes.Equal(digests[32:], whole[:]))
	// Output: true
}

// Keys are made, written encrypted, read back and matched with a certificate.
func ExampleNewDemoPKI() {
	pki, err := sign.NewDemoPKI(sign.DemoOptions{
		Algorithm:  sign.ES256,
		CommonName: "Example MASA",
		NotBefore:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:   time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC),
		Passphrase: []byte("correct horse battery staple"),
	})
	if err != nil {
		log.Fatal(err)
	}
	key, err := sign.LoadKey(pki.SignerKey, func() ([]byte, error) {
		return []byte("correct horse battery staple"), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sign.DestroyKey(key)
	chain, err := sign.LoadChain(pki.Signer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chain[0].Subject, "issued by", chain[0].Issuer)
	fmt.Println(sign.MatchCertificate(key, chain[0]))
	// Output:
	// CN=Example MASA issued by CN=Example MASA CA
	// <nil>
}

// A CMS SignerInfo, a JWS header and a COSE header name the same algorithm in
// three ways; each name must fit the key.
func ExampleByJOSE() {
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sign.ByJOSE("ES256", key.Public()))
	fmt.Println(sign.ByCOSE(-9, key.Public()))
	_, err = sign.ByJOSE("RS256", key.Public())
	fmt.Println(err)
	// Output:
	// ES256 <nil>
	// ES256 <nil>
	// sign: algorithm "RS256" refused for a key of type P-256: it is for RSA keys
}

// A signer that verifies one in 256 of its own signatures, and the first.
func ExampleChecked() {
	key, err := sign.GenerateKey(sign.MLDSA44, nil)
	if err != nil {
		log.Fatal(err)
	}
	bare, err := sign.NewSigner(sign.MLDSA44, key, sign.Options{})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := sign.Checked(bare, sign.CheckEvery)
	if err != nil {
		log.Fatal(err)
	}
	defer signer.Close()
	sig := make([]byte, sign.MLDSA44.SignatureSize)
	fmt.Println(signer.SignBatch(sig, [][]byte{[]byte("a whole message")}), len(sig))
	// Output: <nil> 2420
}
