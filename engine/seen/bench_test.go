package seen

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkInsert fills a set to n hashes per iteration, by pages of 256 or one
// by one; ns/device is what one costs on the way, growth included.
func BenchmarkInsert(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		for _, batch := range []int{1, 256} {
			b.Run(fmt.Sprintf("n=%d/batch=%d", n, batch), func(b *testing.B) {
				page, hits := make([]uint64, batch), make([]int, 0, batch)
				var s *Set
				for b.Loop() {
					s = new(Set)
					rng := rand.NewPCG(1, 2)
					for done := 0; done < n; done += batch {
						for i := range page {
							page[i] = rng.Uint64()
						}
						hits = s.InsertBatch(page, hits[:0])
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/device")
				b.ReportMetric(float64(s.Bytes())/float64(s.Len()), "B/device")
			})
		}
	}
}

// BenchmarkHash is one device's hash, without and with an issuer.
func BenchmarkHash(b *testing.B) {
	key, serial := testKey(), []byte("VM-000000001")
	for _, issuer := range []int{0, 20} {
		b.Run(fmt.Sprintf("issuer=%d", issuer), func(b *testing.B) {
			id, sum := make([]byte, issuer), uint64(0)
			for b.Loop() {
				sum += key.Hash(id, serial)
			}
			_ = sum
		})
	}
}
