package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Limits bound what [ParseResponse] accepts. Zero fields stand for defaults.
type Limits struct {
	Bytes  int // octets of the body; default 1 MiB
	Events int // default 4096
}

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 1 << 20
	}
	if l.Events <= 0 {
		l.Events = 4096
	}
	return l
}

// A Response is an answer to requestauditlog (RFC 8995 §5.8.1), of any MASA.
// Nothing in it is proven but for what [Response.VerifyLog] accepts.
type Response struct {
	Version    uint64
	Events     []ResponseEvent // in the order they were in
	Truncation Truncation

	proof json.RawMessage // the member ProofMember, nil when there is none
}

// A ResponseEvent is one voucher that was issued for the device.
type ResponseEvent struct {
	Date     time.Time
	DomainID []byte // 1 to MaxDomainID octets
	// Nonce is the text of the request's nonce; nil for a voucher without, which
	// can be used again and again.
	Nonce     *string
	Assertion string // "" where the answer has none
	Truncated uint64 // events of this domain that are not shown
}

// Truncation counts what is not shown. The counters may stop at 1024.
type Truncation struct {
	NoncedDuplicates, NoncelessDuplicates uint64 // of domains that are shown
	Arbitrary                             uint64 // of any domain
}

// A ResponseError reports an answer that cannot be read.
type ResponseError struct {
	Place string // "", "events[3]", "truncation"
	Err   error
}

// Error names the place and what is wrong there.
func (e *ResponseError) Error() string {
	if e.Place == "" {
		return "audit log answer: " + e.Err.Error()
	}
	return "audit log answer: " + e.Place + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ResponseError) Unwrap() error { return e.Err }

// ParseResponse reads the body of an answer. It takes what MASAs are known to
// send: numbers as numbers or as decimal strings, no truncation, versions above
// 1 and members that are not known, any text as a nonce. A nonce that is empty,
// null or missing is none. Errors are *[ResponseError]; nothing is returned that
// refers to body.
func ParseResponse(body []byte, lim Limits) (*Response, error) {
	lim = lim.withDefaults()
	bad := func(place string, err error) error { return &ResponseError{place, err} }
	if len(body) > lim.Bytes {
		return nil, bad("", fmt.Errorf("it has %d octets, the limit is %d", len(body), lim.Bytes))
	}
	o, err := parseObject(body)
	if err != nil {
		return nil, bad("", err)
	}
	r := &Response{}
	if r.Version, err = o.number("version"); err != nil || r.Version == 0 {
		return nil, bad("", errors.Join(err, errors.New("it has no version")))
	}
	if !o.has("events") {
		return nil, bad("", errors.New("it has no events"))
	}
	items, err := o.list("events", lim.Events)
	if err != nil {
		return nil, bad("", err)
	}
	r.Events = make([]ResponseEvent, len(items))
	for i, item := range items {
		if err := r.Events[i].parse(item); err != nil {
			return nil, bad(fmt.Sprintf("events[%d]", i), err)
		}
	}
	if o.has("truncation") {
		if err := r.Truncation.parse(o["truncation"]); err != nil {
			return nil, bad("truncation", err)
		}
	}
	if o.has(ProofMember) {
		r.proof = bytes.Clone(o[ProofMember])
	}
	return r, nil
}

func (e *ResponseEvent) parse(item []byte) error {
	o, err := toObject(item)
	if err != nil {
		return err
	}
	date, err := o.text("date", 64)
	if err != nil {
		return err
	}
	if date == nil {
		return errors.New("it has no date")
	}
	if e.Date, err = time.Parse(time.RFC3339, *date); err != nil {
		return fmt.Errorf("date %.64q is not in the form of RFC 3339", *date)
	}
	if e.DomainID, err = o.octets("domainID", MaxDomainID); err != nil {
		return err
	}
	if n := len(e.DomainID); n < 1 || n > MaxDomainID {
		return fmt.Errorf("domainID has %d octets, want 1 to %d", n, MaxDomainID)
	}
	if e.Nonce, err = o.text("nonce", MaxNonce); err != nil {
		return err
	}
	if e.Nonce != nil && *e.Nonce == "" {
		e.Nonce = nil
	}
	assertion, err := o.text("assertion", 64)
	if err != nil {
		return err
	}
	if assertion != nil {
		e.Assertion = *assertion
	}
	e.Truncated, err = o.number("truncated")
	return err
}

func (t *Truncation) parse(item []byte) error {
	o, err := toObject(item)
	if err != nil {
		return err
	}
	for name, n := range map[string]*uint64{
		"nonced duplicates":    &t.NoncedDuplicates,
		"nonceless duplicates": &t.NoncelessDuplicates,
		"arbitrary":            &t.Arbitrary,
	} {
		if *n, err = o.number(name); err != nil {
			return err
		}
	}
	return nil
}
