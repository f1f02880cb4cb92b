package codec

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// CBOR major types (RFC 8949 section 3.1), in the high three bits of a head.
const (
	cborUint   = 0 << 5
	cborNegInt = 1 << 5
	cborBytes  = 2 << 5
	cborText   = 3 << 5
	cborArray  = 4 << 5
	cborMap    = 5 << 5
	cborTag    = 6 << 5
	cborSimple = 7 << 5

	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborBreak = 0xff

	tagSID = 47 // an absolute SID, RFC 9254 section 9.3
)

// AppendVoucherCBOR appends the SID-keyed CBOR payload of v (RFC 9254, SIDs of
// draft-ietf-anima-rfc8366bis): one form only, the core deterministic encoding
// of RFC 8949 section 4.2.1, so SID deltas ascend and lengths are definite and
// shortest. Errors are *EncodeError. Like AppendVoucherJSON it does not check
// validity, and does not allocate when dst has room.
func AppendVoucherCBOR(dst []byte, v *Voucher) ([]byte, error) {
	return appendCBOR(dst, sidVoucher, voucherLeaves[1:], artefact{v: v})
}

// AppendRequestCBOR appends the SID-keyed CBOR payload of a voucher-request, in
// the manner of AppendVoucherCBOR.
func AppendRequestCBOR(dst []byte, r *VoucherRequest) ([]byte, error) {
	return appendCBOR(dst, sidRequest, requestLeaves[1:], artefact{v: &r.Voucher, r: r})
}

func appendCBOR(dst []byte, top uint64, order []leafID, a artefact) ([]byte, error) {
	start := len(dst)
	count := len(a.v.Unknown)
	for _, id := range order {
		if a.present(id) {
			count++
		}
	}
	dst = appendHead(dst, cborMap, 1)
	dst = appendHead(dst, cborUint, top)
	dst = appendHead(dst, cborMap, uint64(count))
	var err error
	for i, id := range order {
		if !a.present(id) {
			continue
		}
		dst = appendHead(dst, cborUint, uint64(i+1))
		if dst, err = appendLeafCBOR(dst, a, id); err != nil {
			return dst[:start], err
		}
	}
	if dst, err = appendUnknownCBOR(dst, top, a); err != nil {
		return dst[:start], err
	}
	return dst, nil
}

func appendLeafCBOR(dst []byte, a artefact, id leafID) ([]byte, error) {
	name := leaves[id].name
	switch leaves[id].kind {
	case kindDate:
		var date [40]byte
		text, err := appendDate(date[:0], name, *a.date(id))
		dst = appendHead(dst, cborText, uint64(len(text)))
		return append(dst, text...), err
	case kindAssertion:
		return append(dst, byte(a.v.Assertion-AssertionVerified)), checkAssertion(a.v.Assertion)
	case kindBool:
		if a.v.DomainCertRevocationChecks == BoolTrue {
			return append(dst, cborTrue), nil
		}
		return append(dst, cborFalse), checkBool(a.v.DomainCertRevocationChecks)
	case kindExtensions:
		return appendExtensionsCBOR(dst, a.v.Extensions)
	case kindCertificates:
		if len(a.r.AgentSignCert) != 1 {
			dst = appendHead(dst, cborArray, uint64(len(a.r.AgentSignCert)))
		}
		for _, cert := range a.r.AgentSignCert {
			dst = appendHead(dst, cborBytes, uint64(len(cert)))
			dst = append(dst, cert...)
		}
		return dst, nil
	case kindText:
		return appendTextCBOR(dst, name, *a.octets(id))
	}
	octets := *a.octets(id)
	if octets == nil {
		return dst, &EncodeError{name, "NonceText is set without Nonce"}
	}
	dst = appendHead(dst, cborBytes, uint64(len(octets)))
	return append(dst, octets...), nil
}

func appendExtensionsCBOR(dst []byte, list []Extension) ([]byte, error) {
	dst = appendHead(dst, cborArray, uint64(len(list)))
	for _, e := range list {
		if e.Name == nil {
			dst = appendHead(dst, cborUint, e.SID)
			continue
		}
		var err error
		if dst, err = appendTextCBOR(dst, "extensions", e.Name); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// appendUnknownCBOR appends the unknown leaves in the order of their encoded
// keys. Known leaves fill the deltas from 1 without a gap, so all unknown keys
// sort behind them. Leaves are few and bounded by Limits.Leaves when decoded,
// so the next one is found by looking at all.
func appendUnknownCBOR(dst []byte, top uint64, a artefact) ([]byte, error) {
	last := -1
	for range a.v.Unknown {
		next := -1
		for i := range a.v.Unknown {
			if last >= 0 && compareUnknown(&a.v.Unknown[i], &a.v.Unknown[last], top) <= 0 {
				continue
			}
			if next < 0 || compareUnknown(&a.v.Unknown[i], &a.v.Unknown[next], top) < 0 {
				next = i
			}
		}
		if next < 0 {
			return dst, &EncodeError{unknownLabel(&a.v.Unknown[last]), "it comes twice"}
		}
		last = next
		u := &a.v.Unknown[next]
		if err := checkUnknown(a, next, EncodingCBOR); err != nil {
			return dst, err
		}
		if u.SID == top {
			return dst, &EncodeError{unknownLabel(u), "it is the container itself"}
		}
		var err error
		if dst, err = appendUnknownKey(dst, u, top); err != nil {
			return dst, err
		}
		if err = checkCBOR(u.Value); err != nil {
			return dst, &EncodeError{unknownLabel(u), "its value is not CBOR: " + err.Error()}
		}
		dst = append(dst, u.Value...)
	}
	return dst, nil
}

// unknownKey returns major type and argument of an unknown leaf's key.
func unknownKey(u *UnknownLeaf, top uint64) (major byte, arg uint64) {
	switch {
	case u.Name != nil:
		return cborText, uint64(len(u.Name))
	case u.Absolute:
		return cborTag, u.SID
	case u.SID >= top:
		return cborUint, u.SID - top
	}
	return cborNegInt, top - u.SID - 1
}

// compareUnknown orders two keys as their encodings order bytewise.
func compareUnknown(u, w *UnknownLeaf, top uint64) int {
	um, ua := unknownKey(u, top)
	wm, wa := unknownKey(w, top)
	switch {
	case um != wm:
		return int(um) - int(wm)
	case ua < wa:
		return -1
	case ua > wa:
		return 1
	}
	return bytes.Compare(u.Name, w.Name)
}

func appendUnknownKey(dst []byte, u *UnknownLeaf, top uint64) ([]byte, error) {
	major, arg := unknownKey(u, top)
	switch major {
	case cborText:
		return appendTextCBOR(dst, unknownLabel(u), u.Name)
	case cborTag:
		dst = appendHead(dst, cborTag, tagSID)
		major = cborUint
	}
	return appendHead(dst, major, arg), nil
}

func appendTextCBOR(dst []byte, leaf string, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, &EncodeError{leaf, "not UTF-8"}
	}
	dst = appendHead(dst, cborText, uint64(len(text)))
	return append(dst, text...), nil
}

// appendHead appends the shortest head of the given major type and argument.
func appendHead(dst []byte, major byte, arg uint64) []byte {
	switch {
	case arg < 24:
		return append(dst, major|byte(arg))
	case arg < 1<<8:
		return append(dst, major|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), arg)
}
