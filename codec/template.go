package codec

import (
	"bytes"
	"errors"
)

// TemplateParams is what [CompileTemplate] makes a template of.
type TemplateParams struct {
	// Envelope is the envelope around the vouchers.
	Envelope EnvelopeParams
	// Voucher holds every leaf but the serial number, which must be unset.
	Voucher Voucher
	// MaxSerialBytes is the longest serial number that will come, in octets.
	// 0 means the limit of [DefaultLimits].
	MaxSerialBytes int
}

// Template is a voucher with everything encoded but the serial number, the
// digest and the signature. It is immutable and safe for concurrent use; its
// methods append to the caller's buffer and allocate nothing when that has room.
//
// What is constant stands in front wherever the format lets it, so that a
// caller can keep the state of a hash over it (m1 = prefix ‖ tail):
//
//	CMS:  m1 is the eContent; d1 = H(m1); the signature is over AttributesPrefix ‖ d1.
//	JWS:  m1 is ASCII(protected) . ASCII(payload); the signature is over m1.
//	COSE: m1 is the Sig_structure; the signature is over m1.
//
// In COSE the length of the payload stands before it. So the prefix depends on
// the length of the serial number, and each length is a class of its own.
type Template struct {
	params  EnvelopeParams
	frame   frame
	max     int    // longest serial number, octets
	before  []byte // payload up to the string of the serial number, its quote or header excluded
	after   []byte // payload from behind that string
	encoded []byte // before as it stands in the envelope, whole base64 groups in JWS
	carry   []byte // the end of before that gave no whole base64 group
	classes int
}

// CompileTemplate encodes all that is constant. The voucher must hold to the
// strict rules of [Voucher.Validate] but for its serial number; whether it may
// be valid for ever is left to the caller.
func CompileTemplate(p TemplateParams) (*Template, error) {
	if p.Voucher.SerialNumber != nil {
		return nil, errors.New("a template's voucher has no serial number of its own: leave it unset")
	}
	f, err := newFrame(&p.Envelope)
	if err != nil {
		return nil, err
	}
	t := &Template{params: p.Envelope, frame: f, max: p.MaxSerialBytes, classes: 1}
	if t.max <= 0 {
		t.max = DefaultLimits().SerialBytes
	}
	if err := t.split(p.Voucher); err != nil {
		return nil, err
	}
	t.encoded = t.before
	switch p.Envelope.Format {
	case FormatJWS:
		whole := len(t.before) - len(t.before)%3
		t.encoded = base64url.AppendEncode(nil, t.before[:whole])
		t.carry = t.before[whole:]
	case FormatCOSE:
		t.classes = t.max
	}
	return t, nil
}

// split encodes the voucher with two serial numbers of one octet: where the
// encodings differ is where the serial number stands.
func (t *Template) split(v Voucher) error {
	cborPayload := t.params.Format == FormatCOSE
	encode := AppendVoucherJSON
	if cborPayload {
		encode = AppendVoucherCBOR
	}
	v.SerialNumber = []byte("0")
	if err := v.Validate(Rules{Strict: true, AllowNeverExpires: true}); err != nil {
		return err
	}
	a, err := encode(nil, &v)
	if err != nil {
		return err
	}
	v.SerialNumber = []byte("1")
	b, err := encode(nil, &v)
	if err != nil {
		return err
	}
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	// One octet of string header or opening quote stands before it, a closing
	// quote behind it in JSON.
	first, last := at-1, at+1
	if !cborPayload {
		last++
	}
	if len(a) != len(b) || first < 0 || last > len(a) || !bytes.Equal(a[at+1:], b[at+1:]) {
		return errors.New("the voucher's encoding depends on more than one place of its serial number")
	}
	t.before, t.after = a[:first:first], a[last:]
	return nil
}

// Classes returns how many prefixes the template has: one for CMS and JWS, one
// for each length of a serial number for COSE.
func (t *Template) Classes() int { return t.classes }

// Class returns the class of a serial number, from 0 to Classes()-1. A serial
// number too short or too long has no place in any; [Template.AppendTail] says so.
func (t *Template) Class(serial []byte) int {
	if t.classes == 1 {
		return 0
	}
	return min(max(len(serial), 1), t.max) - 1
}

// AppendPrefix appends the constant beginning of m1 for a class.
func (t *Template) AppendPrefix(dst []byte, class int) []byte {
	n := 0
	if t.params.Format == FormatCOSE {
		n = t.payloadSize(class+1, 0)
	}
	dst = t.frame.appendSignedHead(dst, n)
	return append(dst, t.encoded...)
}

// AppendTail appends the end of m1, which is what depends on the serial
// number. It fails for a serial number that [CheckSerial] refuses.
func (t *Template) AppendTail(dst, serial []byte) ([]byte, error) {
	if err := CheckSerial(serial, t.max); err != nil {
		return dst, err
	}
	return t.appendTail(dst, serial), nil
}

func (t *Template) appendTail(dst, serial []byte) []byte {
	start := len(dst)
	dst = append(dst, t.carry...)
	dst = t.appendSerial(dst, serial)
	dst = append(dst, t.after...)
	if t.params.Format == FormatJWS {
		return encodeInPlace(dst, start)
	}
	return dst
}

// appendSerial appends the serial number as the payload holds it.
func (t *Template) appendSerial(dst, serial []byte) []byte {
	if t.params.Format == FormatCOSE {
		dst = appendHead(dst, cborText, uint64(len(serial)))
		return append(dst, serial...)
	}
	return AppendJSONString(dst, serial)
}

// payloadSize returns the octets of the payload for a serial number of n
// octets, of which JSON escapes the given number.
func (t *Template) payloadSize(n, escapes int) int {
	around := 2 // quotes
	if t.params.Format == FormatCOSE {
		around = cborHeadSize(uint64(n))
	}
	return len(t.before) + around + n + escapes + len(t.after)
}

// countEscapes counts what JSON escapes in a serial number. CheckSerial has
// refused control characters: quote and backslash are left, one octet more each.
func countEscapes(serial []byte) int {
	n := 0
	for _, c := range serial {
		if c == '"' || c == '\\' {
			n++
		}
	}
	return n
}

func cborHeadSize(v uint64) int {
	switch {
	case v < 24:
		return 1
	case v < 1<<8:
		return 2
	case v < 1<<16:
		return 3
	case v < 1<<32:
		return 5
	default:
		return 9
	}
}

// AttributesPrefix returns what precedes the content digest in the signed
// attributes of CMS, nil for JWS and COSE. It must not be written to.
func (t *Template) AttributesPrefix() []byte { return t.frame.attributesPrefix() }

// AppendEnvelope appends the finished voucher. signature is raw (r‖s for
// ECDSA), contentDigest is H(m1) in CMS and nil elsewhere. Neither is checked
// against the serial number: that is what verifying is for.
func (t *Template) AppendEnvelope(dst, serial, contentDigest, signature []byte) ([]byte, error) {
	if err := CheckSerial(serial, t.max); err != nil {
		return dst, err
	}
	if err := checkParts(&t.params, contentDigest, signature); err != nil {
		return dst, err
	}
	n := 0
	switch t.params.Format {
	case FormatCMS:
		n = t.payloadSize(len(serial), countEscapes(serial))
	case FormatCOSE:
		n = t.payloadSize(len(serial), 0)
	}
	dst = t.frame.appendHead(dst, n, signature)
	dst = append(dst, t.encoded...)
	dst = t.appendTail(dst, serial)
	return t.frame.appendFoot(dst, contentDigest, signature), nil
}

// AppendPayload appends the bare JSON or CBOR payload.
func (t *Template) AppendPayload(dst, serial []byte) ([]byte, error) {
	if err := CheckSerial(serial, t.max); err != nil {
		return dst, err
	}
	dst = append(dst, t.before...)
	dst = t.appendSerial(dst, serial)
	return append(dst, t.after...), nil
}

// MaxEnvelopeSize bounds the octets AppendEnvelope appends for serial numbers
// of up to serialLen octets, whatever they consist of.
func (t *Template) MaxEnvelopeSize(serialLen int) int {
	n := t.payloadSize(serialLen, serialLen)
	size := t.frame.maxOverhead()
	if t.params.Format == FormatJWS {
		return base64url.EncodedLen(n) + size
	}
	return n + size
}

// AppendConstants appends all octets that are the same in every voucher of the
// template, each with its length before it: two templates that append the same
// make the same vouchers of the same serial numbers and signatures.
func (t *Template) AppendConstants(dst []byte) []byte {
	dst = appendConstant(dst, []byte(t.params.Format.String()))
	dst = t.frame.appendConstants(dst)
	dst = appendConstant(dst, t.before)
	return appendConstant(dst, t.after)
}
