package revocation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// Extensions of lists and entries (RFC 5280 §5.2, §5.3).
var (
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistribution = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// A revoked list is what is kept of a revocation list.
type revoked struct {
	serials    map[string]bool // as big.Int.Bytes
	thisUpdate time.Time
	nextUpdate time.Time
}

// parse reads a list and checks that issuer signed it and that it is about all of
// the certificates of issuer.
func parse(der []byte, issuer *x509.Certificate) (*revoked, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("it is not signed by %q: %w", issuer.Subject, err)
	}
	for _, e := range list.Extensions {
		if err := complete(e); err != nil {
			return nil, err
		}
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("it does not say when the next list comes")
	}
	r := &revoked{serials: make(map[string]bool, len(list.RevokedCertificateEntries)), thisUpdate: list.ThisUpdate, nextUpdate: list.NextUpdate}
	for _, entry := range list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical { // certificateIssuer: an entry about another authority's
				return nil, fmt.Errorf("the entry of %x has the critical extension %s, which is not understood", entry.SerialNumber, e.Id)
			}
		}
		r.serials[string(entry.SerialNumber.Bytes())] = true
	}
	return r, nil
}

// complete refuses lists about some certificates or reasons alone.
func complete(e pkix.Extension) error {
	switch {
	case e.Id.Equal(oidDelta):
		return errors.New("it is a delta, not a complete list")
	case e.Id.Equal(oidDistribution):
		var point asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &point); err != nil || len(rest) > 0 || point.Class != asn1.ClassUniversal || point.Tag != asn1.TagSequence || !point.IsCompound {
			return errors.New("its issuingDistributionPoint cannot be read")
		}
		for rest := point.Bytes; len(rest) > 0; {
			var member asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &member); err != nil {
				return errors.New("its issuingDistributionPoint cannot be read")
			}
			if member.Class != asn1.ClassContextSpecific || member.Tag != 0 { // [0] says where the list is found
				return errors.New("it is about some certificates or reasons alone")
			}
		}
	case e.Critical:
		return fmt.Errorf("its critical extension %s is not understood", e.Id)
	}
	return nil
}

// current says what keeps a list from being used at a time.
func (r *revoked) current(now time.Time) error {
	switch {
	case now.Add(skew).Before(r.thisUpdate):
		return fmt.Errorf("it is of %s, which lies ahead", r.thisUpdate.Format(time.RFC3339))
	case now.Add(-skew).After(r.nextUpdate):
		return fmt.Errorf("it was to be replaced on %s", r.nextUpdate.Format(time.RFC3339))
	}
	return nil
}
