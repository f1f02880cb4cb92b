package codec

import (
	"bytes"
	"unicode/utf8"
)

// mostRemembered bounds the payload a decoder keeps a copy of.
const mostRemembered = 16 << 10

// A payloadMemo is the voucher payload read last. Vouchers of a run differ in
// their serial numbers alone, so for the next of them it is enough to see that
// it does.
//
// Why that is sound: a reader's way through a payload depends on the octets it
// has passed. Octets equal up to the value of the serial number bring it into
// the same state. Any string leaves that state as it is but for the leaf, and
// what lies between is known to be one whole string: it is looked at, and taken
// only where it needs no unescaping or joining. Equal octets behind it are then
// read as they were before, up to the same end. So what is remembered of an
// accepted payload is what reading would give. Refused ones are not remembered:
// an error names offsets.
type payloadMemo struct {
	encoding   Encoding // EncodingUnknown while nothing is remembered
	octets     []byte   // the payload, a copy; the voucher's leaves are views into it or the arena
	begin, end int      // of the serial number in octets: in JSON with its quotation marks, in CBOR with its head
	voucher    Voucher
	limits     Limits // as they were set, and what they say of the length
	most       int
	unknown    UnknownPolicy
	repeated   bool // the last call found its payload here
}

// Repeated reports whether the payload read last is, but for the value of its
// serial number, octet for octet the one read before. Then every other leaf is
// the same, and so is what was found out about it. It is always false unless
// Remember is set.
func (d *PayloadDecoder) Repeated() bool { return d.memo.repeated }

// voucher reads the payload of a voucher, or recalls it.
func (d *PayloadDecoder) voucher(e Encoding, b []byte, v *Voucher) error {
	if serial, ok := d.recall(e, b); ok {
		*v, d.memo.repeated = d.memo.voucher, true
		v.SerialNumber = serial
		return nil
	}
	keep := d.Remember && len(b) <= mostRemembered
	if keep { // what is remembered must stay when the input goes
		d.memo.octets = append(d.memo.octets[:0], b...)
		b = d.memo.octets
	}
	read := d.decodeJSON
	if e == EncodingCBOR {
		read = d.decodeCBOR
	}
	if err := read(b, artefact{v: v}); err != nil {
		return err
	}
	if keep && d.memo.end > 0 {
		m := &d.memo
		m.encoding, m.voucher, m.limits, m.most, m.unknown = e, *v, d.Limits, d.limits.VoucherBytes, d.Unknown
	}
	return nil
}

// forget empties the memo, whose views are about to be overwritten.
func (m *payloadMemo) forget() {
	m.encoding, m.begin, m.end, m.repeated = EncodingUnknown, 0, 0, false
}

// recall returns the serial number of b where nothing else tells it from the
// payload remembered.
func (d *PayloadDecoder) recall(e Encoding, b []byte) (serial []byte, ok bool) {
	m := &d.memo
	if !d.Remember || m.encoding != e || len(b) > m.most || m.limits != d.Limits || m.unknown != d.Unknown {
		return nil, false
	}
	before, after := m.octets[:m.begin], m.octets[m.end:]
	if len(b) <= len(before)+len(after) || !bytes.HasPrefix(b, before) || !bytes.HasSuffix(b, after) {
		return nil, false
	}
	value := b[len(before) : len(b)-len(after)]
	if e == EncodingCBOR {
		return plainCBORText(value)
	}
	return plainJSONString(value)
}

// plainJSONString returns the content of a string without escapes that value
// consists of, under the rules of jsonReader.text.
func plainJSONString(value []byte) ([]byte, bool) {
	n := len(value) - 1
	if n < 1 || value[0] != '"' || value[n] != '"' {
		return nil, false
	}
	text, ascii := value[1:n:n], byte(0)
	for _, c := range text {
		if c == '"' || c == '\\' || c < 0x20 {
			return nil, false
		}
		ascii |= c
	}
	return text, ascii < utf8.RuneSelf || utf8.Valid(text)
}

// plainCBORText returns the content of a text string of definite length that
// value consists of.
func plainCBORText(value []byte) ([]byte, bool) {
	r := cborReader{b: value}
	it, err := r.head()
	if err != nil || it.major != cborText || it.indefinite {
		return nil, false
	}
	text, err := r.chunk(it)
	return text, err == nil && r.pos == len(value)
}
