package audit

import (
	"errors"
	"fmt"
)

var (
	// ErrNoEvents is returned for a device of which nothing is logged: the answer
	// is 404 (RFC 8995 §5.8.1 has no empty list).
	ErrNoEvents = errors.New("audit: there is no event of the device")
	// ErrNoProof is returned by [Response.VerifyLog] for a response without the
	// member that proves it, as any other MASA's.
	ErrNoProof = errors.New("audit: the answer has no " + ProofMember + " member, so nothing in it is proven")
)

// A ProofError is a head or a proof that does not hold.
type ProofError struct {
	Part string // "head", "event 3", "consistency", …
	Err  error
}

// Error names the part and what is wrong with it.
func (e *ProofError) Error() string { return fmt.Sprintf("audit log: %s: %v", e.Part, e.Err) }

// Unwrap returns the cause.
func (e *ProofError) Unwrap() error { return e.Err }

// A DamageError is a part of the log that is missing or not what was written.
type DamageError struct {
	Part  string // "size", "event", "summary of a device", …
	Index uint64
	Err   error
}

// Error names the part and the remedy.
func (e *DamageError) Error() string {
	return fmt.Sprintf("audit log: %s %d is damaged: %v; restore the state from a copy", e.Part, e.Index, e.Err)
}

// Unwrap returns the cause.
func (e *DamageError) Unwrap() error { return e.Err }
