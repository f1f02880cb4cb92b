package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"time"
)

// Policy says what a registrar makes of an audit log (RFC 8995 §5.8.3). The
// zero Policy with Ours set accepts a log whose domains are all ours.
type Policy struct {
	// Ours are the domainIDs of certificates of this domain that may be pinned:
	// its CA's, and the registrar's own.
	Ours [][]byte
	// Known are domainIDs of others whose hands the device may have been in, such
	// as an integrator's.
	Known [][]byte
	// AllowForeignNonceless accepts vouchers without nonce that pin a known domain
	// of others. Whoever has one can take the device at any time.
	AllowForeignNonceless bool
	// KnownUntil, when not zero, is when the device was bought: a known domain of
	// others that was given a voucher later is refused.
	KnownUntil time.Time
	// RefuseArbitrary refuses a log that leaves out events of domains it does not
	// show. Without it that is noted.
	RefuseArbitrary bool
	// Sent, when not nil, tells whether we sent a request with a nonce; an event
	// of ours with another one is refused.
	Sent func(nonce string) bool
	// Voucher, when not nil, is the voucher just received: a log that does not show
	// it is refused.
	Voucher *Voucher
}

// A Voucher is what of a voucher is in an audit log.
type Voucher struct {
	DomainID []byte  // of the certificate it pins
	Nonce    *string // its text; nil for a nonceless voucher
}

// A Reason is why a finding is good or bad.
type Reason uint8

// The reasons.
const (
	OurDomain            Reason = iota // the event is ours
	KnownDomain                        // the event is that of a known domain
	UnknownDomain                      // nobody told us of the domain
	ForeignNonceless                   // others have a voucher that is good for ever
	LateForeign                        // a known domain used it after it was bought
	UnknownNonce                       // ours, and we did not send it
	MissingVoucher                     // the voucher just received is not shown
	ArbitraryTruncation                // events of other domains are left out
	DuplicatesTruncation               // events of domains shown are left out
)

// A Finding is what there is to say of one event, or of the log as a whole.
type Finding struct {
	Event  int // index into Response.Events, -1 for the whole
	Good   bool
	Reason Reason
	Text   string // for the operator
}

// A Verdict is good when every finding is.
type Verdict struct {
	Good     bool
	Findings []Finding // of each event in order, then of the whole
}

// FirstBad returns the first finding that is bad, nil if the verdict is good.
func (v *Verdict) FirstBad() *Finding {
	for i := range v.Findings {
		if !v.Findings[i].Good {
			return &v.Findings[i]
		}
	}
	return nil
}

// Judge applies a policy. It believes the answer: whether that is proven is
// [Response.VerifyLog]'s to say.
func Judge(r *Response, p Policy) Verdict {
	v := Verdict{Good: true}
	add := func(event int, good bool, reason Reason, format string, args ...any) {
		v.Good = v.Good && good
		v.Findings = append(v.Findings, Finding{event, good, reason, fmt.Sprintf(format, args...)})
	}
	found := p.Voucher == nil
	for i := range r.Events {
		e := &r.Events[i]
		found = found || p.Voucher.is(e)
		good, reason, text := p.judgeEvent(e)
		add(i, good, reason, "%s", text)
	}
	if !found {
		add(-1, false, MissingVoucher, "the log does not show the voucher just received, so it is not whole, or that of another device")
	}
	t := r.Truncation
	if t.Arbitrary > 0 {
		add(-1, !p.RefuseArbitrary, ArbitraryTruncation, "%d events of domains that are not shown are left out", t.Arbitrary)
	}
	if n := t.NoncedDuplicates + t.NoncelessDuplicates; n > 0 {
		add(-1, true, DuplicatesTruncation, "%d older events of domains that are shown are left out", n)
	}
	return v
}

// judgeEvent says what to make of one event.
func (p *Policy) judgeEvent(e *ResponseEvent) (good bool, reason Reason, text string) {
	name := base64.StdEncoding.EncodeToString(e.DomainID)
	what := "a voucher of " + e.Date.UTC().Format(time.RFC3339) + " for domain " + name
	switch {
	case contains(p.Ours, e.DomainID):
		if p.Sent != nil && e.Nonce != nil && !p.Sent(*e.Nonce) {
			return false, UnknownNonce, what + ", ours, answers a request that we did not send"
		}
		return true, OurDomain, what + ", which is ours"
	case !contains(p.Known, e.DomainID):
		return false, UnknownDomain, what + ", which is not known here"
	case e.Nonce == nil && !p.AllowForeignNonceless:
		return false, ForeignNonceless, what + " has no nonce: whoever has it can take the device at any time"
	case !p.KnownUntil.IsZero() && e.Date.After(p.KnownUntil):
		return false, LateForeign, what + " is later than " + p.KnownUntil.UTC().Format(time.RFC3339) + ", when the device was ours"
	}
	return true, KnownDomain, what + ", which is known"
}

func (v *Voucher) is(e *ResponseEvent) bool {
	return bytes.Equal(v.DomainID, e.DomainID) &&
		(v.Nonce == nil) == (e.Nonce == nil) && (v.Nonce == nil || *v.Nonce == *e.Nonce)
}

func contains(list [][]byte, id []byte) bool {
	for _, one := range list {
		if bytes.Equal(one, id) {
			return true
		}
	}
	return false
}
