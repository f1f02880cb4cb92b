package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
)

func TestRunIsReadBackAsAppended(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true, CommitBytes: 64 << 10})
	r := createRun(t, s, "lot")
	if err := r.PutVariant(2, []byte("variant two")); err != nil {
		t.Fatal(err)
	}
	a := appender(t, r)
	appendTo(t, a, r, 20_000, 256)
	requireRun(t, r, 20_000) // readable before it is durable
	requireFound(t, r, 19_999)
	if err := a.Finish([]byte("manifest")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir, store.Options{ReadOnly: true})
	if s.Recovered() {
		t.Error("a store that was closed says it was recovered")
	}
	infos, err := s.Runs()
	if err != nil || len(infos) != 1 {
		t.Fatal(infos, err)
	}
	if i := infos[0]; i.State != store.Complete || i.Vouchers < 20_000 || !i.Created.Equal(epoch) || i.Name != "lot" {
		t.Errorf("run is listed as %+v", i)
	}
	r, err = s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Header()) != "header of lot" || string(r.Final()) != "manifest" {
		t.Errorf("header %q, final record %q", r.Header(), r.Final())
	}
	if v, err := r.Variant(2); err != nil || string(v) != "variant two" {
		t.Errorf("variant %q, %v", v, err)
	}
	n := requireRun(t, r, 20_000)
	for range 50 {
		requireFound(t, r, rand.Uint64N(n))
	}
	for hit, err := range r.Lookup([]byte("nobody")) {
		t.Errorf("a serial that was never stored is found: %v %v", hit, err)
	}
}

func TestContinuedRunEqualsAnUninterruptedOne(t *testing.T) {
	const total = 9_000
	roots := map[bool]merkle.Hash{}
	for _, interrupted := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, dir, store.Options{Create: true})
		r := createRun(t, s, "lot")
		a := appender(t, r)
		for at := uint64(1000); interrupted && at < total; at += 1700 {
			appendTo(t, a, r, at, 100)
			if err := s.Close(); err != nil { // closes the appender
				t.Fatal(err)
			}
			s = open(t, dir, store.Options{})
			var err error
			if r, err = s.Run("lot"); err != nil {
				t.Fatal(err)
			}
			a = appender(t, r)
		}
		appendTo(t, a, r, total, 100)
		tree := a.Tree()
		roots[interrupted] = tree.Root()
		if err := a.Finish(nil); err != nil {
			t.Fatal(err)
		}
		requireRun(t, r, total)
	}
	if roots[false] != roots[true] {
		t.Error("the Merkle root depends on interruptions")
	}
}

func TestSegmentsHoldUnevenPages(t *testing.T) {
	if testing.Short() {
		t.Skip("appends more vouchers than a segment holds")
	}
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true})
	r := createRun(t, s, "lot")
	a := appender(t, r)
	m := &maker{run: r}
	rng := rand.New(rand.NewPCG(5, 6))
	var total uint64
	for total < store.SegmentVouchers+50_000 {
		n := 200 + rng.IntN(57)
		if err := a.Append(m.next(t, total, n)); err != nil {
			t.Fatal(err)
		}
		total += uint64(n)
	}
	probe := func(stage string) {
		t.Helper()
		for _, at := range []uint64{0, 1, store.SegmentVouchers - 300, store.SegmentVouchers + 10, total - 1, rng.Uint64N(total)} {
			requireFound(t, r, at)
			if hit, err := r.Voucher(at); err != nil || hit.Position != at || string(hit.Serial) != string(serialAt(at)) {
				t.Fatalf("%s: voucher %d: %v, %v", stage, at, hit.Position, err)
			}
		}
		if _, err := r.Voucher(total); err == nil {
			t.Errorf("%s: a voucher behind the last is found", stage)
		}
	}
	probe("appending")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{})
	var err error
	if r, err = s.Run("lot"); err != nil {
		t.Fatal(err)
	}
	probe("unfinished")
	a = appender(t, r)
	tree := a.Tree()
	if err := a.Finish(nil); err != nil {
		t.Fatal(err)
	}
	probe("complete")
	requireProofs(t, r, total, tree.Root(), rng)
	requireSound(t, s)
}

// requireProofs proves some vouchers to be under the root.
func requireProofs(t *testing.T, r *store.Run, total uint64, root merkle.Hash, rng *rand.Rand) {
	t.Helper()
	leaves := func(v *page.View, dst []merkle.Hash) ([]merkle.Hash, error) {
		for i := range v.Count() {
			dst = append(dst, merkle.LeafHash(v.Signature(i)))
		}
		return dst, nil
	}
	for _, at := range []uint64{0, 4095, 4096, total - 1, rng.Uint64N(total), rng.Uint64N(total)} {
		proof, size, err := r.InclusionProof(at, leaves)
		if err != nil {
			t.Fatal(err)
		}
		if err := merkle.VerifyInclusion(at, size, leafAt(r.Name(), at), proof, root); err != nil {
			t.Errorf("voucher %d of %d: %v", at, size, err)
		}
	}
	if _, _, err := r.InclusionProof(total, leaves); err == nil {
		t.Error("a voucher behind the last was proved")
	}
}

func requireSound(t testing.TB, s *store.Store) store.Checked {
	t.Helper()
	c, err := s.Check(context.Background(), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookupFindsEveryVoucherOfASharedSerial(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{Create: true})
	for _, name := range []string{"old", "new"} {
		r := createRun(t, s, name)
		a := appender(t, r)
		var b page.Builder
		var at uint64
		for range 12 { // 3,072 vouchers of one serial: several chunks of equal keys
			if err := b.Reset(b.Memory(), at, 8); err != nil {
				t.Fatal(err)
			}
			var rng merkle.Range
			rng.Reset(at)
			var keys []uint64
			for range 256 {
				if _, err := b.Add([]byte("1"), uint32(at), at+1); err != nil {
					t.Fatal(err)
				}
				rng.Append(merkle.Hash{})
				keys = append(keys, r.Key([]byte("1")))
				at++
			}
			p, err := b.Finish(rng.Nodes)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Append(store.Page{Bytes: p, Range: &rng, Keys: keys}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Finish(nil); err != nil {
			t.Fatal(err)
		}
	}
	var order []string
	var at uint64
	for hit, err := range s.Lookup([]byte("1")) {
		if err != nil {
			t.Fatal(err)
		}
		if len(order) == 0 || order[len(order)-1] != hit.Run.Name() {
			order, at = append(order, hit.Run.Name()), 0
		}
		if hit.Position != at || hit.Variant != uint32(at) {
			t.Fatalf("hit at %d, want %d", hit.Position, at)
		}
		at++
	}
	if fmt.Sprint(order) != "[new old]" || at != 3072 {
		t.Errorf("runs in order %v, %d hits in the last", order, at)
	}
}

func TestAppendRefusesWhatDoesNotContinue(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{Create: true})
	r := createRun(t, s, "lot")
	a := appender(t, r)
	m := &maker{run: r}
	var order *store.OrderError
	if err := a.Append(m.next(t, 256, 10)); !errors.As(err, &order) || order.Want != 0 || order.Got != 256 {
		t.Errorf("a page out of order: %v", err)
	}
	p := m.next(t, 0, 10)
	p.Keys = p.Keys[:9]
	if a.Append(p) == nil {
		t.Error("a page with too few keys was taken")
	}
	if _, err := r.Appender(); err == nil {
		t.Error("a run got two appenders")
	}
	if err := a.Append(m.next(t, 0, 10)); err != nil {
		t.Error(err)
	}
	if err := a.Finish(nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(m.next(t, 10, 10)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("appending to a finished run: %v", err)
	}
	for name, err := range map[string]error{"flush": a.Flush(), "finish": a.Finish(nil)} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("closing a finished appender: %v", err)
	}
	var state *store.RunStateError
	if _, err := r.Appender(); !errors.As(err, &state) || state.State != store.Complete {
		t.Errorf("an appender for a complete run: %v", err)
	}
}

func TestNamesVariantsAndRunsAreGuarded(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{Create: true})
	for _, name := range []string{"", ".hidden", "-flag", "a/b", "a b", "ü", string(make([]byte, 200))} {
		if _, err := s.CreateRun(store.RunSpec{Name: name, Created: epoch}); err == nil {
			t.Errorf("run name %q was accepted", name)
		}
	}
	r := createRun(t, s, "lot")
	var exists *store.RunExistsError
	if _, err := s.CreateRun(store.RunSpec{Name: "lot", Created: epoch}); !errors.As(err, &exists) {
		t.Errorf("a second run of the same name: %v", err)
	}
	var missing *store.RunNotFoundError
	if _, err := s.Run("other"); !errors.As(err, &missing) {
		t.Errorf("a run that is not there: %v", err)
	}
	for range 2 {
		if err := r.PutVariant(1, []byte("one")); err != nil {
			t.Error(err)
		}
	}
	if r.PutVariant(1, []byte("two")) == nil {
		t.Error("a variant was replaced")
	}
	if _, err := r.Variant(9); err == nil {
		t.Error("a variant that was never put is found")
	}
	if ids, err := r.Variants(); err != nil || fmt.Sprint(ids) != "[1]" {
		t.Errorf("variants %v, %v", ids, err)
	}
}

func TestDeletedRunIsGoneAndItsSpaceComesBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true})
	for _, name := range []string{"keep", "drop"} {
		r := createRun(t, s, name)
		a := appender(t, r)
		appendTo(t, a, r, map[string]uint64{"keep": 5_000, "drop": 200_000}[name], 256)
		if name == "drop" {
			if s.DeleteRun("keep") == nil {
				t.Error("a run was deleted while another was appended to")
			}
		}
		if err := a.Finish(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // the value log file is written to no more
		t.Fatal(err)
	}
	before := diskUse(t, dir)
	s = open(t, dir, store.Options{})
	if err := s.DeleteRun("drop"); err != nil {
		t.Fatal(err)
	}
	var missing *store.RunNotFoundError
	if _, err := s.Run("drop"); !errors.As(err, &missing) {
		t.Errorf("the deleted run: %v", err)
	}
	if err := s.DeleteRun("drop"); !errors.As(err, &missing) {
		t.Errorf("deleting it again: %v", err)
	}
	r, err := s.Run("keep")
	if err != nil {
		t.Fatal(err)
	}
	requireRun(t, r, 5_000)
	requireSound(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := diskUse(t, dir); after > before/4 {
		t.Errorf("%d octets before, %d after the run was deleted", before, after)
	}
}

// diskUse sums the sizes of the files of a closed store.
func diskUse(t testing.TB, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(e.Name()) != "" { // DISCARD is sparse
			sum += info.Size()
		}
	}
	return sum
}

func TestDiskUseIsWithinItsBudget(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true})
	r := createRun(t, s, "lot")
	a := appender(t, r)
	const total = 200_192
	appendTo(t, a, r, total, 256)
	if err := a.Finish(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Serials of 12 characters; variants and lines take 2 octets more here.
	if perVoucher := float64(diskUse(t, dir)) / total; perVoucher > 95 {
		t.Errorf("%.1f octets a voucher with the index, want at most 95", perVoucher)
	}
}
