package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// modelRun is what the model knows of a run.
type modelRun struct {
	pages    [][]byte
	complete bool
}

// model runs random operations on a store and on plain slices beside it.
type model struct {
	t    *testing.T
	rng  *rand.Rand
	dir  string
	s    *Store
	runs map[string]*modelRun
	next int
}

var modelOptions = Options{Create: true, CommitBytes: 32 << 10, SyncInterval: time.Hour}

func (m *model) open() {
	m.t.Helper()
	s, err := Open(m.dir, modelOptions)
	if err != nil {
		m.t.Fatal(err)
	}
	m.s = s
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// pick returns the name of a random run, or "".
func (m *model) pick() string {
	var names []string
	for name := range m.runs {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[m.rng.IntN(len(names))]
}

func (m *model) create() {
	name := fmt.Sprintf("run-%d", m.next)
	m.next++
	_, err := m.s.CreateRun(RunSpec{Name: name, Created: time.Unix(int64(m.next), 0)})
	m.must(err)
	m.runs[name] = &modelRun{}
}

// appender returns the appender of an unfinished run.
func (m *model) appender(name string) (*Run, *Appender) {
	r, err := m.s.Run(name)
	m.must(err)
	if a := r.activeAppender(); a != nil {
		return r, a
	}
	a, err := r.Appender()
	m.must(err)
	if pages, _ := a.Appended(); int(pages) != len(m.runs[name].pages) {
		m.t.Fatalf("%s continues at page %d, want %d", name, pages, len(m.runs[name].pages))
	}
	return r, a
}

func (m *model) appendPages() {
	name := m.pick()
	if name == "" || m.runs[name].complete {
		return
	}
	r, a := m.appender(name)
	for range 1 + m.rng.IntN(20) {
		_, first := a.Appended()
		p := m.page(r, first)
		m.must(a.Append(p))
		m.runs[name].pages = append(m.runs[name].pages, bytes.Clone(p.Bytes))
	}
}

// page makes a page of random length and signatures.
func (m *model) page(r *Run, first uint64) Page {
	var b page.Builder
	m.must(b.Reset(nil, first, 64))
	rng := &merkle.Range{}
	rng.Reset(first)
	var keys []uint64
	for i := range 1 + m.rng.IntN(256) {
		serial := fmt.Appendf(nil, "%d", first+uint64(i))
		_, err := b.Add(serial, 0, first+uint64(i)+1)
		m.must(err)
		keys = append(keys, r.Key(serial))
		rng.Append(merkle.LeafHash(serial))
	}
	for s := b.Signatures(); len(s) > 0; s = s[8:] {
		binary.BigEndian.PutUint64(s, m.rng.Uint64())
	}
	p, err := b.Finish(rng.Nodes)
	m.must(err)
	return Page{Bytes: p, Range: rng, Keys: keys}
}

func (m *model) flush() {
	if name := m.pick(); name != "" && !m.runs[name].complete {
		_, a := m.appender(name)
		m.must(a.Flush())
	}
}

func (m *model) finish() {
	if name := m.pick(); name != "" && !m.runs[name].complete {
		_, a := m.appender(name)
		m.must(a.Finish([]byte(name)))
		m.runs[name].complete = true
	}
}

func (m *model) reopen() {
	m.must(m.s.Close())
	m.open()
}

// kill goes on with a copy of the directory as a killed process leaves it:
// what was handed to the committer is there, the open group is not.
func (m *model) kill() {
	for name, run := range m.runs {
		r, err := m.s.Run(name)
		m.must(err)
		if a := r.activeAppender(); a != nil {
			m.must(a.await(func() bool { return len(a.inFlight) == 0 && len(a.sealed) == 0 }))
			pages, _ := a.Committed()
			run.pages = run.pages[:pages]
		}
	}
	var left string
	for before := ""; before != m.files(); { // not while a compaction is at work
		before = m.files()
		left = m.t.TempDir()
		m.copyDir(left)
	}
	m.must(m.s.Close())
	m.dir = left
	m.open()
	if !m.s.Recovered() {
		m.t.Fatal("the store of a killed process does not say it was recovered")
	}
}

func (m *model) files() string {
	entries, err := os.ReadDir(m.dir)
	m.must(err)
	return fmt.Sprint(entries)
}

// copyDir copies the files, leaving holes where there are zeros.
func (m *model) copyDir(to string) {
	entries, err := os.ReadDir(m.dir)
	m.must(err)
	buf := make([]byte, 1<<20)
	zeros := make([]byte, 1<<20)
	for _, e := range entries {
		in, err := os.Open(filepath.Join(m.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			return // kill sees it too and copies again
		}
		m.must(err)
		out, err := os.Create(filepath.Join(to, e.Name()))
		m.must(err)
		var at int64
		for {
			n, err := in.Read(buf)
			if err == io.EOF {
				break
			}
			m.must(err)
			if !bytes.Equal(buf[:n], zeros[:n]) {
				_, err = out.WriteAt(buf[:n], at)
				m.must(err)
			}
			at += int64(n)
		}
		m.must(out.Truncate(at))
		m.must(in.Close())
		m.must(out.Close())
	}
}

func (m *model) delete() {
	name := m.pick()
	if name == "" {
		return
	}
	m.reopen() // nothing is appended to
	m.must(m.s.DeleteRun(name))
	delete(m.runs, name)
}

// interruptedDelete leaves a run marked and its data half gone.
func (m *model) interruptedDelete() {
	name := m.pick()
	if name == "" {
		return
	}
	m.reopen()
	r, err := m.s.Run(name)
	m.must(err)
	rec := r.rec
	rec.State, rec.Header, rec.Final, rec.Digest = Deleting, nil, nil, emptyDigest
	m.must(m.s.db.Update(func(txn *badger.Txn) error { return putRun(txn, &rec) }))
	for n := range len(m.runs[name].pages) / 2 {
		m.must(m.s.db.Update(func(txn *badger.Txn) error { return txn.Delete(pageKey(r.id, uint32(n))) }))
	}
	delete(m.runs, name)
	m.reopen()
}

// compare reads everything.
func (m *model) compare() {
	infos, err := m.s.Runs()
	m.must(err)
	if len(infos) != len(m.runs) {
		m.t.Fatalf("the store has %d runs, want %d", len(infos), len(m.runs))
	}
	for name, run := range m.runs {
		r, err := m.s.Run(name)
		m.must(err)
		n := 0
		for v, err := range r.Pages(0) {
			m.must(err)
			if n == len(run.pages) || !bytes.Equal(v.Bytes(), run.pages[n]) {
				m.t.Fatalf("%s: page %d is not what was appended", name, n)
			}
			n++
			if m.rng.IntN(4) == 0 {
				m.lookup(r, v)
			}
		}
		if n != len(run.pages) {
			m.t.Fatalf("%s has %d pages, want %d", name, n, len(run.pages))
		}
	}
}

func (m *model) lookup(r *Run, v *page.View) {
	i := m.rng.IntN(v.Count())
	found := 0
	for hit, err := range r.Lookup(v.Serial(i)) {
		m.must(err)
		if hit.Position != v.First()+uint64(i) || !bytes.Equal(hit.Signature, v.Signature(i)) {
			m.t.Fatalf("look-up of %s found voucher %d", v.Serial(i), hit.Position)
		}
		found++
	}
	if found != 1 {
		m.t.Fatalf("look-up of %s found %d vouchers", v.Serial(i), found)
	}
}

func TestStoreAgreesWithAModelUnderRandomOperations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), runs: map[string]*modelRun{}}
	m.open()
	defer func() { m.must(m.s.Close()) }()
	steps := []struct {
		weight int
		do     func()
	}{
		{6, m.create}, {40, m.appendPages}, {8, m.flush}, {4, m.finish}, {6, m.reopen},
		{3, m.kill}, {2, m.delete}, {2, m.interruptedDelete}, {10, m.compare},
	}
	rounds := 80
	if testing.Short() {
		rounds = 25
	}
	for range rounds {
		at := m.rng.IntN(81)
		for _, step := range steps {
			if at -= step.weight; at < 0 {
				step.do()
				break
			}
		}
	}
	m.compare()
}
