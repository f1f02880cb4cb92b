package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/sign"
)

// Options are the settings of an authority. The zero value is the recommended
// setting.
type Options struct {
	// Rand is where serial numbers come from, nil for the operating system's
	// source. Reads are serialised. Keys that need randomness of their own to
	// sign are given it too; ECDSA keys in this process do not and sign by RFC
	// 6979.
	Rand io.Reader
}

// Authority issues certificates and revocation lists with one key under one CA
// certificate. It holds no state but these, so it is safe for concurrent use
// as far as its key is; those of package sign and sign/pkcs11 are.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	rand io.Reader
}

// New makes an authority of a CA certificate and its key. The certificate must
// be a CA's with keyCertSign and a subject key identifier, and of a kind of key
// that crypto/x509 signs with: P-256, P-384, P-521, Ed25519, RSA of at least
// [sign.MinRSABits]. Whether it is valid now is looked at when it issues. The
// error is an [*Error] of kind [ErrAuthority].
func New(cert *x509.Certificate, key crypto.Signer, opts Options) (*Authority, error) {
	const subject = "authority"
	if cert == nil || len(cert.Raw) == 0 || key == nil {
		return nil, fail(subject, ErrAuthority, "a parsed certificate and its private key are needed")
	}
	own, err := x509.ParseCertificate(cert.Raw) // the caller's may change
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrAuthority, Err: err}
	}
	if err := sign.MatchCertificate(key, own); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrAuthority, Err: err, Remedy: "give the key that belongs to the certificate"}
	}
	if err := checkKey(subject, own.PublicKey); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrAuthority, Err: err}
	}
	switch {
	case !own.BasicConstraintsValid || !own.IsCA:
		return nil, fail(subject, ErrAuthority, "the certificate of %q is no CA's (RFC 5280 section 4.2.1.9)", own.Subject)
	case own.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, fail(subject, ErrAuthority, "the certificate of %q lacks keyCertSign (RFC 5280 section 4.2.1.3)", own.Subject)
	case len(own.SubjectKeyId) == 0:
		return nil, fail(subject, ErrAuthority, "the certificate of %q has no subject key identifier (RFC 5280 section 4.2.1.2)", own.Subject)
	}
	return &Authority{cert: own, key: key, rand: randomness(opts.Rand)}, nil
}

// RootParams describe a self-signed CA.
type RootParams struct {
	// CommonName and Organization name it, 1 to 64 and 0 to 64 characters.
	CommonName, Organization string
	// Key signs the certificate and whatever the authority issues.
	Key crypto.Signer
	// NotBefore and NotAfter are cut to whole seconds. [NoExpiry] suits a CA for
	// IDevIDs, 20 years a domain CA.
	NotBefore, NotAfter time.Time
	// PathLen is how many CAs may stand between this one and a certificate that
	// is not a CA's: 0 for none, -1 for any number.
	PathLen int
}

// NewRoot makes a self-signed CA with keyCertSign and cRLSign, critical basic
// constraints, and the same identifier for subject and authority (see
// [sign.KeyIdentifier]). The error is an [*Error].
func NewRoot(p RootParams, opts Options) (*Authority, error) {
	const subject = "CA certificate"
	if p.Key == nil {
		return nil, fail(subject, ErrAuthority, "there is no key; sign.GenerateKey makes one")
	}
	if p.PathLen < -1 {
		return nil, fail(subject, ErrAuthority, "a path length of %d; -1 is for any number", p.PathLen)
	}
	if err := checkKey(subject, p.Key.Public()); err != nil {
		return nil, err
	}
	name, err := subjectName(subject, p.CommonName, p.Organization, "")
	if err != nil {
		return nil, err
	}
	from, to, err := period(subject, p.NotBefore, p.NotAfter)
	if err != nil {
		return nil, err
	}
	id, err := sign.KeyIdentifier(p.Key.Public())
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrKey, Err: err}
	}
	a := &Authority{key: p.Key, rand: randomness(opts.Rand)}
	template := &x509.Certificate{
		RawSubject: name, NotBefore: from, NotAfter: to,
		SubjectKeyId: id, AuthorityKeyId: id,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLen: p.PathLen, MaxPathLenZero: p.PathLen == 0,
	}
	if a.cert, err = a.create(subject, template, template, p.Key.Public()); err != nil {
		return nil, err
	}
	return a, nil
}

// Certificate is the CA certificate. It is shared and must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// issue completes the template of a certificate that is not a CA's: validity
// within the authority's own unless it may outlive it, authority key
// identifier, serial number. template.RawSubject is set.
func (a *Authority) issue(subject string, template *x509.Certificate, pub crypto.PublicKey, outlive bool) (*x509.Certificate, error) {
	if err := checkKey(subject, pub); err != nil {
		return nil, err
	}
	if equal, ok := a.cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && equal.Equal(pub) {
		return nil, &Error{Subject: subject, Kind: ErrKey, Detail: "it is the authority's own", Remedy: "a certificate needs a key of its own"}
	}
	if bytes.Equal(template.RawSubject, a.cert.RawSubject) {
		return nil, &Error{Subject: subject, Kind: ErrName, Detail: "the subject is the authority's own", Remedy: "such a certificate would look self-issued (RFC 5280 section 3.2); take another name"}
	}
	var err error
	if template.NotBefore, template.NotAfter, err = a.within(subject, template.NotBefore, template.NotAfter, outlive); err != nil {
		return nil, err
	}
	template.AuthorityKeyId = a.cert.SubjectKeyId
	template.BasicConstraintsValid, template.IsCA = true, false
	return a.create(subject, template, a.cert, pub)
}

// create signs a template and reads back what was made; crypto/x509 checks the
// signature.
func (a *Authority) create(subject string, template, issuer *x509.Certificate, pub crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := a.serialNumber(subject)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(a.signatureRand(), template, issuer, pub, a.key)
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrSigning, Err: err}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrName, Detail: "crypto/x509 does not read a certificate with the subject and names as given", Err: err}
	}
	return cert, nil
}

// serialNumber draws 20 octets, as many as RFC 5280 §4.1.2.2 allows, of which
// 158 bits are random: positive, and always of the same length.
func (a *Authority) serialNumber(subject string) (*big.Int, error) {
	var serial [20]byte
	if _, err := io.ReadFull(a.rand, serial[:]); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrSigning, Detail: "no randomness for the serial number", Err: err}
	}
	serial[0] = serial[0]&0x7f | 0x40
	return new(big.Int).SetBytes(serial[:]), nil
}

// signatureRand is nil where crypto/ecdsa then signs deterministically (RFC
// 6979), as all of this module does.
func (a *Authority) signatureRand() io.Reader {
	if _, ok := a.key.(*ecdsa.PrivateKey); ok {
		return nil
	}
	return a.rand
}

// randomness is the operating system's source, or the given one made safe for
// concurrent use.
func randomness(r io.Reader) io.Reader {
	if r == nil {
		return rand.Reader
	}
	return &lockedReader{r: r}
}

type lockedReader struct {
	mu sync.Mutex
	r  io.Reader // guarded by mu
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// ChainPEM writes certificates as PEM in their order: the end entity's first,
// as [sign.LoadChain] reads them. Keys are written by [sign.MarshalKeyPEM].
func ChainPEM(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, cert := range certs {
		text = slices.Concat(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return text
}
