package registrar

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A Domain is an application domain: a label of EST and the profile of the
// certificates issued under it. The zero Domain is the default profile: the
// subject holds exactly one serialNumber, the IDevID's; its other attributes are
// the device's choice and kept as they are; no subjectAltName.
type Domain struct {
	// Label is the path segment, "" for the paths without.
	Label string
	// Organization and Units are attributes every subject must have, in this
	// order and before the serialNumber.
	Organization string
	Units        []string
	// Key is the kind of key asked for; the zero Key asks for any of Keys.
	Key est.Key
	// Keys says which keys are certified; the zero value is P-256, P-384 and RSA
	// of at least 2048 bits.
	Keys ca.Policy
	// SubjectAltName is the DER GeneralNames that requests must ask for and
	// certificates get; nil: none, and one asked for is refused.
	SubjectAltName []byte
	// Lifetime of certificates. Default: a year.
	Lifetime time.Duration
	// CRLURLs go into certificates as CRL distribution points.
	CRLURLs []string
}

func (d *Domain) complete() error {
	if err := checkLabel(d.Label); err != nil {
		return err
	}
	if d.Lifetime < 0 {
		return fmt.Errorf("registrar: domain %q: the lifetime of certificates is negative", d.Label)
	}
	setDefault(&d.Lifetime, 365*24*time.Hour)
	return nil
}

// A domain is a Domain made ready.
type domain struct {
	Domain
	attrs est.CSRAttrs
	body  []byte // of csrattrs
}

func newDomain(d Domain) (*domain, error) {
	ready := &domain{Domain: d}
	t := &est.Template{Key: d.Key}
	fixed := func(id, text string) {
		t.Subject = append(t.Subject, est.NameAttribute{RDN: len(t.Subject), ID: id, Tag: est.TagUTF8String, Value: []byte(text)})
	}
	if d.Organization != "" {
		fixed(est.OIDOrganization, d.Organization)
	}
	for _, unit := range d.Units {
		fixed(est.OIDUnit, unit)
	}
	t.Subject = append(t.Subject, est.NameAttribute{RDN: len(t.Subject), ID: est.OIDSerialNumber})
	ready.attrs = est.CSRAttrs{Template: t, Items: []est.Attribute{{ID: est.OIDSerialNumber}}}
	if d.Key != (est.Key{}) {
		ready.attrs.Keys = []est.Key{d.Key}
	}
	if d.SubjectAltName != nil {
		t.Extensions = []est.Extension{{ID: est.OIDSubjectAltName, Value: d.SubjectAltName}}
		ready.attrs.Extensions = t.Extensions
	}
	der, err := ready.attrs.Append(nil)
	if err != nil {
		return nil, fmt.Errorf("registrar: domain %q: %w", d.Label, err)
	}
	ready.body = est.AppendBody(nil, der)
	return ready, nil
}

// readCSR takes a certification request from a body: encoding, syntax,
// possession of the key (RFC 7030 §4.2.1), channel binding, kind of key. It
// returns the key too.
func (a *attempt) readCSR(d *domain) (*est.CSR, crypto.PublicKey, error) {
	body := a.r.Body
	switch {
	case len(body) == 0:
		return nil, nil, a.trail.Refuse(decision.Empty, "csr", "the body is empty, want a certificate request in base64 (RFC 8951 section 3.1)")
	case len(body) > exchange.MaxEST:
		return nil, nil, a.trail.Refuse(decision.TooLarge, "csr", "the body has %d octets, the limit is %d", len(body), exchange.MaxEST)
	}
	der, err := est.DecodeBody(nil, body)
	if err != nil {
		kind := decision.CSRMalformed
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("-----BEGIN ")) {
			kind = decision.Wrapped
		}
		return nil, nil, a.trail.Refuse(kind, "csr", "%w", err)
	}
	if len(der) > exchange.MaxCSR {
		return nil, nil, a.trail.Refuse(decision.TooLarge, "csr", "the certificate request has %d octets, the limit is %d", len(der), exchange.MaxCSR)
	}
	csr, err := est.ParseCSR(der, est.Limits{CSRBytes: exchange.MaxCSR})
	if err != nil {
		return nil, nil, a.trail.Refuse(decision.CSRMalformed, "csr", "%w", err)
	}
	a.trail.Pass("csr", "%s key", csr.Key)
	public, err := a.checkPossession(d, csr)
	return csr, public, err
}

func (a *attempt) checkPossession(d *domain, csr *est.CSR) (crypto.PublicKey, error) {
	public, err := ca.CheckPossession(csr)
	if err != nil {
		kind := decision.CSRSignature
		if errors.Is(err, ca.ErrKey) {
			kind = decision.CSRPolicy
		}
		return nil, a.trail.Refuse(kind, "possession", "%w", err)
	}
	a.trail.Pass("possession", "signed by its key")
	if err := checkBinding(csr.ChallengePassword, &a.r.Binding); err != nil {
		return nil, a.trail.Fail("channel-binding", decision.Of(err))
	}
	if err := ca.AcceptableKey(public, d.Keys); err != nil {
		return nil, a.trail.Refuse(decision.CSRPolicy, "key", "%w", err)
	}
	if !csr.Key.Satisfies(d.Key) {
		return nil, a.trail.Refuse(decision.CSRPolicy, "key", "a key of kind %s, this domain certifies %s", csr.Key, d.Key)
	}
	return public, nil
}

// checkBinding checks a challengePassword, which names the connection that the
// request is for (RFC 7030 §3.5): base64 of tls-unique, or of tls-exporter where
// TLS 1.3 has no other (RFC 9266). One that is absent is none.
func checkBinding(challenge []byte, b *exchange.Binding) error {
	if challenge == nil {
		return nil
	}
	for _, value := range [][]byte{b.Unique, b.Exporter} {
		if len(value) > 0 && base64.StdEncoding.EncodeToString(value) == string(challenge) {
			return nil
		}
	}
	return decision.Refuse(decision.ChannelBinding, "the challengePassword of the certificate request is not base64 of this connection's tls-unique or tls-exporter (RFC 7030 section 3.5, RFC 9266); leave it out")
}

// checkProfile holds a first request against the domain's profile.
func (a *attempt) checkProfile(d *domain, csr *est.CSR) error {
	refuse := func(format string, args ...any) error {
		return a.trail.Refuse(decision.CSRPolicy, "profile", format, args...)
	}
	if err := d.attrs.Check(csr); err != nil {
		return refuse("%w", err)
	}
	serials := csr.SerialNumbers()
	if len(serials) != 1 || serials[0] != a.id.Serial {
		return refuse("the subject has the serialNumbers %.300q, want exactly one, %q", serials, a.id.Serial)
	}
	if err := checkExtensions(csr, d.SubjectAltName != nil); err != nil {
		return refuse("%w", err)
	}
	a.trail.Pass("profile", "label %q", d.Label)
	return nil
}

// Bits of keyUsage in its first octet (RFC 5280 §4.2.1.3).
const (
	usageCertSign = 0x04
	usageCRLSign  = 0x02
)

// checkExtensions refuses what a request asks for and would not get. Asked for
// and passed over are a keyUsage of an end entity, "no CA", and the subject's key
// identifier; none of them reaches the certificate.
func checkExtensions(csr *est.CSR, san bool) error {
	for i := range csr.Extensions {
		e := &csr.Extensions[i]
		switch e.ID {
		case est.OIDSubjectAltName:
			if !san {
				return fmt.Errorf("the request asks for a subjectAltName, which certificates of this domain do not have")
			}
		case est.OIDKeyUsage:
			if v := e.Value; len(v) < 3 || v[0] != 0x03 || int(v[1]) != len(v)-2 || len(v) > 3 && v[3]&(usageCertSign|usageCRLSign) != 0 {
				return fmt.Errorf("the request asks for keyUsage %x, which is none of an end entity", clip(string(v), 16))
			}
		case est.OIDBasicConstraints:
			if !bytes.Equal(e.Value, []byte{0x30, 0}) && !bytes.Equal(e.Value, []byte{0x30, 3, 1, 1, 0}) {
				return fmt.Errorf("the request asks for basicConstraints %x; devices are no certificate authorities", clip(string(e.Value), 16))
			}
		case oidSubjectKeyID:
		case est.OIDExtendedKeyUsage:
			return fmt.Errorf("the request asks for an extendedKeyUsage; certificates of this domain have clientAuth and no other")
		default:
			return fmt.Errorf("the request asks for extension %s, which certificates of this domain do not have", e.ID)
		}
	}
	return nil
}

const oidSubjectKeyID = "2.5.29.14"

// sanOf is the subjectAltName of a certificate, nil for none.
func sanOf(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.String() == est.OIDSubjectAltName {
			return e.Value
		}
	}
	return nil
}
