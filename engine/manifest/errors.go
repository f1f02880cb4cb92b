package manifest

import (
	"errors"
	"fmt"
)

// Causes a caller may branch on with errors.Is.
var (
	// ErrTooLarge is a document over [MaxBytes], [MaxTemplates] or [MaxPath].
	ErrTooLarge = errors.New("too large")
	// ErrSyntax is a document that is not in the one form manifests and proofs have.
	ErrSyntax = errors.New("malformed")
	// ErrVersion is a document of a version this program does not know.
	ErrVersion = errors.New("unknown version")
	// ErrContent is a statement that contradicts itself or misses something.
	ErrContent = errors.New("unusable content")
	// ErrSignature is a manifest whose signature is not by its certificate.
	ErrSignature = errors.New("the signature does not verify")
	// ErrUntrusted is a manifest whose certificate does not lead to a trust anchor.
	ErrUntrusted = errors.New("the signer is not trusted")
	// ErrProof is a proof that does not lead to the manifest.
	ErrProof = errors.New("the proof does not hold")
)

// Error is a manifest or proof that cannot be made, read or believed.
type Error struct {
	// Document is "manifest" or "proof"; Place the part of it, "" for the whole.
	Document, Place string
	// Kind is one of the causes above, Detail what exactly, Remedy what to do.
	Kind           error
	Detail, Remedy string
	// Err is the error underneath, if any.
	Err error
}

// Error returns place, cause and remedy on one line.
func (e *Error) Error() string {
	text := e.Document
	if e.Place != "" {
		text += ", " + e.Place
	}
	text += ": " + e.Kind.Error()
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

func fail(place string, kind error, format string, args ...any) *Error {
	return &Error{Document: "manifest", Place: place, Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
