package wide

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"
)

// A sample is signatures by crypto/ecdsa, under few or many keys.
type sample struct {
	keys          []*Key
	digests, sigs [][]byte
}

func newSample(t testing.TB, n, keys int) sample {
	t.Helper()
	var private []*ecdsa.PrivateKey
	var public []*Key
	for range min(n, keys) {
		p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, err := NewKey(&p.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		private, public = append(private, p), append(public, k)
	}
	var s sample
	for i := range n {
		digest := sha256.Sum256(fmt.Append(nil, n, i))
		r, v, err := ecdsa.Sign(rand.Reader, private[i%keys], digest[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, SignatureSize)
		r.FillBytes(sig[:32])
		v.FillBytes(sig[32:])
		s.keys, s.digests, s.sigs = append(s.keys, public[i%keys]), append(s.digests, digest[:]), append(s.sigs, sig)
	}
	return s
}

// spoil changes most items in one of several ways; some stay valid.
func (s sample) spoil() {
	for i := range s.sigs {
		switch i % 7 {
		case 0:
			s.sigs[i][i%32] ^= 1 << (i % 8)
		case 1:
			s.sigs[i][32+i%32] ^= 1 << (i % 8)
		case 2:
			s.digests[i][i%32] ^= 1
		case 3:
			clear(s.sigs[i][32:])
		case 4:
			elliptic.P256().Params().N.FillBytes(s.sigs[i][:32])
		case 5:
			s.sigs[i] = s.sigs[i][:63]
		}
	}
}

// check compares with crypto/ecdsa and returns the number of valid signatures.
func (s sample) check(t *testing.T, ok []bool) (valid int) {
	t.Helper()
	for i := range ok {
		want := len(s.sigs[i]) == SignatureSize &&
			ecdsa.Verify(s.keys[i].Public(), s.digests[i], new(big.Int).SetBytes(s.sigs[i][:32]), new(big.Int).SetBytes(s.sigs[i][32:]))
		if ok[i] != want {
			t.Fatalf("item %d of %d: got %v", i, len(ok), ok[i])
		}
		if want {
			valid++
		}
	}
	return valid
}

func TestVerifyAgreesWithStandardLibrary(t *testing.T) {
	for _, keys := range []int{1000, 3, 1} {
		for _, n := range []int{0, 1, 2, 7, 15, 16, 17, 33, 64, 300} {
			s := newSample(t, n, keys)
			ok := make([]bool, n)
			if err := Verify(s.keys, s.digests, s.sigs, ok); err != nil {
				t.Fatal(err)
			}
			if valid := s.check(t, ok); valid != n {
				t.Fatalf("%d of %d are valid", valid, n)
			}
			s.spoil()
			if err := Verify(s.keys, s.digests, s.sigs, ok); err != nil {
				t.Fatal(err)
			}
			if valid := s.check(t, ok); n > 7 && (valid == 0 || valid > n/2) {
				t.Fatalf("%d of %d are valid", valid, n)
			}
		}
	}
}
