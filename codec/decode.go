package codec

import (
	"bytes"
	"cmp"
	"slices"
)

// An UnknownPolicy says what a decoder does with members the model does not
// know.
type UnknownPolicy uint8

// The policies. No policy drops a member silently.
const (
	RefuseUnknown UnknownPolicy = iota // an *UnknownLeafError; for what we sign
	KeepUnknown                        // kept in Voucher.Unknown; for what we read
)

// A PayloadDecoder reads payloads into the model. It is reusable and not for
// concurrent use; the zero value refuses unknown leaves and has the default
// limits. Once its arena has grown to the sizes met it does not allocate.
//
// What it fills in are views into the input or into its own memory: they hold
// until its next call, and must not be written to. It checks form and types; Validate checks the rules. On error
// the voucher is left partly filled. Errors are *DecodeError, *LimitError,
// *UnknownLeafError, *TopLevelError and *LegacySIDError.
type PayloadDecoder struct {
	Limits  Limits
	Unknown UnknownPolicy
	// Remember keeps a copy of the voucher payload read last, of up to 16 KiB. A
	// payload that differs from it in nothing but the value of the serial number,
	// as those of a run do, is then recognised instead of read, with the same
	// result; see Repeated. Others take a copy longer.
	Remember bool

	limits     Limits // in force, defaults filled in
	arena      []byte // unescaped, decoded and joined strings; never grows during a call
	names      []memberName
	unknown    []UnknownLeaf
	extensions []Extension
	certs      [][]byte
	again      bool // it was used before, and so may be once more
	long       longBinary
	memo       payloadMemo
}

// longBinary is the long binary leaf decoded last. Vouchers of a run pin the
// same certificate: comparing its text costs a tenth of decoding it.
type longBinary struct{ text, octets []byte }

// Bounds of what is remembered: shorter texts decode as fast, longer ones would
// keep memory.
const (
	leastLongBinary = 128
	mostLongBinary  = 8 << 10
)

// remember keeps a copy of a text and what it decodes to, unless the decoder may
// be one for a single payload.
func (l *longBinary) remember(text, octets []byte, again bool) {
	if again && len(text) >= leastLongBinary && len(text) <= mostLongBinary {
		l.text, l.octets = append(l.text[:0], text...), append(l.octets[:0], octets...)
	}
}

// appendTo appends the octets of text where it is the one remembered.
func (l *longBinary) appendTo(dst, text []byte) ([]byte, bool) {
	if len(text) < leastLongBinary || !bytes.Equal(l.text, text) || cap(dst)-len(dst) < len(l.octets) {
		return dst, false
	}
	return append(dst, l.octets...), true
}

// A memberName is the key of an object or map, in a form that is equal for
// equal keys however they were written.
type memberName struct {
	class byte   // CBOR major type; 0 in JSON
	num   uint64 // integer keys and SIDs
	text  []byte
}

func compareNames(a, b memberName) int {
	if a.class != b.class {
		return cmp.Compare(a.class, b.class)
	}
	if a.num != b.num {
		return cmp.Compare(a.num, b.num)
	}
	return bytes.Compare(a.text, b.text)
}

// begin readies the decoder for input of n octets and empties the artefact.
func (d *PayloadDecoder) begin(n int, a artefact) error {
	d.memo.forget()
	d.again = d.arena != nil
	d.limits = d.Limits.withDefaults()
	limit, most := "VoucherBytes", d.limits.VoucherBytes
	if a.r != nil {
		*a.r = VoucherRequest{}
		limit, most = "RequestBytes", d.limits.RequestBytes
	}
	*a.v = Voucher{}
	if n > most {
		return &LimitError{limit, most, n}
	}
	// Each octet of input yields at most one octet unescaped and, from there,
	// three quarters of one decoded from base64.
	if cap(d.arena) < 2*n {
		d.arena = make([]byte, 0, max(2*n, 4096))
	}
	d.arena = d.arena[:0]
	d.names = d.names[:0]
	d.unknown = d.unknown[:0]
	if d.extensions == nil { // present and empty is not nil
		d.extensions, d.certs = make([]Extension, 0, 4), make([][]byte, 0, 4)
	}
	d.extensions = d.extensions[:0]
	d.certs = d.certs[:0]
	return nil
}

// finish hands over the lists the decoder gathered.
func (d *PayloadDecoder) finish(a artefact) {
	if len(d.unknown) > 0 {
		a.v.Unknown = d.unknown[:len(d.unknown):len(d.unknown)]
	}
}

// duplicate looks for equal keys among those pushed since mark and forgets
// them.
func (d *PayloadDecoder) duplicate(mark int) bool {
	names := d.names[mark:]
	slices.SortFunc(names, compareNames)
	found := false
	for i := 1; i < len(names); i++ {
		found = found || compareNames(names[i-1], names[i]) == 0
	}
	d.names = d.names[:mark]
	return found
}

// keep records an unknown leaf, or refuses it.
func (d *PayloadDecoder) keep(u UnknownLeaf, offset int) error {
	if d.Unknown != KeepUnknown {
		return &UnknownLeafError{string(u.Name), u.SID, offset}
	}
	if len(d.unknown) >= d.limits.Leaves {
		return &LimitError{"Leaves", d.limits.Leaves, len(d.unknown) + 1}
	}
	d.unknown = append(d.unknown, u)
	return nil
}

func (d *PayloadDecoder) addExtension(e Extension) error {
	if len(d.extensions) >= d.limits.Extensions {
		return &LimitError{"Extensions", d.limits.Extensions, len(d.extensions) + 1}
	}
	d.extensions = append(d.extensions, e)
	return nil
}

func (d *PayloadDecoder) addCertificate(der []byte) error {
	if len(d.certs) >= d.limits.Certificates {
		return &LimitError{"Certificates", d.limits.Certificates, len(d.certs) + 1}
	}
	d.certs = append(d.certs, der)
	return nil
}
