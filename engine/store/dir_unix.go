//go:build unix

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// isReadOnlyFS tells a file system that is mounted for reading only.
func isReadOnlyFS(err error) bool { return errors.Is(err, unix.EROFS) }
