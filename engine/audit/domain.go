package audit

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// DomainID returns the domainID of the certificate that a voucher pins: the
// octets of its subjectKeyIdentifier, else the SHA-256 of its DER
// SubjectPublicKeyInfo (RFC 8995 §5.8.2). Not a copy; 20 or 32 octets as a rule.
func DomainID(cert *x509.Certificate) []byte {
	if len(cert.SubjectKeyId) > 0 {
		return cert.SubjectKeyId
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return sum[:]
}

// DomainIDMatches reports whether id names the certificate: as [DomainID] has
// it, by the SHA-256 of its key where it has an identifier of another kind too,
// or by the SHA-1 of RFC 5280 §4.2.1.2 method 1, which some MASAs compute for
// certificates without identifier.
func DomainIDMatches(cert *x509.Certificate, id []byte) bool {
	if bytes.Equal(DomainID(cert), id) {
		return true
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	if bytes.Equal(sum[:], id) {
		return true
	}
	method1, ok := keySHA1(cert)
	return ok && bytes.Equal(method1, id)
}

// keySHA1 is the SHA-1 of the octets of the BIT STRING subjectPublicKey. It
// names a key and protects nothing.
func keySHA1(cert *x509.Certificate) ([]byte, bool) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil || len(rest) > 0 {
		return nil, false
	}
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:], true
}
