package bench

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/engine/verify"
)

// BenchmarkVerify makes every check of N vouchers an iteration, on all
// processors: envelope, chain, digest, signature, payload, rules, times, and for
// a stored run its pages and manifest. source=memory hands finished envelopes
// over, source=store rebuilds them from their pages.
func BenchmarkVerify(b *testing.B) {
	n := must(Count())(b)
	for _, format := range formats {
		s := newSetup(b, format)
		name := fmt.Sprintf("env=%v/source=", format)
		made := vouchers(b, s, 1024)
		b.Run(name+"memory", func(b *testing.B) {
			verifyAll(b, s, n, func() verify.Source { return verify.Entries("memory", &repeated{made, n}) })
		})
		st := must(store.Open(b.TempDir(), store.Options{Create: true}))(b)
		result := must(issue.Run(context.Background(), s.job(st, s.signer(b, "es256"), deviceList(b, n))))(b)
		reader := must(run.NewReader(must(st.Run(result.Run))(b)))(b)
		b.Run(name+"store", func(b *testing.B) {
			verifyAll(b, s, n, func() verify.Source { return verify.StoredRun(reader) })
		})
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func verifyAll(b *testing.B, s setup, n uint64, source func() verify.Source) {
	before, rounds := CPUTime(), 0
	b.ReportAllocs()
	for b.Loop() {
		report, err := verify.Run(context.Background(), verify.Config{Sources: []verify.Source{source()},
			Trust: verify.Trust{Anchors: s.Chain[1:], At: Created.AddDate(0, 1, 0)}})
		if err != nil {
			b.Fatal(err)
		}
		if !report.OK() || report.Passed != n {
			b.Fatalf("%d of %d vouchers passed", report.Passed, n)
		}
		rounds++
	}
	reportVouchers(b, float64(rounds)*float64(n), CPUTime()-before)
}

// repeated yields vouchers again and again, left of them in all.
type repeated struct {
	vouchers [][]byte
	left     uint64
}

func (r *repeated) Next(e *bundle.Entry) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	*e = bundle.Entry{Place: "memory", Voucher: r.vouchers[r.left%uint64(len(r.vouchers))]}
	return nil
}

func (r *repeated) Manifest() []byte { return nil }
