package verify_test

import (
	"context"
	"testing"

	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// benchSize is how many vouchers an iteration verifies; bench/ has the larger
// ones.
const benchSize = 8192

func bench(b *testing.B, p *fixture.PKI, source func() verify.Source) {
	b.ReportAllocs()
	for b.Loop() {
		report, err := verify.Run(context.Background(), verify.Config{Trust: trust(p), Sources: []verify.Source{source()}})
		if err != nil || report.Passed != benchSize {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSize), "ns/voucher")
}

func BenchmarkVerifyStore(b *testing.B) {
	p := fixture.NewPKI(b, sign.ES256)
	for _, format := range formats {
		b.Run("env="+format.String(), func(b *testing.B) {
			r := p.Issue(b, fixture.Store(b), p.Header(format.String()), fixture.Serials(benchSize))
			bench(b, p, func() verify.Source { return verify.StoredRun(r) })
		})
	}
}

func BenchmarkVerifyMemory(b *testing.B) {
	p := fixture.NewPKI(b, sign.ES256)
	for _, format := range formats {
		b.Run("env="+format.String(), func(b *testing.B) {
			one := makerOf(p).sealVoucher(b, format, voucher(p, "SN-1"))
			list := make([]bundle.Entry, benchSize)
			for i := range list {
				list[i] = bundle.Entry{Place: "memory", Voucher: one}
			}
			bench(b, p, func() verify.Source { return verify.Entries("memory", &memory{entries: list}) })
		})
	}
}
