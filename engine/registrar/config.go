package registrar

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/state"
)

// Admission says which devices may join, of those that a configured
// manufacturer vouches for.
type Admission string

// The ways to admit. Devices refused by an operator never join.
const (
	AdmitListed       Admission = "list"         // those on the list, or approved
	AdmitAsk          Admission = "ask"          // those; others wait until a person decides
	AdmitManufacturer Admission = "manufacturer" // all
)

// ParseAdmission reads the name of a way to admit.
func ParseAdmission(name string) (Admission, error) {
	switch a := Admission(name); a {
	case AdmitListed, AdmitAsk, AdmitManufacturer:
		return a, nil
	}
	return "", fmt.Errorf("no way to admit devices is called %q; want list, ask or manufacturer", name)
}

// AuditPolicy says what a device's audit log is needed for.
type AuditPolicy string

// The policies (RFC 8995 §5.8.3).
const (
	AuditRequire AuditPolicy = "require" // no enrolment without a log that is in order
	AuditPrefer  AuditPolicy = "prefer"  // a log that cannot be had is no reason against it
	AuditOff     AuditPolicy = "off"     // logs are not asked for
)

// ParseAuditPolicy reads the name of a policy.
func ParseAuditPolicy(name string) (AuditPolicy, error) {
	switch p := AuditPolicy(name); p {
	case AuditRequire, AuditPrefer, AuditOff:
		return p, nil
	}
	return "", fmt.Errorf("no audit policy is called %q; want require, prefer or off", name)
}

// Config is what a Service is made of. Fields without "required" have a default.
type Config struct {
	// DB keeps everything. It holds nothing else and stays the caller's to close,
	// after the Service. Required.
	DB state.DB
	// Verifier checks the signatures of voucher-requests and vouchers. Required.
	Verifier artefact.Verifier
	// Signer signs voucher-requests, with the key of Chain[0]. Required.
	Signer artefact.Signer
	// Chain is the registrar's certificate, which its TLS server and client
	// present too, and its issuers up to the domain CA: what a MASA may pin.
	// Chain[0] carries id-kp-cmcRA (RFC 8995 §5.5.4). Required.
	Chain []*x509.Certificate
	// Former are TLS certificates of this registrar that connections may still
	// have been made with, at a rollover.
	Former []*x509.Certificate
	// Authority issues device certificates and the revocation list. Required.
	Authority *ca.Authority
	// CACerts is what cacerts answers: the current root, and what leads to it
	// (RFC 7030 §4.1.3). Default: the issuers in Chain and the authority's
	// certificate.
	CACerts []*x509.Certificate
	// Network carries calls to MASAs. Required.
	Network Network
	// Clock tells the time where no request does. Required.
	Clock func() time.Time
	// AfterFunc calls f on a goroutine of its own after d, unless stop is called
	// before; stop reports whether it came in time. Default: time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
	// Observe is told what happens, on the goroutine it happens on, so it must
	// be quick. Default: nobody is.
	Observe func(Event)

	// Admit says which devices may join. Default: AdmitListed.
	Admit Admission
	// Audit is the policy on audit logs. Default: AuditRequire.
	Audit AuditPolicy
	// KnownDomains are the domainIDs of other owners whose entries in an audit
	// log are no reason against a device.
	KnownDomains [][]byte
	// Domains are the application domains, each a label of EST. Default: one
	// without a label. The one without a label is needed, since EST has paths
	// without (RFC 7030 §3.2.2); it is added when missing.
	Domains []Domain
	// MASAHosts may have addresses that are refused otherwise; see MASATrust.
	MASAHosts []string
	// MASATimeout bounds one exchange with a MASA, repetition included.
	// Default: 30 s.
	MASATimeout time.Duration
	// Patience is how long a pledge's request waits for the MASA before it is
	// answered 202; the exchange then goes on. Default: 10 s.
	Patience time.Duration
	// VerdictPatience is how long an enrolment waits for the verdict on the
	// audit log. Default: 10 s.
	VerdictPatience time.Duration
	// MaxExchanges bounds how many exchanges with MASAs there are at a time.
	// Default: 256.
	MaxExchanges int
	// EnrolmentsPerDay bounds the certificates a device gets on one day, UTC,
	// renewals included. Default: 10.
	EnrolmentsPerDay int
	// Burst is how many requests one client key may make at once, and Refill how
	// long it takes until it may make one more. Default: 60, 1 s.
	Burst  int
	Refill time.Duration
	// CRLLifetime is the time from thisUpdate to nextUpdate. Default: 7 days.
	CRLLifetime time.Duration
	// AcceptBase64 takes voucher-requests whose CMS is in base64, as one stack
	// sends them.
	AcceptBase64 bool
	// StrictProximity refuses requests that name the registrar and leave out the
	// assertion "proximity", as published JWS examples do.
	StrictProximity bool
	// DataContentType states id-data in CMS requests, for MASAs older than RFC
	// 8366.
	DataContentType bool
}

// Level is how much an Event matters.
type Level int

// The levels.
const (
	Info    Level = iota // what went as it should, and every refusal
	Warning              // what works and should not stay as it is
	Alarm                // what an operator must look at
)

// An Event is something that happened.
type Event struct {
	Level   Level
	Name    string // stable, such as "refused" or "voucher"
	Request string // exchange.Request.ID, "" where none
	Device  string // device.ID.String, "" where not known
	Text    string // for people; may hold what others sent
	Refusal *decision.Refusal
}

var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// Validities of things that are not configured.
const (
	pendingRetry   = 30 * time.Second // Retry-After of a 202
	storageRetry   = 60 * time.Second
	voucherMemory  = 10 * time.Minute // how long a voucher without expires-on is kept
	requestRenewal = time.Hour        // when a repeated request gets a new created-on
	answerMemory   = 24 * time.Hour   // how long the same CSR gets the same certificate
	backdating     = 5 * time.Minute  // of certificates, for clocks that are behind
)

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// complete fills in defaults and says what is missing.
func (c *Config) complete() error {
	switch {
	case c.DB == nil, c.Verifier == nil, c.Signer == nil, c.Authority == nil, c.Network == nil, c.Clock == nil:
		return errors.New("registrar: Config needs DB, Verifier, Signer, Authority, Network and Clock")
	case c.MASATimeout < 0, c.Patience < 0, c.VerdictPatience < 0, c.MaxExchanges < 0, c.EnrolmentsPerDay < 0, c.Burst < 0, c.Refill < 0, c.CRLLifetime < 0:
		return errors.New("registrar: Config has a negative limit; 0 stands for the default")
	}
	setDefault(&c.Admit, AdmitListed)
	setDefault(&c.Audit, AuditRequire)
	setDefault(&c.MASATimeout, 30*time.Second)
	setDefault(&c.Patience, 10*time.Second)
	setDefault(&c.VerdictPatience, 10*time.Second)
	setDefault(&c.MaxExchanges, 256)
	setDefault(&c.EnrolmentsPerDay, 10)
	setDefault(&c.Burst, 60)
	setDefault(&c.Refill, time.Second)
	setDefault(&c.CRLLifetime, 7*24*time.Hour)
	if c.AfterFunc == nil {
		c.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if _, err := ParseAdmission(string(c.Admit)); err != nil {
		return err
	}
	if _, err := ParseAuditPolicy(string(c.Audit)); err != nil {
		return err
	}
	if err := c.checkChain(); err != nil {
		return err
	}
	return c.completeDomains()
}

// checkChain checks that the chain is one, of a registrar, with the signer's key.
func (c *Config) checkChain() error {
	if len(c.Chain) == 0 {
		return errors.New("registrar: Config.Chain is empty; it needs the registrar's certificate and its issuers")
	}
	leaf := c.Chain[0]
	key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !key.Equal(c.Signer.Public()) {
		return fmt.Errorf("registrar: the signer has another key than the certificate of %q; one key serves for TLS and requests", leaf.Subject)
	}
	for i, cert := range c.Chain[1:] {
		if err := c.Chain[i].CheckSignatureFrom(cert); err != nil {
			return fmt.Errorf("registrar: certificate %d of the chain, %q, did not issue the one before it: %w", i+2, cert.Subject, err)
		}
	}
	if !slices.ContainsFunc(leaf.UnknownExtKeyUsage, oidCMCRA.Equal) {
		return fmt.Errorf("registrar: the certificate of %q lacks the extended key usage id-kp-cmcRA, without which MASAs and pledges refuse it (RFC 8995 section 5.5.4)", leaf.Subject)
	}
	if c.CACerts == nil {
		c.CACerts = slices.Clone(c.Chain[1:])
		if own := c.Authority.Certificate(); !slices.ContainsFunc(c.CACerts, own.Equal) {
			c.CACerts = append(c.CACerts, own)
		}
	}
	return nil
}

func (c *Config) completeDomains() error {
	c.Domains = slices.Clone(c.Domains)
	if !slices.ContainsFunc(c.Domains, func(d Domain) bool { return d.Label == "" }) {
		c.Domains = append([]Domain{{}}, c.Domains...)
	}
	for i := range c.Domains {
		d := &c.Domains[i]
		if err := d.complete(); err != nil {
			return err
		}
		if slices.ContainsFunc(c.Domains[:i], func(o Domain) bool { return o.Label == d.Label }) {
			return fmt.Errorf("registrar: two domains have the label %q", d.Label)
		}
	}
	return nil
}

// served are the envelopes of vouchers over HTTP.
var served = []codec.Format{codec.FormatCMS, codec.FormatJWS}

// ownCertificates are all certificates of this registrar and its domain.
func (c *Config) ownCertificates() []*x509.Certificate {
	return slices.Concat(c.Chain, c.Former, c.CACerts, []*x509.Certificate{c.Authority.Certificate()})
}

// ownKey reports whether a key is the registrar's or its domain's.
func (c *Config) ownKey(spki []byte) bool {
	return slices.ContainsFunc(c.ownCertificates(), func(cert *x509.Certificate) bool { return bytes.Equal(cert.RawSubjectPublicKeyInfo, spki) })
}

// operations of EST, none of which may be a label (RFC 7030 §3.2.2).
var operations = []string{"cacerts", "csrattrs", "simpleenroll", "simplereenroll", "serverkeygen", "fullcmc", "crl"}

func checkLabel(label string) error {
	if label == "" {
		return nil
	}
	if slices.Contains(operations, label) {
		return fmt.Errorf("registrar: %q is an operation of EST and cannot be a label (RFC 7030 section 3.2.2)", label)
	}
	if len(label) > 64 || strings.ContainsFunc(label, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r))
	}) || strings.Trim(label, ".") == "" {
		return fmt.Errorf("registrar: the label %.80q is not 1 to 64 letters, digits, hyphens, dots, underscores and tildes", label)
	}
	return nil
}
