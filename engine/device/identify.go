package device

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// A Manufacturer is whom a role believes about devices.
type Manufacturer struct {
	// Name is the operator's name for it.
	Name string
	// Anchors issued its IDevIDs, or issued who did. Intermediates complete
	// chains that devices present only in part; they are believed as far as an
	// anchor vouches for them.
	Anchors, Intermediates []*x509.Certificate
	// SerialFrom is the fact that is the serial number (RFC 8995 §2.3.1 knows
	// the subject's serialNumber alone).
	SerialFrom codec.SerialSource
	// IgnoreLifetime accepts IDevIDs, and issuers of them, that have expired.
	IgnoreLifetime bool
}

// An Identity is what a verified IDevID says.
type Identity struct {
	ID ID
	// Manufacturer is the entry that vouches for it.
	Manufacturer *Manufacturer
	// Facts are those of the certificate.
	Facts *codec.IDevID
	// Chain leads from the IDevID to the anchor.
	Chain []*x509.Certificate
	// SPKI is the SHA-256 of the DER SubjectPublicKeyInfo.
	SPKI [sha256.Size]byte
	// Issuer is the idevid-issuer of a registrar's voucher-request: the AKI
	// extension's value, or the structure that stands for it where there is
	// none (draft-ietf-anima-rfc8366bis: the SHA-1 of the device's own key).
	Issuer []byte
}

// Identify finds who vouches for an IDevID and returns what it says. chain is
// the device's certificate and what came with it, in any order behind the first.
// Extended key usages are not looked at: IDevIDs seldom have any. The error is
// a *decision.Refusal of kind BadCertificate, UnknownManufacturer or
// NoSerialNumber. Where several manufacturers vouch for it, the first in order
// whose anchor does is taken.
func Identify(chain []*x509.Certificate, makers []Manufacturer, now time.Time) (*Identity, error) {
	if len(chain) == 0 {
		return nil, decision.Refuse(decision.NoCertificate, "no IDevID certificate was presented; the device must present it as its TLS client certificate (RFC 8995 §5.1)")
	}
	facts, err := codec.ReadIDevID(chain[0])
	if err != nil {
		return nil, decision.Refuse(decision.BadCertificate, "%w", err)
	}
	if facts.CertificateAuthority {
		return nil, decision.Refuse(decision.BadCertificate, "%q is a certificate authority and no device", chain[0].Subject)
	}
	leaf := understood(facts)
	var reason error
	for i := range makers {
		m := &makers[i]
		path, err := m.verify(leaf, chain[1:], now)
		if err != nil {
			// "Expired" says more than "unknown": keep it if any manufacturer says so.
			if reason == nil || expired(err) && !expired(reason) {
				reason = err
			}
			continue
		}
		path[0] = chain[0]
		return identity(facts, m, path)
	}
	return nil, refuseChain(chain[0], reason, len(makers))
}

func refuseChain(leaf *x509.Certificate, reason error, makers int) error {
	switch {
	case makers == 0:
		return decision.Refuse(decision.UnknownManufacturer, "no manufacturer is configured here; add the one of %q", leaf.Subject)
	case expired(reason):
		return decision.Refuse(decision.BadCertificate, "the IDevID of %q: %w; set the manufacturer's idevid-lifetime to ignore if its devices outlive their certificates", leaf.Subject, reason)
	}
	return decision.Refuse(decision.UnknownManufacturer, "the IDevID of %q, issued by %q, leads to none of the %d manufacturers known here (%w); add its manufacturer if it is one to be admitted",
		leaf.Subject, leaf.Issuer, makers, reason)
}

func expired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// verify finds a path to one of the manufacturer's anchors. Where lifetimes are
// ignored, the time is one at which the IDevID and its issuers were valid.
func (m *Manufacturer) verify(leaf *x509.Certificate, presented []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	if len(m.Anchors) == 0 {
		return nil, x509.UnknownAuthorityError{Cert: leaf}
	}
	between := slices.Concat(presented, m.Intermediates)
	if len(between) > sign.MaxChain {
		between = between[:sign.MaxChain]
	}
	opts := sign.ChainOptions{Roots: m.Anchors, Intermediates: between, At: now}
	path, err := sign.VerifyChain(leaf, opts)
	if err == nil || !m.IgnoreLifetime || !expired(err) {
		return path, err
	}
	for _, c := range slices.Concat([]*x509.Certificate{leaf}, between, m.Anchors) {
		opts.At = c.NotBefore
		if path, late := sign.VerifyChain(leaf, opts); late == nil && opts.At.Before(now) {
			return path, nil
		}
	}
	return nil, err
}

// understood returns the certificate without the critical extensions that this
// package reads and crypto/x509 does not: a subjectAltName that holds nothing
// but a hardwareModuleName.
func understood(facts *codec.IDevID) *x509.Certificate {
	if len(facts.HardwareModules) == 0 {
		return facts.Certificate
	}
	c := *facts.Certificate
	c.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), func(oid asn1.ObjectIdentifier) bool {
		return oid.Equal(oidSubjectAltName)
	})
	return &c
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

func identity(facts *codec.IDevID, m *Manufacturer, path []*x509.Certificate) (*Identity, error) {
	serial, err := facts.Serial(m.SerialFrom)
	if err == nil {
		err = codec.CheckSerial(serial, MaxSerial)
	}
	if err != nil {
		return nil, decision.Refuse(decision.NoSerialNumber, "the IDevID of %q, manufacturer %s: %w", path[0].Subject, m.Name, err)
	}
	issuer := sha256.Sum256(path[min(1, len(path)-1)].RawSubjectPublicKeyInfo)
	id := ID{IssuerKeyID: string(issuer[:]), Serial: string(serial)}
	if n := len(facts.KeyIdentifier); n > 0 && n <= MaxIssuer {
		id.IssuerKeyID = string(facts.KeyIdentifier)
	}
	return &Identity{ID: id, Manufacturer: m, Facts: facts, Chain: path,
		SPKI: sha256.Sum256(facts.SubjectPublicKey), Issuer: artefact.IssuerLeaf(facts)}, nil
}
