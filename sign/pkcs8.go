package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/cloudflare/circl/sign/ed448"
)

// privateKeyInfo is PrivateKeyInfo (RFC 5208 §5) and the part of
// OneAsymmetricKey (RFC 5958 §2) that we need.
type privateKeyInfo struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
	Attributes asn1.RawValue `asn1:"optional,tag:0"`
	PublicKey  asn1.RawValue `asn1:"optional,tag:1"`
}

var oidEd448Dotted = asn1.ObjectIdentifier{1, 3, 101, 113}

// parsePKCS8 reads an unencrypted PKCS#8 key: what crypto/x509 reads, and what
// it does not: Ed448 (RFC 8410 §7), ML-DSA (RFC 9881) and SLH-DSA (RFC 9909).
func parsePKCS8(der []byte) (crypto.Signer, error) {
	var info privateKeyInfo
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "this is not a PKCS#8 private key", Err: err}
	}
	if info.Algorithm.Algorithm.Equal(oidEd448Dotted) {
		return parseEd448(info.PrivateKey)
	}
	if set := parameterSetByOID(info.Algorithm.Algorithm); set != nil {
		defer clear(info.PrivateKey)
		return parsePQInfo(set, &info)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, &KeyError{Reason: "PKCS#8 key not understood", Err: err}
	}
	return usableKey(key)
}

// parsePQInfo reads a post-quantum key; its identifier takes no parameters.
func parsePQInfo(set *parameterSet, info *privateKeyInfo) (crypto.Signer, error) {
	if len(info.Algorithm.Parameters.FullBytes) != 0 {
		return nil, &KeyError{Reason: fmt.Sprintf("%v keys have no parameters, this one has", set.kind)}
	}
	public := info.PublicKey.Bytes
	if public == nil {
		return set.parsePrivate(info.PrivateKey, nil)
	}
	// [1] IMPLICIT BIT STRING: the first octet counts unused bits.
	if len(public) == 0 || public[0] != 0 {
		return nil, &KeyError{Reason: "the public key beside the private key is malformed"}
	}
	return set.parsePrivate(info.PrivateKey, public[1:])
}

func parseEd448(wrapped []byte) (crypto.Signer, error) {
	var seed []byte
	rest, err := asn1.Unmarshal(wrapped, &seed)
	if err != nil || len(rest) != 0 || len(seed) != ed448.SeedSize {
		return nil, &KeyError{Reason: fmt.Sprintf("an Ed448 private key is an OCTET STRING of %d octets, this is not", ed448.SeedSize), Err: err}
	}
	return ed448.NewKeyFromSeed(seed), nil
}

// usableKey takes the key types we sign with.
func usableKey(key any) (crypto.Signer, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &KeyError{Reason: fmt.Sprintf("keys of type %T cannot sign", key)}
	}
	alg, err := ForKey(signer.Public())
	if err != nil {
		return nil, err
	}
	if alg.VerifyOnly {
		return nil, &AlgorithmError{Identifier: alg.Name, Key: alg.key.String(), Reason: "RSA is read and never produced; use an ECDSA or Ed25519 key"}
	}
	return signer, nil
}

// marshalPKCS8 is the inverse of parsePKCS8.
func marshalPKCS8(key crypto.Signer) ([]byte, error) {
	if _, err := publicOf(key); err != nil {
		return nil, err
	}
	if k, ok := key.(ed448.PrivateKey); ok {
		seed, err := asn1.Marshal(k.Seed())
		if err != nil {
			return nil, &KeyError{Reason: "cannot be encoded", Err: err}
		}
		return marshalKeyInfo(oidEd448Dotted, seed)
	}
	if isPostQuantum(key) {
		octets, oid, err := pqPrivateOctets(key)
		if err != nil {
			return nil, &KeyError{Reason: "cannot be encoded", Err: err}
		}
		return marshalKeyInfo(oid, octets)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, &KeyError{Reason: "cannot be encoded", Err: err}
	}
	return der, nil
}

// marshalKeyInfo writes a PrivateKeyInfo without parameters and overwrites the
// octets of the key it was given.
func marshalKeyInfo(oid asn1.ObjectIdentifier, octets []byte) ([]byte, error) {
	defer clear(octets)
	der, err := asn1.Marshal(struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: oid}, octets})
	if err != nil {
		return nil, &KeyError{Reason: "cannot be encoded", Err: err}
	}
	return der, nil
}

// subjectPublicKeyInfo is SubjectPublicKeyInfo (RFC 5280 §4.1).
type subjectPublicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	PublicKey asn1.BitString
}

// ParsePublicKey reads a DER SubjectPublicKeyInfo: what crypto/x509 reads, Ed448
// (RFC 8410 §4), ML-DSA (RFC 9881 §4) and SLH-DSA (RFC 9909 §4). The error is a
// [*KeyError].
func ParsePublicKey(spki []byte) (crypto.PublicKey, error) {
	var info subjectPublicKeyInfo
	rest, err := asn1.Unmarshal(spki, &info)
	if err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "this is not a SubjectPublicKeyInfo", Err: err}
	}
	if info.Algorithm.Algorithm.Equal(oidEd448Dotted) {
		octets := info.PublicKey.RightAlign()
		if len(octets) != ed448.PublicKeySize || len(info.Algorithm.Parameters.FullBytes) != 0 {
			return nil, &KeyError{Reason: fmt.Sprintf("an Ed448 key has %d octets and no parameters, this one has %d", ed448.PublicKeySize, len(octets))}
		}
		return ed448.PublicKey(octets), nil
	}
	if set := parameterSetByOID(info.Algorithm.Algorithm); set != nil {
		if len(info.Algorithm.Parameters.FullBytes) != 0 || info.PublicKey.BitLength%8 != 0 {
			return nil, &KeyError{Reason: fmt.Sprintf("%v keys have no parameters and whole octets, this one has not", set.kind)}
		}
		return set.parsePublic(info.PublicKey.Bytes)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, &KeyError{Reason: "public key not understood", Err: err}
	}
	if _, err := kindOf(pub); err != nil {
		return nil, err
	}
	return pub, nil
}

// MarshalPublicKey writes a DER SubjectPublicKeyInfo, the inverse of
// [ParsePublicKey]. The error is a [*KeyError].
func MarshalPublicKey(pub crypto.PublicKey) ([]byte, error) {
	kind, err := kindOf(pub)
	if err != nil {
		return nil, err
	}
	switch set := parameterSetOf(kind); {
	case set != nil:
		octets, err := pqPublicOctets(pub)
		if err != nil {
			return nil, err
		}
		return marshalKeyBits(set.dotted(), octets)
	case kind == keyEd448:
		return marshalKeyBits(oidEd448Dotted, pub.(ed448.PublicKey))
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, &KeyError{Reason: "the public key cannot be encoded", Err: err}
	}
	return der, nil
}

// marshalKeyBits writes a SubjectPublicKeyInfo without parameters.
func marshalKeyBits(oid asn1.ObjectIdentifier, octets []byte) ([]byte, error) {
	der, err := asn1.Marshal(subjectPublicKeyInfo{pkix.AlgorithmIdentifier{Algorithm: oid}, asn1.BitString{Bytes: octets, BitLength: 8 * len(octets)}})
	if err != nil {
		return nil, &KeyError{Reason: "the public key cannot be encoded", Err: err}
	}
	return der, nil
}

// publicKeyBits is the contents of the BIT STRING in a SubjectPublicKeyInfo.
func publicKeyBits(spki []byte) ([]byte, error) {
	var info subjectPublicKeyInfo
	if rest, err := asn1.Unmarshal(spki, &info); err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "this is not a SubjectPublicKeyInfo", Err: err}
	}
	return info.PublicKey.RightAlign(), nil
}

// CertificateKey is the public key of a certificate, also of the kinds that
// [ParsePublicKey] reads and crypto/x509 does not.
func CertificateKey(cert *x509.Certificate) (crypto.PublicKey, error) {
	if cert == nil {
		return nil, &KeyError{Reason: "there is no certificate to take it from"}
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok { // crypto/x509 has parsed it as it would again
		if _, err := kindOf(key); err != nil {
			return nil, err
		}
		return key, nil
	}
	return ParsePublicKey(cert.RawSubjectPublicKeyInfo)
}
