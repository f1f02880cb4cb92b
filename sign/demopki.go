package sign

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// DemoOptions describe a small PKI for trying things out, and for
// manufacturers who have none yet.
type DemoOptions struct {
	// Algorithm is used for both keys; any that can sign.
	Algorithm *Algorithm
	// CommonName names the signer; the CA is called the same with " CA" after it.
	CommonName string
	// NotBefore and NotAfter bound both certificates, in whole seconds.
	NotBefore, NotAfter time.Time
	// Passphrase encrypts both keys; empty leaves them open.
	Passphrase []byte
	// SignerKey, when not nil, is the public half of a signing key that exists
	// already, on a token: none is made then, and DemoPKI.SignerKey is nil.
	SignerKey crypto.PublicKey
}

// DemoPKI is a CA and one signing certificate, all PEM.
type DemoPKI struct {
	CA        []byte // the CA's certificate: the trust anchor
	CAKey     []byte
	Signer    []byte // the signer's certificate, then the CA's
	SignerKey []byte
}

// maxCommonName is ub-common-name (RFC 5280 appendix A.1) less " CA".
const maxCommonName = 64 - 3

// NewDemoPKI makes two keys and two certificates. The CA may issue end-entity
// certificates only; the signer's certificate carries digitalSignature and no
// extended key usage, which openssl cms -verify accepts as it is. The error is
// a [*UsageError] for options that make no certificate, else an
// [*AlgorithmError] or [*KeyError].
func NewDemoPKI(opts DemoOptions) (*DemoPKI, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	caKey, err := GenerateKey(opts.Algorithm, nil)
	if err != nil {
		return nil, err
	}
	defer DestroyKey(caKey)
	signerPublic, signerKey := opts.SignerKey, crypto.Signer(nil)
	if signerPublic == nil {
		if signerKey, err = GenerateKey(opts.Algorithm, nil); err != nil {
			return nil, err
		}
		defer DestroyKey(signerKey)
		signerPublic = signerKey.Public()
	}
	ca, err := opts.issue(opts.caTemplate(), nil, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	signer, err := opts.issue(opts.signerTemplate(), ca, signerPublic, caKey)
	if err != nil {
		return nil, err
	}
	pki := &DemoPKI{CA: certificatePEM(ca)}
	pki.Signer = append(certificatePEM(signer), pki.CA...)
	if pki.CAKey, err = MarshalKeyPEM(caKey, opts.Passphrase); err != nil {
		return nil, err
	}
	if signerKey == nil {
		return pki, nil
	}
	if pki.SignerKey, err = MarshalKeyPEM(signerKey, opts.Passphrase); err != nil {
		return nil, err
	}
	return pki, nil
}

func (o *DemoOptions) check() error {
	if o.Algorithm == nil {
		return &AlgorithmError{Identifier: "none", Reason: "an algorithm must be given for the keys; ES256 suits most"}
	}
	if o.Algorithm.VerifyOnly {
		return &AlgorithmError{Identifier: o.Algorithm.Name, Reason: "we read it and make no keys for it; use ES256 or Ed25519"}
	}
	if o.CommonName == "" || len(o.CommonName) > maxCommonName {
		return &UsageError{Reason: fmt.Sprintf("a common name has 1 to %d octets, this one %d", maxCommonName, len(o.CommonName))}
	}
	if o.NotBefore.IsZero() || !o.NotAfter.After(o.NotBefore) {
		return &UsageError{Reason: fmt.Sprintf("a certificate from %v to %v would never be valid", o.NotBefore, o.NotAfter)}
	}
	if o.SignerKey != nil {
		return o.Algorithm.Fits(o.SignerKey)
	}
	return nil
}

func (o *DemoOptions) caTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: o.CommonName + " CA"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
	}
}

func (o *DemoOptions) signerTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: o.CommonName},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

// issue completes a template and signs it; issuer nil means self-signed.
// crypto/x509 sets the authority key identifier from the issuer's subject key
// identifier; a self-signed CA gets its own, so that both can be matched.
func (o *DemoOptions) issue(template, issuer *x509.Certificate, pub crypto.PublicKey, caKey crypto.Signer) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	rand.Read(serial)                 // crypto/rand.Read never fails
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
	template.SerialNumber = new(big.Int).SetBytes(serial)
	template.NotBefore, template.NotAfter = o.NotBefore.UTC().Truncate(time.Second), o.NotAfter.UTC().Truncate(time.Second)
	var err error
	if template.SubjectKeyId, err = KeyIdentifier(pub); err != nil {
		return nil, err
	}
	if issuer == nil {
		issuer = template
		template.AuthorityKeyId = template.SubjectKeyId
	}
	var der []byte
	if o.Algorithm.key.knownToX509() {
		der, err = x509.CreateCertificate(rand.Reader, template, issuer, pub, caKey)
	} else {
		der, err = createCertificate(o.Algorithm, template, issuer, pub, caKey)
	}
	if err != nil {
		return nil, &UsageError{Reason: "the certificate cannot be made: " + err.Error()}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, &UsageError{Reason: "the certificate made is not understood: " + err.Error()}
	}
	return cert, nil
}

// KeyIdentifier is the subject key identifier that our certificates give a
// public key: the leftmost 160 bits of the SHA-256 of its BIT STRING (RFC 7093
// §2, method 1). The error is a [*KeyError].
func KeyIdentifier(pub crypto.PublicKey) ([]byte, error) {
	spki, err := MarshalPublicKey(pub)
	if err != nil {
		return nil, err
	}
	bits, err := publicKeyBits(spki)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(bits)
	return digest[:20], nil
}

func certificatePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
