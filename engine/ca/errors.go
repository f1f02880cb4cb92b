package ca

import (
	"errors"
	"fmt"
)

// Causes a caller may branch on with errors.Is.
var (
	// ErrAuthority is a certificate or key that cannot be an authority's, or
	// cannot be one for what was asked.
	ErrAuthority = errors.New("not usable as an authority")
	// ErrKey is a public key that is not certified.
	ErrKey = errors.New("the public key is refused")
	// ErrName is a subject, host name, address or URL that is empty, malformed or
	// too long, or a subject that is the authority's own.
	ErrName = errors.New("a name is refused")
	// ErrValidity is a period in which a certificate or list would never be valid.
	ErrValidity = errors.New("the validity period is not usable")
	// ErrPossession is a certification request that its own key did not sign.
	ErrPossession = errors.New("the requester did not show possession of the private key")
	// ErrRevoked is an entry or a number that no revocation list may hold.
	ErrRevoked = errors.New("the revocation list cannot be made")
	// ErrSigning is a failure of the authority's key or of the source of
	// randomness: nothing is wrong with the request.
	ErrSigning = errors.New("signing failed")
)

// Error is a certificate or list that is not made, or a request not believed.
type Error struct {
	// Subject says what was to be made or read: "LDevID certificate".
	Subject string
	// Kind is one of the causes above, Detail what exactly, Remedy what to do.
	Kind           error
	Detail, Remedy string
	// Err is the error underneath, if any.
	Err error
}

// Error returns subject, cause and remedy on one line.
func (e *Error) Error() string {
	text := e.Subject + ": " + e.Kind.Error()
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

func fail(subject string, kind error, format string, args ...any) *Error {
	return &Error{Subject: subject, Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
