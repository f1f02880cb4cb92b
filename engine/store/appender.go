package store

import (
	"fmt"
	"sync"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// SegmentVouchers is the most vouchers an index segment holds.
const SegmentVouchers = 1 << 20

// SubtreeLevel is the level of the Merkle subtrees whose roots are kept: each
// covers 4,096 vouchers.
const SubtreeLevel = 12

// A Page is one finished page with what its maker already knows about it.
type Page struct {
	Bytes []byte        // as page.Builder.Finish returned it; copied by Append
	Range *merkle.Range // of its vouchers; copied by Append
	Keys  []uint64      // Run.Key of each serial number, in order
}

// An Appender writes the pages of one run. It owns three buffers of a commit's
// size and two key arrays of a segment's, 32 MiB together, and three
// goroutines: one commits, one syncs, one writes index segments.
//
//	sink ─ Append ─► group ─► committer ─► Badger
//	                  │          └─► syncer (64 MiB or 500 ms) ─► Durable
//	                  └─ segment full ─► indexer (once its pages are durable)
//
// A group is filled by Append, then belongs to the committer until it is free
// again; readers see its pages under mu until Badger has them.
type Appender struct {
	run *Run
	s   *Store

	// Owned by the goroutine that calls Append.
	tree     merkle.Range
	subtrees []merkle.Hash // completed since the last segment ended
	firstSub uint64        // index of subtrees[0]

	commits chan *group   // to the committer
	free    chan *group   // back from it
	seals   chan *segment // to the indexer
	keys    chan []uint64 // free key arrays
	kick    chan struct{} // to the syncer: enough is committed
	quit    chan struct{} // ends the syncer
	ended   sync.WaitGroup

	mu        sync.Mutex
	changed   *sync.Cond // anything below changed
	closed    bool
	err       error // the first failure; nothing is written after it
	pages     uint32
	vouchers  uint64
	open      *group     // being filled
	inFlight  []*group   // handed to the committer, oldest first
	segment   *segment   // being filled
	sealed    []*segment // complete, their index not yet written, oldest first
	committed mark
	durable   mark
	resident  []uint32 // first pages of committed groups that are in this process's memory map
}

// mark is a point in a run.
type mark struct {
	pages    uint32
	vouchers uint64
	octets   int64 // of pages since the appender was opened
}

// Append takes the next page of the run. Only one goroutine may call Append,
// Flush, Finish and Close. It copies the page and waits only when the disk is
// three commits behind. A failure is final: the appender keeps returning it,
// and what was committed can be continued later.
func (a *Appender) Append(p Page) error {
	n := p.Range.End - p.Range.Begin
	if p.Range.Begin != a.tree.End {
		return &OrderError{Want: a.tree.End, Got: p.Range.Begin}
	}
	if n == 0 || n > page.MaxVouchers || uint64(len(p.Keys)) != n {
		return fmt.Errorf("store: page of %d vouchers with %d keys", n, len(p.Keys))
	}
	g, err := a.groupFor(len(p.Bytes))
	if err != nil {
		return err
	}
	if err := a.tree.Merge(p.Range, a.keepSubtree); err != nil {
		return a.fail(err)
	}
	a.mu.Lock()
	for a.open != g { // the syncer handed it over meanwhile
		a.mu.Unlock()
		if g, err = a.groupFor(len(p.Bytes)); err != nil {
			return err
		}
		a.mu.Lock()
	}
	g.add(p.Bytes)
	a.pages++
	a.vouchers += n
	full := a.segment.add(p.Keys)
	a.mu.Unlock()
	if full {
		return a.seal()
	}
	return nil
}

// keepSubtree remembers the roots of level SubtreeLevel.
func (a *Appender) keepSubtree(level uint8, index uint64, h merkle.Hash) {
	if level != SubtreeLevel {
		return
	}
	if len(a.subtrees) == 0 {
		a.firstSub = index
	}
	a.subtrees = append(a.subtrees, h)
}

// groupFor returns the group that has room for size octets, handing a full one
// to the committer.
func (a *Appender) groupFor(size int) (*group, error) {
	a.mu.Lock()
	err, g := a.err, a.open
	if a.closed {
		err = ErrClosed
	}
	a.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if g != nil && (len(g.ends) == maxCommitPages || len(g.octets) > 0 && len(g.octets)+size > a.s.opt.CommitBytes) {
		a.handOver()
		g = nil
	}
	if g == nil {
		g = <-a.free
		if g.octets == nil { // at its final size: to grow means to copy all of it, again and again
			g.octets = make([]byte, 0, max(a.s.opt.CommitBytes, size))
		}
		a.mu.Lock()
		g.reset(a.pages)
		a.open = g
		a.mu.Unlock()
	}
	return g, nil
}

// handOver gives the open group, if it has pages, to the committer. The syncer
// calls it too, so that pages of a slow run do not wait for company: the order
// of the groups is that of taking the lock, under which the channel, having
// room for all groups there are, never blocks.
func (a *Appender) handOver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.open
	if g == nil || len(g.ends) == 0 {
		return
	}
	g.after = mark{pages: a.pages, vouchers: a.vouchers}
	a.open = nil
	a.inFlight = append(a.inFlight, g)
	a.commits <- g
}

// seal hands the full segment to the indexer and begins the next one.
func (a *Appender) seal() error {
	a.handOver()
	keys := a.takeKeys()
	a.mu.Lock()
	sealed := a.segment
	sealed.close(&a.tree, a.firstSub, a.subtrees)
	a.sealed = append(a.sealed, sealed)
	a.segment = newSegment(sealed.number+1, a.pages, a.vouchers, keys)
	a.mu.Unlock()
	a.subtrees = nil
	a.seals <- sealed
	return a.failure()
}

// takeKeys waits for a free key array, which is made at its final size when it
// is first used.
func (a *Appender) takeKeys() []uint64 {
	keys := <-a.keys
	if keys == nil {
		keys = make([]uint64, 0, SegmentVouchers)
	}
	return keys
}

// Appended returns the pages and vouchers taken so far, those of earlier
// processes included. It is safe to call from any goroutine, as are
// Committed, Durable and the reading methods of the run.
func (a *Appender) Appended() (pages uint32, vouchers uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pages, a.vouchers
}

// Committed returns the pages and vouchers that survive the end of this
// process.
func (a *Appender) Committed() (pages uint32, vouchers uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.committed.pages, a.committed.vouchers
}

// Durable returns the pages and vouchers that survive the loss of power: an
// fsync that began after their commit has returned.
func (a *Appender) Durable() (pages uint32, vouchers uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.durable.pages, a.durable.vouchers
}

// Tree returns a copy of the Merkle range over everything appended. Only the
// appending goroutine may call it.
func (a *Appender) Tree() merkle.Range { return a.tree.Clone() }

// failure returns the first failure.
func (a *Appender) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// fail records the first failure and wakes whoever waits.
func (a *Appender) fail(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	a.changed.Broadcast()
	return a.err
}

// await blocks until done says so or the appender has failed. done runs under mu.
func (a *Appender) await(done func() bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.err == nil && !done() {
		a.changed.Wait()
	}
	return a.err
}
