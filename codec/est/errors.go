package est

import (
	"encoding/hex"
	"strconv"
)

// What is being read or written, as errors name it.
const (
	objCSR      = "certification request"
	objCerts    = "certs-only message"
	objCSRAttrs = "CSR attributes"
	objName     = "distinguished name"
	objKey      = "public key"
)

// A DecodeError says where an input breaks its format, and how. An EST server
// answers it with 400 (RFC 7030 §4.2.3).
type DecodeError struct {
	Object  string // what was read, such as "certification request"
	Part    string // where in it, such as "subject"; may be empty
	Problem string // what is wrong and what is expected; may be empty when Err says it
	Err     error  // cause, may be nil
}

// Error names the object, the place in it and what is wrong there.
func (e *DecodeError) Error() string {
	s := e.Object
	for _, t := range [...]string{e.Part, e.Problem} {
		if t != "" {
			s += ": " + t
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

func fault(object, part string, err error) error {
	return &DecodeError{Object: object, Part: part, Err: err}
}

func problem(object, part, text string) error {
	return &DecodeError{Object: object, Part: part, Problem: text}
}

// An EncodeError says what cannot be written, and why.
type EncodeError struct {
	Object  string // what was to be written
	Part    string // the part concerned
	Problem string // what is wrong and what is expected
}

// Error names the object, the part and what is wrong.
func (e *EncodeError) Error() string {
	return "cannot write " + e.Object + ": " + e.Part + ": " + e.Problem
}

// A PolicyError is a request that is well-formed and does not follow the CSR
// attributes, or attributes that cannot be followed. An EST server answers it
// with 403.
type PolicyError struct {
	Item string // what it is about, such as "subject attribute 2.5.4.11" or "key"
	Want string // what the attributes ask for
	Got  string // what there is instead
}

// Error names the item, what is asked for and what was found.
func (e *PolicyError) Error() string {
	return "CSR attributes: " + e.Item + ": want " + e.Want + ", found " + e.Got
}

// shown returns octets as an error shows them: hexadecimal, cut to a length that
// fits a line.
func shown(b []byte) string {
	const most = 48
	if len(b) > most {
		return hex.EncodeToString(b[:most]) + "…"
	}
	return hex.EncodeToString(b)
}

// quoted returns the value of an attribute as an error shows it.
func quoted(a *NameAttribute) string {
	const most = 64
	text, ok := a.Text()
	switch {
	case !ok:
		return shown(a.Value)
	case len(text) > most:
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
