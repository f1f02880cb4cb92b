package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// BenchmarkIssue is the whole job, one run an iteration: a shuffled CSV list
// in, and out either finished envelopes in memory or a complete run in a store,
// its last fsync included. alg=none is everything but the signature. The list
// and the store's directory are made beforehand.
//
// B/voucher is the size of an envelope for sink=memory, and what the directory
// of the closed store holds for sink=store.
func BenchmarkIssue(b *testing.B) {
	n := must(Count())(b)
	devices := deviceList(b, n)
	for _, format := range formats {
		for _, alg := range []string{"es256", "none"} {
			b.Run(fmt.Sprintf("env=%s/alg=%s", format, alg), func(b *testing.B) {
				s := newSetup(b, format)
				signer := s.signer(b, alg)
				b.Run("sink=memory", func(b *testing.B) { issueToMemory(b, s, signer, devices, n) })
				b.Run("sink=store", func(b *testing.B) { issueToStore(b, s, signer, devices, n) })
			})
		}
	}
}

func issueToStore(b *testing.B, s setup, signer sign.Signer, devices []byte, n uint64) {
	var cpu time.Duration
	var octets int64
	var spent issue.Stages
	var runs float64
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		st := must(store.Open(dir, store.Options{Create: true}))(b)
		before := CPUTime()
		b.StartTimer()
		result, err := issue.Run(context.Background(), s.job(st, signer, devices))
		b.StopTimer()
		cpu += CPUTime() - before
		if err == nil && result.Vouchers != n {
			err = fmt.Errorf("%d vouchers, want %d", result.Vouchers, n)
		}
		if err = errors.Join(err, st.Close()); err != nil {
			b.Fatal(err)
		}
		octets += octetsIn(b, dir)
		addStages(&spent, &result.Stages)
		runs++
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	made := runs * float64(n)
	reportVouchers(b, made, cpu)
	b.ReportMetric(float64(octets)/made, "B/voucher")
	reportStages(b, made, &spent)
}

// job is the issuing job of s.
func (s setup) job(st *store.Store, signer sign.Signer, devices []byte) issue.Config {
	return issue.Config{Store: st, Header: s.Header(s.format), Signer: signer,
		Devices: func() (*list.Reader, error) { return list.NewReader(bytes.NewReader(devices), list.Options{}) }}
}

func addStages(sum, s *issue.Stages) {
	sum.List += s.List
	sum.Encode += s.Encode
	sum.Hash += s.Hash
	sum.Sign += s.Sign
	sum.Leaf += s.Leaf
	sum.Page += s.Page
	sum.Store += s.Store
}

// reportStages shows what the job itself measured, in ns a voucher.
func reportStages(b *testing.B, vouchers float64, s *issue.Stages) {
	for _, stage := range []struct {
		name  string
		nanos int64
	}{{"list", s.List}, {"encode", s.Encode}, {"hash", s.Hash}, {"sign", s.Sign}, {"leaf", s.Leaf}, {"page", s.Page}, {"store", s.Store}} {
		b.ReportMetric(float64(stage.nanos)/vouchers, stage.name+"-ns/voucher")
	}
}

// A memoryBatch is a batch on its way to finished envelopes.
type memoryBatch struct {
	octets  []byte // of the serial numbers
	serials [][]byte
	*Batch
}

func (m *memoryBatch) fill(r *list.Reader, rec *list.Record) (more bool, err error) {
	m.octets, m.serials = m.octets[:0], m.serials[:0]
	for len(m.serials) < page.MaxVouchers {
		if err := r.Read(rec); err == io.EOF {
			return false, nil
		} else if err != nil {
			return false, err
		}
		start := len(m.octets)
		m.octets = append(m.octets, rec.Serial...)
		m.serials = append(m.serials, m.octets[start:len(m.octets):len(m.octets)])
	}
	return true, nil
}

// runInMemory makes finished vouchers of a list and returns how many octets
// they have together, and how many there were.
func runInMemory(template *run.Template, signer sign.Signer, devices []byte) (octets, made uint64, err error) {
	r, err := list.NewReader(bytes.NewReader(devices), list.Options{})
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	if _, err = NewBatch(signer, template); err != nil {
		return 0, 0, err
	}
	fresh := func() *memoryBatch {
		batch, _ := NewBatch(signer, template) // it worked just before
		return &memoryBatch{Batch: batch, octets: make([]byte, 0, page.MaxBytes)}
	}
	var rec list.Record
	err = engine.Run(context.Background(), engine.Config{Workers: runtime.GOMAXPROCS(0)}, fresh, engine.Stages[memoryBatch]{
		Fill: func(_ context.Context, _ engine.Turn, m *memoryBatch) (bool, error) { return m.fill(r, &rec) },
		Work: func(_ int, _ uint64, m *memoryBatch) error { return m.Make(m.serials) },
		Sink: func(_ uint64, m *memoryBatch) error {
			octets, made = octets+uint64(m.Octets()), made+uint64(m.Len())
			return nil
		},
	})
	return octets, made, err
}

func issueToMemory(b *testing.B, s setup, signer sign.Signer, devices []byte, n uint64) {
	var octets, runs uint64
	before := CPUTime()
	b.ReportAllocs()
	for b.Loop() {
		size, made, err := runInMemory(s.template, signer, devices)
		if err != nil {
			b.Fatal(err)
		}
		if made != n {
			b.Fatalf("%d vouchers, want %d", made, n)
		}
		octets += size
		runs++
	}
	reportVouchers(b, float64(runs*n), CPUTime()-before)
	b.ReportMetric(float64(octets)/float64(runs*n), "B/voucher")
}
