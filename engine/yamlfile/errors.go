package yamlfile

import (
	"errors"
	"fmt"
)

// Causes a caller may branch on with errors.Is.
var (
	// ErrTooLarge is a text over MaxBytes, or nested over MaxDepth.
	ErrTooLarge = errors.New("too large")
	// ErrSyntax is a text that is not one plain YAML mapping.
	ErrSyntax = errors.New("not plain YAML")
	// ErrValue is a value that is missing or nests too deep.
	ErrValue = errors.New("unusable value")
)

// Error is a text that cannot be used, or a place in it.
type Error struct {
	// Line and Column are 1-based, 0 where they say nothing.
	Line, Column int
	// Kind is one of the causes above, Detail what exactly, Remedy what to do.
	Kind           error
	Detail, Remedy string
}

// Error returns place, cause and remedy on one line.
func (e *Error) Error() string {
	text := e.Kind.Error() + ": " + e.Detail
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, text)
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }
