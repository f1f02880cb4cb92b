package ca

import (
	"crypto/x509"
	"math/big"
	"time"
)

// Reason is why a certificate was revoked (RFC 5280 §5.3.1).
type Reason int

// The reasons. removeFromCRL, which only delta lists use, is not among them.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	PrivilegeWithdrawn   Reason = 9
	AACompromise         Reason = 10
)

// Revoked is one entry of a revocation list.
type Revoked struct {
	Serial *big.Int  // of the certificate, not of the device
	At     time.Time // cut to whole seconds
	Reason Reason
}

// RevocationList signs a complete CRL of version 2 with authority key
// identifier and CRL number (RFC 5280 §5) and gives its DER. Entries keep
// their order; none may come twice or be revoked after thisUpdate. number
// grows from list to list and has at most 20 octets. nextUpdate is when
// verifiers want a newer one. Errors are an [*Error]: [ErrRevoked],
// [ErrValidity], [ErrSigning], or [ErrAuthority] when the CA certificate lacks
// cRLSign.
func (a *Authority) RevocationList(entries []Revoked, number *big.Int, thisUpdate, nextUpdate time.Time) ([]byte, error) {
	const subject = "revocation list"
	if a.cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, fail(subject, ErrAuthority, "the certificate of %q lacks cRLSign (RFC 5280 section 4.2.1.3)", a.cert.Subject)
	}
	if number == nil || number.Sign() < 0 || number.BitLen() > maxIntegerBits {
		return nil, fail(subject, ErrRevoked, "its number is %v; it is a non-negative integer of at most 20 octets", number)
	}
	from, to, err := period(subject, thisUpdate, nextUpdate)
	if err != nil {
		return nil, err
	}
	list := make([]x509.RevocationListEntry, len(entries))
	seen := make(map[string]bool, len(entries))
	for i, e := range entries {
		if err := checkRevoked(e, from); err != nil {
			return nil, err
		}
		key := string(e.Serial.Bytes())
		if seen[key] {
			return nil, fail(subject, ErrRevoked, "serial number %x is in it twice", e.Serial)
		}
		seen[key] = true
		list[i] = x509.RevocationListEntry{SerialNumber: e.Serial, RevocationTime: e.At.UTC().Truncate(time.Second), ReasonCode: int(e.Reason)}
	}
	der, err := x509.CreateRevocationList(a.signatureRand(), &x509.RevocationList{
		Number: number, ThisUpdate: from, NextUpdate: to, RevokedCertificateEntries: list}, a.cert, a.key)
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrSigning, Err: err}
	}
	return der, nil
}

// maxIntegerBits is what fits 20 octets of a positive DER INTEGER.
const maxIntegerBits = 159

func checkRevoked(e Revoked, thisUpdate time.Time) error {
	const subject = "revocation list"
	switch {
	case e.Serial == nil || e.Serial.Sign() <= 0 || e.Serial.BitLen() > maxIntegerBits:
		return fail(subject, ErrRevoked, "serial number %v; it is a positive integer of at most 20 octets", e.Serial)
	case e.At.Year() < 1950 || e.At.Truncate(time.Second).After(thisUpdate):
		return fail(subject, ErrRevoked, "serial number %x revoked at %s, which is no time before that of the list", e.Serial, e.At.UTC().Format(time.RFC3339))
	}
	switch e.Reason {
	case Unspecified, KeyCompromise, CACompromise, AffiliationChanged, Superseded,
		CessationOfOperation, CertificateHold, PrivilegeWithdrawn, AACompromise:
		return nil
	}
	return fail(subject, ErrRevoked, "serial number %x revoked for reason %d, which RFC 5280 section 5.3.1 does not have for such a list", e.Serial, e.Reason)
}
