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
	wide, scalar := testSigners(b, 1)
	for _, c := range []struct {
		impl   string
		signer *Signer
	}{{"wide", wide}, {"std", scalar}} {
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
