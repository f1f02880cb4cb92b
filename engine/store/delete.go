package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// DeleteRun deletes a run. The run is durably marked before the first of its
// bytes goes, so a crash in between leaves a run that is being deleted, which
// the next Open completes; it never leaves half a run that looks like one. The
// space is given back to the file system as far as other runs do not share the
// files. It works on a full disk. It must not run while any run of the store
// is appended to.
func (s *Store) DeleteRun(name string) error {
	if s.readOnly {
		return ErrReadOnly
	}
	r, err := s.Run(name)
	if err != nil {
		return err
	}
	if err := s.markAndDrop(r); err != nil {
		return err
	}
	return s.reclaim()
}

// markAndDrop marks the run, durably, and removes it.
func (s *Store) markAndDrop(r *Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.name
	for _, other := range s.runs {
		if other.activeAppender() != nil {
			return fmt.Errorf("run %s cannot be deleted while run %s is appended to", name, other.name)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.rec
	rec.State, rec.Header, rec.Final = Deleting, nil, nil
	rec.Digest = emptyDigest
	// Written even when only the reserve is left: deleting is the remedy.
	if err := s.room(0, 0); err != nil {
		return err
	}
	err := s.db.Update(func(txn *badger.Txn) error { return putRun(txn, &rec) })
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return fmt.Errorf("run %s: mark as deleted: %w", name, err)
	}
	r.rec = rec
	delete(s.runs, name)
	return s.drop(&rec)
}

// drop removes the data of a run marked as being deleted, then its record.
func (s *Store) drop(rec *runRecord) error {
	err := s.db.DropPrefix(dataPrefix(rec.ID))
	if err == nil {
		err = s.db.Update(func(txn *badger.Txn) error { return txn.Delete(runKey(rec.Name)) })
	}
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return fmt.Errorf("run %s: delete: %w", rec.Name, err)
	}
	return nil
}

// reclaim rewrites value log files that are mostly unused.
//
// Badger stops reading a file at the first damaged entry and would take what
// follows for unused, so nothing is rewritten unless all that is left is sound.
// And it deletes a file without syncing what it copied out of it, unless an
// iterator is open: so one is, until the copies are durable.
func (s *Store) reclaim() error {
	checked, err := s.Check(context.Background(), func(error) {})
	if err != nil || checked.Damaged > 0 {
		return err
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: runPrefix()})
	defer it.Close()
	for err == nil {
		// At most half of a file is copied, and no more than there is: the
		// pages, and an eighth of that for indexes and headers.
		if err = s.room(min(valueLogSize/2, checked.Octets+checked.Octets/8), 0); err == nil {
			err = s.db.RunValueLogGC(0.5)
		}
	}
	if errors.Is(err, badger.ErrNoRewrite) {
		return s.sync()
	}
	return errors.Join(fmt.Errorf("store %s: reclaim space: %w", s.dir, err), s.sync())
}

// resumeDeletes completes what DeleteRun began before a crash.
func (s *Store) resumeDeletes() error {
	var marked []runRecord
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: runPrefix()})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			name := string(it.Item().Key()[len(runPrefix()):])
			if err := it.Item().Value(func(b []byte) error {
				// A record that cannot be read is Run's to report.
				if rec, err := parseRun(name, b); err == nil && rec.State == Deleting {
					marked = append(marked, rec)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range marked {
		if err == nil {
			err = s.drop(&marked[i])
		}
	}
	if err == nil && len(marked) > 0 {
		err = s.reclaim()
	}
	return err
}
