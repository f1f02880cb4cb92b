package der

import "errors"

// ErrECDSA says that octets are not an Ecdsa-Sig-Value in DER.
var ErrECDSA = errors.New("ECDSA signature is not SEQUENCE { r INTEGER, s INTEGER } in DER with r and s positive")

// ParseECDSA takes an Ecdsa-Sig-Value (RFC 3279 §2.2.3) apart. r and s are the
// magnitudes without leading zeros, views into sig. Every encoding but the one
// DER has is refused, so that a signature has one form.
func ParseECDSA(sig []byte) (r, s []byte, err error) {
	outer := Cursor{sig}
	pair, err := outer.Enter(TagSequence)
	if err != nil || !outer.Empty() {
		return nil, nil, ErrECDSA
	}
	if r, err = positive(&pair); err != nil {
		return nil, nil, err
	}
	if s, err = positive(&pair); err != nil {
		return nil, nil, err
	}
	if !pair.Empty() {
		return nil, nil, ErrECDSA
	}
	return r, s, nil
}

func positive(c *Cursor) ([]byte, error) {
	e, err := c.Read(TagInteger)
	if err != nil || CheckInteger(e.Body) != nil || e.Body[0] >= 0x80 {
		return nil, ErrECDSA
	}
	v := e.Body
	if v[0] == 0 {
		v = v[1:]
	}
	if len(v) == 0 {
		return nil, ErrECDSA
	}
	return v, nil
}

// AppendRaw appends r‖s, each left-padded with zeros to field octets. It
// reports false, and appends nothing, when one of them does not fit.
func AppendRaw(dst, r, s []byte, field int) ([]byte, bool) {
	if len(r) > field || len(s) > field {
		return dst, false
	}
	for _, v := range [2][]byte{r, s} {
		for range field - len(v) {
			dst = append(dst, 0)
		}
		dst = append(dst, v...)
	}
	return dst, true
}

// integerSize returns how many octets the value of the non-negative INTEGER v
// takes, and v without its leading zeros.
func integerSize(v []byte) (int, []byte) {
	for len(v) > 0 && v[0] == 0 {
		v = v[1:]
	}
	if len(v) == 0 || v[0] >= 0x80 {
		return len(v) + 1, v
	}
	return len(v), v
}

// ECDSASize returns the octets AppendECDSA writes for raw.
func ECDSASize(raw []byte) int {
	half := len(raw) / 2
	r, _ := integerSize(raw[:half])
	s, _ := integerSize(raw[half:])
	return Size(Size(r) + Size(s))
}

// AppendECDSA appends the Ecdsa-Sig-Value of the raw signature r‖s.
func AppendECDSA(dst, raw []byte) []byte {
	half := len(raw) / 2
	rn, r := integerSize(raw[:half])
	sn, s := integerSize(raw[half:])
	dst = AppendHeader(dst, TagSequence, Size(rn)+Size(sn))
	dst = appendMagnitude(dst, rn, r)
	return appendMagnitude(dst, sn, s)
}

func appendMagnitude(dst []byte, n int, v []byte) []byte {
	dst = AppendHeader(dst, TagInteger, n)
	if n > len(v) {
		dst = append(dst, 0)
	}
	return append(dst, v...)
}
