package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
)

// storeModel runs a script of operations on a store and on slices beside it.
type storeModel struct {
	t      *testing.T
	script []byte
	dir    string
	copies int
	store  *store.Store
	runs   [3]*modelRun
	made   int
}

// modelRun is a run as it must be: its pages in order, and those of them that
// a crash must not take.
type modelRun struct {
	name     string
	pages    [][]byte
	safe     int
	variants [][]byte
	open     *store.Appender
	complete bool
}

// arg takes the next octet of the script, 0 at its end.
func (m *storeModel) arg() byte {
	if len(m.script) == 0 {
		return 0
	}
	b := m.script[0]
	m.script = m.script[1:]
	return b
}

func (m *storeModel) openStore() {
	m.t.Helper()
	s, err := store.Open(m.dir, store.Options{Create: true, SyncInterval: time.Hour})
	must(m.t, err)
	m.store = s
}

// run returns one of the runs and makes it where it is not there.
func (m *storeModel) run() (*modelRun, *store.Run) {
	m.t.Helper()
	slot := &m.runs[m.arg()%3]
	if *slot == nil {
		m.made++
		*slot = &modelRun{name: fmt.Sprintf("run-%d", m.made)}
		r, err := m.store.CreateRun(store.RunSpec{Name: (*slot).name, Created: created, Header: []byte((*slot).name)})
		must(m.t, err)
		return *slot, r
	}
	r, err := m.store.Run((*slot).name)
	must(m.t, err)
	return *slot, r
}

// appender opens the run for appending and holds that it goes on where it must.
func (m *storeModel) appender(run *modelRun, r *store.Run) *store.Appender {
	m.t.Helper()
	if run.open == nil {
		a, err := r.Appender()
		must(m.t, err)
		run.open = a
	}
	if pages, _ := run.open.Appended(); int(pages) != len(run.pages) {
		m.t.Fatalf("%s goes on at page %d, want %d", run.name, pages, len(run.pages))
	}
	return run.open
}

func (m *storeModel) append() {
	run, r := m.run()
	if run.complete {
		if _, err := r.Appender(); !isA[*store.RunStateError](err) {
			m.t.Fatalf("a complete run was opened for appending: %v", err)
		}
		return
	}
	a := m.appender(run, r)
	p := modelPage(m.t, run, r, a, int(m.arg())+1)
	must(m.t, a.Append(p))
	run.pages = append(run.pages, bytes.Clone(p.Bytes))
}

// modelPage makes the next page of a run, of n vouchers named after their positions.
func modelPage(t testing.TB, run *modelRun, r *store.Run, a *store.Appender, n int) store.Page {
	t.Helper()
	_, first := a.Appended()
	var b page.Builder
	must(t, b.Reset(nil, first, 64))
	var tree merkle.Range
	tree.Reset(first)
	var keys []uint64
	for at := first; at < first+uint64(n); at++ {
		serial := fmt.Appendf(nil, "%s/%d", run.name, at/2) // each twice
		added, err := b.Add(serial, uint32(at%2), at+1)
		must(t, err)
		if !added {
			break
		}
		keys = append(keys, r.Key(serial))
		tree.Append(leafOf(at))
	}
	signatures := b.Signatures()
	for i := range b.Len() {
		leaf := leafOf(first + uint64(i))
		copy(signatures[i*64:], leaf[:])
	}
	made, err := b.Finish(tree.Nodes)
	must(t, err)
	return store.Page{Bytes: made, Range: &tree, Keys: keys}
}

func leafOf(position uint64) merkle.Hash {
	return merkle.LeafHash(binary.BigEndian.AppendUint64(nil, position))
}

func (m *storeModel) variant() {
	run, r := m.run()
	if run.complete {
		return
	}
	id := uint32(len(run.variants))
	data := fmt.Appendf(nil, "%s variant %d", run.name, id)
	must(m.t, r.PutVariant(id, data))
	must(m.t, r.PutVariant(id, data))
	run.variants = append(run.variants, data)
	if err := r.PutVariant(id, []byte("other")); err == nil {
		m.t.Fatal("a variant was overwritten")
	}
}

func (m *storeModel) flush() {
	if run, r := m.run(); !run.complete {
		a := m.appender(run, r)
		must(m.t, a.Flush())
		run.safe = len(run.pages)
		if pages, _ := a.Durable(); int(pages) != run.safe {
			m.t.Fatalf("%d pages are durable after a flush, want %d", pages, run.safe)
		}
	}
}

func (m *storeModel) finish() {
	if run, r := m.run(); !run.complete {
		must(m.t, m.appender(run, r).Finish([]byte(run.name)))
		run.open, run.complete, run.safe = nil, true, len(run.pages)
	}
}

// closeStore closes cleanly, which makes everything safe.
func (m *storeModel) closeStore() {
	must(m.t, m.store.Close())
	for _, run := range m.runs {
		if run != nil {
			run.open, run.safe = nil, len(run.pages)
		}
	}
}

func (m *storeModel) reopen() {
	m.closeStore()
	m.openStore()
	if m.store.Recovered() {
		m.t.Fatal("a store that was closed says it was recovered")
	}
}

// crash goes on with a copy of the directory, as a killed process leaves it:
// what was flushed is there, what came after up to anywhere.
func (m *storeModel) crash() {
	var left string
	for before := ""; before != m.files(); { // Badger may be at work on files of its own
		before = m.files()
		m.copies++
		left = filepath.Join(m.t.TempDir(), fmt.Sprint(m.copies))
		copyStore(m.t, m.dir, left)
	}
	must(m.t, m.store.Close())
	must(m.t, os.RemoveAll(m.dir))
	m.dir = left
	m.openStore()
	if !m.store.Recovered() {
		m.t.Fatal("the store of a killed process does not say it was recovered")
	}
	for _, run := range m.runs {
		if run == nil {
			continue
		}
		run.open = nil
		r, err := m.store.Run(run.name)
		must(m.t, err)
		if run.complete {
			continue
		}
		a, err := r.Appender()
		must(m.t, err)
		run.open = a
		pages, _ := a.Appended()
		if int(pages) < run.safe || int(pages) > len(run.pages) {
			m.t.Fatalf("%s has %d pages after a crash, %d were durable, %d appended", run.name, pages, run.safe, len(run.pages))
		}
		run.pages = run.pages[:pages]
	}
}

// files lists the directory.
func (m *storeModel) files() string {
	entries, err := os.ReadDir(m.dir)
	must(m.t, err)
	return fmt.Sprint(entries)
}

func (m *storeModel) delete() {
	slot := &m.runs[m.arg()%3]
	if *slot == nil {
		return
	}
	m.reopen() // so that nothing is appended to
	must(m.t, m.store.DeleteRun((*slot).name))
	if _, err := m.store.Run((*slot).name); !isA[*store.RunNotFoundError](err) {
		m.t.Fatalf("a deleted run is still there: %v", err)
	}
	*slot = nil
}

// get looks one voucher up by its position and by its serial number.
func (m *storeModel) get() {
	run, r := m.run()
	var total uint64
	for _, p := range run.pages {
		var v page.View
		must(m.t, v.Parse(p))
		total += uint64(v.Count())
	}
	at := uint64(m.arg())<<8 | uint64(m.arg())
	hit, err := r.Voucher(at)
	if at >= total {
		if err == nil {
			m.t.Fatalf("voucher %d of %d was found", at, total)
		}
		return
	}
	must(m.t, err)
	leaf := leafOf(at)
	if hit.Position != at || !bytes.Equal(hit.Signature[:32], leaf[:]) {
		m.t.Fatalf("voucher %d came as %d", at, hit.Position)
	}
	want := map[uint64]bool{at &^ 1: true}
	if at|1 < total {
		want[at|1] = true
	}
	for hit, err := range r.Lookup(hit.Serial) {
		must(m.t, err)
		if !want[hit.Position] {
			m.t.Fatalf("look-up of %s found voucher %d", hit.Serial, hit.Position)
		}
		delete(want, hit.Position)
	}
	if len(want) != 0 {
		m.t.Fatalf("look-up of %s did not find %v", hit.Serial, want)
	}
}

// compare reads everything there is.
func (m *storeModel) compare() {
	infos, err := m.store.Runs()
	must(m.t, err)
	count := 0
	for _, run := range m.runs {
		if run == nil {
			continue
		}
		count++
		r, err := m.store.Run(run.name)
		must(m.t, err)
		n := 0
		for v, err := range r.Pages(0) {
			must(m.t, err)
			if n == len(run.pages) || !bytes.Equal(v.Bytes(), run.pages[n]) {
				m.t.Fatalf("page %d of %s is not what was appended", n, run.name)
			}
			n++
		}
		if n != len(run.pages) || string(r.Header()) != run.name || run.complete && string(r.Final()) != run.name {
			m.t.Fatalf("%s has %d pages, want %d", run.name, n, len(run.pages))
		}
		for id, want := range run.variants {
			data, err := r.Variant(uint32(id))
			must(m.t, err)
			if !bytes.Equal(data, want) {
				m.t.Fatalf("variant %d of %s is %q", id, run.name, data)
			}
		}
	}
	if len(infos) != count {
		m.t.Fatalf("the store has %d runs, want %d", len(infos), count)
	}
}

// copyStore copies the files of a store without the holes in them, which are
// most of what a value log is.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	entries, err := os.ReadDir(from)
	must(t, err)
	for _, e := range entries {
		in, err := os.Open(filepath.Join(from, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			return // crash sees it too and copies again
		}
		must(t, err)
		out, err := os.Create(filepath.Join(to, e.Name()))
		must(t, err)
		info, err := in.Stat()
		must(t, err)
		must(t, out.Truncate(info.Size()))
		must(t, copyData(in, out, info.Size()))
		must(t, errors.Join(in.Close(), out.Close()))
	}
}

func copyData(in, out *os.File, size int64) error {
	const seekData, seekHole = 3, 4 // of lseek(2)
	if runtime.GOOS != "linux" {
		_, err := io.Copy(out, in)
		return err
	}
	for at := int64(0); at < size; {
		begin, err := in.Seek(at, seekData)
		if err != nil {
			return nil // only a hole follows
		}
		end, err := in.Seek(begin, seekHole)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, begin), io.NewSectionReader(in, begin, end-begin)); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// FuzzStore runs scripts of appending, flushing, finishing, closing, crashing,
// deleting and getting.
func FuzzStore(f *testing.F) {
	const (
		appendPage = iota
		getVoucher
		putVariant
		flushRun
		finishRun
		reopenStore
		crashStore
		deleteRun
		operations
	)
	f.Add([]byte{appendPage, 0, 9, flushRun, 0, appendPage, 0, 99, crashStore, appendPage, 0, 3, getVoucher, 0, 0, 7})
	f.Add([]byte{putVariant, 1, appendPage, 1, 255, finishRun, 1, crashStore, appendPage, 2, 0, deleteRun, 1, getVoucher, 2, 0, 0, reopenStore})
	f.Add([]byte{appendPage, 0, 0, appendPage, 1, 0, crashStore, crashStore, deleteRun, 0, appendPage, 0, 5})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 64 {
			return
		}
		m := &storeModel{t: t, script: script, dir: filepath.Join(t.TempDir(), "0")}
		m.openStore()
		defer func() { must(t, m.store.Close()) }()
		steps := [operations]func(){m.append, m.get, m.variant, m.flush, m.finish, m.reopen, m.crash, m.delete}
		for len(m.script) > 0 {
			steps[m.arg()%operations]()
		}
		m.compare()
		damaged := func(err error) { t.Errorf("check: %v", err) }
		_, err := m.store.Check(t.Context(), damaged)
		must(t, err)
	})
}
