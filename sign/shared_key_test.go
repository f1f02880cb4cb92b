package sign

import (
	"bytes"
	"crypto/ecdsa"
	"testing"
)

// crypto/ecdsa signs from the memory that PrivateKey.Bytes shows, on whatever
// goroutine: making a signer of a key must leave it alone.
func TestAKeyStaysWholeWhileSignersAreMadeOfIt(t *testing.T) {
	for _, alg := range []*Algorithm{ES256, ES384, ES512} {
		key, err := GenerateKey(alg, nil)
		if err != nil {
			t.Fatal(err)
		}
		inUse, err := key.(*ecdsa.PrivateKey).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(inUse)
		for _, impl := range Implementations(alg, key) {
			s, err := NewSigner(alg, key, Options{Impl: impl})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(inUse, want) {
				t.Fatalf("%v, %s: the key that others sign with was overwritten", alg, impl)
			}
		}
	}
}
