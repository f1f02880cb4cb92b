package codec

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrIssuer is an idevid-issuer in none of its forms.
var ErrIssuer = errors.New("not an idevid-issuer: want 04 LL 30 .. (the AKI's OCTET STRING), 30 .. (AuthorityKeyIdentifier) or the bare key identifier")

// Bounds of a bare key identifier in octets; RFC 7093 and RFC 5280 make 8 to 64.
const (
	minKeyID = 8
	maxKeyID = 64
)

// NormalizeIssuer returns the canonical idevid-issuer, the DER OCTET STRING
// 04 LL 30 .. that holds an AuthorityKeyIdentifier (draft-ietf-anima-
// rfc8366bis), from any of the three forms in use: that one, which is returned
// as it is, the bare AuthorityKeyIdentifier 30 .., and the bare key identifier
// of 8 to 64 octets. Anything else is an error that wraps ErrIssuer.
func NormalizeIssuer(b []byte) (canonical []byte, err error) {
	inner, ok := unwrapIssuer(b)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w; got %x", ErrIssuer, b[:min(len(b), maxKeyID)])
	case inner == nil:
		return IssuerFromKeyID(b), nil
	case len(inner) == len(b):
		return wrapOctets(b), nil
	}
	return b, nil
}

// IssuerKeyID returns the key identifier inside any form of idevid-issuer, a
// view of b. Two idevid-issuers name the same issuer when it is equal.
func IssuerKeyID(b []byte) (keyID []byte, err error) {
	inner, ok := unwrapIssuer(b)
	if !ok {
		return nil, fmt.Errorf("%w; got %x", ErrIssuer, b[:min(len(b), maxKeyID)])
	}
	if inner == nil {
		return b, nil
	}
	if keyID, err = parseAuthorityKeyID(inner); err == nil && keyID == nil {
		err = fmt.Errorf("%w: the AuthorityKeyIdentifier has no keyIdentifier", ErrIssuer)
	}
	return keyID, err
}

// IssuerFromKeyID returns the canonical idevid-issuer of a key identifier of at
// most 64 octets.
func IssuerFromKeyID(keyID []byte) []byte {
	n := len(keyID)
	if n > maxKeyID {
		return nil
	}
	out := make([]byte, 0, n+6)
	out = append(out, 0x04, byte(n+4), 0x30, byte(n+2), 0x80, byte(n))
	return append(out, keyID...)
}

// unwrapIssuer returns the AuthorityKeyIdentifier inside b, nil for a bare key
// identifier. A well-formed structure wins over a key identifier that happens
// to look like one; the reverse, a structure cut short, is refused unless its
// length is that of a SHA-1.
func unwrapIssuer(b []byte) (inner []byte, ok bool) {
	in := cryptobyte.String(b)
	var octets cryptobyte.String
	if in.ReadASN1(&octets, casn1.OCTET_STRING) && in.Empty() {
		if _, err := parseAuthorityKeyID(octets); err == nil {
			return octets, true
		}
	}
	if _, err := parseAuthorityKeyID(b); err == nil {
		return b, true
	}
	if len(b) < minKeyID || len(b) > maxKeyID {
		return nil, false
	}
	cut := b[0] == 0x04 && b[2] == 0x30 || b[0] == 0x30 && b[2] == 0x80
	return nil, !cut || len(b) == 20
}

// parseAuthorityKeyID reads a DER AuthorityKeyIdentifier (RFC 5280 section
// 4.2.1.1) and returns its keyIdentifier, nil when it has none.
func parseAuthorityKeyID(der []byte) ([]byte, error) {
	in := cryptobyte.String(der)
	var seq, keyID cryptobyte.String
	var hasKeyID bool
	context := func(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific() }
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadOptionalASN1(&keyID, &hasKeyID, context(0)) ||
		!seq.SkipOptionalASN1(context(1).Constructed()) ||
		!seq.SkipOptionalASN1(context(2)) || !seq.Empty() {
		return nil, errors.New("malformed AuthorityKeyIdentifier")
	}
	if !hasKeyID {
		return nil, nil
	}
	return keyID, nil
}

// wrapOctets returns the DER OCTET STRING that holds content.
func wrapOctets(content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(content)
	out, _ := b.Bytes() // fails only beyond 4 GiB
	return out
}
