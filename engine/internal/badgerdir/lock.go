package badgerdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// HolderName is the file that names the process that holds the directory, and
// what it does there, for the message another process prints.
const HolderName = "HOLDER"

// A Lock is the lock on a directory and the note beside it.
type Lock struct {
	f        *os.File // nil in a directory that cannot be written to
	writable bool
}

// A HeldError reports a directory that another process holds.
type HeldError struct {
	PID  int    // of the holder, 0 if it could not be told
	Note string // what it does, empty if it did not say
}

// Error names the holder.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "held by another process"
	}
	return fmt.Sprintf("held by process %d", e.PID)
}

// Acquire locks dir or returns a *[HeldError]. For reading, a directory that
// cannot be written to is not an error.
func Acquire(dir string, readOnly bool) (*Lock, error) {
	path := filepath.Join(dir, HolderName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	writable := err == nil
	if err != nil {
		if !readOnly || !NotWritable(err) {
			return nil, err
		}
		if f, err = os.Open(path); err != nil {
			return &Lock{}, nil
		}
	}
	held, err := lockFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	if !held {
		defer f.Close()
		return nil, readHolder(f)
	}
	l := &Lock{f: f, writable: writable}
	l.Note("")
	return l, nil
}

// readHolder makes the error out of what the holder noted.
func readHolder(f *os.File) *HeldError {
	e := &HeldError{}
	buf := make([]byte, 512)
	n, _ := f.ReadAt(buf, 0)
	pid, note, _ := strings.Cut(strings.TrimSuffix(string(buf[:n]), "\n"), "\n")
	if p, err := strconv.Atoi(pid); err == nil {
		e.PID, e.Note = p, note
	}
	return e
}

// Note writes who holds the directory and what it does. The note is shorter
// than a disk block and written at once, so a reader sees it whole. It is for
// people: that it cannot be written (a full disk) stops nothing.
func (l *Lock) Note(text string) {
	if l.f == nil || !l.writable {
		return
	}
	if l.f.Truncate(0) == nil {
		_, _ = l.f.WriteAt(fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), text), 0)
	}
}

// Release ends the lock. It is called once.
func (l *Lock) Release() error {
	if l.f == nil {
		return nil
	}
	var err error
	if l.writable {
		err = l.f.Truncate(0)
	}
	return errors.Join(err, l.f.Close())
}

// NotWritable tells the errors of a directory that may not be written to.
func NotWritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || isReadOnlyFS(err)
}
