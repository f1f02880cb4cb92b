package bench

import (
	"crypto"
	"crypto/x509"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

// Created is the created-on of every voucher a Fixture makes.
var Created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A Fixture is what a job needs beside a list: a voucher signer with its chain
// of two certificates, and a domain CA to pin. All keys are P-256.
type Fixture struct {
	Key    crypto.Signer
	Chain  []*x509.Certificate // signer first, then its CA
	Domain *x509.Certificate   // pinned by every voucher
}

// NewFixture makes new keys and certificates.
func NewFixture() (*Fixture, error) {
	masa, err := newPKI("Bench MASA")
	if err != nil {
		return nil, err
	}
	domain, err := newPKI("Bench Domain")
	if err != nil {
		return nil, err
	}
	f := &Fixture{}
	if f.Key, err = sign.LoadKey(masa.SignerKey, nil); err != nil {
		return nil, err
	}
	if f.Chain, err = sign.LoadChain(masa.Signer); err != nil {
		return nil, err
	}
	pins, err := sign.LoadChain(domain.CA)
	if err != nil {
		return nil, err
	}
	f.Domain = pins[0]
	return f, nil
}

func newPKI(name string) (*sign.DemoPKI, error) {
	return sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: name,
		NotBefore: Created.AddDate(-1, 0, 0), NotAfter: Created.AddDate(20, 0, 0)})
}

// Header returns the settings of a run in a format: a nonceless voucher for a
// year, with the domain CA's whole certificate as its pin.
func (f *Fixture) Header(format codec.Format) run.Header {
	h := run.Header{Version: run.HeaderVersion, Name: "bench", Format: format.String(), Algorithm: sign.ES256.Name,
		CreatedOn: run.FormatTime(Created), ExpiresOn: "365d", Assertion: codec.AssertionLogged.String(),
		PinAs: run.PinCert, Pins: []run.Pin{{Cert: f.Domain.Raw}}, SerialFrom: codec.SerialFromSubject.String(),
		SerialBytes: codec.DefaultLimits().SerialBytes}
	for _, c := range f.Chain {
		h.Chain = append(h.Chain, c.Raw)
	}
	return h
}

// Template compiles what the vouchers of such a run have in common.
func (f *Fixture) Template(format codec.Format) (*run.Template, error) {
	h := f.Header(format)
	c, err := run.NewCompiler(&h)
	if err != nil {
		return nil, err
	}
	expires, err := run.ResolveExpiry(h.ExpiresOn, Created)
	if err != nil {
		return nil, err
	}
	return c.Compile(&run.Variant{ExpiresOn: expires})
}

// Signer returns the fixture's signer; impl names an implementation, "" is the
// best there is.
func (f *Fixture) Signer(impl string) (sign.Signer, error) {
	return sign.NewSigner(sign.ES256, f.Key, sign.Options{Impl: impl})
}
