package sign

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificates with keys that crypto/x509 does not know: Ed448, ML-DSA and
// SLH-DSA. It parses them all but for the key, and can neither make them nor
// check a signature by such a key. The rest is here.

// knownToX509 reports whether crypto/x509 signs and verifies with such keys.
func (k keyKind) knownToX509() bool { return k != keyEd448 && parameterSetOf(k) == nil }

// errNotCA is what crypto/x509 calls a constraint violation.
var errNotCA = errors.New("its issuer is no certificate authority, or its key is not for signing certificates")

// CheckSignatureFrom is [x509.Certificate.CheckSignatureFrom] for keys of every
// kind: issuer may issue, and its key made cert's signature. Keys that this
// package does not take, RSA keys of more than [MaxRSABits] among them, are a
// [*KeyError]; other errors are those of crypto/x509, or an [*AlgorithmError].
func CheckSignatureFrom(cert, issuer *x509.Certificate) error {
	if err := checkIssuerSize(issuer); err != nil {
		return err
	}
	pub, err := CertificateKey(issuer)
	if err != nil {
		return err
	}
	alg, err := ForKey(pub)
	if err != nil {
		return err
	}
	if alg.key.knownToX509() {
		return cert.CheckSignatureFrom(issuer)
	}
	if !issuer.BasicConstraintsValid || !issuer.IsCA || issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errNotCA
	}
	if !bytes.Equal(certificateAlgorithm(cert), alg.SignatureOID) {
		return &AlgorithmError{Identifier: "certificate signature", Key: alg.key.String(), Reason: "the certificate names another signature algorithm than " + alg.Name}
	}
	key, err := PreparePublicKey(alg, pub)
	if err != nil {
		return err
	}
	return verifyOne(&VerifyItem{Key: key, Input: cert.RawTBSCertificate, Signature: cert.Signature})
}

// checkIssuerSize refuses issuers whose key is slow to verify with: crypto/x509
// bounds RSA keys nowhere, and strangers choose what comes along as an issuer.
func checkIssuerSize(issuer *x509.Certificate) error {
	if key, ok := issuer.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > MaxRSABits {
		return &KeyError{Reason: fmt.Sprintf("its issuer's RSA key has %d bits, at most %d are accepted", key.N.BitLen(), MaxRSABits)}
	}
	return nil
}

// certificateAlgorithm is the DER AlgorithmIdentifier of a certificate's
// signature, nil if there is none to be found. That it is the same inside the
// signed part was checked by crypto/x509.
func certificateAlgorithm(cert *x509.Certificate) []byte {
	outer := cryptobyte.String(cert.Raw)
	var body, algorithm cryptobyte.String
	if !outer.ReadASN1(&body, cryptoasn1.SEQUENCE) || !body.SkipASN1(cryptoasn1.SEQUENCE) ||
		!body.ReadASN1Element(&algorithm, cryptoasn1.SEQUENCE) {
		return nil
	}
	return algorithm
}

// createCertificate does for the other keys what [x509.CreateCertificate] does,
// as far as NewDemoPKI asks: subject, validity, basic constraints, key usage
// and key identifiers. issuer is template itself for a self-signed one.
func createCertificate(alg *Algorithm, template, issuer *x509.Certificate, pub crypto.PublicKey, caKey crypto.Signer) ([]byte, error) {
	tbs, err := tbsCertificate(alg, template, issuer, pub)
	if err != nil {
		return nil, err
	}
	s, err := NewSigner(alg, caKey, Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	sig := make([]byte, alg.SignatureSize)
	if err := s.SignBatch(sig, [][]byte{tbs}); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(alg.SignatureOID)
		b.AddASN1BitString(sig)
	})
	return b.Bytes()
}

// tbsCertificate is the signed part (RFC 5280 §4.1).
func tbsCertificate(alg *Algorithm, template, issuer *x509.Certificate, pub crypto.PublicKey) ([]byte, error) {
	spki, err := MarshalPublicKey(pub)
	if err != nil {
		return nil, err
	}
	subject, err := asn1.Marshal(template.Subject.ToRDNSequence())
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	issuerName, authority := subject, template.AuthorityKeyId
	if issuer != template {
		issuerName, authority = issuer.RawSubject, issuer.SubjectKeyId
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptoasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
		b.AddASN1BigInt(template.SerialNumber)
		b.AddBytes(alg.SignatureOID)
		b.AddBytes(issuerName)
		b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, template.NotBefore)
			addTime(b, template.NotAfter)
		})
		b.AddBytes(subject)
		b.AddBytes(spki)
		b.AddASN1(cryptoasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) { addExtensions(b, template, authority) })
		})
	})
	return b.Bytes()
}

// addTime writes UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

// addExtensions writes the extensions of RFC 5280 §4.2.1 that NewDemoPKI uses.
func addExtensions(b *cryptobyte.Builder, template *x509.Certificate, authority []byte) {
	addExtension(b, 15, true, func(b *cryptobyte.Builder) { // keyUsage, its last bits cut off
		usage := bits.Reverse8(uint8(template.KeyUsage))
		b.AddASN1(cryptoasn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(uint8(bits.TrailingZeros8(usage)))
			b.AddUint8(usage)
		})
	})
	addExtension(b, 19, true, func(b *cryptobyte.Builder) { // basicConstraints
		b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if template.IsCA {
				b.AddASN1Boolean(true)
				b.AddASN1Int64(int64(template.MaxPathLen))
			}
		})
	})
	addExtension(b, 14, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(template.SubjectKeyId) })
	addExtension(b, 35, false, func(b *cryptobyte.Builder) { // authorityKeyIdentifier
		b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cryptoasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(authority) })
		})
	})
}

// addExtension writes extension 2.5.29.id.
func addExtension(b *cryptobyte.Builder, id int, critical bool, value func(*cryptobyte.Builder)) {
	b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{2, 5, 29, id})
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(cryptoasn1.OCTET_STRING, value)
	})
}
