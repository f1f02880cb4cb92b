package list

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vouchmill/vouchmill/engine/internal/inflate"
)

// Causes a caller may branch on with errors.Is, found in RowError.Err and
// ListError.Err.
var (
	// ErrEmpty is a list without a header row or without content.
	ErrEmpty = errors.New("the list is empty")
	// ErrRowTooLong is a row, item or certificate over Options.MaxRowBytes.
	ErrRowTooLong = errors.New("row too long")
	// ErrFieldCount is a CSV row with more or fewer fields than the header.
	ErrFieldCount = errors.New("wrong number of fields")
	// ErrQuote is a CSV row that breaks the quoting rules of RFC 4180 §2.
	ErrQuote = errors.New("broken quoting")
	// ErrSyntax is an NDJSON line or CBOR item that is not what it should be.
	ErrSyntax = errors.New("malformed")
	// ErrColumn is a column or member that is unknown, missing or there twice.
	ErrColumn = errors.New("wrong columns")
	// ErrValue is a value that its column does not take.
	ErrValue = errors.New("unusable value")
	// ErrCertificate is a certificate that states no usable serial number.
	ErrCertificate = errors.New("unusable certificate")
	// ErrExpansion is a compressed list over Options.MaxExpansion.
	ErrExpansion = inflate.ErrExpansion
)

// RowError is one row that cannot be used. Reading goes on behind it.
type RowError struct {
	// File is the file the row is in when the list is a directory.
	File string
	// Unit is what Line counts: "line", "item" or "certificate".
	Unit string
	// Line is the 1-based number of the row's first line, of the item or of the
	// certificate.
	Line uint64
	// Column is the 1-based octet within the row where the trouble starts, 0
	// where that says nothing.
	Column int
	// Field is the column the trouble is in, "" for the row as a whole.
	Field string
	// Err is the cause, Remedy what to do about it.
	Err    error
	Remedy string
	// Raw is the row as written, without its line end, cut off where it is over
	// the limit. It is a view into the reader, valid until the next Read.
	Raw []byte
}

// Place returns where the row is: "line 7, column 12".
func (e *RowError) Place() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		b.WriteString(", ")
	}
	fmt.Fprintf(&b, "%s %d", e.Unit, e.Line)
	if e.Column > 0 {
		fmt.Fprintf(&b, ", octet %d", e.Column)
	}
	return b.String()
}

// Error returns place, cause and remedy on one line.
func (e *RowError) Error() string {
	var b strings.Builder
	b.WriteString(e.Place())
	if e.Field != "" {
		b.WriteString(": ")
		b.WriteString(e.Field)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(e.Remedy)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.Err }

// ListError ends a list before its end: nothing behind it can be read.
type ListError struct {
	Name   string // the list, as Options.Name has it
	Place  string // where in the list, "" for the list as a whole
	Err    error  // the cause
	Remedy string // what to do about it
}

// Error returns place, cause and remedy on one line.
func (e *ListError) Error() string {
	s := e.Name
	if e.Place != "" {
		s += ": " + e.Place
	}
	s += ": " + e.Err.Error()
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *ListError) Unwrap() error { return e.Err }

// fault is what is wrong with a row, before its place is known.
type fault struct {
	at     int    // octet within the row, 0-based; -1 says nothing
	field  string // column, "" for the row
	err    error
	remedy string
}

// cause couples a sentinel with the error or the words that fit the case, so
// that errors.Is finds the first and people read the second.
type cause struct{ kind, err error }

func (c *cause) Error() string   { return c.err.Error() }
func (c *cause) Unwrap() []error { return []error{c.kind, c.err} }

func because(kind error, format string, args ...any) error {
	return &cause{kind, fmt.Errorf(format, args...)}
}
