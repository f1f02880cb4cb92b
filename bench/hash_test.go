package bench

import (
	"crypto/sha256"
	"fmt"
	"testing"

	simd "github.com/minio/sha256-simd"

	"github.com/vouchmill/vouchmill/sign"
	"github.com/vouchmill/vouchmill/sign/sha256x16"
)

// BenchmarkHash hashes 256 messages of 930 octets an iteration, of which the
// last 34 vary, about what the content of a voucher is.
//
//	impl=prefix       sign.Hasher with the state of the prefix kept: what jobs use
//	impl=wide         package sha256x16 by itself, likewise
//	impl=scalar       the same without vector registers
//	impl=whole        crypto/sha256 over all 930 octets
//	impl=sha256-simd  github.com/minio/sha256-simd over all 930 octets
func BenchmarkHash(b *testing.B) {
	const batch, kept, size = 256, 896, 930
	message := make([]byte, size)
	tails := make([][]byte, batch)
	for i := range tails {
		tails[i] = message[kept:]
	}
	dst := make([]byte, batch*64)
	for _, id := range []sign.HashID{sign.SHA256, sign.SHA384, sign.SHA512, sign.SHAKE256} {
		hasher := must(sign.NewHasher(id))(b)
		prefixes := repeat(must(sign.NewPrefix(id, message[:kept]))(b), batch)
		benchmarkDigests(b, fmt.Sprintf("hash=%v/impl=prefix", id), batch, func() error { return hasher.SumTails(dst, prefixes, tails) })
	}
	prefixes := repeat(sha256x16.NewPrefix(message[:kept]), batch)
	scalar := sha256x16.NewScalarHasher()
	benchmarkDigests(b, "hash=SHA-256/impl=scalar", batch, func() error { return scalar.SumTails(dst[:batch*sha256.Size], prefixes, tails) })
	if sha256x16.Available() {
		wide := sha256x16.NewHasher()
		benchmarkDigests(b, "hash=SHA-256/impl=wide", batch, func() error { return wide.SumTails(dst[:batch*sha256.Size], prefixes, tails) })
	}
	for _, whole := range []struct {
		impl string
		sum  func([]byte) [sha256.Size]byte
	}{{"whole", sha256.Sum256}, {"sha256-simd", simd.Sum256}} {
		benchmarkDigests(b, "hash=SHA-256/impl="+whole.impl, batch, func() error {
			for range batch {
				whole.sum(message)
			}
			return nil
		})
	}
}

func repeat[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func benchmarkDigests(b *testing.B, name string, batch int, hash func() error) {
	b.Run(name, func(b *testing.B) {
		before := CPUTime()
		b.ReportAllocs()
		for b.Loop() {
			if err := hash(); err != nil {
				b.Fatal(err)
			}
		}
		digests := float64(b.N) * float64(batch)
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/digests, "ns/digest")
		ReportCPU(b, CPUTime()-before, digests, "digest")
	})
}
