package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"time"

	"github.com/vouchmill/vouchmill/sign"
)

// oidCMCRA is id-kp-cmcRA (RFC 6402 §2.10): who carries it is a registrar
// (RFC 8995 §5.5.4).
var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// EntityParams describe the certificate of a server, a client or a signer.
// All are end entities with keyUsage digitalSignature, and carry the key
// identifiers of themselves and of their issuer.
type EntityParams struct {
	// CommonName and Organization are the subject, 1 to 64 and 0 to 64 characters.
	CommonName, Organization string
	// PublicKey is what is certified.
	PublicKey crypto.PublicKey
	// NotBefore and NotAfter are cut to whole seconds and to the validity of the
	// authority.
	NotBefore, NotAfter time.Time
	// Names is the subjectAltName. Servers need one; clients may do without;
	// voucher signers have none.
	Names ServerNames
}

// Registrar issues a registrar's certificate, for its TLS server, its TLS
// client and its voucher-requests alike: id-kp-cmcRA (RFC 8995 §5.5.4),
// serverAuth and clientAuth. It takes a subject key identifier, which becomes
// the domainID where this certificate is pinned (RFC 8995 §5.8.2). The error is
// an [*Error].
func (a *Authority) Registrar(p EntityParams) (*x509.Certificate, error) {
	return a.server("registrar certificate", p, x509.Certificate{
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidCMCRA},
	})
}

// TLSServer issues the certificate of a TLS server, such as a MASA: serverAuth.
// The error is an [*Error].
func (a *Authority) TLSServer(p EntityParams) (*x509.Certificate, error) {
	return a.server("TLS server certificate", p, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

// TLSClient issues the certificate of a TLS client, such as a customer of a
// MASA: clientAuth. The error is an [*Error].
func (a *Authority) TLSClient(p EntityParams) (*x509.Certificate, error) {
	return a.entity("TLS client certificate", p, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// VoucherSigner issues the certificate of a voucher signer: digitalSignature
// and no extended key usage, which every CMS verifier takes as it is; any that
// is there must suit the verifier's purpose. The error is an [*Error].
func (a *Authority) VoucherSigner(p EntityParams) (*x509.Certificate, error) {
	const subject = "voucher signer certificate"
	if len(p.Names.DNS)+len(p.Names.IPs) != 0 {
		return nil, fail(subject, ErrName, "a voucher signer is no server and has no host names")
	}
	return a.entity(subject, p, x509.Certificate{})
}

func (a *Authority) server(subject string, p EntityParams, template x509.Certificate) (*x509.Certificate, error) {
	if len(p.Names.DNS)+len(p.Names.IPs) == 0 {
		return nil, &Error{Subject: subject, Kind: ErrName, Detail: "a server has no name", Remedy: "give its host names or addresses (RFC 9525 section 6.2: the common name does not count)"}
	}
	return a.entity(subject, p, template)
}

// entity adds to a template, which states the purpose, what all have in common.
func (a *Authority) entity(subject string, p EntityParams, template x509.Certificate) (*x509.Certificate, error) {
	var err error
	if template.RawSubject, err = subjectName(subject, p.CommonName, p.Organization, ""); err != nil {
		return nil, err
	}
	if err := p.Names.check(subject); err != nil {
		return nil, err
	}
	if err := checkKey(subject, p.PublicKey); err != nil {
		return nil, err
	}
	if template.SubjectKeyId, err = sign.KeyIdentifier(p.PublicKey); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrKey, Err: err}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotBefore, template.NotAfter = p.NotBefore, p.NotAfter
	template.DNSNames, template.IPAddresses = p.Names.DNS, p.Names.IPs
	return a.issue(subject, &template, p.PublicKey, false)
}
