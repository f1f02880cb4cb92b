package decision

import (
	"errors"
	"fmt"
	"time"
)

// A Refusal is a decision against a request.
type Refusal struct {
	// Kind is the reason, for machines.
	Kind Kind
	// Public is what the peer may know: plain text of one line.
	Public string
	// Operator is what whoever runs the role must know: place, cause, remedy.
	// It may hold what others sent and must not reach a peer.
	Operator string
	// RetryAfter is how long the peer is asked to wait before it tries again,
	// in whole seconds; 0 says nothing about that.
	RetryAfter time.Duration
	// Close asks the transport to close the connection after the answer.
	Close bool
	// Err is the error underneath, if any.
	Err error
}

// Refuse returns a Refusal of a kind, with the public text of that kind. The
// format and its arguments are for the operator; an error among the arguments
// that is formatted with %w is the cause.
func Refuse(kind Kind, format string, args ...any) *Refusal {
	text := fmt.Errorf(format, args...)
	return &Refusal{Kind: kind, Public: kind.Public(), Operator: text.Error(), Err: errors.Unwrap(text)}
}

// Error returns the kind and what the operator is told.
func (r *Refusal) Error() string { return string(r.Kind) + ": " + r.Operator }

// Unwrap returns the error underneath.
func (r *Refusal) Unwrap() error { return r.Err }

// After sets RetryAfter, rounded up to whole seconds, and returns r.
func (r *Refusal) After(d time.Duration) *Refusal {
	r.RetryAfter = (d + time.Second - 1).Truncate(time.Second)
	return r
}

// Closing sets Close and returns r.
func (r *Refusal) Closing() *Refusal {
	r.Close = true
	return r
}

// Of returns the Refusal in err, or one of kind Internal around an error that
// has none, so that a transport has one thing to answer with. It returns nil
// for nil.
func Of(err error) *Refusal {
	if err == nil {
		return nil
	}
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return Refuse(Internal, "%w", err)
}

// Is reports whether err is a Refusal of the given kind.
func Is(err error, kind Kind) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Kind == kind
}
