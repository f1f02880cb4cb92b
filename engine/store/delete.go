package store

import (
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.runs {
		if other.activeAppender() != nil {
			return fmt.Errorf("run %s cannot be deleted while run %s is appended to", name, other.rec.Name)
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
	err = s.db.Update(func(txn *badger.Txn) error { return putRun(txn, &rec) })
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return fmt.Errorf("run %s: mark as deleted: %w", name, err)
	}
	r.rec = rec
	delete(s.runs, name)
	if err := s.drop(&rec); err != nil {
		return err
	}
	return s.reclaim()
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
func (s *Store) reclaim() error {
	for {
		err := s.db.RunValueLogGC(0.5)
		if errors.Is(err, badger.ErrNoRewrite) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("store %s: reclaim space: %w", s.dir, err)
		}
	}
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
