package bundle

import (
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/engine/internal/inflate"
)

// Causes a caller may branch on with errors.Is.
var (
	// ErrKind is a path whose extension names no kind of bundle.
	ErrKind = errors.New("no kind of bundle is called that")
	// ErrExists is a target that is there already.
	ErrExists = errors.New("it exists already")
	// ErrEntry is a voucher that cannot be written as it is.
	ErrEntry = errors.New("the voucher cannot be written")
	// ErrUsage is a call that this writer or reader does not take.
	ErrUsage = errors.New("wrong use")
	// ErrTooLarge is an entry over the limit.
	ErrTooLarge = errors.New("too large")
	// ErrSyntax is a bundle that is not what its form requires.
	ErrSyntax = errors.New("malformed")
	// ErrUnsafe is a name or type of member that could reach outside the bundle.
	ErrUnsafe = errors.New("unsafe member")
	// ErrExpansion is compressed data over ReadOptions.MaxExpansion.
	ErrExpansion = inflate.ErrExpansion
)

// Error is a bundle that cannot be written or read.
type Error struct {
	// Name is the bundle; Place what within it: "line 7", "member A.vcj", "".
	Name, Place string
	// Kind is one of the causes above, or nil where Err says it all; Detail
	// is what exactly, Remedy what to do.
	Kind           error
	Detail, Remedy string
	// Err is the error underneath, if any.
	Err error
}

// Error returns place, cause and remedy on one line.
func (e *Error) Error() string {
	text := "bundle " + e.Name
	if e.Place != "" {
		text += ", " + e.Place
	}
	if e.Kind != nil {
		text += ": " + e.Kind.Error()
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func fail(name, place string, kind error, format string, args ...any) *Error {
	return &Error{Name: name, Place: place, Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// wrap places an error of the system or of a library.
func wrap(name, place string, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return &Error{Name: name, Place: place, Err: err}
}
