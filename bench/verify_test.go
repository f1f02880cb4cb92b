package bench

import (
	"context"
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
		b.Run("env="+format.String(), func(b *testing.B) {
			s := newSetup(b, format)
			b.Run("source=memory", func(b *testing.B) {
				made := vouchers(b, s, 1024)
				verifyAll(b, s, n, func() verify.Source { return verify.Entries("memory", &repeated{made, n}) })
			})
			b.Run("source=store", func(b *testing.B) {
				reader := storedRun(b, s, n)
				verifyAll(b, s, n, func() verify.Source { return verify.StoredRun(reader) })
			})
		})
	}
}

// storedRun issues n vouchers into a store.
func storedRun(b *testing.B, s setup, n uint64) *run.Reader {
	st := must(store.Open(b.TempDir(), store.Options{Create: true}))(b)
	b.Cleanup(func() { st.Close() })
	result := must(issue.Run(context.Background(), s.job(st, s.signer(b, "es256"), deviceList(b, n))))(b)
	return must(run.NewReader(must(st.Run(result.Run))(b)))(b)
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
