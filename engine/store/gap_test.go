package store

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// TestPagesBehindAGapAreDroppedUnlessTheyWereDurable loses a committed page as
// a power failure may: what was synced is an error when lost, what was not is
// cut off and made again.
func TestPagesBehindAGapAreDroppedUnlessTheyWereDurable(t *testing.T) {
	m := &model{t: t, rng: rand.New(rand.NewPCG(8, 9)), dir: t.TempDir(), runs: map[string]*modelRun{}}
	m.open()
	defer func() { m.must(m.s.Close()) }()
	m.create()
	r, a := m.appender("run-0")
	var pages [][]byte
	appendPages := func(n int) {
		for range n {
			_, first := a.Appended()
			p := m.page(r, first)
			m.must(a.Append(p))
			pages = append(pages, bytes.Clone(p.Bytes))
		}
	}
	appendPages(20)
	m.must(a.Flush())
	appendPages(40)
	a.handOver()
	appendPages(1) // its transaction would note that the first 20 are durable
	a.handOver()
	m.must(a.await(func() bool { return len(a.inFlight) == 0 }))
	m.must(m.s.db.Update(func(txn *badger.Txn) error { return txn.Delete(pageKey(r.id, 33)) }))

	left := t.TempDir()
	m.copyDir(left)
	m.must(m.s.Close())
	m.dir = left
	m.open()
	r, err := m.s.Run("run-0")
	m.must(err)
	a, err = r.Appender()
	m.must(err)
	if n, _ := a.Appended(); n != 33 {
		t.Fatalf("the run continues at page %d, want 33, the first that is lost", n)
	}
	pages = pages[:33]
	appendPages(10)
	m.must(a.Close())
	m.runs["run-0"] = &modelRun{pages: pages}
	m.compare()

	// After Close all of it is known to be durable: the same loss is damage.
	m.must(m.s.db.Update(func(txn *badger.Txn) error { return txn.Delete(pageKey(r.id, 40)) }))
	if _, err := r.Appender(); err == nil {
		t.Error("a lost durable page was cut off without a word")
	}
}

func TestSortingEntriesIsExactWhateverTheKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, key := range map[string]func() uint64{
		"hashes":    rng.Uint64,
		"equal":     func() uint64 { return 7 << 40 },
		"few":       func() uint64 { return rng.Uint64N(5) << 31 },
		"low bits":  func() uint64 { return rng.Uint64N(1 << 31) },
		"two words": func() uint64 { return rng.Uint64N(2) << 63 },
	} {
		for _, n := range []int{0, 1, 100, 5000} {
			entries := make([]uint64, n)
			for i := range entries {
				entries[i] = key()&^positionMask | uint64(i)
			}
			sortEntries(entries, make([]uint64, n))
			for i := 1; i < n; i++ {
				if entries[i-1] >= entries[i] {
					t.Fatalf("%s: entries %d and %d are out of order", name, i-1, i)
				}
			}
		}
	}
}

func TestSyncIntervalMakesPagesDurableByItself(t *testing.T) {
	opt := modelOptions
	opt.SyncInterval = time.Millisecond
	s, err := Open(t.TempDir(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := &model{t: t, rng: rand.New(rand.NewPCG(2, 2)), s: s, runs: map[string]*modelRun{}}
	m.create()
	r, a := m.appender("run-0")
	for range 3 {
		_, first := a.Appended()
		m.must(a.Append(m.page(r, first)))
	}
	// They are far from filling a group, and nothing is appended behind them.
	m.must(a.await(func() bool { return a.durable.pages == 3 }))
}
