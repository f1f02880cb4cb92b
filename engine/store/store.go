package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/vouchmill/vouchmill/engine/internal/badgerdir"
)

// formatKind is the word in the format file that tells a store.
const formatKind = "vouchmill store"

// A Store is an open store. It is safe for concurrent use.
type Store struct {
	dir       string
	opt       Options
	db        *badger.DB
	lock      *badgerdir.Lock
	syncer    *badgerdir.Syncer
	readOnly  bool // nothing is written through this Store
	recovered bool

	mu     sync.Mutex
	runs   map[string]*Run // handles given out, one a run
	closed bool
}

// Open opens the store in dir and takes its lock. Errors a caller may branch
// on are [*NotStoreError], [*LockedError], [*VersionError],
// [*PermissionError] and [*DiskFullError]. Deletions that a crash interrupted
// are completed.
func Open(dir string, opt Options) (*Store, error) {
	opt = opt.withDefaults()
	if err := prepareDir(dir, opt); err != nil {
		return nil, err
	}
	lock, err := acquire(dir, opt.ReadOnly)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opt: opt, lock: lock, readOnly: opt.ReadOnly, runs: map[string]*Run{}}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return s, nil
}

// acquire locks dir or returns a *LockedError.
func acquire(dir string, readOnly bool) (*badgerdir.Lock, error) {
	lock, err := badgerdir.Acquire(dir, readOnly)
	var held *badgerdir.HeldError
	switch {
	case errors.As(err, &held):
		return nil, &LockedError{Dir: dir, PID: held.PID, Run: held.Note}
	case err != nil && badgerdir.NotWritable(err):
		return nil, &PermissionError{Dir: dir, Err: err}
	case err != nil:
		return nil, fmt.Errorf("store %s: %w", dir, err)
	}
	return lock, nil
}

// prepareDir makes the directory if asked to, and refuses a foreign one.
func prepareDir(dir string, opt Options) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && opt.Create && !opt.ReadOnly:
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return &PermissionError{Dir: dir, Err: err}
		}
		return badgerdir.SyncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrNotExist):
		return &NotStoreError{dir, "there is no such directory"}
	case err != nil:
		return fmt.Errorf("store %s: %w", dir, err)
	case !info.IsDir():
		return &NotStoreError{dir, "it is a file, a store is a directory"}
	}
	if _, _, err := badgerdir.ReadFormat(dir, formatKind); !errors.Is(err, badgerdir.ErrNoFormat) {
		return checkFormat(dir)
	}
	stranger, err := badgerdir.Stranger(dir)
	if err != nil {
		return fmt.Errorf("store %s: %w", dir, err)
	}
	if stranger != "" {
		return &NotStoreError{dir, "the directory holds something else (" + stranger + ")"}
	}
	if !opt.Create || opt.ReadOnly {
		return &NotStoreError{dir, "the directory is empty"}
	}
	return nil
}

// checkFormat reads the format file.
func checkFormat(dir string) error {
	found, ok, err := badgerdir.ReadFormat(dir, formatKind)
	if err != nil {
		return fmt.Errorf("store %s: %w", dir, err)
	}
	if !ok {
		return &NotStoreError{dir, "its " + badgerdir.FormatName + " file is not a store's"}
	}
	if found != fmt.Sprint(formatVersion) {
		return &VersionError{Where: dir, Found: found}
	}
	return nil
}

// writeFormat creates the format file unless it is there.
func writeFormat(dir string) error {
	err := badgerdir.WriteFormat(dir, formatKind, formatVersion)
	switch {
	case err != nil && badgerdir.NotWritable(err):
		return &PermissionError{Dir: dir, Err: err}
	case err != nil:
		return fmt.Errorf("store %s: %w", dir, err)
	}
	return nil
}

// open opens Badger under the lock that is already held.
func (s *Store) open() error {
	// Badger leaves its process file behind when it is not closed.
	_, err := os.Stat(filepath.Join(s.dir, "LOCK"))
	s.recovered = err == nil
	readOnly := s.opt.ReadOnly && !s.recovered
	if !readOnly {
		if err := s.room(0, 0); err != nil {
			return err
		}
		if err := writeFormat(s.dir); err != nil {
			return err
		}
		if err := badgerdir.Shield(s.dir); err != nil {
			return s.openError(err)
		}
	}
	s.db, err = badger.Open(badgerOptions(s.dir, readOnly))
	if err != nil {
		return s.openError(err)
	}
	s.syncer = badgerdir.NewSyncer(s.dir, s.db)
	if readOnly {
		return nil
	}
	err = s.sync()
	if err == nil {
		err = s.resumeDeletes()
	}
	if err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

func (s *Store) openError(err error) error {
	if badgerdir.NotWritable(err) {
		return &PermissionError{Dir: s.dir, Err: err, Unclean: s.recovered && s.opt.ReadOnly}
	}
	return fmt.Errorf("store %s cannot be opened: %w", s.dir, err)
}

// Recovered reports whether the store had not been closed cleanly and was
// recovered by Open.
func (s *Store) Recovered() bool { return s.recovered }

// Dir returns the directory the store was opened in.
func (s *Store) Dir() string { return s.dir }

// Close closes the appenders that are still open, as [Appender.Close] does,
// and the store. No goroutine may append meanwhile. Calling it again does
// nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	runs := make([]*Run, 0, len(s.runs))
	for _, r := range s.runs {
		runs = append(runs, r)
	}
	s.mu.Unlock()
	var err error
	for _, r := range runs {
		if a := r.activeAppender(); a != nil {
			err = errors.Join(err, a.Close())
		}
	}
	return errors.Join(err, s.db.Close(), s.lock.Release())
}

// sync makes everything committed so far durable.
func (s *Store) sync() error { return s.syncer.Sync() }

// room checks that size octets can be written with the reserve left over and
// room for the memory tables that Badger may flush meanwhile.
func (s *Store) room(size, reserve uint64) error {
	free, err := s.opt.FreeSpace(s.dir)
	if err != nil {
		return fmt.Errorf("store %s: free space: %w", s.dir, err)
	}
	if need := size + 2*memTableSize + reserve; free < need {
		return &DiskFullError{Dir: s.dir, Free: free, Need: need}
	}
	return nil
}

// update commits one transaction of about size octets after checking that the
// disk has room for it. It is committed, not yet durable.
func (s *Store) update(size int, write func(txn *badger.Txn) error) error {
	if s.readOnly {
		return ErrReadOnly
	}
	if err := s.room(uint64(size), s.opt.Reserve); err != nil {
		return err
	}
	if err := s.db.Update(write); err != nil {
		return fmt.Errorf("store %s: commit: %w", s.dir, err)
	}
	return nil
}

// get appends the value of key to dst. Badger checks the CRC-32C of a record in
// the value log.
func (s *Store) get(key, dst []byte) ([]byte, error) {
	before := len(dst)
	err := s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			dst = append(dst, v...)
			return nil
		})
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return dst, errMissing
	}
	if err == nil && len(dst) == before {
		err = errUnreadable // no record is empty: this is how Badger says it
	}
	return dst, err
}
