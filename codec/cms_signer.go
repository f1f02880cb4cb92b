package codec

import (
	"bytes"
	"strconv"
	"time"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// Object identifiers by which an ECDSA signature is known, value octets: the
// arc ecdsa-with-* of X9.62, and id-ecPublicKey, which some write instead.
var (
	oidECDSAArc    = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04}
	oidECPublicKey = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}
	oidP256        = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	oidP384        = []byte{0x2b, 0x81, 0x04, 0x00, 0x22}
	oidP521        = []byte{0x2b, 0x81, 0x04, 0x00, 0x23}
)

// findSigner sets CertIndex to the certificate that the signer identifier
// names, and returns the key algorithm that certificate states.
func (d *EnvelopeDecoder) findSigner(e *Envelope, s *EnvelopeSigner) (keyAlgorithm []byte) {
	for i, cert := range e.Certificates {
		c, err := d.cert.parse(cert)
		if err != nil {
			e.odd(OddBadCertificate)
			continue
		}
		named := s.SubjectKeyID != nil && hasKeyID(c, s.SubjectKeyID) ||
			s.IssuerDER != nil && bytes.Equal(c.Issuer, s.IssuerDER) && bytes.Equal(c.Serial, s.SerialDER)
		if named {
			s.CertIndex = i
			return c.KeyAlgorithm
		}
	}
	return nil
}

// certMemo remembers the certificate taken apart last, by a copy of its octets:
// the vouchers of a run are all signed by the same.
type certMemo struct {
	octets []byte
	parts  der.Certificate // views into octets
}

func (m *certMemo) parse(cert []byte) (*der.Certificate, error) {
	if len(cert) > 0 && bytes.Equal(m.octets, cert) {
		return &m.parts, nil
	}
	m.octets = append(m.octets[:0], cert...)
	var err error
	if m.parts, err = der.ParseCertificate(m.octets); err != nil {
		m.octets = m.octets[:0]
	}
	return &m.parts, err
}

func hasKeyID(c *der.Certificate, id []byte) bool {
	own, err := c.KeyID()
	return err == nil && bytes.Equal(own, id)
}

// selfIssued reports whether a certificate names itself as its issuer.
func selfIssued(cert []byte) bool {
	c, err := der.ParseCertificate(cert)
	return err == nil && bytes.Equal(c.Issuer, c.Subject)
}

// cmsSignature keeps the signature, and for ECDSA takes r‖s out of it.
func (d *EnvelopeDecoder) cmsSignature(value, keyAlgorithm []byte, s *EnvelopeSigner) error {
	s.Signature = value
	if len(value) == 0 {
		return d.refuse(FormatCMS, FlawSignature, "signature", "empty")
	}
	if !bytes.HasPrefix(s.SignatureOID, oidECDSAArc) && !bytes.Equal(s.SignatureOID, oidECPublicKey) {
		return nil
	}
	r, v, err := der.ParseECDSA(value)
	if err != nil {
		if d.inspecting {
			return d.refuse(FormatCMS, FlawSignature, "signature", err.Error())
		}
		return &EnvelopeError{Format: FormatCMS, Flaw: FlawSignature, Part: "signature", Text: "not well-formed", Err: err}
	}
	start := len(d.arena)
	raw, fits := der.AppendRaw(d.arena, r, v, fieldSize(keyAlgorithm, max(len(r), len(v))))
	if !fits {
		return d.refuse(FormatCMS, FlawSignature, "signature", "r or s is longer than the field of the signer's curve")
	}
	d.arena = raw
	s.Signature, s.SignatureDER = raw[start:len(raw):len(raw)], value
	return nil
}

// fieldSize returns the octets of a field element of the curve a key algorithm
// names. Where it names none that is known here, the longer one of r and s tells:
// that it is shorter than its field has a chance of one in 2^128 or less.
func fieldSize(keyAlgorithm []byte, longest int) int {
	c := der.Cursor{Rest: keyAlgorithm}
	if oid, err := c.Read(der.TagOID); err == nil && bytes.Equal(oid.Body, oidECPublicKey) {
		curve, err := c.Read(der.TagOID)
		switch {
		case err != nil:
		case bytes.Equal(curve.Body, oidP256):
			return 32
		case bytes.Equal(curve.Body, oidP384):
			return 48
		case bytes.Equal(curve.Body, oidP521):
			return 66
		}
	}
	switch {
	case longest <= 32:
		return 32
	case longest <= 48:
		return 48
	default:
		return 66
	}
}

// parseCMSTime reads a UTCTime or GeneralizedTime as RFC 5652 §11.3 allows them:
// with seconds, without fractions, in UTC. The two digits of a UTCTime's year
// mean 1950 to 2049.
func parseCMSTime(e der.Element) (time.Time, error) {
	digits, year := e.Body, 0
	switch {
	case e.Tag == der.TagUTCTime && len(digits) == 13:
		year = pair(digits)
		if year < 50 {
			year += 100
		}
		year += 1900
		digits = digits[2:]
	case e.Tag == der.TagGeneralizedTime && len(digits) == 15:
		year = 100*pair(digits) + pair(digits[2:])
		digits = digits[4:]
	default:
		return time.Time{}, der.ErrValue
	}
	for _, c := range e.Body[:len(e.Body)-1] {
		if c < '0' || c > '9' {
			return time.Time{}, der.ErrValue
		}
	}
	month, day, hour := pair(digits), pair(digits[2:]), pair(digits[4:])
	minute, second := pair(digits[6:]), pair(digits[8:])
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date carries over what is out of range; then the parts differ.
	sound := digits[10] == 'Z' && t.Month() == time.Month(month) && t.Day() == day &&
		hour < 24 && minute < 60 && second < 60
	if !sound {
		return time.Time{}, der.ErrValue
	}
	return t, nil
}

// pair returns the number that two digits make.
func pair(b []byte) int { return int(b[0]-'0')*10 + int(b[1]-'0') }

// oidString writes the value of an object identifier in dots.
func oidString(body []byte) string {
	var out []byte
	var arc uint64
	for _, c := range body {
		if arc > 1<<56 {
			return "an object identifier with an oversized arc"
		}
		arc = arc<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if out == nil {
			first := min(arc/40, 2)
			out = strconv.AppendUint(out, first, 10)
			arc -= first * 40
		}
		out = append(out, '.')
		out = strconv.AppendUint(out, arc, 10)
		arc = 0
	}
	if out == nil {
		return "an empty object identifier"
	}
	return string(out)
}
