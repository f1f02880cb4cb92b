package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendVoucherJSON appends the RFC 8366 JSON payload of v: no white space, the
// members in one fixed order, dates and assertion first, unknown leaves before
// pinned-domain-cert, then idevid-issuer, nonce and, last, serial-number. An
// absent leaf is left out. Errors are *EncodeError. It checks that the leaves
// can be written, not that the voucher is valid: see Voucher.Validate. It does
// not allocate when dst has room.
func AppendVoucherJSON(dst []byte, v *Voucher) ([]byte, error) {
	return appendJSON(dst, nameVoucher, artefact{v: v})
}

// AppendRequestJSON appends the JSON payload of a voucher-request (RFC 8995
// section 3), in the manner of AppendVoucherJSON.
func AppendRequestJSON(dst []byte, r *VoucherRequest) ([]byte, error) {
	return appendJSON(dst, nameRequest, artefact{v: &r.Voucher, r: r})
}

func appendJSON(dst []byte, top string, a artefact) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `{"`...)
	dst = append(dst, top...)
	dst = append(dst, `":{`...)
	body := len(dst)
	var err error
	for id := leafNone + 1; id < leafCount; id++ {
		if id == leafPinnedDomainCert {
			if dst, err = appendUnknownJSON(dst, body, a); err != nil {
				return dst[:start], err
			}
		}
		if !a.present(id) {
			continue
		}
		if len(dst) > body {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, leaves[id].name...)
		dst = append(dst, `":`...)
		if dst, err = appendLeafJSON(dst, a, id); err != nil {
			return dst[:start], err
		}
	}
	return append(dst, "}}"...), nil
}

func appendLeafJSON(dst []byte, a artefact, id leafID) ([]byte, error) {
	name := leaves[id].name
	switch leaves[id].kind {
	case kindDate:
		dst = append(dst, '"')
		dst, err := appendDate(dst, name, *a.date(id))
		return append(dst, '"'), err
	case kindAssertion:
		if err := checkAssertion(a.v.Assertion); err != nil {
			return dst, err
		}
		dst = append(dst, '"')
		dst = append(dst, assertionNames[a.v.Assertion]...)
		return append(dst, '"'), nil
	case kindBool:
		if err := checkBool(a.v.DomainCertRevocationChecks); err != nil {
			return dst, err
		}
		return strconv.AppendBool(dst, a.v.DomainCertRevocationChecks == BoolTrue), nil
	case kindExtensions:
		return appendExtensionsJSON(dst, a.v.Extensions)
	case kindCertificates:
		dst = append(dst, '[')
		for i, cert := range a.r.AgentSignCert {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendBase64(dst, base64.StdEncoding, cert)
		}
		return append(dst, ']'), nil
	case kindNonce:
		if a.v.NonceText != nil {
			return appendTextJSON(dst, name, a.v.NonceText)
		}
		return appendBase64(dst, base64.StdEncoding, a.v.Nonce), nil
	case kindURLBinary:
		return appendBase64(dst, base64.RawURLEncoding, *a.octets(id)), nil
	case kindBinary:
		return appendBase64(dst, base64.StdEncoding, *a.octets(id)), nil
	}
	return appendTextJSON(dst, name, *a.octets(id))
}

func appendExtensionsJSON(dst []byte, list []Extension) ([]byte, error) {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if e.Name == nil { // RFC 7951 section 6.1: a uint64 is a string
			dst = append(dst, '"')
			dst = strconv.AppendUint(dst, e.SID, 10)
			dst = append(dst, '"')
			continue
		}
		if _, ok := parseUint(e.Name); ok {
			return dst, &EncodeError{"extensions", "the name " + strconv.Quote(string(e.Name)) + " would be read as a SID"}
		}
		var err error
		if dst, err = appendTextJSON(dst, "extensions", e.Name); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendUnknownJSON appends the unknown leaves; body is where the members
// began.
func appendUnknownJSON(dst []byte, body int, a artefact) ([]byte, error) {
	for i := range a.v.Unknown {
		u := &a.v.Unknown[i]
		if err := checkUnknown(a, i, EncodingJSON); err != nil {
			return dst, err
		}
		if !json.Valid(u.Value) {
			return dst, &EncodeError{unknownLabel(u), "its value is not JSON"}
		}
		if len(dst) > body {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendTextJSON(dst, unknownLabel(u), u.Name); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		dst = append(dst, u.Value...)
	}
	return dst, nil
}

// checkUnknown refuses an unknown leaf that belongs to another encoding, takes
// the place of a known leaf or comes twice.
func checkUnknown(a artefact, i int, enc Encoding) error {
	u := &a.v.Unknown[i]
	if u.Encoding != enc {
		return &EncodeError{unknownLabel(u), "an unknown leaf read from " + u.Encoding.String() + " cannot be written as " + enc.String()}
	}
	if u.Name != nil && leafByName(u.Name, a.kind()) != leafNone || u.Name == nil && leafBySID(u.SID, a.kind()) != leafNone {
		return &EncodeError{unknownLabel(u), "it is a known leaf: set its field"}
	}
	if u.Name == nil && (enc == EncodingJSON || u.SID == 0 || u.SID > sidMax) {
		return &EncodeError{"unknown leaf", "it has no name, or no SID from 1 to 2^63-1 in CBOR"}
	}
	for j := range a.v.Unknown[:i] {
		w := &a.v.Unknown[j]
		if (u.Name == nil) == (w.Name == nil) && u.SID == w.SID && bytes.Equal(u.Name, w.Name) {
			return &EncodeError{unknownLabel(u), "it comes twice"}
		}
	}
	return nil
}

func unknownLabel(u *UnknownLeaf) string {
	if u.Name != nil {
		return strconv.Quote(string(u.Name))
	}
	return "SID " + strconv.FormatUint(u.SID, 10)
}

func checkAssertion(a Assertion) error {
	if a > AssertionAgentProximity {
		return &EncodeError{"assertion", "value " + strconv.Itoa(int(a)) + " is not defined"}
	}
	return nil
}

func checkBool(b Bool) error {
	if b > BoolTrue {
		return &EncodeError{"domain-cert-revocation-checks", "value " + strconv.Itoa(int(b)) + " is not defined"}
	}
	return nil
}

// appendDate appends an RFC 3339 date: UTC with Z, a fraction only where there
// is one.
func appendDate(dst []byte, leaf string, t time.Time) ([]byte, error) {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return dst, &EncodeError{leaf, "year " + strconv.Itoa(y) + " is outside RFC 3339's 0000 to 9999"}
	}
	return t.AppendFormat(dst, time.RFC3339Nano), nil
}

func appendBase64(dst []byte, enc *base64.Encoding, b []byte) []byte {
	dst = append(dst, '"')
	dst = enc.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendTextJSON(dst []byte, leaf string, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, &EncodeError{leaf, "not UTF-8"}
	}
	return AppendJSONString(dst, text), nil
}

// AppendJSONString appends text, which must be UTF-8, as a JSON string with
// the fewest escapes: quotation mark, backslash and the control characters
// below U+0020, in the form RFC 8785 section 3.2.2.2 fixes.
func AppendJSONString(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i, c := range text {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, text[done:]...)
	return append(dst, '"')
}
