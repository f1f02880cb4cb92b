package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sync makes everything committed so far durable: when it returns nil, fsync
// has returned for every byte and for the directory.
//
// Badger's own Sync covers the value log it writes to and the log of the
// current memory table. It leaves out the log of a table that just filled up
// and is not flushed yet, and the directory entries of new files; both are
// made up for here. A value log file that is full was synced when it was
// closed for writing.
func (s *Store) sync() error {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
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
		if err := syncFile(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	s.files = names.String()
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
