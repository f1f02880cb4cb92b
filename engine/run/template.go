package run

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/sign"
)

// A Compiler turns variants of one run into templates. It is immutable after
// NewCompiler and safe for concurrent use.
type Compiler struct {
	format   codec.Format
	alg      *sign.Algorithm
	created  time.Time
	envelope codec.EnvelopeParams
	voucher  codec.Voucher // the leaves all variants share
	maxBytes int
	pinAs    PinAs
	pins     map[string]*x509.Certificate
	chain    []*x509.Certificate
	key      crypto.PublicKey
}

// NewCompiler reads everything the run's variants share out of its header.
func NewCompiler(h *Header) (*Compiler, error) {
	fail := func(leaf string, err error) (*Compiler, error) {
		return nil, fmt.Errorf("%w %s: %s: %w", ErrHeader, h.Name, leaf, err)
	}
	format, err := codec.ParseFormat(h.Format)
	if err != nil {
		return fail("format", err)
	}
	alg, err := sign.ByName(h.Algorithm)
	if err != nil {
		return fail("algorithm", err)
	}
	created, err := h.Created()
	if err != nil {
		return nil, err
	}
	c := &Compiler{format: format, alg: alg, created: created, maxBytes: h.SerialBytes, pinAs: h.PinAs,
		pins: make(map[string]*x509.Certificate)}
	for i, der := range h.Chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fail(fmt.Sprintf("certificate %d of the chain", i+1), err)
		}
		c.chain = append(c.chain, cert)
	}
	if c.key, err = sign.CertificateKey(c.chain[0]); err != nil {
		return fail("certificate 1 of the chain", err)
	}
	if err := alg.Fits(c.key); err != nil {
		return fail("algorithm", err)
	}
	for _, p := range h.Pins {
		if c.pins[p.Name], err = x509.ParseCertificate(p.Cert); err != nil {
			return fail(fmt.Sprintf("pin %q", p.Name), err)
		}
	}
	c.envelope = codec.EnvelopeParams{Format: format, Algorithm: artefact.AlgorithmID(alg), Chain: h.Chain, DataContentType: h.DataContentType}
	if h.SigningTime {
		c.envelope.SigningTime = created
	}
	if c.voucher, err = sharedLeaves(h, created); err != nil {
		return fail("leaves", err)
	}
	return c, nil
}

func sharedLeaves(h *Header, created time.Time) (codec.Voucher, error) {
	v := codec.Voucher{CreatedOn: created}
	var err error
	if v.Assertion, err = codec.ParseAssertion(h.Assertion); err != nil {
		return v, err
	}
	switch v.Assertion {
	case codec.AssertionProximity, codec.AssertionAgentProximity:
		return v, fmt.Errorf("assertion %s says that somebody saw the device next to a registrar, which nobody did for a nonceless voucher; use logged or verified", h.Assertion)
	}
	if h.LastRenewalDate != "" {
		e, err := profile.ParseExpiry(h.LastRenewalDate)
		if err != nil || e.Never {
			return v, fmt.Errorf("last-renewal-date %q: want a time or a duration after created-on", h.LastRenewalDate)
		}
		v.LastRenewalDate = e.From(created)
	}
	if b := h.DomainCertRevocationChecks; b != nil {
		v.DomainCertRevocationChecks = codec.BoolOf(*b)
	}
	v.EstDomain = text(h.EstDomain)
	v.AdditionalConfigurationURL = text(h.AdditionalConfigurationURL)
	v.ManufacturerProprietary = h.ManufacturerProprietary
	for _, e := range h.Extensions {
		if sid, err := strconv.ParseUint(e, 10, 64); err == nil {
			v.Extensions = append(v.Extensions, codec.Extension{SID: sid})
		} else {
			v.Extensions = append(v.Extensions, codec.Extension{Name: []byte(e)})
		}
	}
	return v, nil
}

// text makes a leaf of s; the empty string leaves it unset.
func text(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// Format returns the run's envelope format.
func (c *Compiler) Format() codec.Format { return c.format }

// Algorithm returns the run's signature algorithm.
func (c *Compiler) Algorithm() *sign.Algorithm { return c.alg }

// SignerKey returns the public key the vouchers verify under.
func (c *Compiler) SignerKey() crypto.PublicKey { return c.key }

// Pin returns the DER of the certificate of that name, nil if there is none.
func (c *Compiler) Pin(name string) []byte {
	if cert := c.pins[name]; cert != nil {
		return cert.Raw
	}
	return nil
}

// Chain returns the signer's certificate and those above it.
func (c *Compiler) Chain() []*x509.Certificate { return c.chain }

// ErrVariant is wrapped by errors about settings of single devices: an unknown
// pin, an expiry that cannot be.
var ErrVariant = errors.New("variant")

// Compile makes the template of one variant. It fails where the pin is not
// known, where the voucher would outlive the certificate it pins, and where the
// leaves break a rule of RFC 8366.
func (c *Compiler) Compile(v *Variant) (*Template, error) {
	pin, ok := c.pins[v.Pin]
	if !ok && v.Pin == "" {
		return nil, fmt.Errorf("%w: no certificate to pin: the row names none, and there is no pin without a name; give one with --pin FILE", ErrVariant)
	}
	if !ok {
		return nil, fmt.Errorf("%w: no pin is called %q; name it with --pin %s=FILE", ErrVariant, v.Pin, v.Pin)
	}
	voucher := c.voucher
	if v.ExpiresOn != Never {
		t, err := time.Parse(time.RFC3339, v.ExpiresOn)
		if err != nil {
			return nil, fmt.Errorf("%w: expires-on %q: want RFC 3339 or never", ErrVariant, v.ExpiresOn)
		}
		if t.After(pin.NotAfter) {
			return nil, fmt.Errorf("%w: expires-on %s is after %s, when the pinned certificate %q ends (RFC 8366 §5.3); choose an earlier expiry or another certificate",
				ErrVariant, v.ExpiresOn, FormatTime(pin.NotAfter), pin.Subject)
		}
		voucher.ExpiresOn = t
	}
	if c.created.After(pin.NotAfter) {
		return nil, fmt.Errorf("%w: the pinned certificate %q ended on %s, before created-on %s", ErrVariant, pin.Subject, FormatTime(pin.NotAfter), FormatTime(c.created))
	}
	switch c.pinAs {
	case PinCert:
		voucher.PinnedDomainCert = pin.Raw
	case PinPubk:
		voucher.PinnedDomainPubk = pin.RawSubjectPublicKeyInfo
	case PinPubkSHA256:
		sum := sha256.Sum256(pin.RawSubjectPublicKeyInfo)
		voucher.PinnedDomainPubkSHA256 = sum[:]
	}
	if v.Include {
		voucher.IDevIDIssuer = v.Issuer
	}
	checked := voucher
	checked.SerialNumber = []byte("0") // every row has one of its own
	if err := checked.Validate(codec.Rules{Strict: true, AllowNeverExpires: v.ExpiresOn == Never}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVariant, err)
	}
	t, err := codec.CompileTemplate(codec.TemplateParams{Envelope: c.envelope, Voucher: voucher, MaxSerialBytes: c.maxBytes})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVariant, err)
	}
	return newTemplate(t, c.alg)
}

// A Template is a variant's compiled voucher with the hash states that follow
// its constant prefixes. It is safe for concurrent use.
type Template struct {
	*codec.Template
	hash     sign.HashID
	attrs    *sign.Prefix                  // CMS: after the constant part of the signed attributes
	prefixes []atomic.Pointer[sign.Prefix] // by class, made when first needed
}

func newTemplate(t *codec.Template, alg *sign.Algorithm) (*Template, error) {
	rt := &Template{Template: t, hash: alg.Hash, prefixes: make([]atomic.Pointer[sign.Prefix], t.Classes())}
	if a := t.AttributesPrefix(); a != nil {
		var err error
		if rt.attrs, err = sign.NewPrefix(alg.Hash, a); err != nil {
			return nil, err
		}
	}
	return rt, nil
}

// prefix returns the hash state that serial's tail continues. Two goroutines
// may both make a missing one; the results are equal and either stays.
func (t *Template) prefix(serial []byte) (*sign.Prefix, error) {
	class := t.Class(serial)
	slot := &t.prefixes[class]
	if p := slot.Load(); p != nil {
		return p, nil
	}
	p, err := sign.NewPrefix(t.hash, t.AppendPrefix(nil, class))
	if err != nil {
		return nil, err
	}
	slot.Store(p)
	return p, nil
}
