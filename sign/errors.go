package sign

import (
	"errors"
	"fmt"
)

// Errors a caller may branch on with errors.Is.
var (
	// ErrClosed is returned by a signer that was closed.
	ErrClosed = errors.New("sign: the signer is closed")
	// ErrSignature marks an item whose signature does not verify.
	ErrSignature = errors.New("sign: the signature does not fit message and key")
	// ErrPassphrase is returned when an encrypted key cannot be opened: no
	// passphrase was given, or a wrong one.
	ErrPassphrase = errors.New("sign: passphrase missing or wrong")
)

// AlgorithmError says that an algorithm is not known, does not fit the key or
// cannot do what was asked.
type AlgorithmError struct {
	Identifier string // as it was stated: "ES256", "COSE -7", "OID 1.2.840…"
	Key        string // kind of the key at hand, "" if none
	Reason     string
}

// Error names the algorithm, the kind of key if there is one, and the reason.
func (e *AlgorithmError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("sign: algorithm %q refused: %s", e.Identifier, e.Reason)
	}
	return fmt.Sprintf("sign: algorithm %q refused for a key of type %s: %s", e.Identifier, e.Key, e.Reason)
}

// KeyError says that a key cannot be used. It never contains key material.
type KeyError struct {
	Reason string
	Err    error // cause, may be nil
}

// Error gives the reason and the cause.
func (e *KeyError) Error() string {
	if e.Err != nil {
		return "sign: key refused: " + e.Reason + ": " + e.Err.Error()
	}
	return "sign: key refused: " + e.Reason
}

// Unwrap gives the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// UsageError says that a call's arguments contradict each other, such as a
// buffer too small for the batch. Nothing was written.
type UsageError struct{ Reason string }

// Error gives the reason.
func (e *UsageError) Error() string { return "sign: " + e.Reason }

// ItemError is the failure of one item of a batch.
type ItemError struct {
	Index int // position in the batch
	Err   error
}

// Error names the item and the cause.
func (e ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

// Unwrap gives the cause.
func (e ItemError) Unwrap() error { return e.Err }

// BatchError lists the items of a batch that failed, in order; all others
// succeeded.
type BatchError struct{ Items []ItemError }

// Error counts the failures and shows the first; Unwrap gives them all.
func (e *BatchError) Error() string {
	if len(e.Items) == 0 {
		return "sign: no item failed"
	}
	return fmt.Sprintf("sign: %d of the batch failed, first %v", len(e.Items), e.Items[0])
}

// Unwrap gives the failures, so that errors.Is finds a cause among them.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, len(e.Items))
	for i, item := range e.Items {
		errs[i] = item
	}
	return errs
}

// failures collects ItemErrors; nil until the first.
type failures struct{ batch *BatchError }

func (f *failures) add(index int, err error) {
	if f.batch == nil {
		f.batch = new(BatchError)
	}
	f.batch.Items = append(f.batch.Items, ItemError{Index: index, Err: err})
}

// err is nil when nothing failed.
func (f *failures) err() error {
	if f.batch == nil {
		return nil
	}
	return f.batch
}
