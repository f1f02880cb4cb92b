package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/sigpool"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// checkEvery is how often a signature of the registrar is verified before it
// leaves: each, as they are few.
const checkEvery = 1

// A role is a registrar with what it is made of.
type role struct {
	service   *registrar.Service
	tls       *tls.Certificate // nil without keys
	authority *x509.Certificate
	signing   *sigpool.Signer   // nil without keys
	verifying *sigpool.Verifier // nil without keys
	db        *state.Badger
	closers   []func() error // in the order of their making
}

// Close gives everything back, what was made last first.
func (r *role) Close() error {
	var err error
	for i := len(r.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, r.closers[i]())
	}
	r.closers = nil
	return err
}

func (r *role) closing(f func()) {
	r.closers = append(r.closers, func() error { f(); return nil })
}

// A use is what a registrar is opened for. The zero use administers: it reads no
// private key, tells nobody and calls nobody.
type use struct {
	keys    bool
	observe func(registrar.Event)                    // nil for nobody
	network func(*tls.Certificate) registrar.Network // nil for none; needs keys
}

// openRole opens a registrar's state and makes its service.
func openRole(cmd *cobra.Command, s *settings, u use) (r *role, err error) {
	r = new(role)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	cfg, err := s.config()
	if err != nil {
		return r, err
	}
	if err = r.trust(cmd, s, u.keys, &cfg); err != nil {
		return r, err
	}
	open := func() (err error) {
		r.db, err = state.Open(s.state, state.Options{})
		return err
	}
	if u.network != nil {
		err = admin.Patiently(cmd.Context(), open)
	} else {
		err = open()
	}
	if err != nil {
		return r, program.IOError(err)
	}
	r.closers = append(r.closers, r.db.Close)
	cfg.DB, cfg.Network, cfg.Observe = r.db, offline{}, u.observe
	if u.network != nil {
		cfg.Network = u.network(r.tls)
	}
	if r.service, err = registrar.New(cfg); err != nil {
		return r, program.Usagef("%w", err)
	}
	r.closing(r.service.Close)
	return r, nil
}

// config is the part of the service's settings that needs no file.
func (s *settings) config() (registrar.Config, error) {
	cfg := registrar.Config{
		Clock: time.Now, Admit: registrar.Admission(s.admit), Audit: registrar.AuditPolicy(s.audit), MASAHosts: s.masaHosts, MASATimeout: s.masaTimeout,
		Patience: s.patience, VerdictPatience: s.verdictPatience, MaxExchanges: s.maxExchanges, EnrolmentsPerDay: s.enrolmentsPerDay,
		Burst: s.burst, Refill: s.refill, CRLLifetime: s.crlLifetime,
		AcceptBase64: s.acceptBase64, StrictProximity: s.strictProximity, DataContentType: s.dataContentType,
	}
	for _, text := range s.knownDomains {
		id, err := parseDomainID(text)
		if err != nil {
			return cfg, program.Usagef("known-domains: %w", err)
		}
		cfg.KnownDomains = append(cfg.KnownDomains, id)
	}
	domain, err := s.domain("")
	cfg.Domains = append(cfg.Domains, domain)
	for _, l := range s.labels {
		profile := s.profileOf(l)
		domain, also := profile.domain(l.name)
		cfg.Domains, err = append(cfg.Domains, domain), errors.Join(err, also)
	}
	return cfg, err
}

// domain is the application domain of a label with this profile.
func (p *certificateProfile) domain(label string) (registrar.Domain, error) {
	d := registrar.Domain{Label: label, Organization: p.organization, Units: p.units, Lifetime: p.lifetime, CRLURLs: p.crlURLs}
	for _, name := range p.keyKinds {
		kind, err := ca.ParseKeyKind(name)
		if err != nil {
			return d, program.Usagef("certificate-keys: %w", err)
		}
		d.Keys.Kinds = append(d.Keys.Kinds, kind)
	}
	return d, nil
}

// trust adds certificates, and the keys where they are wanted.
func (r *role) trust(cmd *cobra.Command, s *settings, keys bool, cfg *registrar.Config) (err error) {
	if cfg.Chain, err = loadChain("certificate", s.certificate); err != nil {
		return err
	}
	authority, err := loadChain("ca-certificate", s.caCertificate)
	if err != nil {
		return err
	}
	if len(s.former) > 0 {
		if cfg.Former, err = material.LoadCertificates("former-certificates", s.former...); err != nil {
			return err
		}
	}
	if len(s.cacerts) > 0 {
		further, err := material.LoadCertificates("further-cacerts", s.cacerts...)
		if err != nil {
			return err
		}
		cfg.CACerts = distinct(cfg.Chain[1:], authority[:1], further)
	}
	r.authority = authority[0]
	if !keys {
		return r.withoutKeys(cfg, authority[0])
	}
	return r.withKeys(cmd, s, cfg, authority[0])
}

func loadChain(key, file string) ([]*x509.Certificate, error) {
	text, err := program.ReadFile(file, sign.MaxPEMBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	chain, err := sign.LoadChain(text)
	if err != nil {
		return nil, program.Usagef("%s %s: %w", key, file, err)
	}
	return chain, nil
}

// distinct joins lists of certificates, each once.
func distinct(lists ...[]*x509.Certificate) (all []*x509.Certificate) {
	seen := map[string]bool{}
	for _, list := range lists {
		for _, c := range list {
			if !seen[string(c.Raw)] {
				seen[string(c.Raw)] = true
				all = append(all, c)
			}
		}
	}
	return all
}

// withKeys opens the registrar's and the authority's key, and the pools that
// sign and verify.
func (r *role) withKeys(cmd *cobra.Command, s *settings, cfg *registrar.Config, authority *x509.Certificate) error {
	pass := material.Passphrase(cmd, s.keyPass)
	flags := material.SignerFlags{Key: "key", Cert: "certificate"}
	var err error
	if r.tls, err = material.LoadTLS(cmd, flags, s.key, s.certificate, pass); err != nil {
		return err
	}
	signer, _, err := material.LoadSigner(cmd, flags, s.key, s.certificate, pass, sign.Options{}, checkEvery)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, signer.Close)
	if r.signing, err = sigpool.NewSigner(signer, engine.OnlineConfig{}); err != nil {
		return err
	}
	r.closing(r.signing.Close)
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return err
	}
	if r.verifying, err = sigpool.NewVerifier(verifier, engine.OnlineConfig{}); err != nil {
		return err
	}
	r.closing(r.verifying.Close)
	key, err := material.OpenKey(cmd, "ca-key", s.caKey, pass)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, key.Close)
	cfg.Signer, cfg.Verifier = r.signing, r.verifying
	if cfg.Authority, err = ca.New(authority, key.Signer, ca.Options{}); err != nil {
		return program.Usagef("ca-certificate %s, ca-key %s: %w", s.caCertificate, s.caKey, err)
	}
	return nil
}

// withoutKeys stands in for the keys where nothing is signed.
func (r *role) withoutKeys(cfg *registrar.Config, authority *x509.Certificate) error {
	alg, err := sign.ForKey(cfg.Chain[0].PublicKey)
	if err != nil {
		return program.Usagef("certificate: %w", err)
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return err
	}
	cfg.Verifier = artefact.Verifying(verifier)
	cfg.Signer = keylessSigner{alg, keyless{cfg.Chain[0].PublicKey}}
	if cfg.Authority, err = ca.New(authority, keyless{authority.PublicKey}, ca.Options{}); err != nil {
		return program.Usagef("ca-certificate: %w", err)
	}
	return nil
}

var errKeyless = errors.New("this command uses no private key")

// keyless has the public half of a key.
type keyless struct{ public crypto.PublicKey }

// Public is the public key.
func (k keyless) Public() crypto.PublicKey { return k.public }

// Sign signs nothing.
func (keyless) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errKeyless }

type keylessSigner struct {
	alg *sign.Algorithm
	key keyless
}

// Algorithm is that of the key.
func (k keylessSigner) Algorithm() *sign.Algorithm { return k.alg }

// Public is the public key.
func (k keylessSigner) Public() crypto.PublicKey { return k.key.public }

// Sign signs nothing.
func (keylessSigner) Sign(context.Context, []byte) ([]byte, error) { return nil, errKeyless }

// offline calls nobody.
type offline struct{}

// Do fails.
func (offline) Do(context.Context, *registrar.Call) (*registrar.Reply, error) {
	return nil, &registrar.NetworkError{Err: errors.New("this command calls no MASA")}
}
