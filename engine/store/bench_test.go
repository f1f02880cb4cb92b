package store_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
)

// benchSize is the number of vouchers of a benchmark's run.
func benchSize(b *testing.B) uint64 {
	n := uint64(100_000)
	if s := os.Getenv("VOUCHMILL_BENCH_N"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			b.Fatalf("VOUCHMILL_BENCH_N: %v", err)
		}
	}
	return (n + 255) / 256 * 256
}

// stock is one page that is sent again and again with another position, so
// that a benchmark shows the store and not the making of pages.
type stock struct {
	builder page.Builder
	rng     merkle.Range
	keys    []uint64
}

func (p *stock) next(b *testing.B, first uint64) store.Page {
	if err := p.builder.Reset(p.builder.Memory(), first, 64); err != nil {
		b.Fatal(err)
	}
	var serial [12]byte
	copy(serial[:], "SN")
	p.keys = p.keys[:0]
	p.rng.Reset(first)
	for at := first; at < first+256; at++ {
		for i, v := len(serial)-1, at; i >= 2; i, v = i-1, v/10 {
			serial[i] = byte('0' + v%10)
		}
		if _, err := p.builder.Add(serial[:], 0, at+2); err != nil {
			b.Fatal(err)
		}
		p.keys = append(p.keys, at*0x9E3779B97F4A7C15)
	}
	p.rng.End, p.rng.Nodes = first+256, append(p.rng.Nodes, merkle.Hash{})
	signatures := p.builder.Signatures()
	for i := 0; i < len(signatures); i += 8 {
		binary.LittleEndian.PutUint64(signatures[i:], (first+uint64(i))*0xD1342543DE82EF95)
	}
	bytes, err := p.builder.Finish(p.rng.Nodes)
	if err != nil {
		b.Fatal(err)
	}
	return store.Page{Bytes: bytes, Range: &p.rng, Keys: p.keys}
}

// report gives the time and the disk space of one voucher. The time is of the
// wall; what is made of it includes the page, which all rows have.
func report(b *testing.B, n uint64, dir string) {
	perRun := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(perRun/float64(n), "ns/voucher")
	b.ReportMetric(float64(n)*1e9/perRun, "vouchers/s")
	b.ReportMetric(float64(diskUse(b, dir))/float64(n), "B/voucher")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStore writes a run, durably and closed at the end, in four ways:
// as the store does (vlog), the same pages in Badger's tree (lsm), each voucher
// an entry of its own (per-voucher), and pages in a plain file (file), which
// has neither look-up nor transactions.
func BenchmarkStore(b *testing.B) {
	n := benchSize(b)
	for _, impl := range []struct {
		name string
		run  func(b *testing.B, dir string, n uint64)
	}{{"vlog", writeStore}, {"lsm", writeTree}, {"per-voucher", writeEntries}, {"file", writeFile}} {
		b.Run("impl="+impl.name, func(b *testing.B) {
			var dir string
			for b.Loop() {
				b.StopTimer()
				dir = b.TempDir()
				b.StartTimer()
				impl.run(b, dir, n)
			}
			report(b, n, dir)
		})
	}
}

func writeStore(b *testing.B, dir string, n uint64) {
	s, err := store.Open(dir, store.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	r, err := s.CreateRun(store.RunSpec{Name: "bench", Created: time.Unix(1, 0)})
	if err != nil {
		b.Fatal(err)
	}
	a, err := r.Appender()
	if err != nil {
		b.Fatal(err)
	}
	var p stock
	for at := uint64(0); at < n; at += 256 {
		if err := a.Append(p.next(b, at)); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Finish(nil); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// writeBadger puts what entries yields into a tree, in transactions of 4 MiB.
func writeBadger(b *testing.B, dir string, n uint64, entries func(v *page.View, put func(key, value []byte))) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithMetricsEnabled(false).WithDetectConflicts(false).
		WithCompression(options.None).WithBlockCacheSize(0))
	if err != nil {
		b.Fatal(err)
	}
	batch := db.NewWriteBatch()
	var p stock
	var v page.View
	for at := uint64(0); at < n; at += 256 {
		if err := v.Parse(append([]byte(nil), p.next(b, at).Bytes...)); err != nil {
			b.Fatal(err)
		}
		entries(&v, func(key, value []byte) {
			if err := batch.Set(key, value); err != nil {
				b.Fatal(err)
			}
		})
	}
	if err := batch.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := db.Sync(); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

func writeTree(b *testing.B, dir string, n uint64) {
	writeBadger(b, dir, n, func(v *page.View, put func(key, value []byte)) {
		put(binary.BigEndian.AppendUint64(nil, v.First()), v.Bytes())
	})
}

func writeEntries(b *testing.B, dir string, n uint64) {
	writeBadger(b, dir, n, func(v *page.View, put func(key, value []byte)) {
		for i := range v.Count() {
			put(append([]byte(nil), v.Serial(i)...), v.Signature(i))
		}
	})
}

func writeFile(b *testing.B, dir string, n uint64) {
	f, err := os.Create(filepath.Join(dir, "run.pages"))
	if err != nil {
		b.Fatal(err)
	}
	var p stock
	var buf []byte
	for at := uint64(0); at < n; at += 256 {
		buf = append(buf, p.next(b, at).Bytes...)
		if len(buf) >= 4<<20 || at+256 >= n {
			if _, err := f.Write(buf); err != nil {
				b.Fatal(err)
			}
			buf = buf[:0]
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is the sink's part alone: what one goroutine must do for a
// page before it can take the next.
func BenchmarkAppend(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r, err := s.CreateRun(store.RunSpec{Name: "bench", Created: time.Unix(1, 0)})
	if err != nil {
		b.Fatal(err)
	}
	a, err := r.Appender()
	if err != nil {
		b.Fatal(err)
	}
	var p stock
	var at uint64
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		page := p.next(b, at)
		at += 256
		b.StartTimer()
		if err := a.Append(page); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/voucher")
}

// BenchmarkLookup finds random serials of a complete run, page read included.
func BenchmarkLookup(b *testing.B) {
	n := benchSize(b)
	dir := b.TempDir()
	s, err := store.Open(dir, store.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r, err := s.CreateRun(store.RunSpec{Name: "bench", Created: time.Unix(1, 0)})
	if err != nil {
		b.Fatal(err)
	}
	a, err := r.Appender()
	if err != nil {
		b.Fatal(err)
	}
	m := &stock{}
	for at := uint64(0); at < n; at += 256 {
		p := m.next(b, at)
		for i := range p.Keys {
			p.Keys[i] = r.Key(fmt.Appendf(nil, "SN%010d", at+uint64(i)))
		}
		if err := a.Append(p); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Finish(nil); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, n))
	b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			at := rng.Uint64N(n)
			found := false
			for hit, err := range r.Lookup(fmt.Appendf(nil, "SN%010d", at)) {
				if err != nil {
					b.Fatal(err)
				}
				found = found || hit.Position == at
			}
			if !found {
				b.Fatalf("voucher %d was not found", at)
			}
		}
	})
}
