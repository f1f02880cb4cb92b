package sign

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"testing"

	simd "github.com/minio/sha256-simd"
)

func newTestKey(t testing.TB, alg *Algorithm) crypto.Signer {
	t.Helper()
	key, err := GenerateKey(alg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testInputs makes n distinct inputs of a size the algorithm takes.
func testInputs(alg *Algorithm, n int) [][]byte {
	inputs := make([][]byte, n)
	for i := range inputs {
		inputs[i] = alg.Hash.Append(nil, fmt.Append(nil, i))
	}
	return inputs
}

// BenchmarkSign measures whole batches. impl=crypto is the peer: the key's own
// Sign, deterministic, called as one calls it without this package.
func BenchmarkSign(b *testing.B) {
	for _, alg := range Algorithms() {
		if alg.VerifyOnly {
			continue
		}
		key := newTestKey(b, alg)
		for _, impl := range Implementations(alg, key) {
			for _, size := range []int{1, 16, 64, 256} {
				b.Run(fmt.Sprintf("alg=%s/impl=%s/batch=%d", alg.Name, impl, size), func(b *testing.B) {
					s := newTestSigner(b, alg, key, Options{Impl: impl})
					inputs, sigs := testInputs(alg, size), make([]byte, size*alg.SignatureSize)
					b.ReportAllocs()
					for b.Loop() {
						if err := s.SignBatch(sigs, inputs); err != nil {
							b.Fatal(err)
						}
					}
					reportSignatures(b, size)
				})
			}
		}
		b.Run(fmt.Sprintf("alg=%s/impl=crypto/batch=1", alg.Name), func(b *testing.B) {
			input, hash := testInputs(alg, 1)[0], crypto.Hash(0)
			if !alg.Message {
				hash = alg.Hash.Crypto()
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(nil, input, hash); err != nil {
					b.Fatal(err)
				}
			}
			reportSignatures(b, 1)
		})
	}
}

func reportSignatures(b *testing.B, batch int) {
	b.ReportMetric(float64(b.N)*float64(batch)/b.Elapsed().Seconds(), "sig/s")
}

// BenchmarkVerifySig checks batches of 64, by one key and by 64 keys.
func BenchmarkVerifySig(b *testing.B) {
	const size = 64
	for _, alg := range Algorithms() {
		if alg.VerifyOnly {
			continue
		}
		for _, keys := range []string{"one", "distinct"} {
			items := signedItems(b, alg, size, keys == "distinct")
			for _, impl := range VerifierImplementations() {
				b.Run(fmt.Sprintf("alg=%s/keys=%s/impl=%s", alg.Name, keys, impl), func(b *testing.B) {
					v, err := NewVerifier(VerifierOptions{Impl: impl})
					if err != nil {
						b.Fatal(err)
					}
					b.ReportAllocs()
					for b.Loop() {
						if err := v.VerifyBatch(items); err != nil {
							b.Fatal(err)
						}
					}
					reportSignatures(b, size)
				})
			}
		}
	}
}

// signedItems makes a batch of good signatures, by one key or each by its own.
func signedItems(t testing.TB, alg *Algorithm, size int, distinct bool) []VerifyItem {
	t.Helper()
	items := make([]VerifyItem, size)
	var s Signer
	var pub *PublicKey
	for i, input := range testInputs(alg, size) {
		if i == 0 || distinct {
			s = newTestSigner(t, alg, newTestKey(t, alg), Options{})
			var err error
			if pub, err = PreparePublicKey(alg, s.Public()); err != nil {
				t.Fatal(err)
			}
		}
		sig := make([]byte, alg.SignatureSize)
		if err := s.SignBatch(sig, [][]byte{input}); err != nil {
			t.Fatal(err)
		}
		items[i] = VerifyItem{Key: pub, Input: input, Signature: sig}
	}
	return items
}

// BenchmarkHash is a message of 930 octets of which the last 34 vary: with the
// state of the prefix kept, whole, and whole by github.com/minio/sha256-simd.
func BenchmarkHash(b *testing.B) {
	const batch = 64
	message := make([]byte, 930)
	for _, id := range []HashID{SHA256, SHA384, SHA512, SHAKE256} {
		b.Run(fmt.Sprintf("hash=%v/impl=prefix", id), func(b *testing.B) {
			p, err := NewPrefix(id, message[:896])
			if err != nil {
				b.Fatal(err)
			}
			h, err := NewHasher(id)
			if err != nil {
				b.Fatal(err)
			}
			prefixes, tails := make([]*Prefix, batch), make([][]byte, batch)
			for i := range tails {
				prefixes[i], tails[i] = p, message[896:]
			}
			dst := make([]byte, batch*id.Size())
			b.ReportAllocs()
			for b.Loop() {
				if err := h.SumTails(dst, prefixes, tails); err != nil {
					b.Fatal(err)
				}
			}
			reportDigests(b, batch)
		})
	}
	for _, whole := range []struct {
		impl string
		sum  func([]byte) [32]byte
	}{{"whole", sha256.Sum256}, {"sha256-simd", simd.Sum256}} {
		b.Run("hash=SHA-256/impl="+whole.impl, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range batch {
					whole.sum(message)
				}
			}
			reportDigests(b, batch)
		})
	}
}

func reportDigests(b *testing.B, batch int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/(float64(b.N)*float64(batch)), "ns/digest")
}
