package admin

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a request that was refused, as it travels: the API answers it as JSON
// and the client returns it.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"error"`
	Remedy  string `json:"remedy,omitempty"`
}

// Error returns what is wrong and what to do about it, on one line.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Message
	}
	return e.Message + "; " + e.Remedy
}

// Errorf makes an Error with a status.
func Errorf(status int, format string, a ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, a...)}
}

// With sets the remedy and returns e.
func (e *Error) With(remedy string) *Error {
	e.Remedy = remedy
	return e
}

// asError is the Error in err, or one of status 500 around it.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Errorf(http.StatusInternalServerError, "%v", err)
}

// IsNotFound reports whether the API knows no such thing.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}
