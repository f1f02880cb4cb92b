//go:build !linux

package bundle

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// syncTree makes all files under path durable, one by one.
func syncTree(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			f, err := os.OpenFile(filepath.Join(path, name), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			if err := syncClose(f); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return syncDir(path)
		}
		if err != nil {
			return err
		}
	}
}
