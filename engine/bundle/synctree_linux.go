package bundle

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncTree makes all files under path durable by one call for their file
// system: an fsync for each of a million files would take hours.
func syncTree(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd()))), d.Close())
}
