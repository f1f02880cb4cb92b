package codec

import (
	"bytes"
	"fmt"
	"time"
)

const (
	coseTagSelfDescribed = 55799
	// maxHeaders bounds the parameters of both header maps of one COSE_Sign1.
	maxHeaders = 32
)

// coseKinds names the tags that something else than a COSE_Sign1 has.
var coseKinds = map[uint64]string{
	16: "COSE_Encrypt0", 17: "COSE_Mac0", 61: "a CWT", 96: "COSE_Encrypt", 97: "COSE_Mac", 98: "COSE_Sign",
}

func coseFault(part string, cause error) error { return malformed(FormatCOSE, part, cause) }

// decodeCOSE reads a COSE_Sign1 (RFC 9052 §4.2).
func (d *EnvelopeDecoder) decodeCOSE(b []byte, e *Envelope) error {
	e.Format = FormatCOSE
	c := coseCursor{rest: b}
	if err := d.coseTag(&c, e); err != nil {
		return err
	}
	array, err := c.container(cborArray)
	if err != nil {
		return coseFault("COSE_Sign1", err)
	}
	if !array.indefinite && array.arg != 4 {
		return refusal(FormatCOSE, FlawKind, "COSE_Sign1", fmt.Sprintf("is an array of %d items, not of 4", array.arg))
	}
	s, err := d.addSigner(e)
	if err != nil {
		return err
	}
	protected, err := c.bytes(&d.arena)
	if err != nil {
		return coseFault("protected header", err)
	}
	var h coseHeaders
	if err = d.protectedHeader(&h, protected, e, s); err != nil {
		return err
	}
	if err = d.headerMap(&h, &c, false, e, s); err != nil {
		return err
	}
	if err = d.cosePayload(&c, e); err != nil {
		return err
	}
	if s.Signature, err = c.bytes(&d.arena); err != nil {
		return coseFault("signature", err)
	}
	if array.indefinite && c.more(array, 4) {
		return refusal(FormatCOSE, FlawKind, "COSE_Sign1", "is an array of more than 4 items")
	}
	if len(c.rest) != 0 {
		return refusal(FormatCOSE, FlawTrailing, "", fmt.Sprintf("%d octets after the COSE_Sign1: cut them off", len(c.rest)))
	}
	if err = d.coseAlgorithm(&h); err != nil {
		return err
	}
	if err = d.checkRawSignature(FormatCOSE, s); err != nil {
		return err
	}
	if h.empty {
		protected = nil // RFC 9052 §4.4: an empty map is signed as no octets
	}
	start := len(d.arena)
	d.arena = append(d.arena, coseSigned1...)
	d.arena = appendCBORBytes(d.arena, protected)
	d.arena = append(d.arena, cborBytes)
	d.arena = appendCBORBytes(d.arena, e.Payload)
	s.Signed = d.arena[start:len(d.arena):len(d.arena)]
	d.noteCOSE(&c, &h, e, s)
	return nil
}

// coseTag reads the tags before the array: 18, or none where that is allowed.
func (d *EnvelopeDecoder) coseTag(c *coseCursor, e *Envelope) error {
	for c.peek() == cborTag {
		tag, err := c.head()
		if err != nil {
			return coseFault("tag", err)
		}
		switch {
		case e.Tagged:
			return refusal(FormatCOSE, FlawKind, "tag", fmt.Sprintf("tag %d inside tag 18", tag.arg))
		case tag.arg == coseTagSign1:
			e.Tagged = true
		case tag.arg == coseTagSelfDescribed:
			e.odd(OddSelfDescribed)
		case coseKinds[tag.arg] != "":
			return refusal(FormatCOSE, FlawKind, "tag", fmt.Sprintf("%d is %s, not COSE_Sign1 (18)", tag.arg, coseKinds[tag.arg]))
		default:
			return refusal(FormatCOSE, FlawKind, "tag", fmt.Sprintf("%d is not that of COSE_Sign1 (18)", tag.arg))
		}
	}
	if e.Tagged {
		return nil
	}
	e.odd(OddUntagged)
	if d.AllowUntagged {
		return nil
	}
	return d.refuse(FormatCOSE, FlawUntagged, "tag", "absent: allow untagged input only where something else says that this is a COSE_Sign1")
}

func (d *EnvelopeDecoder) cosePayload(c *coseCursor, e *Envelope) error {
	if len(c.rest) > 0 && c.rest[0] == 0xf6 {
		return refusal(FormatCOSE, FlawDetached, "payload", "is nil: a voucher is never detached, sign it with its content inside")
	}
	payload, err := c.bytes(&d.arena)
	if err != nil {
		return coseFault("payload", err)
	}
	e.Payload = payload
	return nil
}

// coseLabel is a header label: an integer, or a text.
type coseLabel struct {
	number int64
	text   []byte // nil for an integer
}

func (l coseLabel) equal(o coseLabel) bool {
	return l.number == o.number && (l.text == nil) == (o.text == nil) && bytes.Equal(l.text, o.text)
}

func (l coseLabel) String() string {
	if l.text != nil {
		return fmt.Sprintf("%q", l.text)
	}
	return fmt.Sprint(l.number)
}

// coseHeaders is what the two header maps say beyond what a signer keeps.
type coseHeaders struct {
	seen                     [maxHeaders]coseLabel
	n, protected             int // labels seen, and how many of them protected
	crit                     []byte
	alg, loneAlg             bool // alg protected; alg unprotected
	empty                    bool // the protected map has no entries
	bagged, arrayOfOne, uris bool
	protectedCerts, unknown  bool
}

// protectedHeader reads the protected header, which is a map in a byte string,
// or no octets for an empty map (RFC 9052 §3).
func (d *EnvelopeDecoder) protectedHeader(h *coseHeaders, protected []byte, e *Envelope, s *EnvelopeSigner) error {
	if len(protected) == 0 {
		h.empty = true
		return nil
	}
	c := coseCursor{rest: protected}
	if err := d.headerMap(h, &c, true, e, s); err != nil {
		return err
	}
	if len(c.rest) != 0 {
		return refusal(FormatCOSE, FlawTrailing, "protected header", "has octets after its map")
	}
	h.empty = h.n == 0
	h.protected = h.n
	return d.critical(h)
}

func (d *EnvelopeDecoder) headerMap(h *coseHeaders, c *coseCursor, protected bool, e *Envelope, s *EnvelopeSigner) error {
	part := "unprotected header"
	if protected {
		part = "protected header"
	}
	m, err := c.container(cborMap)
	if err != nil {
		return coseFault(part, err)
	}
	for i := uint64(0); c.more(m, i); i++ {
		label, err := coseReadLabel(c)
		if err != nil {
			return coseFault(part, err)
		}
		if h.n == maxHeaders {
			return refusal(FormatCOSE, FlawHeader, part, fmt.Sprintf("more than %d header parameters", maxHeaders))
		}
		for _, other := range h.seen[:h.n] {
			if label.equal(other) {
				return refusal(FormatCOSE, FlawDuplicate, part, fmt.Sprintf("label %v for the second time", label))
			}
		}
		h.seen[h.n] = label
		h.n++
		if err = d.headerValue(h, c, label, protected, e, s); err != nil {
			return err
		}
	}
	return nil
}

func coseReadLabel(c *coseCursor) (coseLabel, error) {
	if c.peek() != cborText {
		n, err := c.integer()
		return coseLabel{number: n}, err
	}
	h, err := c.head()
	if err != nil {
		return coseLabel{}, err
	}
	if h.indefinite {
		return coseLabel{}, errCBORType
	}
	text, err := c.take(h.arg)
	return coseLabel{text: text}, err
}

// headerValue reads the value of one header parameter.
func (d *EnvelopeDecoder) headerValue(h *coseHeaders, c *coseCursor, label coseLabel, protected bool, e *Envelope, s *EnvelopeSigner) error {
	if label.text != nil {
		h.unknown = true
		return d.skipValue(c, label)
	}
	var err error
	switch label.number {
	case coseAlg:
		return d.headerAlg(h, c, protected, s)
	case coseCrit:
		start := c.rest
		if err = d.skipValue(c, label); err != nil {
			return err
		}
		if !protected {
			return d.refuse(FormatCOSE, FlawCritical, "unprotected header", "holds crit, which belongs into the protected one")
		}
		h.crit = start[:len(start)-len(c.rest)]
	case coseKID:
		s.KeyID, err = c.bytes(&d.arena)
	case coseX5Bag, coseX5Chain:
		return d.headerCertificates(h, c, label.number == coseX5Chain, protected, e, s)
	case coseX5T:
		err = d.headerX5T(c, s)
	case coseCWT:
		claims := *c
		if err = d.skipValue(c, label); err == nil && protected {
			s.SigningTime = cwtTime(&claims)
		}
		return err
	case coseX5U:
		h.uris = true
		return d.skipValue(c, label)
	default:
		h.unknown = h.unknown || label.number != coseContent
		return d.skipValue(c, label)
	}
	if err != nil {
		return &EnvelopeError{Format: FormatCOSE, Flaw: FlawHeader, Part: fmt.Sprintf("header parameter %v", label), Text: "malformed", Err: err}
	}
	return nil
}

func (d *EnvelopeDecoder) skipValue(c *coseCursor, label coseLabel) error {
	if err := c.skip(d.limits.Depth); err != nil {
		return coseFault(fmt.Sprintf("header parameter %v", label), err)
	}
	return nil
}

func (d *EnvelopeDecoder) headerAlg(h *coseHeaders, c *coseCursor, protected bool, s *EnvelopeSigner) error {
	if c.peek() == cborText {
		if err := c.skip(1); err != nil {
			return coseFault("alg", err)
		}
		return d.refuse(FormatCOSE, FlawAlgorithm, "alg", "is a text, where every algorithm for vouchers has a number")
	}
	alg, err := c.integer()
	if err != nil {
		return coseFault("alg", err)
	}
	if protected {
		h.alg = true
	} else {
		h.loneAlg = true
	}
	s.COSE = alg
	return nil
}

// coseAlgorithm refuses a message whose algorithm is not under the signature.
func (d *EnvelopeDecoder) coseAlgorithm(h *coseHeaders) error {
	switch {
	case h.alg:
		return nil
	case h.loneAlg:
		return d.refuse(FormatCOSE, FlawAlgorithm, "alg", "stands in the unprotected header only, where anyone can change it: it must be protected")
	default:
		return d.refuse(FormatCOSE, FlawAlgorithm, "protected header", "has no alg")
	}
}

// headerX5T reads [hash algorithm, digest] (RFC 9360 §2).
func (d *EnvelopeDecoder) headerX5T(c *coseCursor, s *EnvelopeSigner) error {
	h, err := c.container(cborArray)
	if err != nil {
		return err
	}
	if h.indefinite || h.arg != 2 {
		return errCBORType
	}
	if c.peek() == cborText {
		err = c.skip(1)
	} else {
		s.X5TAlgorithm, err = c.integer()
	}
	if err != nil {
		return err
	}
	s.X5T, err = c.bytes(&d.arena)
	return err
}

// cwtTime returns the claim iat of CWT claims (RFC 9597, RFC 8392 §3.1.6), the
// zero time when there is none that can be read.
func cwtTime(c *coseCursor) time.Time {
	m, err := c.container(cborMap)
	if err != nil {
		return time.Time{}
	}
	for i := uint64(0); c.more(m, i); i++ {
		label, err := coseReadLabel(c)
		if err != nil {
			return time.Time{}
		}
		if label.text == nil && label.number == cwtIssuedAt && c.peek() == cborUint {
			if at, err := c.integer(); err == nil && at < 1<<38 {
				return time.Unix(at, 0).UTC()
			}
			return time.Time{}
		}
		if c.skip(4) != nil {
			return time.Time{}
		}
	}
	return time.Time{}
}

// headerCertificates reads COSE_X509: one certificate as a byte string, or an
// array of them.
func (d *EnvelopeDecoder) headerCertificates(h *coseHeaders, c *coseCursor, chain, protected bool, e *Envelope, s *EnvelopeSigner) error {
	part := "x5bag"
	if chain {
		part = "x5chain"
	}
	first := len(e.Certificates)
	if c.peek() == cborBytes {
		if err := d.headerCertificate(c, e, part); err != nil {
			return err
		}
	} else {
		array, err := c.container(cborArray)
		if err != nil {
			return &EnvelopeError{Format: FormatCOSE, Flaw: FlawCertificates, Part: part, Text: "neither a byte string nor an array of them", Err: err}
		}
		n := uint64(0)
		for ; c.more(array, n); n++ {
			if err = d.headerCertificate(c, e, part); err != nil {
				return err
			}
		}
		if n == 0 {
			return d.refuse(FormatCOSE, FlawCertificates, part, "is an empty array")
		}
		h.arrayOfOne = h.arrayOfOne || n == 1
	}
	if chain {
		s.CertIndex, s.CertCount = first, len(e.Certificates)-first
	} else {
		h.bagged = true
	}
	h.protectedCerts = h.protectedCerts || protected
	return nil
}

func (d *EnvelopeDecoder) headerCertificate(c *coseCursor, e *Envelope, part string) error {
	cert, err := c.bytes(&d.arena)
	if err != nil {
		return &EnvelopeError{Format: FormatCOSE, Flaw: FlawCertificates, Part: part, Text: "holds something else than a certificate", Err: err}
	}
	return d.addCertificate(e, cert)
}

// critical refuses header parameters that must be understood and are not, or
// that are not where the signature covers them (RFC 9052 §3.1).
func (d *EnvelopeDecoder) critical(h *coseHeaders) error {
	if h.crit == nil {
		return nil
	}
	c := coseCursor{rest: h.crit}
	array, err := c.container(cborArray)
	if err != nil {
		return coseFault("crit", err)
	}
	n := uint64(0)
	for ; c.more(array, n); n++ {
		label, err := coseReadLabel(&c)
		if err != nil {
			return coseFault("crit", err)
		}
		if err = d.criticalLabel(h, label); err != nil {
			return err
		}
	}
	if n == 0 {
		return d.refuse(FormatCOSE, FlawCritical, "crit", "is an empty array")
	}
	return nil
}

func (d *EnvelopeDecoder) criticalLabel(h *coseHeaders, label coseLabel) error {
	understood := false
	if label.text == nil {
		switch label.number {
		case coseAlg, coseCrit, coseKID, coseCWT, coseX5Bag, coseX5Chain, coseX5T:
			understood = true
		}
	}
	if !understood {
		return d.refuse(FormatCOSE, FlawCritical, "crit", fmt.Sprintf("demands header parameter %v, which is not understood", label))
	}
	for _, other := range h.seen[:h.protected] {
		if label.equal(other) {
			return nil
		}
	}
	return d.refuse(FormatCOSE, FlawCritical, "crit", fmt.Sprintf("demands header parameter %v, which the protected header does not have", label))
}

// noteCOSE puts down what is unusual, and finds the signer in an x5bag.
func (d *EnvelopeDecoder) noteCOSE(c *coseCursor, h *coseHeaders, e *Envelope, s *EnvelopeSigner) {
	if s.CertIndex < 0 && h.bagged {
		s.CertIndex = d.bag.signer(e.Certificates, s.KeyID)
	}
	for _, o := range [...]struct {
		is   bool
		code OddityCode
	}{
		{c.longForm, OddLongForm}, {c.indefinite, OddIndefinite}, {h.arrayOfOne, OddArrayOfOne},
		{h.protectedCerts, OddProtectedCerts}, {h.uris, OddX5U}, {h.unknown, OddUnknownHeader},
	} {
		if o.is {
			e.odd(o.code)
		}
	}
	if len(e.Certificates) == 1 && !selfIssued(e.Certificates[0]) {
		e.odd(OddNoChain)
	}
}
