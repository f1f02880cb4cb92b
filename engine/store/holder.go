package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holderName is the file that names the process that holds the store, and its
// run, for the message another process prints.
const holderName = "HOLDER"

// holder is the lock on a store and the note beside it.
type holder struct {
	f        *os.File // nil in a directory that cannot be written to
	writable bool
}

// acquireHolder locks dir or returns a *LockedError. For reading, a directory
// that cannot be written to is not an error.
func acquireHolder(dir string, readOnly bool) (*holder, error) {
	path := filepath.Join(dir, holderName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	writable := err == nil
	if err != nil {
		if !readOnly || !notWritable(err) {
			return nil, &PermissionError{Dir: dir, Err: err}
		}
		if f, err = os.Open(path); err != nil {
			return &holder{}, nil
		}
	}
	held, err := lockFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("store %s: lock: %w", dir, err)
	}
	if !held {
		defer f.Close()
		return nil, readHolder(dir, f)
	}
	h := &holder{f: f, writable: writable}
	h.note("")
	return h, nil
}

// readHolder makes the error out of what the holder noted.
func readHolder(dir string, f *os.File) *LockedError {
	e := &LockedError{Dir: dir}
	buf := make([]byte, 512)
	n, _ := f.ReadAt(buf, 0)
	pid, run, _ := strings.Cut(strings.TrimSuffix(string(buf[:n]), "\n"), "\n")
	if p, err := strconv.Atoi(pid); err == nil {
		e.PID, e.Run = p, run
	}
	return e
}

// note writes who holds the store and which run it appends to. The note is
// shorter than a disk block and written at once, so a reader sees it whole. It
// is for people: that it cannot be written (a full disk) stops nothing.
func (h *holder) note(run string) {
	if h.f == nil || !h.writable {
		return
	}
	if h.f.Truncate(0) == nil {
		_, _ = h.f.WriteAt(fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), run), 0)
	}
}

func (h *holder) release() error {
	if h.f == nil {
		return nil
	}
	var err error
	if h.writable {
		err = h.f.Truncate(0)
	}
	return errors.Join(err, h.f.Close())
}

func notWritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || isReadOnlyFS(err)
}
