package list

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxIssuer bounds an idevid-issuer, in octets.
const maxIssuer = 512

// normaliseIssuer turns any of the three forms of an idevid-issuer into the
// first: the extnValue OCTET STRING (04 LL 30 ..), the AuthorityKeyIdentifier
// in it (30 ..), or the bare key identifier.
func normaliseIssuer(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b) > maxIssuer {
		return nil, fmt.Errorf("an issuer of %d octets, where 1 to %d may be", len(b), maxIssuer)
	}
	s := cryptobyte.String(b)
	var inner cryptobyte.String
	if s.ReadASN1(&inner, cbasn1.OCTET_STRING) && s.Empty() && isKeyIdentifier(inner) {
		return b, nil
	}
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.OCTET_STRING, func(out *cryptobyte.Builder) {
		if isKeyIdentifier(b) {
			out.AddBytes(b)
			return
		}
		out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
			out.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(out *cryptobyte.Builder) { out.AddBytes(b) })
		})
	})
	return out.Bytes()
}

// isKeyIdentifier reports whether b is an AuthorityKeyIdentifier with a key
// identifier in it (RFC 5280 §4.2.1.1).
func isKeyIdentifier(b []byte) bool {
	s := cryptobyte.String(b)
	var seq, id cryptobyte.String
	return s.ReadASN1(&seq, cbasn1.SEQUENCE) && s.Empty() && seq.ReadASN1(&id, cbasn1.Tag(0).ContextSpecific()) && len(id) > 0
}

var (
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// certificate makes a record of one IDevID certificate.
func (r *Reader) certificate(rec *Record, raw, der []byte) error {
	serial, issuer, err := r.opts.Identify(der)
	if err == nil && len(issuer) == 0 {
		issuer, err = subjectKeyID(der)
	}
	if err != nil {
		return r.rowError(r.line, raw, &fault{at: -1, err: &cause{ErrCertificate, err},
			remedy: "take it out of the list, or have it issued anew"})
	}
	v := values{octets: true}
	v.set(colSerial, serial, -1)
	v.set(colIssuer, issuer, -1)
	return r.finish(r.line, raw, rec, &v)
}

// identify returns the subject serialNumber and the authority key identifier
// of a certificate.
func identify(der []byte) (serial, issuer []byte, err error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	subject := quoteShort([]byte(cert.Subject.String()))
	if cert.IsCA {
		return nil, nil, fmt.Errorf("%s is a certification authority and no device", subject)
	}
	found := 0
	for _, a := range cert.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oidSerialNumber) {
			serial = []byte(s)
			found++
		}
	}
	switch {
	case found == 0:
		return nil, nil, fmt.Errorf("subject %s has no serialNumber", subject)
	case found > 1:
		return nil, nil, fmt.Errorf("subject %s has %d serialNumber attributes, which of them is meant cannot be told", subject, found)
	}
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidAuthorityKey) {
			continue
		}
		if issuer = ext.Value; !isKeyIdentifier(issuer) {
			return nil, nil, fmt.Errorf("subject %s: the authority key identifier names no key", subject)
		}
	}
	return serial, issuer, nil
}

// subjectKeyID is the key identifier of a certificate that has no authority key
// identifier: SHA-1 over the BIT STRING content of its own key (RFC 8366bis,
// by RFC 5280 §4.2.1.2 method 1). It names a key and protects nothing.
func subjectKeyID(der []byte) ([]byte, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	s := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	var seq cryptobyte.String
	var key asn1.BitString
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.SkipASN1(cbasn1.SEQUENCE) || !seq.ReadASN1BitString(&key) {
		return nil, errors.New("the certificate's SubjectPublicKeyInfo is malformed")
	}
	sum := sha1.Sum(key.Bytes)
	return sum[:], nil
}
