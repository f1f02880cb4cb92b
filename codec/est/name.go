package est

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// Tags of the string types that names use (X.680 §8.4).
const (
	TagUTF8String      = 0x0c
	TagNumericString   = 0x12
	TagPrintableString = 0x13
	TagT61String       = 0x14
	TagIA5String       = 0x16
	TagVisibleString   = 0x1a
	TagUniversalString = 0x1c
	TagBMPString       = 0x1e
)

// A NameAttribute is one attribute of a distinguished name, or of a template of
// one (RFC 5280 §4.1.2.4, RFC 9908 §3.4).
type NameAttribute struct {
	RDN   int    // which relative distinguished name it is part of, from 0, never descending
	ID    string // attribute type, dotted
	OID   []byte // attribute type, value octets; not used when writing
	Tag   byte   // tag of the value, such as TagUTF8String; 0: a template leaves the value to the client
	Value []byte // octets of the value, without tag and length
}

// Text returns a string value in UTF-8, whatever its string type; T61String
// is read as ISO 8859-1, as is common. It reports false when the value is no
// string or has octets that its type does not have.
func (a *NameAttribute) Text() (string, bool) {
	switch a.Tag {
	case TagUTF8String:
		return string(a.Value), utf8.Valid(a.Value)
	case TagPrintableString, TagIA5String, TagNumericString, TagVisibleString:
		if slices.ContainsFunc(a.Value, func(c byte) bool { return c >= 0x80 }) {
			return "", false
		}
		return string(a.Value), true
	case TagT61String:
		text := make([]byte, 0, len(a.Value))
		for _, c := range a.Value {
			text = utf8.AppendRune(text, rune(c))
		}
		return string(text), true
	case TagBMPString:
		return wideText(a.Value, 2, func(b []byte) rune { return rune(binary.BigEndian.Uint16(b)) })
	case TagUniversalString:
		return wideText(a.Value, 4, func(b []byte) rune { return rune(min(binary.BigEndian.Uint32(b), utf8.MaxRune+1)) })
	}
	return "", false
}

func wideText(b []byte, width int, unit func([]byte) rune) (string, bool) {
	if len(b)%width != 0 {
		return "", false
	}
	text := make([]byte, 0, len(b)/width)
	for ; len(b) > 0; b = b[width:] {
		r := unit(b)
		if !utf8.ValidRune(r) {
			return "", false
		}
		text = utf8.AppendRune(text, r)
	}
	return string(text), true
}

// SerialNumbers returns the text of every serialNumber attribute (2.5.4.5), in
// order. A value that is no text counts as "", so that len tells how many there are.
func SerialNumbers(name []NameAttribute) []string {
	var found []string
	for i := range name {
		if name[i].ID == OIDSerialNumber {
			text, _ := name[i].Text()
			found = append(found, text)
		}
	}
	return found
}

// ParseName takes a DER Name apart (RFC 5280 §4.1.2.4). Values are views into
// it. The error is a *DecodeError or a *codec.LimitError.
func ParseName(name []byte, lim Limits) ([]NameAttribute, error) {
	lim = lim.withDefaults()
	c := der.Cursor{Rest: name}
	e, err := c.Read(der.TagSequence)
	if err == nil {
		err = c.End()
	}
	if err != nil {
		return nil, fault(objName, "", err)
	}
	return parseName(objName, "", e.Body, lim.RDNs, false)
}

// parseName reads an RDNSequence, or in a template an RDNSequenceTemplate
// whose values are optional. The order inside a SET OF is not judged. The result
// is not nil.
func parseName(object, part string, rdns []byte, most int, template bool) ([]NameAttribute, error) {
	name := []NameAttribute{}
	seq := der.Cursor{Rest: rdns}
	for rdn := 0; !seq.Empty(); rdn++ {
		set, err := seq.Enter(der.TagSet)
		if err == nil && set.Empty() {
			err = der.ErrValue
		}
		if err != nil {
			return nil, fault(object, part, err)
		}
		for !set.Empty() {
			if err := within("RDNs", most, len(name)+1); err != nil {
				return nil, err
			}
			a, err := readNameAttribute(&set, template)
			if err != nil {
				return nil, fault(object, part, err)
			}
			a.RDN = rdn
			name = append(name, a)
		}
	}
	return name, nil
}

func readNameAttribute(set *der.Cursor, template bool) (a NameAttribute, err error) {
	c, err := set.Enter(der.TagSequence)
	if err != nil {
		return a, err
	}
	if a.OID, a.ID, err = readOID(&c); err != nil || template && c.Empty() {
		return a, err
	}
	value, err := c.Any()
	if err != nil {
		return a, err
	}
	if value.Tag == 0 {
		return a, der.ErrTag
	}
	a.Tag, a.Value = value.Tag, value.Body
	return a, c.End()
}

// AppendName appends the DER Name that the attributes make. Those of one RDN
// stand together and are put into the order of DER. The error is an *EncodeError.
func AppendName(dst []byte, name []NameAttribute) ([]byte, error) {
	return appendName(dst, objName, name, false)
}

func appendName(dst []byte, object string, name []NameAttribute, template bool) ([]byte, error) {
	start := len(dst)
	for i := 0; i < len(name); {
		rdn, set := name[i].RDN, len(dst)
		for ; i < len(name) && name[i].RDN == rdn; i++ {
			a, at, ok := &name[i], len(dst), false
			if dst, ok = appendOID(dst, a.ID); !ok {
				return dst[:start], &EncodeError{object, "attribute type " + a.ID, "is no object identifier in dotted decimals"}
			}
			switch {
			case a.Tag != 0:
				dst = der.Append(dst, a.Tag, a.Value)
			case !template:
				return dst[:start], &EncodeError{object, "attribute " + a.ID, "has no value: set its Tag and Value"}
			}
			dst = der.Wrap(dst, at, der.TagSequence)
		}
		if i < len(name) && name[i].RDN < rdn {
			return dst[:start], &EncodeError{object, "attribute " + name[i].ID, "stands behind a later RDN: order the attributes by RDN"}
		}
		sortSet(dst[set:])
		dst = der.Wrap(dst, set, der.TagSet)
	}
	return der.Wrap(dst, start, der.TagSequence), nil
}

// sortSet brings the elements of a SET OF into the order of DER (X.690 §11.6),
// in place. Sets here have a few elements, so moving one at a time will do.
func sortSet(set []byte) {
	for done := 0; done < len(set); {
		_, rest, err := der.Next(set[done:])
		if err != nil {
			return
		}
		end := len(set) - len(rest)
		at := 0
		for at < done {
			e, _, _ := der.Next(set[at:])
			if bytes.Compare(set[done:end], e.Raw) < 0 {
				break
			}
			at += len(e.Raw)
		}
		rotate(set[at:end], done-at)
		done = end
	}
}

// rotate moves the first n octets of b behind the others.
func rotate(b []byte, n int) {
	slices.Reverse(b[:n])
	slices.Reverse(b[n:])
	slices.Reverse(b)
}

// SameName reports whether two DER Names have the same RDNs in the same order,
// each with the same attribute types and the same values, whatever string type
// holds a value. Octets of text must be equal: the folding of case and white
// space of RFC 5280 §7.1 is not applied, so names that a CA keeps apart are
// never taken for one. The error is a *DecodeError, or a *codec.LimitError when a
// name has more attributes than DefaultLimits allows.
func SameName(a, b []byte) (bool, error) {
	left, err := ParseName(a, Limits{})
	if err != nil {
		return false, err
	}
	right, err := ParseName(b, Limits{})
	if err != nil {
		return false, err
	}
	if len(left) != len(right) {
		return false, nil
	}
	used := make([]bool, len(right))
	for i := range left {
		if left[i].RDN != right[i].RDN {
			return false, nil
		}
		// Inside an RDN the string type decides the order, so any will do.
		at := slices.IndexFunc(right, func(r NameAttribute) bool { return r.RDN == left[i].RDN })
		for at < len(right) && right[at].RDN == left[i].RDN && (used[at] || !sameAttribute(&left[i], &right[at])) {
			at++
		}
		if at == len(right) || right[at].RDN != left[i].RDN {
			return false, nil
		}
		used[at] = true
	}
	return true, nil
}

func sameAttribute(a, b *NameAttribute) bool {
	if a.ID != b.ID {
		return false
	}
	left, ok := a.Text()
	right, also := b.Text()
	if ok && also {
		return left == right
	}
	return a.Tag == b.Tag && bytes.Equal(a.Value, b.Value)
}

// textTag returns the string type for text in an attribute of the given type:
// X.520 wants PrintableString for a few, and gets it where the text allows that.
func textTag(id, text string) byte {
	switch id {
	case OIDSerialNumber, OIDCountry, OIDDNQualifier:
		if isPrintable(text) {
			return TagPrintableString
		}
	}
	return TagUTF8String
}

// isPrintable reports whether text fits a PrintableString (X.680 §41.4).
func isPrintable[T string | []byte](text T) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == ' ', c == '\'', c == '(', c == ')', c == '+', c == ',', c == '-', c == '.', c == '/', c == ':', c == '=', c == '?':
		default:
			return false
		}
	}
	return true
}
