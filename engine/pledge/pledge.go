package pledge

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/sign"
)

// Config says who the device is and what its maker decided. What is not said to
// be optional is needed.
type Config struct {
	// IDevID is the certificate the maker gave the device, its issuers as far as
	// they are at hand, and the key (IEEE 802.1AR). Renew does not need it.
	IDevID Identity
	// SerialFrom is the fact of the IDevID that is the serial number; the zero
	// value is the serialNumber of the subject (RFC 8995 §2.3.1).
	SerialFrom codec.SerialSource
	// VoucherAnchors are whom the device believes about its owner: authorities of
	// the maker's voucher signers, or these themselves. Nothing else is trusted,
	// so who can change them can take the device over. They should issue no
	// IDevIDs: of signers under them, only those whose certificate names a MASA
	// are known to be devices, and refused.
	VoucherAnchors []*x509.Certificate

	// Network, Storage and Clock are the world around the device. The Network is
	// used by several goroutines at a time, the others by that of the caller.
	Network Network
	Storage Storage
	Clock   Clock
	// ClockTrusted says that Clock knows the time. Without it no date is looked
	// at, and the nonce alone makes vouchers fresh (RFC 8995 §2.6.1).
	ClockTrusted bool
	// Rand is where nonces, spacing and keys come from; optional, the operating
	// system's. Reads are not concurrent.
	Rand io.Reader
	// Verifier checks voucher signatures; optional.
	Verifier artefact.Verifier

	// Format is the envelope of requests and vouchers: codec.FormatCMS, which is
	// the default, or codec.FormatJWS.
	Format codec.Format
	// Assertions are those a voucher may have; optional: verified, logged and
	// proximity.
	Assertions []codec.Assertion
	// RefuseNonceless refuses vouchers without nonce, which a stolen or resold
	// device could be replayed; by default they are taken (RFC 8995 §7.2).
	RefuseNonceless bool
	// IgnoreExpiry takes a nonceless voucher that expires although the clock is
	// not trusted.
	IgnoreExpiry bool
	// AllowPlainRegistrar takes a registrar under a pinned authority whose
	// certificate lacks id-kp-cmcRA. Every certificate of that domain can then
	// play registrar, those of its devices included.
	AllowPlainRegistrar bool
	// CheckRevocation is asked where a voucher demands that the pinned
	// certificate's revocation be checked; optional, without it such vouchers are
	// refused.
	CheckRevocation func(ctx context.Context, pinned *x509.Certificate) error

	// Label is the EST label to enrol under, "" for none (RFC 7030 §3.2.2).
	Label string
	// CommonName and DNSNames are put into the certification request where the
	// registrar's CSR attributes leave room for them; optional.
	CommonName string
	DNSNames   []string

	// Once tries every registrar once and then gives up, in place of trying for
	// ever: for a program that a person waits for.
	Once bool
	// UntilReached, beside Once, goes on with registrars that could not be reached,
	// and with discovery, as without Once: only who refused the device, or was
	// refused by it, has had his chance. Where none but those are known the device
	// gives up before ctx ends.
	UntilReached bool
	// Discover finds registrars or join proxies, as URLs that Origin takes;
	// optional. It is called until the device is some registrar's, less and less
	// often, at least once an hour; meanwhile no registrar is tried, but those that
	// have been asked may answer.
	Discover func(ctx context.Context) ([]string, error)
	// Observe is told of every attempt that ended; optional.
	Observe func(*Attempt)
}

// A Pledge is a device that may join a domain.
type Pledge struct {
	cfg    Config
	own    *ownIdentity
	sealer *artefact.Sealer
	starts int // attempts so far, to tell connections apart
}

// New checks the configuration. It touches neither network nor storage.
func New(cfg Config) (*Pledge, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	own, err := identify(cfg.IDevID, cfg.SerialFrom)
	if err != nil {
		return nil, err
	}
	if len(cfg.VoucherAnchors) == 0 {
		return nil, errors.New("pledge: without VoucherAnchors no voucher can be believed")
	}
	for _, a := range cfg.Assertions {
		if a == codec.AssertionUnset {
			return nil, errors.New("pledge: Assertions holds one that is unset")
		}
	}
	alg, err := sign.ForKey(cfg.IDevID.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("pledge: the IDevID's key: %w", err)
	}
	signer, err := sign.NewSigner(alg, cfg.IDevID.Key, sign.Options{})
	if err != nil {
		return nil, fmt.Errorf("pledge: the IDevID's key: %w", err)
	}
	p := &Pledge{cfg: cfg, own: own}
	if p.sealer, err = artefact.NewSealer(artefact.SealerParams{Format: cfg.Format, Signer: artefact.Signing(signer), Chain: cfg.IDevID.Chain}); err != nil {
		return nil, fmt.Errorf("pledge: %w", err)
	}
	return p, nil
}

// SerialNumber returns the device's.
func (p *Pledge) SerialNumber() string { return p.own.serial }

// complete sets what is optional and checks what is needed by all.
func (c *Config) complete() error {
	if c.Network == nil || c.Storage == nil || c.Clock == nil {
		return errors.New("pledge: Network, Storage and Clock are needed")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Verifier == nil {
		v, err := sign.NewVerifier(sign.VerifierOptions{})
		if err != nil {
			return fmt.Errorf("pledge: %w", err)
		}
		c.Verifier = artefact.Verifying(v)
	}
	switch c.Format {
	case codec.FormatUnknown:
		c.Format = codec.FormatCMS
	case codec.FormatCMS, codec.FormatJWS:
	default:
		return fmt.Errorf("pledge: vouchers in %v do not travel over HTTP; use %v or %v", c.Format, codec.FormatCMS, codec.FormatJWS)
	}
	if c.Assertions == nil {
		c.Assertions = []codec.Assertion{codec.AssertionVerified, codec.AssertionLogged, codec.AssertionProximity}
	}
	if strings.ContainsAny(c.Label, "/?#%") || slices.Contains([]string{".", "..", "cacerts", "csrattrs", "simpleenroll", "simplereenroll", "serverkeygen", "fullcmc"}, c.Label) {
		return fmt.Errorf("pledge: %q is no EST label (RFC 7030 §3.2.2)", c.Label)
	}
	return nil
}

// estPath is the path of an EST operation.
func estPath(label, operation string) string {
	if label == "" {
		return pathEST + operation
	}
	return pathEST + label + "/" + operation
}
