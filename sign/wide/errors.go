package wide

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by a [Signer] after Close.
var ErrClosed = errors.New("wide: the signer is closed")

// A KeyError says why a key was refused.
type KeyError struct{ Reason string }

// Error gives the reason, which holds no key material.
func (e *KeyError) Error() string { return "wide: unusable P-256 key: " + e.Reason }

// A ShapeError says which argument of a batch has a wrong length. Nothing was
// signed or checked.
type ShapeError struct {
	What      string // "signatures", "digest", "results" ..
	Index     int    // of the item, -1 if the argument as a whole is meant
	Got, Want int    // octets or items
}

// Error names the argument or the item, and both lengths.
func (e *ShapeError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("wide: %s have length %d, the batch needs %d", e.What, e.Got, e.Want)
	}
	return fmt.Sprintf("wide: %s %d has %d octets, need %d", e.What, e.Index, e.Got, e.Want)
}
