package badgerdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// A Syncer makes durable what is committed to the database in one directory.
// It is safe for concurrent use.
type Syncer struct {
	dir string
	db  *badger.DB

	mu    sync.Mutex // one fsync at a time; guards files
	files string     // the directory as of the last fsync of it
}

// NewSyncer returns the syncer of an open database.
func NewSyncer(dir string, db *badger.DB) *Syncer { return &Syncer{dir: dir, db: db} }

// Sync makes everything committed so far durable: when it returns nil, fsync
// has returned for every byte and for the directory.
//
// Badger's own Sync covers the value log it writes to and the log of the
// current memory table. It leaves out the log of a table that just filled up
// and is not flushed yet, and the directory entries of new files; both are
// made up for here. A value log file that is full was synced when it was
// closed for writing.
func (s *Syncer) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.db.Sync(); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var names strings.Builder
	var logs []string
	for _, e := range entries {
		names.WriteString(e.Name())
		names.WriteByte('/')
		if filepath.Ext(e.Name()) == ".mem" {
			logs = append(logs, e.Name())
		}
	}
	if names.String() == s.files && len(logs) < 2 {
		return nil
	}
	for _, name := range logs {
		// A log that is gone was flushed into a table, which is synced.
		if err := SyncFile(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := SyncDir(s.dir); err != nil {
		return err
	}
	s.files = names.String()
	return nil
}

// SyncFile makes the contents of one file durable.
func SyncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
