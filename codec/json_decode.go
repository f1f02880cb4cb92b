package codec

import "strconv"

// VoucherJSON reads the JSON payload of a voucher into v, which it empties
// first. Duplicate members are refused at every level. Tolerated, as met in
// published vouchers: the strings "true" and "false" for booleans, a nonce in
// either base64 alphabet with or without padding, manufacturer-private for
// manufacturer-proprietary.
func (d *PayloadDecoder) VoucherJSON(b []byte, v *Voucher) error {
	return d.voucher(EncodingJSON, b, v)
}

// RequestJSON reads the JSON payload of a voucher-request into r, in the manner
// of VoucherJSON.
func (d *PayloadDecoder) RequestJSON(b []byte, r *VoucherRequest) error {
	return d.decodeJSON(b, artefact{v: &r.Voucher, r: r})
}

func (d *PayloadDecoder) decodeJSON(b []byte, a artefact) error {
	if err := d.begin(len(b), a); err != nil {
		return err
	}
	r := jsonReader{b: b, d: d}
	if err := r.expect('{', "object"); err != nil {
		return err
	}
	r.space()
	at := r.pos
	name, err := r.name()
	if err != nil {
		return err
	}
	if got := topByName(name); got != a.kind() {
		return &TopLevelError{a.kind(), got, string(name)}
	}
	if r.peek() != '{' {
		return r.wrongType(string(name), "an object")
	}
	if err := r.leaves(a); err != nil {
		return err
	}
	if r.peek() == ',' {
		return r.fail(at, string(name), ErrValue, "a payload has one top-level member, this one has more")
	}
	if err := r.expect('}', "closing brace"); err != nil {
		return err
	}
	if r.space(); r.pos < len(b) {
		return r.fail(r.pos, "", ErrTrailing, "one object expected")
	}
	d.finish(a)
	return nil
}

// leaves reads the object that holds the leaves.
func (r *jsonReader) leaves(a artefact) error {
	mark, object := len(r.d.names), r.pos
	r.pos++
	seen := uint32(0)
	for first := true; ; first = false {
		more, err := r.next(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		r.space()
		at := r.pos
		name, err := r.name()
		if err != nil {
			return err
		}
		id := leafByName(name, a.kind())
		if id == leafNone {
			if err := r.unknown(name, at); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<id) != 0 {
			return r.fail(at, leaves[id].name, ErrDuplicate, "the leaf comes twice")
		}
		seen |= 1 << id
		r.space()
		if err := r.leaf(a, id); err != nil {
			return err
		}
	}
	if r.d.duplicate(mark) {
		return r.fail(object, "", ErrDuplicate, "an unknown leaf comes twice")
	}
	return nil
}

func (r *jsonReader) unknown(name []byte, at int) error {
	r.d.names = append(r.d.names, memberName{text: name})
	r.space()
	start := r.pos
	// A leaf of the third container level: payload, artefact, this.
	if err := r.skip(3); err != nil {
		return err
	}
	return r.d.keep(UnknownLeaf{Encoding: EncodingJSON, Name: name, Value: r.b[start:r.pos:r.pos]}, at)
}

// leaf reads the value of a known leaf.
func (r *jsonReader) leaf(a artefact, id leafID) (err error) {
	name, at := leaves[id].name, r.pos
	switch leaves[id].kind {
	case kindBool:
		a.v.DomainCertRevocationChecks, err = r.boolean(name)
		return err
	case kindExtensions:
		return r.extensionList(a)
	case kindCertificates:
		return r.certificates(a)
	}
	if r.peek() != '"' {
		return r.wrongType(name, "a string")
	}
	switch leaves[id].kind {
	case kindBinary:
		*a.octets(id), err = r.binary(name)
		return err
	case kindURLBinary:
		_, *a.octets(id), err = r.lenientBinary(name)
		return err
	case kindNonce:
		a.v.NonceText, a.v.Nonce, err = r.lenientBinary(name)
		return err
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	switch leaves[id].kind {
	case kindText:
		*a.octets(id) = text
		if id == leafSerialNumber {
			r.d.memo.begin, r.d.memo.end = at, r.pos
		}
	case kindAssertion:
		if a.v.Assertion = assertionByName(text); a.v.Assertion == AssertionUnset {
			return r.fail(at, name, ErrValue, "unknown value "+strconv.Quote(string(text)))
		}
	case kindDate:
		t, ok := parseDate(text)
		if !ok {
			return r.fail(at, name, ErrValue, strconv.Quote(string(text))+" is not an RFC 3339 date with T and Z or an offset")
		}
		*a.date(id) = t
	}
	return nil
}

// wrongType is the error for a value of another type, unless it is no value.
func (r *jsonReader) wrongType(leaf, want string) error {
	at := r.pos
	if err := r.skip(3); err != nil {
		return err
	}
	return r.fail(at, leaf, ErrType, want+" expected")
}

func (r *jsonReader) boolean(leaf string) (Bool, error) {
	at := r.pos
	switch r.peek() {
	case 't':
		return BoolTrue, r.literal("true")
	case 'f':
		return BoolFalse, r.literal("false")
	case '"': // RFC 8366 prints a string in its own example
		text, err := r.text()
		if err != nil {
			return BoolUnset, err
		}
		switch string(text) {
		case "true":
			return BoolTrue, nil
		case "false":
			return BoolFalse, nil
		}
		return BoolUnset, r.fail(at, leaf, ErrValue, "true or false expected")
	}
	return BoolUnset, r.wrongType(leaf, "a boolean")
}

func (r *jsonReader) binary(leaf string) ([]byte, error) {
	at := r.pos
	text, err := r.base64()
	if err != nil {
		return nil, err
	}
	mark := len(r.d.arena)
	out, known := r.d.long.appendTo(r.d.arena, text)
	if !known {
		var ok bool
		if out, ok = appendStrictBase64(r.d.arena, text); !ok {
			return nil, r.fail(at, leaf, ErrValue, "padded standard base64 without line breaks expected")
		}
		r.d.long.remember(text, out[mark:], r.d.again)
	}
	r.d.arena = out
	return out[mark:len(out):len(out)], nil
}

func (r *jsonReader) lenientBinary(leaf string) (text, octets []byte, err error) {
	at := r.pos
	if text, err = r.base64(); err != nil {
		return nil, nil, err
	}
	mark := len(r.d.arena)
	out, ok := appendLenientBase64(r.d.arena, text)
	if !ok {
		return nil, nil, r.fail(at, leaf, ErrValue, "base64 expected")
	}
	r.d.arena = out
	return text, out[mark:len(out):len(out)], nil
}

// extensionList reads the leaf-list of extension modules. RFC 7951 writes a
// uint64 as a string of digits, so digits are a SID.
func (r *jsonReader) extensionList(a artefact) error {
	if r.peek() != '[' {
		return r.wrongType("extensions", "an array of strings")
	}
	r.pos++
	for first := true; ; first = false {
		more, err := r.next(first, ']')
		if err != nil {
			return err
		}
		if !more {
			a.v.Extensions = r.d.extensions[:len(r.d.extensions):len(r.d.extensions)]
			return nil
		}
		if r.peek() != '"' {
			return r.wrongType("extensions", "a string")
		}
		text, err := r.text()
		if err != nil {
			return err
		}
		e := Extension{Name: text}
		if sid, ok := parseUint(text); ok {
			e = Extension{SID: sid}
		}
		if err := r.d.addExtension(e); err != nil {
			return err
		}
	}
}

// parseUint reads a uint64 in its canonical decimal form.
func parseUint(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 20 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range text {
		digit := uint64(c - '0')
		if digit > 9 || n > (1<<64-1-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

// certificates reads agent-sign-cert: one base64 string, or an array of them.
func (r *jsonReader) certificates(a artefact) error {
	switch r.peek() {
	case '"':
		cert, err := r.binary("agent-sign-cert")
		if err != nil {
			return err
		}
		if err := r.d.addCertificate(cert); err != nil {
			return err
		}
	case '[':
		r.pos++
		for first := true; ; first = false {
			more, err := r.next(first, ']')
			if err != nil {
				return err
			}
			if !more {
				break
			}
			if r.peek() != '"' {
				return r.wrongType("agent-sign-cert", "a string")
			}
			cert, err := r.binary("agent-sign-cert")
			if err != nil {
				return err
			}
			if err := r.d.addCertificate(cert); err != nil {
				return err
			}
		}
	default:
		return r.wrongType("agent-sign-cert", "a string or an array of strings")
	}
	a.r.AgentSignCert = r.d.certs[:len(r.d.certs):len(r.d.certs)]
	return nil
}
