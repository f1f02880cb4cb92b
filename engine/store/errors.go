package store

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by an appender or a store that was closed.
var ErrClosed = errors.New("store: closed")

// ErrReadOnly is returned by what would write to a store opened for reading.
var ErrReadOnly = errors.New("store: opened for reading only")

// A LockedError reports a store that another process holds.
type LockedError struct {
	Dir string
	PID int    // of the holder, 0 if it could not be told
	Run string // the run it appends to, empty if none
}

// Error names the holder and what it is doing.
func (e *LockedError) Error() string {
	s := "store " + e.Dir + " is in use by "
	if e.PID == 0 {
		s += "another process"
	} else {
		s += fmt.Sprintf("process %d", e.PID)
	}
	if e.Run != "" {
		s += ", run " + e.Run
	}
	return s + "; wait for it to end or stop it"
}

// A VersionError reports a store, or a record in it, of another format.
type VersionError struct {
	Where string // the directory or the record
	Found string // the version as found
}

// Error names the place and both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has store format %s, this program reads format %d; use the program that wrote it", e.Where, e.Found, formatVersion)
}

// A NotStoreError reports a directory that is missing or holds something else.
type NotStoreError struct {
	Dir    string
	Reason string
}

// Error says why the directory is not taken for a store.
func (e *NotStoreError) Error() string { return "store " + e.Dir + ": " + e.Reason }

// A PermissionError reports a store that may not be written to.
type PermissionError struct {
	Dir string
	Err error
	// Unclean is true for a store that was opened for reading and would have been
	// read, had it been closed cleanly: recovering it takes writing.
	Unclean bool
}

// Error says what is not permitted and what to do.
func (e *PermissionError) Error() string {
	if e.Unclean {
		return fmt.Sprintf("store %s was not closed cleanly and cannot be written to, which its recovery needs: %v; make it writable and open it once, or open a writable copy", e.Dir, e.Err)
	}
	return fmt.Sprintf("store %s cannot be written to: %v; make it writable or name another directory", e.Dir, e.Err)
}

// Unwrap returns the operating system's error.
func (e *PermissionError) Unwrap() error { return e.Err }

// A DiskFullError reports that a write was not begun because too little space
// would be left. What was committed before stays and the run can be resumed.
type DiskFullError struct {
	Dir        string
	Free, Need uint64 // octets
}

// Error names both sizes and the remedy.
func (e *DiskFullError) Error() string {
	return fmt.Sprintf("disk of store %s is full: %d MiB are free, %d MiB are needed to go on safely; free some space and run the same command again",
		e.Dir, e.Free>>20, (e.Need+1<<20-1)>>20)
}

// A RunNotFoundError reports a run that is not in the store.
type RunNotFoundError struct{ Name string }

// Error names the run.
func (e *RunNotFoundError) Error() string { return "run " + e.Name + " is not in the store" }

// A RunExistsError reports a run name that is taken.
type RunExistsError struct{ Name string }

// Error names the run.
func (e *RunExistsError) Error() string { return "run " + e.Name + " is already in the store" }

// A RunStateError reports an operation that the state of the run forbids.
type RunStateError struct {
	Name  string
	State State
	Op    string
}

// Error names the run, its state and what was tried.
func (e *RunStateError) Error() string {
	return fmt.Sprintf("run %s is %s: cannot %s it", e.Name, e.State, e.Op)
}

// A DamageError reports stored bytes that are missing or not what was written.
type DamageError struct {
	Run    string
	Part   string // "page", "index segment", "variant", "progress", "run record", "tree"
	Number uint64 // of the part, counted from 0
	Err    error  // the cause
}

// Error names the place, the cause and the remedy.
func (e *DamageError) Error() string {
	if e.Run == "" {
		return fmt.Sprintf("the store's %s is damaged: %v; restore the store from a copy", e.Part, e.Err)
	}
	return fmt.Sprintf("run %s, %s %d is damaged: %v; restore the store from a copy, or delete the run and issue it again", e.Run, e.Part, e.Number, e.Err)
}

// Unwrap returns the cause.
func (e *DamageError) Unwrap() error { return e.Err }

// An OrderError reports a page appended out of order.
type OrderError struct{ Want, Got uint64 }

// Error names both positions.
func (e *OrderError) Error() string {
	return fmt.Sprintf("store: page begins at voucher %d, the run continues at %d", e.Got, e.Want)
}

var (
	errMissing    = errors.New("it is missing")
	errUnreadable = errors.New("its bytes were altered on disk or are cut off (the record's checksum fails)")
)
