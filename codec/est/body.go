package est

import (
	"encoding/base64"
	"fmt"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// A BodyError is an EST body that is neither base64 nor DER.
type BodyError struct {
	Offset  int    // octets from the start of the body
	Problem string // what is wrong there and what is expected
}

// Error names the place and what is expected.
func (e *BodyError) Error() string {
	return fmt.Sprintf("EST body, offset %d: %s", e.Offset, e.Problem)
}

// sextets maps the alphabet of RFC 4648 §4 to its values; others are 0xff.
var sextets = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(digits) {
		t[digits[i]] = byte(i)
	}
	return t
}()

// DecodeBody appends the DER inside an EST body to dst: base64 with padding
// (RFC 4648 §4), in which CR, LF, space and TAB are passed over wherever they
// stand (RFC 8951 §3.1). A body that is DER already, which old peers send, is
// taken as it is; base64 of DER never begins with the same octet, as it begins
// with M. PEM is refused. The error is a *BodyError. What DER it is is not judged.
//
// At most len(body) octets are appended; with room for them nothing is allocated.
func DecodeBody(dst, body []byte) ([]byte, error) {
	if len(body) > 0 && body[0] == der.TagSequence {
		return append(dst, body...), nil
	}
	start := len(dst)
	group, digits, pad := uint32(0), 0, 0
	for i, c := range body {
		switch {
		case c == '\r' || c == '\n' || c == ' ' || c == '\t':
			continue
		case c == '=' && digits >= 2 && digits+pad < 4:
			pad++
			continue
		case sextets[c] == 0xff || pad > 0:
			return dst[:start], &BodyError{i, strayOctet(c, pad)}
		}
		group, digits = group<<6|uint32(sextets[c]), digits+1
		if digits == 4 {
			dst = append(dst, byte(group>>16), byte(group>>8), byte(group))
			group, digits = 0, 0
		}
	}
	switch {
	case digits > 0 && digits+pad != 4:
		return dst[:start], &BodyError{len(body), "base64 ends inside a group of four: send it whole, with its padding"}
	case digits == 2 && group&0xf == 0:
		dst = append(dst, byte(group>>4))
	case digits == 3 && group&0x3 == 0:
		dst = append(dst, byte(group>>10), byte(group>>2))
	case digits > 0:
		return dst[:start], &BodyError{len(body), "base64 ends in bits that are not zero"}
	case len(dst) == start:
		return dst, &BodyError{0, "empty: send base64 of DER (RFC 8951 §3.1)"}
	}
	return dst, nil
}

func strayOctet(c byte, pad int) string {
	switch {
	case c == '-':
		return "PEM or base64url: send standard base64 of DER without armour (RFC 8951 §3.1)"
	case pad > 0:
		return fmt.Sprintf("%q behind the padding", c)
	}
	return fmt.Sprintf("%q is no base64 digit: send base64 of DER (RFC 8951 §3.1)", c)
}

// AppendBody appends the EST body of a DER value: its base64, without line
// breaks (RFC 8951 §3.1).
func AppendBody(dst, der []byte) []byte { return base64.StdEncoding.AppendEncode(dst, der) }
