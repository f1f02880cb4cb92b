package kit

import (
	"bytes"
	"encoding/asn1"
	"slices"
)

// Identifier octets of ASN.1 (X.690 §8.1.2).
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagUTCTime     = 0x17
	tagSequence    = 0x30
	tagSet         = 0x31
	tagImplicit0   = 0x80 // [0], primitive
	tagExplicit0   = 0xa0 // [0], constructed
	tagExplicit1   = 0xa1
)

var null = []byte{0x05, 0x00}

// tlv is one DER element.
func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append([]byte{tag}, derLength(len(body))...), body...)
}

func derLength(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	var octets []byte
	for ; n > 0; n >>= 8 {
		octets = append([]byte{byte(n)}, octets...)
	}
	return append([]byte{0x80 | byte(len(octets))}, octets...)
}

// indefinite is one BER element of indefinite length.
func indefinite(tag byte, parts ...[]byte) []byte {
	return append(append([]byte{tag, 0x80}, bytes.Join(parts, nil)...), 0, 0)
}

// longLength is one BER element with a length of four octets.
func longLength(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	n := len(body)
	return append([]byte{tag, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

func sequence(parts ...[]byte) []byte { return tlv(tagSequence, parts...) }

// set is a SET OF in DER: its elements are sorted.
func set(parts ...[]byte) []byte {
	sorted := slices.Clone(parts)
	slices.SortFunc(sorted, bytes.Compare)
	return tlv(tagSet, sorted...)
}

func octetString(b []byte) []byte { return tlv(tagOctetString, b) }

func integer(n int) []byte {
	b, err := asn1.Marshal(n)
	if err != nil {
		panic(err)
	}
	return b
}

func oid(arcs ...int) []byte {
	b, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic(err)
	}
	return b
}
