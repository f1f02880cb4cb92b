package wide

import (
	"bytes"
	"crypto/rand"
	mrand "math/rand/v2"
	"testing"
)

// testKey returns a private key that depends on seed alone.
func testKey(t testing.TB, seed byte) []byte {
	t.Helper()
	d := make([]byte, 32)
	mrand.NewChaCha8([32]byte{seed}).Read(d)
	d[0] &= 0x7f
	return d
}

// testSigners returns the wide signer and the one that calls crypto/ecdsa.
func testSigners(t testing.TB, seed byte) (wide, scalar *Signer) {
	t.Helper()
	d := testKey(t, seed)
	wide, err := NewSigner(d)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err = NewScalarSigner(d)
	if err != nil {
		t.Fatal(err)
	}
	return wide, scalar
}

func randomDigests(n int) [][]byte {
	digests := make([][]byte, n)
	for i := range digests {
		digests[i] = make([]byte, DigestSize)
		rand.Read(digests[i])
	}
	return digests
}

func TestSignaturesEqualStandardLibrary(t *testing.T) {
	for seed := range byte(4) {
		w, s := testSigners(t, seed)
		for n := range 66 {
			digests := randomDigests(n)
			got, want := make([]byte, 64*n), make([]byte, 64*n)
			if err := w.SignDigests(got, digests); err != nil {
				t.Fatal(err)
			}
			if err := s.SignDigests(want, digests); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if !bytes.Equal(got[64*i:64*i+64], want[64*i:64*i+64]) {
					t.Fatalf("batch of %d, item %d: %x, want %x", n, i, got[64*i:64*i+64], want[64*i:64*i+64])
				}
			}
		}
	}
}
