package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Dir is a folder that keeps a device's files; it implements pledge.Storage.
// It is not for concurrent use.
type Dir struct {
	path string
	lock *os.File
}

// maxFile bounds what Get reads, in octets.
const maxFile = 1 << 20

// lockName is a file that says that a process has the folder open.
const lockName = ".lock"

// OpenDir opens a folder, and makes it, readable by its owner alone, if it is not
// there. It fails while another process has it open.
func OpenDir(path string) (*Dir, error) {
	if err := makeDir(filepath.Clean(path)); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	held, err := lockFile(lock)
	if err == nil && !held {
		err = fmt.Errorf("%s is in use by another process", path)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	d := &Dir{path, lock}
	if err := d.sweep(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// makeDir makes a folder and those above it, each durably.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if parent := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := makeDir(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // what it is shows when it is used
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// sweep removes what a process that was killed had not finished writing.
func (d *Dir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, unfinishedExt) {
			continue
		}
		if err := os.Remove(filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	return nil
}

const unfinishedExt = ".tmp"

// Close lets other processes have the folder.
func (d *Dir) Close() error { return d.lock.Close() }

// file is the path of a name, which must not lead elsewhere.
func (d *Dir) file(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is no name of a file", name)
	}
	return filepath.Join(d.path, name), nil
}

// Get returns the content of a file; the error wraps fs.ErrNotExist if there is none.
func (d *Dir) Get(name string) ([]byte, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no regular file of at most %d octets", path, maxFile)
	}
	return os.ReadFile(path)
}

// Put replaces a file as a whole, durably.
func (d *Dir) Put(name string, content []byte) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	fresh := filepath.Join(d.path, "."+name+unfinishedExt)
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return syncDir(d.path)
}

// Delete removes a file, durably; one that is not there is no error.
func (d *Dir) Delete(name string) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(d.path)
}
