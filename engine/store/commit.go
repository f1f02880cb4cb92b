package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// commitGroups is the committer: it owns each group from handOver until it
// puts it back among the free ones.
func (a *Appender) commitGroups() {
	defer a.ended.Done()
	for g := range a.commits {
		err := a.failure()
		if err == nil {
			err = a.commit(g)
		}
		a.mu.Lock()
		a.inFlight = slices.Delete(a.inFlight, 0, 1)
		if err == nil {
			g.after.octets = a.committed.octets + int64(len(g.octets))
			a.committed = g.after
			a.resident = append(a.resident, g.first)
		} else if a.err == nil {
			a.err = err
		}
		behind := a.committed.octets - a.durable.octets
		a.changed.Broadcast()
		a.mu.Unlock()
		a.free <- g
		if behind >= a.s.opt.SyncBytes {
			a.wakeSyncer()
		}
		// Bounds what a slow disk can leave dirty in memory.
		_ = a.await(func() bool { return a.committed.octets-a.durable.octets < 2*a.s.opt.SyncBytes })
	}
}

// commit writes a group and the progress it makes in one transaction.
func (a *Appender) commit(g *group) error {
	a.mu.Lock()
	p := progress{Pages: g.after.pages, Vouchers: g.after.vouchers, Durable: a.durable.pages}
	a.mu.Unlock()
	record, err := encodeRecord(p)
	if err != nil {
		return err
	}
	return a.s.update(len(g.octets)+len(g.ends)*128, func(txn *badger.Txn) error {
		for i := range g.ends {
			if err := txn.Set(pageKey(a.run.id, g.first+uint32(i)), g.page(i)); err != nil {
				return err
			}
		}
		return txn.Set(dataKey(a.run.id, kindProgress), record)
	})
}

func (a *Appender) wakeSyncer() {
	select {
	case a.kick <- struct{}{}:
	default: // it is awake already
	}
}

// syncGroups is the syncer: once an interval what was appended is handed to the
// committer, and half an interval later made durable; sooner when it is much.
func (a *Appender) syncGroups() {
	defer a.ended.Done()
	tick := time.NewTicker(max(a.s.opt.SyncInterval/2, 1))
	defer tick.Stop()
	for committing := true; ; {
		select {
		case <-a.quit:
			return
		case <-a.kick:
		case <-tick.C:
			if committing = !committing; !committing {
				a.handOver()
				continue
			}
		}
		if err := a.syncNow(); err != nil {
			_ = a.fail(err)
		}
	}
}

// syncNow makes what is committed durable, if anything is not.
func (a *Appender) syncNow() error {
	a.mu.Lock()
	to, idle := a.committed, a.committed == a.durable
	a.mu.Unlock()
	if idle {
		return nil
	}
	if err := a.s.sync(); err != nil {
		return fmt.Errorf("run %s: fsync: %w", a.run.name, err)
	}
	a.mu.Lock()
	if to.pages > a.durable.pages { // another goroutine may have synced more
		a.durable = to
	}
	n, _ := slices.BinarySearch(a.resident, to.pages)
	drop := slices.Clone(a.resident[:n])
	a.resident = slices.Delete(a.resident, 0, n)
	a.changed.Broadcast()
	a.mu.Unlock()
	a.run.dropResident(drop)
	return nil
}

// Flush commits what was appended and returns once it is durable.
func (a *Appender) Flush() error {
	if a.isClosed() {
		return ErrClosed
	}
	return a.flush()
}

func (a *Appender) flush() error {
	a.handOver()
	if err := a.await(func() bool { return a.committed.pages == a.pages }); err != nil {
		return err
	}
	if err := a.syncNow(); err != nil {
		return a.fail(err)
	}
	return a.failure()
}

// Close makes everything appended durable and ends the appender; the run can
// be continued with [Run.Appender]. After a failure it makes durable what was
// committed and returns the failure.
func (a *Appender) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.mu.Unlock()
	err := a.flush()
	if err == nil {
		err = a.noteDurable()
	} else {
		_ = a.syncNow() // keeps what can be kept; err is what to report
	}
	a.stop()
	return err
}

func (a *Appender) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// noteDurable records that every page is durable, so that damage found on
// resume is known as damage and not taken for a commit that a crash cut off.
func (a *Appender) noteDurable() error {
	if a.durable.pages == 0 {
		return nil
	}
	record, err := encodeRecord(progress{Pages: a.durable.pages, Vouchers: a.durable.vouchers, Durable: a.durable.pages})
	if err == nil {
		err = a.s.update(len(record), func(txn *badger.Txn) error {
			return txn.Set(dataKey(a.run.id, kindProgress), record)
		})
	}
	var full *DiskFullError
	if errors.As(err, &full) {
		return nil // the pages are safe; only the note is missing
	}
	if err == nil {
		err = a.s.sync()
	}
	return err
}

// Finish makes everything appended durable, writes the rest of the index,
// completes the run with its final record and ends the appender. When it
// returns nil all of it is durable. After an error the run is unfinished.
func (a *Appender) Finish(final []byte) error {
	if a.isClosed() {
		return ErrClosed
	}
	err := a.flush()
	if err == nil {
		err = a.finishIndex()
	}
	if err == nil {
		err = a.complete(final)
	}
	if err != nil {
		_ = a.fail(err)
	}
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.stop()
	return err
}

// finishIndex seals the last segment and waits for the indexer.
func (a *Appender) finishIndex() error {
	if a.segment.vouchers > 0 {
		if err := a.seal(); err != nil {
			return err
		}
	}
	return a.await(func() bool { return len(a.sealed) == 0 })
}

// complete turns the run's record to complete.
func (a *Appender) complete(final []byte) error {
	r := a.run
	r.mu.Lock()
	rec := r.rec
	r.mu.Unlock()
	rec.State, rec.Pages, rec.Vouchers, rec.Final = Complete, a.pages, a.vouchers, final
	err := a.s.update(len(final)+len(rec.Header)+1024, func(txn *badger.Txn) error { return putRun(txn, &rec) })
	if err == nil {
		err = a.s.sync()
	}
	if err == nil {
		r.mu.Lock()
		r.rec = rec
		r.mu.Unlock()
	}
	return err
}

// stop ends the goroutines and gives the run free for another appender.
func (a *Appender) stop() {
	a.run.mu.Lock()
	mine := a.run.appender == a
	a.run.appender = nil
	a.run.mu.Unlock()
	if !mine {
		return
	}
	close(a.commits)
	close(a.seals)
	close(a.quit)
	a.ended.Wait()
	a.s.lock.Note("")
}
