package peers

import (
	"context"
	"io"
	"testing"

	"github.com/vouchmill/vouchmill/bench"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/verify"
)

// A pile is vouchers of all formats by one signer, one behind the other. It is
// read as a bundle is.
type pile struct {
	vouchers []bundle.Entry
	next     int
}

// Next gives the next voucher.
func (p *pile) Next(e *bundle.Entry) error {
	if p.next == len(p.vouchers) {
		return io.EOF
	}
	*e = p.vouchers[p.next]
	p.next++
	return nil
}

// Manifest is that of a bundle without one.
func (p *pile) Manifest() []byte { return nil }

// newPile mixes the vouchers of a batch of each format, over and over.
func newPile(b *testing.B, rounds int) (*pile, verify.Config) {
	var batches []*bench.Batch
	fixture := newMatch(b, codec.FormatCMS).fixture
	for _, format := range formats {
		m := newMatch(b, format)
		m.fixture = fixture
		template, err := fixture.Template(format)
		if err != nil {
			b.Fatal(err)
		}
		m.template = template
		batches = append(batches, m.ours(b, ""))
	}
	p := new(pile)
	for range rounds {
		for i := range batchSize {
			for k, batch := range batches {
				p.vouchers = append(p.vouchers, bundle.Entry{Format: formats[k], Voucher: batch.Voucher(i)})
			}
		}
	}
	return p, verify.Config{Trust: verify.Trust{Anchors: fixture.Chain[1:], At: bench.Created.AddDate(0, 1, 0)}}
}

// BenchmarkCheck verifies vouchers of one signer. impl=smallstep-pkcs7 parses CMS
// vouchers and verifies their signatures, no more; impl=vouchmill makes every
// check of a pile of CMS, JWS and COSE vouchers.
func BenchmarkCheck(b *testing.B) {
	m := newMatch(b, codec.FormatCMS)
	cms := m.ours(b, "")
	b.Run("impl="+m.peer.Name, func(b *testing.B) {
		next, before := 0, bench.CPUTime()
		b.ReportAllocs()
		for b.Loop() {
			if err := m.peer.Verify(cms.Voucher(next % batchSize)); err != nil {
				b.Fatal(err)
			}
			next++
		}
		bench.ReportCPU(b, bench.CPUTime()-before, float64(b.N), "voucher")
	})
	b.Run("impl=vouchmill", func(b *testing.B) {
		p, cfg := newPile(b, 20)
		before := bench.CPUTime()
		b.ReportAllocs()
		for b.Loop() {
			p.next = 0
			cfg.Sources = []verify.Source{verify.Entries("pile", p)}
			report, err := verify.Run(context.Background(), cfg)
			if err != nil || report.Passed != uint64(len(p.vouchers)) {
				b.Fatalf("%+v, %v", report, err)
			}
		}
		bench.ReportCPU(b, bench.CPUTime()-before, float64(b.N)*float64(len(p.vouchers)), "voucher")
	})
}
