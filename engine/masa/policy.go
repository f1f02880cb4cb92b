package masa

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// PinPolicy says which certificate of a registrar's path is pinned.
type PinPolicy uint8

const (
	// PinFarthest pins the certificate farthest from the registrar's own: its
	// domain CA, where it sent it.
	PinFarthest PinPolicy = iota
	// PinRegistrar pins the registrar's own certificate. A nonceless voucher
	// pins a CA all the same.
	PinRegistrar
)

// Defaults of Config.
const (
	DefaultRequestAge        = 24 * time.Hour
	DefaultReplay            = 24 * time.Hour
	DefaultSkew              = 5 * time.Minute
	DefaultPinLifetime       = 20 * time.Minute
	DefaultNoncelessLifetime = 30 * 24 * time.Hour
)

// A Revocation knows certificates that are no longer to be believed. It is safe
// for concurrent use.
type Revocation interface {
	// Check returns nil, or why the path of a registrar, its own certificate
	// first, cannot be used. It is asked about the path that the registrar sent,
	// and about those to the anchors of customers. What it said is believed for
	// ten minutes.
	Check(ctx context.Context, path []*x509.Certificate, now time.Time) error
}

// Config is what a Service is made of. DB, Log, Verifier, Signer, Chain and
// Manufacturers are needed.
type Config struct {
	// DB keeps the state, Log the audit log in it.
	DB  state.DB
	Log *audit.Log
	// Verifier checks the signatures of requests, Signer makes those of
	// vouchers. Chain is the signer's certificate and its issuers, as they go
	// into vouchers.
	Verifier artefact.Verifier
	Signer   artefact.Signer
	Chain    []*x509.Certificate
	// VoucherAnchors are those that our own vouchers lead to, of earlier signers
	// too; nil stands for the last of Chain.
	VoucherAnchors []*x509.Certificate
	// Manufacturers vouch for the devices.
	Manufacturers []device.Manufacturer
	// Runs keeps the vouchers of imported runs; nil where there are none. It is
	// this service's alone: what is in it and not on record is deleted.
	Runs *store.Store

	// Pin says what is pinned.
	Pin PinPolicy
	// RequirePrior refuses requests without the device's own request inside
	// them, where they are not nonceless. Without it they get "logged".
	RequirePrior bool
	// DataContentType makes CMS vouchers state id-data, for devices older than
	// RFC 8366.
	DataContentType bool
	// RequestAge is how old a request's created-on may be, Skew how far it may
	// lie ahead.
	RequestAge, Skew time.Duration
	// Replay is how long a request gets the same answer again.
	Replay time.Duration
	// PinLifetime is how long the pinned certificate must still be valid: what a
	// device needs to use its voucher (RFC 8995 §5.6 recommends 20 minutes).
	PinLifetime time.Duration
	// NoncelessLifetime bounds nonceless vouchers of customers without a limit
	// of their own.
	NoncelessLifetime time.Duration
	// Limits bounds what is read of requests.
	Limits codec.Limits
	// Revocation, when not nil, is asked about registrars.
	Revocation Revocation
	// Observe, when not nil, is told each attempt when it has ended, on its own
	// goroutine. It must be quick.
	Observe func(*Attempt)
}

func (c *Config) complete() error {
	switch {
	case c.DB == nil || c.Log == nil:
		return errors.New("masa: no state or audit log is given")
	case c.Verifier == nil || c.Signer == nil:
		return errors.New("masa: no verifier of requests or no signer of vouchers is given")
	case len(c.Chain) == 0:
		return errors.New("masa: the voucher signer's certificate is missing")
	case len(c.Manufacturers) == 0:
		return errors.New("masa: no manufacturer is given; name the certificate authority of the IDevIDs")
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"RequestAge", &c.RequestAge, DefaultRequestAge}, {"Skew", &c.Skew, DefaultSkew}, {"Replay", &c.Replay, DefaultReplay},
		{"PinLifetime", &c.PinLifetime, DefaultPinLifetime}, {"NoncelessLifetime", &c.NoncelessLifetime, DefaultNoncelessLifetime},
	} {
		if *d.value < 0 {
			return fmt.Errorf("masa: %s is %v, want a duration that is not negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if c.VoucherAnchors == nil {
		c.VoucherAnchors = c.Chain[len(c.Chain)-1:]
	}
	return c.matchSigner()
}

// matchSigner makes sure that vouchers verify under the certificate they carry.
func (c *Config) matchSigner() error {
	public, err := sign.CertificateKey(c.Chain[0])
	if err != nil {
		return fmt.Errorf("masa: the voucher signer %q: %w", c.Chain[0].Subject, err)
	}
	want, err := sign.MarshalPublicKey(public)
	if err != nil {
		return fmt.Errorf("masa: the voucher signer %q: %w", c.Chain[0].Subject, err)
	}
	have, err := sign.MarshalPublicKey(c.Signer.Public())
	if err != nil {
		return fmt.Errorf("masa: the voucher signer's key: %w", err)
	}
	if string(want) != string(have) {
		return fmt.Errorf("masa: the key of the voucher signer is not that of its certificate %q", c.Chain[0].Subject)
	}
	return nil
}
