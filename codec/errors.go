package codec

import (
	"errors"
	"fmt"
	"strconv"
)

// Causes a DecodeError wraps; callers branch on them with errors.Is.
var (
	// ErrSyntax: the bytes are not well-formed JSON or CBOR.
	ErrSyntax = errors.New("malformed")
	// ErrTruncated: the input ends inside a value. It is also an ErrSyntax.
	ErrTruncated = fmt.Errorf("%w: input ends early", ErrSyntax)
	// ErrTrailing: bytes follow the payload. It is also an ErrSyntax.
	ErrTrailing = fmt.Errorf("%w: bytes after the end", ErrSyntax)
	// ErrDuplicate: one object or map names a member twice.
	ErrDuplicate = errors.New("duplicate member")
	// ErrType: a leaf holds a value of another type than its YANG type.
	ErrType = errors.New("wrong type")
	// ErrValue: a leaf holds a value of the right type that it cannot take.
	ErrValue = errors.New("bad value")
)

// A DecodeError says where a payload cannot be read, and why.
type DecodeError struct {
	Encoding Encoding // the encoding being read
	Offset   int      // octets from the start of the payload
	Leaf     string   // YANG name of the leaf concerned, or ""
	Problem  string   // what was found and what is expected
	Err      error    // one of the causes above
}

// Error returns the place, the cause and what is expected.
func (e *DecodeError) Error() string {
	where := ""
	if e.Leaf != "" {
		where = e.Leaf + ": "
	}
	return fmt.Sprintf("%s payload, offset %d: %s%v: %s", e.Encoding, e.Offset, where, e.Err, e.Problem)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// An EncodeError says which leaf cannot be written, and why.
type EncodeError struct {
	Leaf    string // YANG name, or the name or SID of an unknown leaf
	Problem string // what is wrong and what is expected
}

// Error names the leaf and says what is wrong.
func (e *EncodeError) Error() string { return "cannot encode " + e.Leaf + ": " + e.Problem }

// A LimitError says which limit an input exceeds. Raising the named field of
// Limits admits the input.
type LimitError struct {
	Limit string // field name in Limits
	Max   int    // the limit in force
	Got   int    // what the input has, or the first count beyond the limit
}

// Error names the limit, both numbers and the remedy.
func (e *LimitError) Error() string {
	return fmt.Sprintf("limit %s is %d, input has %d or more: raise the limit to accept it", e.Limit, e.Max, e.Got)
}

// A RuleError is a voucher or voucher-request that is well-formed and not
// valid.
type RuleError struct {
	Leaf   string // YANG name of the leaf the rule is about
	Rule   string // the rule, and what was found
	Source string // document and section the rule comes from
}

// Error names the leaf, the rule and the rule's source.
func (e *RuleError) Error() string { return fmt.Sprintf("%s: %s (%s)", e.Leaf, e.Rule, e.Source) }

// An UnknownLeafError is a member that the model does not know, met under
// RefuseUnknown.
type UnknownLeafError struct {
	Name   string // member name; "" when the key is a SID
	SID    uint64 // absolute SID; 0 when the key is a name
	Offset int    // octets from the start of the payload
}

// Error names the leaf, its place and the remedy.
func (e *UnknownLeafError) Error() string {
	what := strconv.Quote(e.Name)
	if e.Name == "" {
		what = "SID " + strconv.FormatUint(e.SID, 10)
	}
	return fmt.Sprintf("offset %d: unknown leaf %s: decode with KeepUnknown to carry it along", e.Offset, what)
}

// A TopLevelError is a payload whose single top-level member is not the one
// asked for: a voucher where a request belongs, the reverse, or neither.
type TopLevelError struct {
	Want Artefact // what the caller asked for
	Got  Artefact // what the payload is; ArtefactUnknown when it is neither
	Name string   // the top-level member name or SID found
}

// Error names the member, what it was taken for and what was asked for.
func (e *TopLevelError) Error() string {
	return fmt.Sprintf("top-level member %q: found %s, want %s", e.Name, e.Got, e.Want)
}

// A LegacySIDError is a CBOR payload keyed with SIDs of an abandoned draft.
// Such payloads are recognised and never read.
type LegacySIDError struct {
	SID    uint64 // the top-level key found
	Family string // the range and the drafts that used it
}

// Error names the SID, the drafts it belongs to and the remedy.
func (e *LegacySIDError) Error() string {
	return fmt.Sprintf("top-level SID %d belongs to %s: not supported, ask for a payload of SID range 2450 or 2500", e.SID, e.Family)
}
