package store

import (
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// Appender opens the run for appending, after a crash as well as the first
// time: it continues after the last page that is there unbroken. Pages a crash
// left behind a gap were never durable and are dropped; a broken page that had
// been durable is a [*DamageError]. A run has one appender at a time, and none
// once it is complete ([*RunStateError]).
func (r *Run) Appender() (*Appender, error) {
	if r.s.readOnly {
		return nil, ErrReadOnly
	}
	if err := r.s.room(0, r.s.opt.Reserve); err != nil {
		return nil, err
	}
	segments, err := r.loadSegments()
	if err != nil {
		return nil, err
	}
	r.s.mu.Lock() // a run is not deleted meanwhile
	defer r.s.mu.Unlock()
	if r.s.closed {
		return nil, ErrClosed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rec.State != Unfinished {
		return nil, &RunStateError{r.name, r.rec.State, "append to"}
	}
	if r.appender != nil {
		return nil, fmt.Errorf("run %s is being appended to", r.name)
	}
	a, err := r.newAppender(segments)
	if err != nil {
		return nil, err
	}
	r.appender, r.tail = a, nil
	r.s.lock.Note(r.name)
	return a, nil
}

// newAppender builds the state at the end of the durable segments, starts the
// goroutines and takes in the pages behind it.
func (r *Run) newAppender(segments []*segmentHead) (*Appender, error) {
	p, err := r.progress()
	if err != nil {
		return nil, err
	}
	a := &Appender{
		run: r, s: r.s,
		commits: make(chan *group, 3), free: make(chan *group, 3),
		seals: make(chan *segment, 1), keys: make(chan []uint64, 2),
		kick: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	a.changed = sync.NewCond(&a.mu)
	for range cap(a.free) {
		a.free <- new(group)
	}
	for range cap(a.keys) {
		a.keys <- nil
	}
	if n := len(segments); n > 0 {
		last := segments[n-1]
		a.tree = last.tree()
		a.pages = last.FirstPage + last.Pages
		a.vouchers = last.FirstVoucher + uint64(last.Vouchers)
	}
	a.segment = newSegment(uint32(len(segments)), a.pages, a.vouchers, a.takeKeys())
	// What is on disk now was read from it; sealing must not wait for it.
	a.committed = mark{pages: p.Pages, vouchers: p.Vouchers}
	a.durable = a.committed
	a.ended.Add(3)
	go a.commitGroups()
	go a.syncGroups()
	go a.indexSegments()
	if err := a.takeIn(p); err != nil {
		close(a.commits)
		close(a.seals)
		close(a.quit)
		a.ended.Wait()
		return nil, err
	}
	return a, nil
}

// takeIn accounts for the committed pages behind the last durable segment.
func (a *Appender) takeIn(p progress) error {
	var v page.View
	var buf []byte
	var keys []uint64
	var rng merkle.Range
	for a.pages < p.Pages {
		var err error
		if buf, err = a.s.get(pageKey(a.run.id, a.pages), buf[:0]); err == nil {
			err = v.Parse(buf)
		}
		if err == nil && v.First() != a.vouchers {
			err = fmt.Errorf("it begins at voucher %d, not %d", v.First(), a.vouchers)
		}
		if err != nil {
			return a.dropBroken(p, err)
		}
		v.Range(&rng)
		if err := a.tree.Merge(&rng, a.keepSubtree); err != nil {
			return err
		}
		keys = a.run.appendKeys(keys[:0], &v)
		a.mu.Lock()
		a.pages++
		a.vouchers += uint64(v.Count())
		full := a.segment.add(keys)
		a.mu.Unlock()
		if full {
			if err := a.seal(); err != nil {
				return err
			}
		}
	}
	if a.vouchers != p.Vouchers {
		return &DamageError{Run: a.run.name, Part: "progress", Err: fmt.Errorf("it counts %d vouchers, the pages hold %d", p.Vouchers, a.vouchers)}
	}
	return nil
}

// dropBroken deletes the pages from a.pages on if none of them was known to be
// durable.
func (a *Appender) dropBroken(p progress, cause error) error {
	if a.pages < p.Durable || errors.As(cause, new(*page.VersionError)) {
		return &DamageError{Run: a.run.name, Part: "page", Number: uint64(a.pages), Err: cause}
	}
	// The new progress comes first: pages behind it do not count any more.
	kept := progress{Pages: a.pages, Vouchers: a.vouchers, Durable: p.Durable}
	record, err := encodeRecord(kept)
	if err != nil {
		return err
	}
	if err := a.s.update(len(record), func(txn *badger.Txn) error {
		return txn.Set(dataKey(a.run.id, kindProgress), record)
	}); err != nil {
		return err
	}
	for n := a.pages; n < p.Pages; n++ {
		if err := a.s.update(64, func(txn *badger.Txn) error { return txn.Delete(pageKey(a.run.id, n)) }); err != nil {
			return err
		}
	}
	a.mu.Lock()
	a.committed = mark{pages: kept.Pages, vouchers: kept.Vouchers}
	a.durable = a.committed
	a.mu.Unlock()
	return a.s.sync()
}

// appendKeys computes the index keys of a page.
func (r *Run) appendKeys(dst []uint64, v *page.View) []uint64 {
	for i := range v.Count() {
		dst = append(dst, r.Key(v.Serial(i)))
	}
	return dst
}
