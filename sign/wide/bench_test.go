package wide

import (
	"fmt"
	"testing"
)

// reportRate adds signatures a second; each iteration did n.
func reportRate(b *testing.B, n int) {
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "sig/s")
}

func BenchmarkSign(b *testing.B) {
	wide, scalar := signersOf(b, testKey(1))
	for _, c := range []struct {
		impl   string
		signer *Signer
		proof  Proof
	}{{"wide/check=none", wide, ProveNone}, {"wide/check=large", wide, ProveLarge}, {"wide/check=all", wide, ProveAll}, {"std", scalar, ProveNone}} {
		c.signer.SetProof(c.proof)
		for _, n := range []int{1, 2, 4, 8, 16, 64, 256} {
			b.Run(fmt.Sprintf("alg=es256/impl=%s/batch=%d", c.impl, n), func(b *testing.B) {
				digests, sigs := randomDigests(n), make([]byte, SignatureSize*n)
				b.ReportAllocs()
				for b.Loop() {
					if err := c.signer.SignDigests(sigs, digests); err != nil {
						b.Fatal(err)
					}
				}
				reportRate(b, n)
			})
		}
	}
}

func BenchmarkVerifySig(b *testing.B) {
	for _, c := range []struct {
		name string
		keys int
	}{{"distinct", 1000}, {"one", 1}} {
		for _, n := range []int{1, 2, 16, 64, 256} {
			s := newSample(b, n, c.keys)
			ok := make([]bool, n)
			b.Run(fmt.Sprintf("alg=es256/keys=%s/impl=wide/batch=%d", c.name, n), func(b *testing.B) {
				for range tableAfter {
					Verify(s.keys, s.digests, s.sigs, ok)
				}
				b.ReportAllocs()
				for b.Loop() {
					Verify(s.keys, s.digests, s.sigs, ok)
				}
				reportRate(b, n)
			})
			b.Run(fmt.Sprintf("alg=es256/keys=%s/impl=std/batch=%d", c.name, n), func(b *testing.B) {
				for b.Loop() {
					for i, k := range s.keys {
						ok[i] = k.verifyOne(s.digests[i], s.sigs[i])
					}
				}
				reportRate(b, n)
			})
		}
	}
}
