package profile

import (
	"errors"
	"fmt"
	"strings"
)

// Causes a caller may branch on with errors.Is.
var (
	// ErrTooLarge is a profile over MaxBytes, or nested over MaxDepth.
	ErrTooLarge = errors.New("too large")
	// ErrSyntax is a profile that is not one plain YAML mapping.
	ErrSyntax = errors.New("not a profile")
	// ErrKey is a key that is unknown.
	ErrKey = errors.New("unknown key")
	// ErrTwice is a key that comes twice, or two keys that exclude each other.
	ErrTwice = errors.New("set twice")
	// ErrValue is a value that its key does not take.
	ErrValue = errors.New("unusable value")
)

// Error is a profile or setting that cannot be used.
type Error struct {
	// File is the profile, "" for a setting from elsewhere; Line and Column are
	// 1-based, 0 where they say nothing.
	File         string
	Line, Column int
	// Key is the setting the trouble is with, "" for the file as a whole and for
	// the one setting that Settings.Set was called for.
	Key string
	// Kind is one of the causes above, Detail what exactly, Remedy what to do.
	Kind           error
	Detail, Remedy string
	// Err is the error underneath, if any.
	Err error
}

// Error returns place, cause and remedy on one line.
func (e *Error) Error() string {
	text := e.Kind.Error()
	if place := e.place(); place != "" {
		text = place + ": " + text
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

// place is where the trouble is, "" where the caller alone knows.
func (e *Error) place() string {
	var parts []string
	if e.File != "" || e.Line > 0 {
		parts = append(parts, strings.TrimSuffix("profile "+e.File, " "))
	}
	if e.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", e.Line))
	}
	if e.Column > 0 {
		parts = append(parts, fmt.Sprintf("column %d", e.Column))
	}
	if e.Key != "" {
		parts = append(parts, e.Key)
	}
	return strings.Join(parts, ", ")
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
