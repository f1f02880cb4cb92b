package codec

import "encoding/base64"

var strictBase64 = base64.StdEncoding.Strict()

// appendStrictBase64 decodes padded standard base64 (RFC 4648 section 4), in
// its one canonical form: no line breaks, zero trailing bits. dst must have
// room for the result.
func appendStrictBase64(dst, text []byte) ([]byte, bool) {
	if len(text)%4 != 0 {
		return dst, false
	}
	size := len(text) / 4 * 3
	for i := len(text); i > len(text)-2 && i > 0 && text[i-1] == '='; i-- {
		size--
	}
	at := len(dst)
	// The decoder may use, beyond the result, room for the padding; it skips
	// line breaks, which then leaves the result too short.
	room := at + len(text)/4*3
	if cap(dst) < room {
		return dst, false
	}
	n, err := strictBase64.Decode(dst[at:room], text)
	return dst[:at+n], err == nil && n == size
}

// base64Values maps both base64 alphabets to sextets; 0xff is not a digit.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := range len(digits) {
		t[digits[i]] = byte(i)
	}
	t['+'], t['-'], t['/'], t['_'] = 62, 62, 63, 63
	return t
}()

// appendLenientBase64 decodes base64 of either alphabet, padded or not, with
// any trailing bits, as nonces are met in published vouchers.
func appendLenientBase64(dst, text []byte) ([]byte, bool) {
	digits := text
	for pad := 0; pad < 2 && len(digits) > 0 && digits[len(digits)-1] == '='; pad++ {
		digits = digits[:len(digits)-1]
	}
	if len(digits)%4 == 1 || len(digits) != len(text) && len(text)%4 != 0 {
		return dst, false
	}
	bits, n := uint32(0), 0
	for _, c := range digits {
		v := base64Values[c]
		if v == 0xff {
			return dst, false
		}
		bits, n = bits<<6|uint32(v), n+6
		if n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	return dst, true
}
