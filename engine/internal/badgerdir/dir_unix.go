//go:build unix

package badgerdir

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// isReadOnlyFS tells a file system that is mounted for reading only.
func isReadOnlyFS(err error) bool { return errors.Is(err, unix.EROFS) }
