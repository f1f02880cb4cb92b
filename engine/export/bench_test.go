package export_test

import (
	"context"
	"io"
	"testing"

	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/sign"
)

// benchSize is how many vouchers an iteration exports; bench/ has the larger
// ones.
const benchSize = 4096

func BenchmarkExport(b *testing.B) {
	p := fixture.NewPKI(b, sign.ES256)
	for _, format := range []string{"cms", "jws", "cose"} {
		r := p.Issue(b, fixture.Store(b), p.Header(format), fixture.Serials(benchSize))
		for _, kind := range []bundle.Kind{bundle.KindTar, bundle.KindNDJSON, bundle.KindCBORSeq} {
			b.Run("env="+format+"/kind="+kind.String(), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, err := export.Run(context.Background(), export.Config{Run: r, Path: "nowhere", Stream: io.Discard,
						Bundle: bundle.Options{Kind: kind}, NoManifest: true})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSize), "ns/voucher")
			})
		}
	}
}
