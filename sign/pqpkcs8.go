package sign

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"encoding/asn1"
	"fmt"

	"github.com/cloudflare/circl/sign/slhdsa"
	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Post-quantum private keys inside PKCS#8. ML-DSA has three forms (RFC 9881
// §6): the seed, the expanded key, and both. All are read; the seed alone is
// written, the expanded key only where no seed is known. SLH-DSA has one
// (RFC 9909 §6): the octets themselves, without an OCTET STRING of their own.

// seedTag is the [0] IMPLICIT of a seed.
const seedTag = cryptoasn1.Tag(0x80)

// parsePrivate reads the contents of the privateKey field. public is the
// public key beside it, nil without one, and must be the key's own.
func (p *parameterSet) parsePrivate(octets, public []byte) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	if p.slh != 0 {
		key, err = p.parseSLH(octets)
	} else {
		key, err = p.parseMLDSA(octets)
	}
	if err != nil {
		return nil, err
	}
	if err := checkPQPrivate(key); err != nil {
		return nil, err
	}
	if public == nil {
		return key, nil
	}
	pub, err := pqPublicOf(key)
	if err != nil {
		return nil, err
	}
	if own, err := pqPublicOctets(pub); err != nil || !bytes.Equal(own, public) {
		return nil, &KeyError{Reason: "the private key does not belong to the public key beside it", Err: err}
	}
	return key, nil
}

func (p *parameterSet) parseSLH(octets []byte) (crypto.Signer, error) {
	if len(octets) != p.scheme.PrivateKeySize() {
		return nil, &KeyError{Reason: fmt.Sprintf("%v private keys have %d octets, this one %d", p.kind, p.scheme.PrivateKeySize(), len(octets))}
	}
	key := &slhdsa.PrivateKey{ID: p.slh}
	if err := key.UnmarshalBinary(octets); err != nil {
		return nil, &KeyError{Reason: "private key not understood", Err: err}
	}
	return key, nil
}

func (p *parameterSet) parseMLDSA(octets []byte) (crypto.Signer, error) {
	var seed, expanded, both cryptobyte.String
	in := cryptobyte.String(octets)
	var ok bool
	switch {
	case in.PeekASN1Tag(seedTag):
		ok = in.ReadASN1(&seed, seedTag)
	case in.PeekASN1Tag(cryptoasn1.OCTET_STRING):
		ok = in.ReadASN1(&expanded, cryptoasn1.OCTET_STRING)
	case in.PeekASN1Tag(cryptoasn1.SEQUENCE):
		ok = in.ReadASN1(&both, cryptoasn1.SEQUENCE) &&
			both.ReadASN1(&seed, cryptoasn1.OCTET_STRING) &&
			both.ReadASN1(&expanded, cryptoasn1.OCTET_STRING) && both.Empty()
	}
	if !ok || !in.Empty() {
		return nil, &KeyError{Reason: fmt.Sprintf("its %v private key is neither a seed nor an expanded key nor both (RFC 9881)", p.kind)}
	}
	if seed != nil && len(seed) != p.scheme.SeedSize() || expanded != nil && len(expanded) != p.scheme.PrivateKeySize() {
		return nil, &KeyError{Reason: fmt.Sprintf("%v seeds have %d octets and expanded keys %d, these %d and %d", p.kind,
			p.scheme.SeedSize(), p.scheme.PrivateKeySize(), len(seed), len(expanded))}
	}
	if seed == nil {
		key, err := p.scheme.UnmarshalBinaryPrivateKey(expanded)
		if err != nil {
			return nil, &KeyError{Reason: "private key not understood", Err: err}
		}
		return key.(crypto.Signer), nil // checked by parsePrivate
	}
	_, key := p.scheme.DeriveKey(seed)
	if expanded != nil {
		own, err := key.MarshalBinary()
		defer clear(own)
		if err != nil || subtle.ConstantTimeCompare(own, expanded) != 1 {
			return nil, &KeyError{Reason: "its seed and its expanded key are two different keys (RFC 9881)", Err: err}
		}
	}
	return key.(crypto.Signer), nil
}

// pqPrivateOctets is the inverse of parsePrivate: the contents of the
// privateKey field and the set's identifier.
func pqPrivateOctets(key crypto.Signer) (octets []byte, oid asn1.ObjectIdentifier, err error) {
	pub, err := pqPublicOf(key)
	if err != nil {
		return nil, nil, err
	}
	oid = parameterSetOf(pqKind(pub)).dotted()
	if private := slhPrivateOf(key); private != nil {
		octets, err = private.MarshalBinary()
		return octets, oid, err
	}
	private, _ := mldsaPrivateOf(key)
	var b cryptobyte.Builder
	if seed := private.Seed(); seed != nil {
		defer clear(seed)
		b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(seed) })
	} else {
		expanded := private.Bytes()
		defer clear(expanded)
		b.AddASN1OctetString(expanded)
	}
	octets, err = b.Bytes()
	return octets, oid, err
}
