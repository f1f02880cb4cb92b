package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/revocation"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/sigpool"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// A role is a MASA with all that it is made of.
type role struct {
	service  *masa.Service
	verifier *sigpool.Verifier
	signer   *sigpool.Signer // nil in a command, which signs nothing
	chain    []*x509.Certificate
	closers  []func() error // in the order in which things were opened
}

// maxAuditKey bounds the file of the audit log's key, in octets.
const maxAuditKey = 4096

// openRole opens the MASA that s describes. One that serves opens the voucher
// signer's key and looks revocation up; a command does without either: it signs
// no voucher. The state is opened first, as its lock is what keeps others out.
func openRole(cmd *cobra.Command, s *settings, serves bool, observe func(*masa.Attempt), log *slog.Logger) (_ *role, err error) {
	r := &role{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	var db *state.Badger
	open := func() (err error) {
		db, err = state.Open(s.State, state.Options{Create: true, MinFreeBytes: uint64(s.MinFree) << 20})
		return err
	}
	if serves {
		err = admin.Patiently(cmd.Context(), open)
	} else {
		err = open()
	}
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, db.Close)
	if db.Recovered() && serves {
		program.Warn(cmd, "%s was not closed cleanly; it was recovered", s.State)
	}
	cfg := masa.Config{DB: db, Observe: observe, RequirePrior: s.RequirePrior, DataContentType: s.EContent == "data", RequestAge: s.RequestAge, Skew: s.Skew,
		Replay: s.Replay, PinLifetime: s.PinLifetime, NoncelessLifetime: s.Nonceless}
	if s.Pin == "registrar" {
		cfg.Pin = masa.PinRegistrar
	}
	for _, step := range []func(*cobra.Command, *settings, *masa.Config) error{r.runs, r.auditLog, r.manufacturer, r.verifying} {
		if err := step(cmd, s, &cfg); err != nil {
			return nil, err
		}
	}
	if serves {
		if s.Revocation != "off" {
			cfg.Revocation = revocation.New(revocation.Config{Strict: s.Revocation == "require", Hosts: s.RevocationHosts, Log: log})
		}
		err = r.signing(cmd, s, &cfg)
	} else {
		err = r.signerOnPaper(s, &cfg)
	}
	if err != nil {
		return nil, err
	}
	if r.service, err = masa.New(cfg); err != nil {
		return nil, program.Usagef("%w", err)
	}
	r.chain = cfg.Chain
	return r, nil
}

// Close gives everything back, what was opened last first.
func (r *role) Close() error {
	var err error
	for i := len(r.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, r.closers[i]())
	}
	r.closers = nil
	return err
}

func (r *role) runs(_ *cobra.Command, s *settings, cfg *masa.Config) error {
	runs, err := store.Open(s.Runs, store.Options{Create: true, Reserve: uint64(s.MinFree) << 20})
	if err != nil {
		return program.IOError(err)
	}
	r.closers = append(r.closers, runs.Close)
	cfg.Runs = runs
	return nil
}

func (r *role) auditLog(_ *cobra.Command, s *settings, cfg *masa.Config) error {
	text, err := program.ReadFile(s.AuditKey, maxAuditKey)
	if err != nil {
		return fmt.Errorf("audit-key: %w", err)
	}
	defer clear(text)
	signer, err := audit.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return program.Usagef("audit-key %s: %w", s.AuditKey, err)
	}
	if cfg.Log, err = audit.New(signer, rand.Reader); err != nil {
		return program.Usagef("audit-key %s: %w", s.AuditKey, err)
	}
	return nil
}

func (r *role) manufacturer(_ *cobra.Command, s *settings, cfg *masa.Config) error {
	from, err := codec.ParseSerialSource(s.SerialFrom)
	if err != nil {
		return program.Usagef("serial-from: %w", err)
	}
	m := device.Manufacturer{Name: "own", SerialFrom: from, IgnoreLifetime: s.IDevIDLifetime == "ignore"}
	if m.Anchors, err = material.LoadCertificates("idevid-ca", s.IDevIDCA...); err != nil {
		return err
	}
	if len(s.IDevIDBetween) > 0 {
		if m.Intermediates, err = material.LoadCertificates("idevid-intermediates", s.IDevIDBetween...); err != nil {
			return err
		}
	}
	cfg.Manufacturers = []device.Manufacturer{m}
	return nil
}

func (r *role) verifying(_ *cobra.Command, s *settings, cfg *masa.Config) error {
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return program.Usagef("%w", err)
	}
	if r.verifier, err = sigpool.NewVerifier(v, engine.OnlineConfig{}); err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { r.verifier.Close(); return nil })
	cfg.Verifier = r.verifier
	if len(s.VoucherAnchors) > 0 {
		if cfg.VoucherAnchors, err = material.LoadCertificates("voucher-anchors", s.VoucherAnchors...); err != nil {
			return err
		}
	}
	return nil
}

// signing opens the voucher signer's key and pools its use, so that requests at
// the same time share batches.
func (r *role) signing(cmd *cobra.Command, s *settings, cfg *masa.Config) error {
	signer, chain, err := material.LoadSigner(cmd, material.SignerFlags{Key: "voucher-key", Cert: "voucher-cert"}, s.VoucherKey, s.VoucherCert,
		material.Passphrase(cmd, s.KeyPassFile), sign.Options{}, sign.CheckEvery)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, signer.Close)
	if r.signer, err = sigpool.NewSigner(signer, engine.OnlineConfig{}); err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { r.signer.Close(); return nil })
	cfg.Signer, cfg.Chain = r.signer, chain
	return nil
}

// signerOnPaper reads the voucher signer's certificates alone.
func (r *role) signerOnPaper(s *settings, cfg *masa.Config) error {
	pem, err := program.ReadFile(s.VoucherCert, sign.MaxPEMBytes)
	if err != nil {
		return fmt.Errorf("voucher-cert: %w", err)
	}
	chain, err := sign.LoadChain(pem)
	if err != nil {
		return program.Usagef("voucher-cert %s: %w", s.VoucherCert, err)
	}
	public, err := sign.CertificateKey(chain[0])
	if err != nil {
		return program.Usagef("voucher-cert %s: %w", s.VoucherCert, err)
	}
	alg, err := sign.ForKey(public)
	if err != nil {
		return program.Usagef("voucher-cert %s: %w", s.VoucherCert, err)
	}
	cfg.Signer, cfg.Chain = keyless{alg, public}, chain
	return nil
}

// keyless is the voucher signer where nothing is signed.
type keyless struct {
	algorithm *sign.Algorithm
	public    crypto.PublicKey
}

var _ artefact.Signer = keyless{}

// Algorithm is that of the key.
func (k keyless) Algorithm() *sign.Algorithm { return k.algorithm }

// Public is the certificate's.
func (k keyless) Public() crypto.PublicKey { return k.public }

// Sign refuses: commands look after records.
func (k keyless) Sign(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("the voucher signer's key is not open in a command")
}
