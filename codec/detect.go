package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
)

// Wrapping is a text form around the octets of an artefact.
type Wrapping uint8

// The wrappings. No voucher protocol asks for one; tools and mails make them.
const (
	WrapNone      Wrapping = iota
	WrapPEM                // RFC 7468
	WrapBase64             // RFC 4648 §4, padded or not, with or without line breaks
	WrapBase64URL          // RFC 4648 §5, likewise
	WrapHex                // pairs of hexadecimal digits, with or without space
)

// String returns "none", "PEM", "base64", "base64url" or "hexadecimal digits".
func (w Wrapping) String() string {
	switch w {
	case WrapPEM:
		return "PEM"
	case WrapBase64:
		return "base64"
	case WrapBase64URL:
		return "base64url"
	case WrapHex:
		return "hexadecimal digits"
	default:
		return "none"
	}
}

func (w Wrapping) oddity() OddityCode {
	switch w {
	case WrapPEM:
		return OddPEM
	case WrapHex:
		return OddHex
	default:
		return OddBase64
	}
}

// Detection is what [Detect] makes of the first octets of an artefact.
type Detection struct {
	// Format is the envelope, FormatUnknown for a bare payload.
	Format Format
	// Wrapping is the text form around it.
	Wrapping Wrapping
	// Bare says that there is no envelope: a payload in Encoding stands alone.
	Bare     bool
	Encoding Encoding

	input []byte
}

// detectWindow is how many octets of text are decoded to see what is in them.
const detectWindow = 96

// Detect tells from the beginning of b what it holds. It promises nothing about
// the rest, and reads it only to find the dots of a compact JWS or the end of
// PEM. The error is an *[EnvelopeError], with FlawUnrecognised unless it is about
// broken PEM.
func Detect(b []byte) (Detection, error) {
	if found, ok := detectRaw(b); ok {
		found.input = b
		return found, nil
	}
	if text := trimText(b); bytes.HasPrefix(text, []byte(pemBegin)) {
		return detectPEM(b, text)
	}
	if found, ok := detectText(b); ok {
		found.input = b
		return found, nil
	}
	if len(b) == 0 {
		return Detection{}, refusal(FormatUnknown, FlawUnrecognised, "", "empty input")
	}
	return Detection{}, refusal(FormatUnknown, FlawUnrecognised, "", "neither CMS, JWS or COSE nor a bare payload, in octets, PEM, base64 or hexadecimal digits")
}

// detectRaw looks at octets without a wrapping. A DER SEQUENCE of less than 128
// octets is no signed voucher, and its first octet is the digit 0: it is left
// to detectText.
func detectRaw(b []byte) (Detection, bool) {
	text := trimText(b)
	switch {
	case len(text) > 0 && text[0] == '{':
		return detectJSON(text), true
	case isCompactJWS(text):
		return Detection{Format: FormatJWS}, true
	case len(b) < 2:
		return Detection{}, false
	case b[0] == 0x30 && b[1] >= 0x80:
		return Detection{Format: FormatCMS}, true
	case b[0]&0xe0 == cborTag && b[0]&0x1f <= 27:
		return Detection{Format: FormatCOSE}, true
	case b[0] == cborArray|4 || b[0] == cborArray|31:
		return Detection{Format: FormatCOSE}, true
	case b[0]&0xe0 == cborMap && (b[0] == cborMap|1 || b[0] == cborMap|31):
		return Detection{Bare: true, Encoding: EncodingCBOR}, true
	default:
		return Detection{}, false
	}
}

// trimText skips a byte order mark and blanks.
func trimText(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	return bytes.TrimLeft(b, " \t\r\n")
}

// detectJSON tells a JWS from a bare payload by its first member: every payload
// names a YANG module there, with a colon.
func detectJSON(text []byte) Detection {
	name := bytes.TrimLeft(text[1:], " \t\r\n")
	if len(name) > 0 && name[0] == '"' {
		name = name[1:min(len(name), detectWindow)]
		if end := bytes.IndexByte(name, '"'); end >= 0 && bytes.IndexByte(name[:end], ':') >= 0 {
			return Detection{Bare: true, Encoding: EncodingJSON}
		}
	}
	return Detection{Format: FormatJWS}
}

// isCompactJWS reports whether text begins like three parts of base64url with
// dots between them, the first a JSON object.
func isCompactJWS(text []byte) bool {
	if !bytes.HasPrefix(text, []byte("ey")) && !bytes.HasPrefix(text, []byte("ew")) {
		return false
	}
	dot := bytes.IndexByte(text, '.')
	if dot < 0 || bytes.IndexByte(text[dot+1:], '.') < 0 {
		return false
	}
	for _, c := range text[:dot] {
		if !isBase64(c) {
			return false
		}
	}
	return true
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
		c == '+' || c == '/' || c == '-' || c == '_' || c == '='
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

const pemBegin = "-----BEGIN "

// detectPEM looks into the one block that b, which text is the end of, must be.
func detectPEM(b, text []byte) (Detection, error) {
	raw, err := unwrapPEM(nil, text)
	if err != nil {
		return Detection{}, err
	}
	found, ok := detectRaw(raw)
	if !ok {
		return Detection{}, refusal(FormatUnknown, FlawUnrecognised, "PEM", "the block holds neither CMS, JWS or COSE nor a bare payload")
	}
	found.Wrapping, found.input = WrapPEM, b
	return found, nil
}

// detectText looks behind hexadecimal digits and base64.
func detectText(b []byte) (Detection, bool) {
	text := trimText(b)
	var window, raw [detectWindow]byte
	n := squeeze(window[:], text)
	if n == 0 {
		return Detection{}, false
	}
	if size, err := hex.Decode(raw[:], window[:n&^1]); err == nil {
		if inner, ok := detectRaw(raw[:size]); ok {
			inner.Wrapping = WrapHex
			return inner, true
		}
	}
	wrapping := WrapBase64
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(window[:n], "-_") {
		wrapping, encoding = WrapBase64URL, base64.RawURLEncoding
	}
	size, err := encoding.Decode(raw[:], bytes.TrimRight(window[:n], "=")[:])
	if err != nil && size == 0 {
		return Detection{}, false
	}
	inner, ok := detectRaw(raw[:size])
	inner.Wrapping = wrapping
	return inner, ok
}

// squeeze copies the first non-blank characters of text to window, at most as
// many as make whole groups of base64 and of hexadecimal digits. It returns 0
// when one of them is no character of base64.
func squeeze(window, text []byte) int {
	n := 0
	for _, c := range text {
		if n == len(window) {
			break
		}
		if isBlank(c) {
			continue
		}
		if !isBase64(c) {
			return 0
		}
		window[n] = c
		n++
	}
	return n
}

// Unwrap appends the octets without their wrapping. It checks all of the text,
// which Detect did not.
func (d Detection) Unwrap(dst []byte) ([]byte, error) {
	switch d.Wrapping {
	case WrapNone:
		return append(dst, d.input...), nil
	case WrapPEM:
		return unwrapPEM(dst, trimText(d.input))
	case WrapHex:
		return d.unwrapHex(dst)
	default:
		return d.unwrapBase64(dst)
	}
}

func wrapFault(w Wrapping, cause error) error {
	return &EnvelopeError{Flaw: FlawMalformed, Part: w.String(), Text: "cannot be unwrapped", Err: cause}
}

func unwrapPEM(dst, text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return dst, wrapFault(WrapPEM, ErrSyntax)
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return dst, &EnvelopeError{Flaw: FlawTrailing, Part: "PEM", Text: "something follows the first block: cut it off", Err: ErrTrailing}
	}
	return append(dst, block.Bytes...), nil
}

// unwrapHex copies the digits behind dst and decodes them in place: an octet is
// written where its own two digits, or earlier ones, stood.
func (d Detection) unwrapHex(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = appendSqueezed(dst, d.input)
	n, err := hex.Decode(dst[start:], dst[start:])
	if err != nil {
		return dst[:start], wrapFault(WrapHex, err)
	}
	return dst[:start+n], nil
}

func (d Detection) unwrapBase64(dst []byte) ([]byte, error) {
	encoding := base64.RawStdEncoding
	if d.Wrapping == WrapBase64URL || bytes.ContainsAny(d.input, "-_") {
		encoding = base64.RawURLEncoding
	}
	start := len(dst)
	dst = appendSqueezed(dst, d.input)
	text := dst[start:]
	for pad := 0; pad < 2 && len(text) > 0 && text[len(text)-1] == '='; pad++ {
		text = text[:len(text)-1]
	}
	n, err := encoding.Decode(text, text)
	if err != nil {
		return dst[:start], wrapFault(d.Wrapping, err)
	}
	return dst[:start+n], nil
}

func appendSqueezed(dst, text []byte) []byte {
	for _, c := range trimText(text) {
		if !isBlank(c) {
			dst = append(dst, c)
		}
	}
	return dst
}
