package sign

import (
	"crypto"
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

// parsePKCS8 reads an unencrypted PKCS#8 key: what crypto/x509 reads, and
// Ed448 (RFC 8410 §7), which it does not.
func parsePKCS8(der []byte) (crypto.Signer, error) {
	var info privateKeyInfo
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "this is not a PKCS#8 private key", Err: err}
	}
	if info.Algorithm.Algorithm.Equal(oidEd448Dotted) {
		return parseEd448(info.PrivateKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, &KeyError{Reason: "PKCS#8 key not understood", Err: err}
	}
	return usableKey(key)
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
		der, err := asn1.Marshal(struct {
			Version    int
			Algorithm  pkix.AlgorithmIdentifier
			PrivateKey []byte
		}{0, pkix.AlgorithmIdentifier{Algorithm: oidEd448Dotted}, seed})
		if err != nil {
			return nil, &KeyError{Reason: "cannot be encoded", Err: err}
		}
		return der, nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
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

// ParsePublicKey reads a DER SubjectPublicKeyInfo: what crypto/x509 reads, and
// Ed448 (RFC 8410 §4). The error is a [*KeyError].
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
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, &KeyError{Reason: "public key not understood", Err: err}
	}
	if _, err := kindOf(pub); err != nil {
		return nil, err
	}
	return pub, nil
}

// publicKeyBits is the contents of the BIT STRING in a SubjectPublicKeyInfo.
func publicKeyBits(spki []byte) ([]byte, error) {
	var info subjectPublicKeyInfo
	if rest, err := asn1.Unmarshal(spki, &info); err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "this is not a SubjectPublicKeyInfo", Err: err}
	}
	return info.PublicKey.RightAlign(), nil
}

// CertificateKey is the public key of a certificate, Ed448 included.
func CertificateKey(cert *x509.Certificate) (crypto.PublicKey, error) {
	if cert == nil {
		return nil, &KeyError{Reason: "there is no certificate to take it from"}
	}
	return ParsePublicKey(cert.RawSubjectPublicKeyInfo)
}
