package pledge

import (
	"fmt"
	"strings"
)

// A JoinError is a device that did not join.
type JoinError struct {
	// Attempts holds the last attempt at each registrar.
	Attempts []*Attempt
	// Cause is why the device stopped trying: the context's, or that of a
	// discovery that failed; nil where all registrars were tried.
	Cause error
}

// An Outcome is what became of the attempts to join.
type Outcome string

// Outcomes of a JoinError.
const (
	Undecided      Outcome = "undecided"       // a registrar had not decided
	Refused        Outcome = "refused"         // a registrar refused the device, or the device a registrar
	NothingReached Outcome = "nothing-reached" // no registrar could be reached, or none is known
)

// Outcome says what became of the attempts: of several, what comes first in the
// order of the constants.
func (e *JoinError) Outcome() Outcome {
	outcome := NothingReached
	for _, a := range e.Attempts {
		switch {
		case a.Pending:
			return Undecided
		case a.Refused():
			outcome = Refused
		}
	}
	return outcome
}

// Error lists the registrars, and why each came to nothing.
func (e *JoinError) Error() string {
	var b strings.Builder
	b.WriteString("not joined")
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	for _, a := range e.Attempts {
		switch {
		case a.Pending:
			fmt.Fprintf(&b, "; %s has not decided yet", a.Registrar)
		default:
			fmt.Fprintf(&b, "; %s: %v", a.Registrar, a.Err)
		}
	}
	if len(e.Attempts) == 0 {
		b.WriteString(": no registrar is known; name one, or see that one announces itself")
	}
	return b.String()
}

// Unwrap returns the cause and the errors of the attempts.
func (e *JoinError) Unwrap() []error {
	var all []error
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	for _, a := range e.Attempts {
		if a.Err != nil {
			all = append(all, a.Err)
		}
	}
	return all
}
