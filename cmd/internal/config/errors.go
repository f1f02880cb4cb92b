package config

import (
	"errors"
	"fmt"
	"strings"
)

// Causes a caller may branch on with errors.Is.
var (
	// ErrSyntax is a file that is not one plain YAML mapping, or too large.
	ErrSyntax = errors.New("not a configuration")
	// ErrKey is a key that is unknown.
	ErrKey = errors.New("unknown key")
	// ErrTwice is a key that comes twice.
	ErrTwice = errors.New("set twice")
	// ErrValue is a value that its key does not take.
	ErrValue = errors.New("unusable value")
	// ErrMissing is a key that must be there and is not.
	ErrMissing = errors.New("missing key")
)

// Error is a configuration that cannot be used.
type Error struct {
	File         string
	Line, Column int    // 1-based, 0 where they say nothing
	Key          string // "" for the file as a whole
	// Kind is one of the causes above, Detail what exactly, Remedy what to do.
	Kind           error
	Detail, Remedy string
	// Err is the error underneath, if any.
	Err error
}

// Error returns place, cause and remedy on one line.
func (e *Error) Error() string {
	place := []string{e.File}
	if e.Line > 0 {
		place = append(place, fmt.Sprintf("line %d", e.Line))
	}
	if e.Key != "" {
		place = append(place, e.Key)
	}
	text := strings.Join(place, ", ") + ": " + e.Kind.Error()
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
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
