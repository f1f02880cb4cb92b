package codec

import (
	"bytes"
	"strconv"
)

// VoucherCBOR reads the CBOR payload of a voucher (RFC 9254) into v, which it
// empties first. Keys may be SID deltas, absolute SIDs under tag 47, names, or
// a mix; inner names may carry the module's prefix; lengths may be indefinite
// or longer than needed. Refused: keys that name one leaf twice, however each
// is written; an assertion as text; a date under a tag.
func (d *PayloadDecoder) VoucherCBOR(b []byte, v *Voucher) error {
	return d.voucher(EncodingCBOR, b, v)
}

// RequestCBOR reads the CBOR payload of a voucher-request into r, in the manner
// of VoucherCBOR.
func (d *PayloadDecoder) RequestCBOR(b []byte, r *VoucherRequest) error {
	return d.decodeCBOR(b, artefact{v: &r.Voucher, r: r})
}

func (d *PayloadDecoder) decodeCBOR(b []byte, a artefact) error {
	if err := d.begin(len(b), a); err != nil {
		return err
	}
	r := cborReader{b: b, d: d, max: d.limits.Depth}
	outer, err := r.top()
	if err != nil {
		return err
	}
	key, err := r.mapKey()
	if err != nil {
		return err
	}
	base, err := checkTop(key, a.kind())
	if err != nil {
		return err
	}
	if err := r.leaves(a, base); err != nil {
		return err
	}
	left := outer.arg - 1
	if outer.indefinite {
		left = 0
	}
	if more, err := r.more(outer, &left); err != nil {
		return err
	} else if more {
		return r.fail(r.pos, "", ErrValue, "a payload has one top-level member, this one has more")
	}
	if r.pos < len(b) {
		return r.fail(r.pos, "", ErrTrailing, "one map expected")
	}
	d.finish(a)
	return nil
}

// top reads the head of the outermost map, which has an entry.
func (r *cborReader) top() (cborItem, error) {
	it, err := r.head()
	if err != nil {
		return it, err
	}
	if it.major != cborMap {
		return it, r.fail(it.offset, "", ErrType, "a map with one entry expected")
	}
	if !it.indefinite && it.arg != 1 || it.indefinite && r.pos < len(r.b) && r.b[r.pos] == cborBreak {
		return it, r.fail(it.offset, "", ErrValue, "a payload has one top-level member, this one has another number")
	}
	return it, nil
}

// checkTop checks the top-level key and returns the reference SID of the keys
// below: the container's SID, or 0 below a name (RFC 9254 section 3.2).
func checkTop(key memberName, want Artefact) (uint64, error) {
	got := topOf(key)
	if got == want {
		if key.class == cborText {
			return 0, nil
		}
		return key.num, nil
	}
	if key.class == cborUint || key.class == cborTag {
		if family := legacyFamily(key.num); family != "" {
			return 0, &LegacySIDError{key.num, family}
		}
	}
	label := string(key.text)
	if key.class != cborText {
		label = strconv.FormatUint(key.num, 10)
	}
	return 0, &TopLevelError{want, got, label}
}

// topOf returns what a top-level key announces.
func topOf(key memberName) Artefact {
	switch key.class {
	case cborText:
		return topByName(key.text)
	case cborUint, cborTag:
		return topBySID(key.num)
	}
	return ArtefactUnknown
}

// leaves reads the map that holds the leaves; base is the SID its keys are
// relative to.
func (r *cborReader) leaves(a artefact, base uint64) error {
	it, err := r.head()
	if err != nil {
		return err
	}
	if it.major != cborMap {
		return r.fail(it.offset, "", ErrType, "a map of leaves expected")
	}
	mark, seen := len(r.d.names), uint32(0)
	for left := it.arg; ; {
		more, err := r.more(it, &left)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		at := r.pos
		u, err := r.leafKey(base, a.kind())
		if err != nil {
			return err
		}
		id := lookUp(&u, a.kind())
		if id == leafNone {
			if err := r.unknown(u, at); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<id) != 0 {
			return r.fail(at, leaves[id].name, ErrDuplicate, "the leaf comes twice")
		}
		seen |= 1 << id
		if err := r.leaf(a, id); err != nil {
			return err
		}
	}
	if r.d.duplicate(mark) {
		return r.fail(it.offset, "", ErrDuplicate, "an unknown leaf comes twice")
	}
	return nil
}

// leafKey reads the key of a leaf into the identity of an unknown one.
func (r *cborReader) leafKey(base uint64, kind Artefact) (UnknownLeaf, error) {
	at := r.pos
	key, err := r.mapKey()
	u := UnknownLeaf{Encoding: EncodingCBOR}
	if err != nil {
		return u, err
	}
	container := uint64(sidVoucher)
	if kind == ArtefactRequest {
		container = sidRequest
	}
	switch key.class {
	case cborText:
		u.Name = key.text
		return u, nil
	case cborTag:
		u.SID, u.Absolute = key.num, true
	case cborUint:
		u.SID = base + key.num
		if key.num > sidMax {
			u.SID = key.num
		}
	case cborNegInt:
		if key.num < base {
			u.SID = base - 1 - key.num
		}
	default:
		return u, r.fail(at, "", ErrType, errKey)
	}
	if u.SID == 0 || u.SID > sidMax || u.SID == container {
		return u, r.fail(at, "", ErrValue, "the key is no SID of a leaf: it is the container, or outside 1 to 2^63-1")
	}
	return u, nil
}

// lookUp returns the known leaf a key names, or leafNone.
func lookUp(u *UnknownLeaf, kind Artefact) leafID {
	if u.Name == nil {
		return leafBySID(u.SID, kind)
	}
	prefix := nameVoucher
	if kind == ArtefactRequest {
		prefix = nameRequest
	}
	prefix = prefix[:len(prefix)-len("voucher")]
	if len(u.Name) > len(prefix) && string(u.Name[:len(prefix)]) == prefix {
		return leafByName(u.Name[len(prefix):], kind)
	}
	return leafByName(u.Name, kind)
}

func (r *cborReader) unknown(u UnknownLeaf, at int) error {
	// By name or by SID: tag 47 and delta are one key when the SID is one.
	key := memberName{class: cborTag, num: u.SID}
	if u.Name != nil {
		key = memberName{class: cborText, text: u.Name}
	}
	r.d.names = append(r.d.names, key)
	start := r.pos
	if err := r.skip(3); err != nil {
		return err
	}
	u.Value = r.b[start:r.pos:r.pos]
	return r.d.keep(u, at)
}

// leaf reads the value of a known leaf.
func (r *cborReader) leaf(a artefact, id leafID) error {
	name := leaves[id].name
	it, err := r.head()
	if err != nil {
		return err
	}
	switch leaves[id].kind {
	case kindAssertion:
		if it.major != cborUint {
			return r.fail(it.offset, name, ErrType, "an unsigned integer expected")
		}
		if it.arg > uint64(AssertionAgentProximity-AssertionVerified) {
			return r.fail(it.offset, name, ErrValue, "unknown value "+strconv.FormatUint(it.arg, 10))
		}
		a.v.Assertion = AssertionVerified + Assertion(it.arg)
	case kindBool:
		if it.major != cborSimple || it.arg != cborFalse&31 && it.arg != cborTrue&31 || r.pos != it.offset+1 {
			return r.fail(it.offset, name, ErrType, "a boolean expected")
		}
		a.v.DomainCertRevocationChecks = BoolOf(it.arg == cborTrue&31)
	case kindExtensions:
		return r.extensionList(it, a)
	case kindCertificates:
		return r.certificates(it, a)
	case kindDate:
		text, err := r.typed(it, cborText, name)
		if err != nil {
			return err
		}
		t, ok := parseDate(text)
		if !ok {
			return r.fail(it.offset, name, ErrValue, strconv.Quote(string(text))+" is not an RFC 3339 date with T and Z or an offset")
		}
		*a.date(id) = t
	case kindText:
		*a.octets(id), err = r.typed(it, cborText, name)
		if id == leafSerialNumber {
			r.d.memo.begin, r.d.memo.end = it.offset, r.pos
		}
		return err
	default:
		*a.octets(id), err = r.typed(it, cborBytes, name)
		return err
	}
	return nil
}

// typed reads the string of the given major type whose head was read.
func (r *cborReader) typed(it cborItem, major byte, leaf string) ([]byte, error) {
	if it.major != major {
		want := "a byte string expected"
		if major == cborText {
			want = "an untagged text string expected"
		}
		return nil, r.fail(it.offset, leaf, ErrType, want)
	}
	return r.text(it)
}

func (r *cborReader) extensionList(it cborItem, a artefact) error {
	if it.major != cborArray {
		return r.fail(it.offset, "extensions", ErrType, "an array expected")
	}
	for left := it.arg; ; {
		more, err := r.more(it, &left)
		if err != nil {
			return err
		}
		if !more {
			a.v.Extensions = r.d.extensions[:len(r.d.extensions):len(r.d.extensions)]
			return nil
		}
		entry, err := r.head()
		if err != nil {
			return err
		}
		e := Extension{SID: entry.arg}
		if entry.major != cborUint {
			if e.SID = 0; entry.major != cborText {
				return r.fail(entry.offset, "extensions", ErrType, "an unsigned integer or a text string expected")
			}
			if e.Name, err = r.text(entry); err != nil {
				return err
			}
		}
		if err := r.d.addExtension(e); err != nil {
			return err
		}
	}
}

// certificates reads agent-sign-cert: one byte string, or an array of them.
func (r *cborReader) certificates(it cborItem, a artefact) error {
	const leaf = "agent-sign-cert"
	if it.major != cborArray {
		cert, err := r.typed(it, cborBytes, leaf)
		if err != nil {
			return err
		}
		r.d.certs = append(r.d.certs, cert)
		a.r.AgentSignCert = r.d.certs[:1:1]
		return nil
	}
	for left := it.arg; ; {
		more, err := r.more(it, &left)
		if err != nil {
			return err
		}
		if !more {
			a.r.AgentSignCert = r.d.certs[:len(r.d.certs):len(r.d.certs)]
			return nil
		}
		entry, err := r.head()
		if err != nil {
			return err
		}
		cert, err := r.typed(entry, cborBytes, leaf)
		if err != nil {
			return err
		}
		if err := r.d.addCertificate(cert); err != nil {
			return err
		}
	}
}

// A Sniffed is what the first octets of a payload announce.
type Sniffed struct {
	Encoding Encoding
	Artefact Artefact // ArtefactUnknown for another top-level member
	Name     string   // top-level member name, "" when it is a SID
	SID      uint64   // top-level SID, 0 when it is a name
	Legacy   string   // the abandoned SID family the SID belongs to, or ""
}

// Sniff looks at the top-level member of a payload and says what it announces,
// the SID families of abandoned drafts included, which the decoders refuse. It
// reads no further than the top-level key.
func Sniff(b []byte) (Sniffed, error) {
	d := PayloadDecoder{arena: make([]byte, 0, min(len(b), 4096))}
	if text := bytes.TrimLeft(b, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		r := jsonReader{b: b, d: &d}
		if err := r.expect('{', "object"); err != nil {
			return Sniffed{}, err
		}
		name, err := r.name()
		return Sniffed{Encoding: EncodingJSON, Artefact: topByName(name), Name: string(name)}, err
	}
	r := cborReader{b: b, d: &d}
	if _, err := r.top(); err != nil {
		return Sniffed{}, err
	}
	key, err := r.mapKey()
	if err != nil {
		return Sniffed{}, err
	}
	s := Sniffed{Encoding: EncodingCBOR, Artefact: topOf(key)}
	if key.class == cborText {
		s.Name = string(key.text)
	} else if key.class != cborNegInt && key.class != cborBytes {
		s.SID, s.Legacy = key.num, legacyFamily(key.num)
	}
	return s, nil
}
