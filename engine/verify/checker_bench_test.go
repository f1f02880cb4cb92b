package verify

import (
	"fmt"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/sign"
)

// believing takes every signature for good, so that what is measured is all the
// rest.
type believing struct{}

func (believing) VerifyBatch([]sign.VerifyItem) error { return nil }

// BenchmarkChecksWithoutSignature makes every check of a stored run but that of
// signatures, on one goroutine, a page an iteration.
func BenchmarkChecksWithoutSignature(b *testing.B) {
	for _, format := range []string{"cms", "jws", "cose"} {
		b.Run("env="+format, func(b *testing.B) {
			p := fixture.NewPKI(b, sign.ES256)
			feed, source, err := StoredRun(p.Issue(b, fixture.Store(b), p.Header(format), fixture.Serials(16*batchVouchers))).open()
			if err != nil {
				b.Fatal(err)
			}
			var pages []*batch
			for last := false; !last; {
				page := newBatch()
				page.reset(source, uint64(len(pages)*batchVouchers))
				last = feed.fill(page)
				pages = append(pages, page)
			}
			c, err := newChecker(&Trust{Anchors: p.Chain[1:], At: fixture.Epoch.AddDate(0, 1, 0)}, &Expectation{}, codec.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			c.verifier = believing{}
			vouchers := 0
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				page := pages[n%len(pages)]
				octets := len(page.arena)
				if err := c.check(page); err != nil {
					b.Fatal(err)
				}
				for i := range page.items {
					if !page.items[i].finding.none() || !page.damage.none() {
						b.Fatal(fmt.Sprint(page.items[i].finding, page.damage))
					}
				}
				vouchers += len(page.items)
				page.items, page.arena = page.items[:0], page.arena[:octets]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(vouchers), "ns/voucher")
		})
	}
}
