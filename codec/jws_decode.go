package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Strict decoding refuses trailing bits that are not zero: the same octets have
// one text. What is decoded never holds line breaks, which the decoders pass over.
var (
	strictBase64url = base64.RawURLEncoding.Strict()
	strictBase64std = base64.StdEncoding.Strict()
)

func jwsFault(part string, cause error) error {
	var already *EnvelopeError
	var limit *LimitError
	if errors.As(cause, &already) || errors.As(cause, &limit) {
		return cause
	}
	return malformed(FormatJWS, part, cause)
}

// decodeJWS reads a JWS in general JSON serialisation (RFC 7515 §7.2.1).
func (d *EnvelopeDecoder) decodeJWS(b []byte, e *Envelope) error {
	e.Format = FormatJWS
	if text := trimText(b); len(text) > 0 && text[0] != '{' && isCompactJWS(text) {
		return refusal(FormatJWS, FlawSerialisation, "", "compact serialisation (three parts with dots), as drafts of 2020 had it: ask for general JSON serialisation")
	}
	if !utf8.Valid(b) {
		return refusal(FormatJWS, FlawMalformed, "", "not UTF-8")
	}
	c := joseCursor{rest: b, arena: &d.arena}
	payload, err := d.jwsObject(&c, e)
	if err != nil {
		return jwsFault("JWS object", err)
	}
	if c.peek() != 0 || len(c.rest) != 0 {
		return refusal(FormatJWS, FlawTrailing, "", fmt.Sprintf("%d octets after the JWS: cut them off", len(c.rest)))
	}
	if payload == nil {
		return refusal(FormatJWS, FlawDetached, "payload", "absent: a voucher is never detached, sign it with its content inside")
	}
	start := len(d.arena)
	if d.arena, err = strictBase64url.AppendDecode(d.arena, payload); err != nil {
		return &EnvelopeError{Format: FormatJWS, Flaw: FlawMalformed, Part: "payload", Text: "not base64url without padding", Err: err}
	}
	e.Payload = d.arena[start:len(d.arena):len(d.arena)]
	for i := range e.Signers {
		if err := d.jwsSigner(payload, e, &e.Signers[i]); err != nil {
			return err
		}
	}
	if len(e.Signers) > 1 {
		e.odd(OddSeveralSigners)
	}
	return nil
}

// jwsObject reads the outer object. The signers it adds hold protected header
// and signature in base64url, in Signed and Signature.
func (d *EnvelopeDecoder) jwsObject(c *joseCursor, e *Envelope) (payload []byte, err error) {
	signed := false
	err = c.members("JWS object", func(name []byte) error {
		switch string(name) {
		case "payload":
			var err error
			payload, err = c.plain()
			return err
		case "signatures":
			signed = true
			return c.list('[', ']', func() error { return d.jwsSignature(c, e) })
		case "protected", "header", "signature":
			return refusal(FormatJWS, FlawSerialisation, "", "flattened JSON serialisation (one signature without a list): ask for general JSON serialisation")
		default:
			e.odd(OddUnknownHeader)
			return c.skip(d.limits.Depth)
		}
	})
	if err == nil && (!signed || len(e.Signers) == 0) {
		err = refusal(FormatJWS, FlawNoSigner, "signatures", "absent or empty: nobody signed this")
	}
	return payload, err
}

// jwsSignature reads one entry of signatures.
func (d *EnvelopeDecoder) jwsSignature(c *joseCursor, e *Envelope) error {
	s, err := d.addSigner(e)
	if err != nil {
		return err
	}
	err = c.members("signature", func(name []byte) error {
		var err error
		switch string(name) {
		case "protected":
			s.Signed, err = c.plain()
		case "signature":
			s.Signature, err = c.plain()
		case "header":
			e.odd(OddUnprotected)
			err = d.unprotectedHeader(c)
		default:
			e.odd(OddUnknownHeader)
			err = c.skip(d.limits.Depth)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case len(s.Signed) == 0:
		return refusal(FormatJWS, FlawAlgorithm, "signature", "has no protected header, so nothing says how it was made")
	case len(s.Signature) == 0:
		return refusal(FormatJWS, FlawSignature, "signature", "absent or empty")
	}
	return nil
}

// unprotectedHeader refuses there what a verifier acts on.
func (d *EnvelopeDecoder) unprotectedHeader(c *joseCursor) error {
	return c.members("unprotected header", func(name []byte) error {
		switch string(name) {
		case "alg", "x5c", "crit":
			if err := d.refuse(FormatJWS, FlawHeader, "unprotected header", "holds "+string(name)+", which must be protected"); err != nil {
				return err
			}
		}
		return c.skip(d.limits.Depth)
	})
}

// jwsSigner decodes what jwsSignature kept, and reads the protected header.
func (d *EnvelopeDecoder) jwsSigner(payload []byte, e *Envelope, s *EnvelopeSigner) error {
	protected := s.Signed
	start := len(d.arena)
	d.arena = append(d.arena, protected...)
	d.arena = append(d.arena, '.')
	d.arena = append(d.arena, payload...)
	s.Signed = d.arena[start:len(d.arena):len(d.arena)]

	start = len(d.arena)
	var err error
	if d.arena, err = strictBase64url.AppendDecode(d.arena, s.Signature); err != nil {
		return &EnvelopeError{Format: FormatJWS, Flaw: FlawMalformed, Part: "signature", Text: "not base64url without padding", Err: err}
	}
	s.Signature = d.arena[start:len(d.arena):len(d.arena)]

	if err := d.header.read(d, protected, e, s); err != nil {
		return err
	}
	return d.checkRawSignature(FormatJWS, s)
}

// protectedHeaderJWS decodes and reads a protected header.
func (d *EnvelopeDecoder) protectedHeaderJWS(protected []byte, e *Envelope, s *EnvelopeSigner) error {
	start := len(d.arena)
	var err error
	if d.arena, err = strictBase64url.AppendDecode(d.arena, protected); err != nil {
		return &EnvelopeError{Format: FormatJWS, Flaw: FlawMalformed, Part: "protected header", Text: "not base64url without padding", Err: err}
	}
	header := d.arena[start:len(d.arena):len(d.arena)]
	if !utf8.Valid(header) {
		return refusal(FormatJWS, FlawMalformed, "protected header", "not UTF-8")
	}
	if err := d.joseHeader(header, e, s); err != nil {
		return jwsFault("protected header", err)
	}
	return nil
}

// joseHeader reads the protected header (RFC 7515 §4).
func (d *EnvelopeDecoder) joseHeader(header []byte, e *Envelope, s *EnvelopeSigner) error {
	c := joseCursor{rest: header, arena: &d.arena}
	var typ []byte
	err := c.members("protected header", func(name []byte) error {
		var err error
		switch string(name) {
		case "alg":
			s.JOSE, err = c.text()
		case "typ":
			typ, err = c.text()
		case "kid":
			s.KeyID, err = c.text()
		case "x5c":
			err = d.x5c(&c, e, s)
		case "x5t#S256":
			err = d.x5t(&c, s)
		case "crit":
			err = d.joseCritical(&c)
		case "x5u", "jku":
			e.odd(OddX5U)
			err = c.skip(d.limits.Depth)
		default:
			e.odd(OddUnknownHeader)
			err = c.skip(d.limits.Depth)
		}
		return err
	})
	if err != nil {
		return err
	}
	if c.peek() != 0 || len(c.rest) != 0 {
		return refusal(FormatJWS, FlawTrailing, "protected header", "has something after its object")
	}
	if forbiddenJOSE(string(s.JOSE)) {
		text := "has no alg"
		if s.JOSE != nil {
			text = fmt.Sprintf("alg %q does not prove who signed", s.JOSE)
		}
		if err := d.refuse(FormatJWS, FlawAlgorithm, "protected header", text); err != nil {
			return err
		}
	}
	return d.checkType(typ, e, s)
}

// checkType compares typ, and notes what else the header lacks.
func (d *EnvelopeDecoder) checkType(typ []byte, e *Envelope, s *EnvelopeSigner) error {
	switch {
	case s.CertCount == 0:
		e.odd(OddNoSignerCert)
	case s.CertCount == 1 && !selfIssued(e.Certificates[s.CertIndex]):
		e.odd(OddNoChain)
	}
	if typ == nil {
		e.odd(OddNoType)
		return nil
	}
	name := typ
	const prefix = "application/"
	if len(name) > len(prefix) && strings.EqualFold(string(name[:len(prefix)]), prefix) {
		name = name[len(prefix):]
	}
	if strings.EqualFold(string(name), jwsType) {
		return nil
	}
	return d.refuse(FormatJWS, FlawContentType, "protected header", fmt.Sprintf("typ is %q, not %q", typ, jwsType))
}

// x5c reads the certificate chain: an array of standard base64, which JSON may
// have escaped the slashes of.
func (d *EnvelopeDecoder) x5c(c *joseCursor, e *Envelope, s *EnvelopeSigner) error {
	first := len(e.Certificates)
	err := c.list('[', ']', func() error {
		text, err := c.text()
		if err != nil {
			return err
		}
		start := len(d.arena)
		d.arena, err = strictBase64std.AppendDecode(d.arena, text)
		if err != nil || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
			return refusal(FormatJWS, FlawCertificates, "x5c", fmt.Sprintf("entry %d is not standard base64 in one piece", len(e.Certificates)-first))
		}
		return d.addCertificate(e, d.arena[start:len(d.arena):len(d.arena)])
	})
	if err != nil {
		return err
	}
	if len(e.Certificates) == first {
		return d.refuse(FormatJWS, FlawCertificates, "x5c", "is an empty array")
	}
	s.CertIndex, s.CertCount = first, len(e.Certificates)-first
	return nil
}

func (d *EnvelopeDecoder) x5t(c *joseCursor, s *EnvelopeSigner) error {
	text, err := c.plain()
	if err != nil {
		return err
	}
	start := len(d.arena)
	if d.arena, err = strictBase64url.AppendDecode(d.arena, text); err != nil {
		return refusal(FormatJWS, FlawHeader, "x5t#S256", "is not base64url without padding")
	}
	s.X5T = d.arena[start:len(d.arena):len(d.arena)]
	return nil
}

// joseCritical refuses every critical extension: vouchers use none, so none is
// understood (RFC 7515 §4.1.11).
func (d *EnvelopeDecoder) joseCritical(c *joseCursor) error {
	n := 0
	err := c.list('[', ']', func() error {
		name, err := c.text()
		if err != nil {
			return err
		}
		n++
		return d.refuse(FormatJWS, FlawCritical, "crit", fmt.Sprintf("demands %q, which is not understood", name))
	})
	if err == nil && n == 0 {
		err = d.refuse(FormatJWS, FlawCritical, "crit", "is an empty array")
	}
	return err
}
