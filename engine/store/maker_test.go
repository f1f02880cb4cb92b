package store_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// maker makes pages whose content follows from the run's name and the position
// alone, so that any process can tell what must be stored.
type maker struct {
	run     *store.Run
	builder page.Builder
	rng     merkle.Range
	keys    []uint64
}

func serialAt(position uint64) []byte {
	return fmt.Appendf(nil, "SN-%09x", position*0x9E3779B97F4A7C15>>28)
}

func variantAt(position uint64) uint32 { return uint32(position / 1000 % 3) }

func lineAt(position uint64) uint64 { return position + 2 + position/100 }

func signatureAt(run string, position uint64) [64]byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(run), position))
	return [64]byte(append(sum[:], sum[:]...))
}

func leafAt(run string, position uint64) merkle.Hash {
	s := signatureAt(run, position)
	return merkle.LeafHash(s[:])
}

// next makes the page of n vouchers that begins at a position.
func (m *maker) next(t testing.TB, first uint64, n int) store.Page {
	t.Helper()
	if err := m.builder.Reset(m.builder.Memory(), first, 64); err != nil {
		t.Fatal(err)
	}
	m.keys = m.keys[:0]
	for at := first; at < first+uint64(n); at++ {
		serial := serialAt(at)
		if added, err := m.builder.Add(serial, variantAt(at), lineAt(at)); err != nil || !added {
			t.Fatal(added, err)
		}
		m.keys = append(m.keys, m.run.Key(serial))
	}
	signatures := m.builder.Signatures()
	m.rng.Reset(first)
	for i := range n {
		s := signatureAt(m.run.Name(), first+uint64(i))
		copy(signatures[i*64:], s[:])
		m.rng.Append(merkle.LeafHash(s[:]))
	}
	b, err := m.builder.Finish(m.rng.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	return store.Page{Bytes: b, Range: &m.rng, Keys: m.keys}
}

func open(t testing.TB, dir string, opt store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func createRun(t testing.TB, s *store.Store, name string) *store.Run {
	t.Helper()
	r, err := s.CreateRun(store.RunSpec{Name: name, Created: epoch, Header: []byte("header of " + name)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func appender(t testing.TB, r *store.Run) *store.Appender {
	t.Helper()
	a, err := r.Appender()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// appendTo appends pages of n vouchers until the run has at least total.
func appendTo(t testing.TB, a *store.Appender, r *store.Run, total uint64, n int) {
	t.Helper()
	m := &maker{run: r}
	for _, at := a.Appended(); at < total; _, at = a.Appended() {
		if err := a.Append(m.next(t, at, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// requireRun reads the whole run and compares it with what was made.
func requireRun(t testing.TB, r *store.Run, atLeast uint64) (total uint64) {
	t.Helper()
	for v, err := range r.Pages(0) {
		if err != nil {
			t.Fatal(err)
		}
		if v.First() != total {
			t.Fatalf("page begins at %d, want %d", v.First(), total)
		}
		for i := range v.Count() {
			s := signatureAt(r.Name(), total)
			if !bytes.Equal(v.Serial(i), serialAt(total)) || !bytes.Equal(v.Signature(i), s[:]) || v.Variant(i) != variantAt(total) || v.Line(i) != lineAt(total) {
				t.Fatalf("voucher %d is not what was appended", total)
			}
			total++
		}
	}
	if total < atLeast {
		t.Fatalf("the run holds %d vouchers, %d were acknowledged", total, atLeast)
	}
	return total
}

// requireFound looks a position's serial up and expects it once.
func requireFound(t testing.TB, r *store.Run, position uint64) {
	t.Helper()
	found := 0
	for hit, err := range r.Lookup(serialAt(position)) {
		if err != nil {
			t.Fatal(err)
		}
		s := signatureAt(r.Name(), position)
		if hit.Position != position || hit.Line != lineAt(position) || !bytes.Equal(hit.Signature, s[:]) {
			t.Fatalf("look-up of voucher %d found %d", position, hit.Position)
		}
		found++
	}
	if found != 1 {
		t.Fatalf("look-up of voucher %d found %d", position, found)
	}
}
