package state

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is returned by Get for a key that is not there.
	ErrNotFound = errors.New("state: no such key")
	// ErrStop is returned by the function a Scan calls, to end the scan.
	ErrStop = errors.New("state: stop the scan")
	// ErrClosed is returned by a DB that was closed.
	ErrClosed = errors.New("state: closed")
	// ErrReadOnly is returned by Update for a DB opened for reading.
	ErrReadOnly = errors.New("state: opened for reading only")
	// ErrFull is what a [*FullError] is under errors.Is.
	ErrFull = errors.New("state: too little free space")
	// ErrFinished is returned by a Reader or a Tx that is used after the function
	// it was given to returned.
	ErrFinished = errors.New("state: used after the function it was given to returned")

	errUnreadable = errors.New("its octets were altered on disk or are cut off")
	errInjected   = errors.New("a fault of the test")
	errExited     = errors.New("state: the function passed to Update ended its goroutine (runtime.Goexit); nothing it wrote is kept")
)

// A FullError reports that an Update was not begun because the disk has too
// little free space. Nothing was run and nothing written; once there is space,
// Updates go on.
type FullError struct {
	Dir        string
	Free, Need uint64 // octets
}

// Error names both sizes and the remedy.
func (e *FullError) Error() string {
	return fmt.Sprintf("state %s: %d MiB are free on the disk, %d MiB must be; free some space and try again",
		e.Dir, e.Free>>20, (e.Need+1<<20-1)>>20)
}

// Is makes errors.Is(err, ErrFull) true.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// A FailedError reports that a commit or its fsync failed. What is on disk of
// the Updates that fail with it is not known, so none is taken any more.
type FailedError struct{ Err error }

// Error names the cause and the remedy.
func (e *FailedError) Error() string {
	return fmt.Sprintf("state: writing failed, and what is on disk of the last updates is not known: %v; reading goes on; mend the cause and restart the program", e.Err)
}

// Unwrap returns the cause.
func (e *FailedError) Unwrap() error { return e.Err }

// A LimitError reports a key, a value or an Update that is too large.
type LimitError struct {
	What      string // "key", "value", "entries", "octets" or "octets of large values"
	Size, Max int
}

// Error names the limit and the remedy.
func (e *LimitError) Error() string {
	switch e.What {
	case "key":
		return fmt.Sprintf("state: a key of %d octets, it must have 1 to %d", e.Size, e.Max)
	case "value":
		return fmt.Sprintf("state: a value of %d octets, at most %d are kept", e.Size, e.Max)
	}
	return fmt.Sprintf("state: one update writes %d %s, at most %d are taken; split it", e.Size, e.What, e.Max)
}

// A PanicError reports that the function passed to Update panicked. Nothing it
// wrote is kept; other Updates are not touched.
type PanicError struct {
	Value any
	Stack []byte
}

// Error names what was panicked with. The stack is in the field.
func (e *PanicError) Error() string {
	return fmt.Sprintf("state: the function passed to Update panicked: %v; nothing it wrote is kept", e.Value)
}

// Unwrap returns the value panicked with, when that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A LockedError reports a directory that another process holds.
type LockedError struct {
	Dir string
	PID int // of the holder, 0 if it could not be told
}

// Error names the holder and the remedy.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return "state " + e.Dir + " is in use by " + who + "; ask that one, or stop it first"
}

// A NotStateError reports a directory that is missing or holds something else.
type NotStateError struct {
	Dir    string
	Reason string
}

// Error says why the directory is not taken.
func (e *NotStateError) Error() string { return "state " + e.Dir + ": " + e.Reason }

// A VersionError reports a directory of another format.
type VersionError struct {
	Dir   string
	Found string // the version as found
}

// Error names both versions and the remedy.
func (e *VersionError) Error() string {
	return fmt.Sprintf("state %s has format %s, this program reads format %d; use the program that wrote it", e.Dir, e.Found, formatVersion)
}

// A PermissionError reports a directory that may not be written to.
type PermissionError struct {
	Dir string
	Err error
	// Unclean is true for a DB that was opened for reading and would have been
	// read, had it been closed cleanly: recovering it takes writing.
	Unclean bool
}

// Error says what is not permitted and what to do.
func (e *PermissionError) Error() string {
	if e.Unclean {
		return fmt.Sprintf("state %s was not closed cleanly and cannot be written to, which its recovery needs: %v; make it writable, or open a writable copy", e.Dir, e.Err)
	}
	return fmt.Sprintf("state %s cannot be written to: %v; make it writable or name another directory", e.Dir, e.Err)
}

// Unwrap returns the operating system's error.
func (e *PermissionError) Unwrap() error { return e.Err }

// A DamageError reports a stored value that is not what was written.
type DamageError struct {
	Dir string
	Key []byte
	Err error
}

// Error names the key and the remedy.
func (e *DamageError) Error() string {
	return fmt.Sprintf("state %s: the value of key %q is damaged: %v; restore the directory from a copy", e.Dir, e.Key, e.Err)
}

// Unwrap returns the cause.
func (e *DamageError) Unwrap() error { return e.Err }
