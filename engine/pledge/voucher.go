package pledge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// oidCMCRA is id-kp-cmcRA (RFC 6402 §2.10): who has it is a registrar.
var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// oidMASAURL is id-pe-masa-url (RFC 8995 §2.3.2): what has it is an IDevID.
var oidMASAURL = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}

// Received is a voucher and what it is to be held against.
type Received struct {
	Body []byte
	// Nonce is what the device put into its request, nil if it made none.
	Nonce []byte
	// Peers is the certificate list of the TLS server, its own first, which has
	// proved that it holds the key of that.
	Peers []*x509.Certificate
	// Now is the time, if the device has a trusted clock; zero is Config.Clock's.
	Now time.Time
}

// An Imprint is a voucher that makes a registrar the device's.
type Imprint struct {
	Voucher *artefact.Voucher
	// Assertion is that of the voucher, AssertionLogged where it states none.
	Assertion codec.Assertion
	// Pinned is the pinned-domain-cert, nil where the voucher pins a key alone;
	// Key is the SHA-256 of the SubjectPublicKeyInfo pinned.
	Pinned *x509.Certificate
	Key    [sha256.Size]byte
	// Direct is true where the pin is the key of the registrar itself, false
	// where it is that of an authority above it.
	Direct bool
}

// Verify decides whether a voucher makes the TLS server this device's registrar
// (RFC 8995 §5.6.2), checking the maker's signature, the device, the nonce, the
// assertion, the dates and the pin, in this order. Each check goes into the
// trail, which may be nil. Members of the voucher that are not known are ignored.
// The error is a *decision.Refusal, or the context's cause. Verify is safe for
// concurrent use.
func (p *Pledge) Verify(ctx context.Context, r *Received, trail *decision.Trail) (*Imprint, error) {
	if r.Now.IsZero() {
		timed := *r
		timed.Now = p.cfg.Clock.Now()
		r = &timed
	}
	opener := artefact.Opener{Verifier: p.cfg.Verifier, Parsed: p.cfg.VoucherAnchors}
	v, err := opener.Voucher(ctx, p.cfg.Format, r.Body, artefact.Trust{Anchors: p.cfg.VoucherAnchors, At: r.Now, AnyTime: !p.cfg.ClockTrusted})
	if err != nil {
		if contextError(ctx) != nil {
			return nil, err
		}
		return nil, trail.Fail("voucher", decision.Of(err))
	}
	if p.isDevice(v.Signer) {
		return nil, trail.Refuse(decision.BadSignature, "voucher", "signed by %q, which by id-pe-masa-url is a device and no maker of vouchers", v.Signer.Subject)
	}
	trail.Pass("voucher", "%v of %d octets, signed by %q", v.Format, len(r.Body), v.Signer.Subject)
	m := &v.Leaves
	if err := p.checkDevice(m, trail); err != nil {
		return nil, err
	}
	if err := p.checkNonce(m, r.Nonce, trail); err != nil {
		return nil, err
	}
	assertion, err := p.checkAssertion(m, trail)
	if err != nil {
		return nil, err
	}
	if err := p.checkDates(m, r.Now, trail); err != nil {
		return nil, err
	}
	imprint := &Imprint{Voucher: v, Assertion: assertion}
	if err := p.checkPin(imprint, r, trail); err != nil {
		return nil, err
	}
	if err := p.checkRevocation(ctx, imprint, trail); err != nil {
		return nil, err
	}
	return imprint, nil
}

// isDevice reports whether the signer of a voucher is a device of the maker's.
// Where one authority issues both, the key out of any device would else make
// vouchers for all. An anchor is believed whatever it says.
func (p *Pledge) isDevice(signer *x509.Certificate) bool {
	return !slices.ContainsFunc(p.cfg.VoucherAnchors, signer.Equal) &&
		slices.ContainsFunc(signer.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidMASAURL) })
}

func (p *Pledge) checkDevice(v *codec.Voucher, trail *decision.Trail) error {
	if string(v.SerialNumber) != p.own.serial {
		return trail.Refuse(decision.SerialMismatch, "serial-number", "the voucher is for %.100q, this device is %q", v.SerialNumber, p.own.serial)
	}
	trail.Pass("serial-number", "%q", p.own.serial)
	if v.IDevIDIssuer == nil {
		return nil
	}
	if !artefact.IssuerMatches(v.IDevIDIssuer, p.own.facts, p.own.issuer) {
		return trail.Refuse(decision.IssuerMismatch, "idevid-issuer", "the voucher is for a device of another issuer: %x", v.IDevIDIssuer[:min(len(v.IDevIDIssuer), 80)])
	}
	trail.Pass("idevid-issuer", "")
	return nil
}

// checkNonce compares the text first, then the octets: peers were seen to write
// the same octets in another alphabet.
func (p *Pledge) checkNonce(v *codec.Voucher, sent []byte, trail *decision.Trail) error {
	switch {
	case v.Nonce == nil && p.cfg.RefuseNonceless:
		return trail.Refuse(decision.NoncelessForbidden, "nonce", "the voucher has no nonce, and this device takes no such voucher")
	case v.Nonce == nil && !v.ExpiresOn.IsZero() && !p.cfg.ClockTrusted && !p.cfg.IgnoreExpiry:
		return trail.Refuse(decision.NoncelessForbidden, "nonce", "the voucher has no nonce but an expiry, which a device without a trusted clock cannot judge")
	case v.Nonce == nil:
		trail.Pass("nonce", "none: a nonceless voucher")
		return nil
	case len(sent) == 0:
		return trail.Refuse(decision.NonceMismatch, "nonce", "the voucher has a nonce, and none was sent")
	case string(v.NonceText) != base64.StdEncoding.EncodeToString(sent) && !bytes.Equal(v.Nonce, sent):
		return trail.Refuse(decision.NonceMismatch, "nonce", "the voucher answers another request: nonce %x, sent was %x", v.Nonce, sent)
	}
	trail.Pass("nonce", "")
	return nil
}

func (p *Pledge) checkAssertion(v *codec.Voucher, trail *decision.Trail) (codec.Assertion, error) {
	assertion := v.Assertion
	if assertion == codec.AssertionUnset {
		assertion = codec.AssertionLogged // draft-ietf-anima-rfc8366bis lets it be absent; no less is meant
	}
	if !slices.Contains(p.cfg.Assertions, assertion) {
		return assertion, trail.Refuse(AssertionRefused, "assertion", "the voucher says %v, this device wants one of %v", assertion, p.cfg.Assertions)
	}
	trail.Pass("assertion", "%v", assertion)
	return assertion, nil
}

func (p *Pledge) checkDates(v *codec.Voucher, now time.Time, trail *decision.Trail) error {
	if !p.cfg.ClockTrusted {
		trail.Pass("dates", "not looked at: the clock is not trusted")
		return nil
	}
	switch {
	case v.CreatedOn.After(now.Add(clockSkew)):
		return trail.Refuse(VoucherUntimely, "dates", "the voucher was made on %s, which is in the future", v.CreatedOn.UTC().Format(time.RFC3339))
	case !v.ExpiresOn.IsZero() && !v.ExpiresOn.After(now.Add(-clockSkew)):
		return trail.Refuse(VoucherUntimely, "dates", "the voucher expired on %s", v.ExpiresOn.UTC().Format(time.RFC3339))
	}
	trail.Pass("dates", "")
	return nil
}

// checkPin holds the TLS server's certificates against what is pinned (RFC 8995
// §5.6.2). Of several pins the one counts that is of the kind the request named,
// a certificate; in a nonceless voucher, which answers no request, the first that
// is there (draft-ietf-anima-rfc8366bis).
func (p *Pledge) checkPin(i *Imprint, r *Received, trail *decision.Trail) error {
	if len(r.Peers) == 0 {
		return trail.Refuse(NotUnderPin, "pin", "the TLS server has no certificate")
	}
	v, server := &i.Voucher.Leaves, r.Peers[0]
	own := sha256.Sum256(server.RawSubjectPublicKeyInfo)
	key := v.PinnedDomainPubkSHA256
	if key == nil && v.PinnedDomainPubk != nil {
		sum := sha256.Sum256(v.PinnedDomainPubk)
		key = sum[:]
	}
	if v.PinnedDomainCert != nil && (v.Nonce != nil || key == nil) {
		pinned, err := parseCertificate(v.PinnedDomainCert, r.Peers...)
		if err != nil {
			return trail.Refuse(decision.BadPayload, "pin", "the pinned-domain-cert cannot be read: %w", err)
		}
		i.Pinned, i.Key = pinned, sha256.Sum256(pinned.RawSubjectPublicKeyInfo)
	} else if copy(i.Key[:], key) != len(i.Key) {
		return trail.Refuse(decision.BadPayload, "pin", "the pinned key's SHA-256 has %d octets", len(key))
	}
	i.Direct = own == i.Key
	switch {
	case i.Direct:
		return p.checkDirectPin(server, r.Now, trail)
	case i.Pinned == nil:
		return trail.Refuse(NotUnderPin, "pin", "the voucher pins the key %x, the TLS server %q has %x", i.Key, server.Subject, own)
	}
	return p.checkPinnedAuthority(i.Pinned, r, trail)
}

// checkDirectPin: the server's own key is pinned, so it needs no issuer.
func (p *Pledge) checkDirectPin(server *x509.Certificate, now time.Time, trail *decision.Trail) error {
	if p.cfg.ClockTrusted && (now.Before(server.NotBefore.Add(-clockSkew)) || now.After(server.NotAfter.Add(clockSkew))) {
		return trail.Refuse(NotUnderPin, "pin", "the registrar's certificate is valid from %s to %s, not now", server.NotBefore.Format(time.RFC3339), server.NotAfter.Format(time.RFC3339))
	}
	trail.Pass("pin", "the registrar itself: %q", server.Subject)
	return nil
}

// checkPinnedAuthority: the server needs a path to the pinned certificate, the
// only anchor, and must be a registrar. Without id-kp-cmcRA any device of the
// domain could play one with its LDevID.
func (p *Pledge) checkPinnedAuthority(pinned *x509.Certificate, r *Received, trail *decision.Trail) error {
	server := r.Peers[0]
	at := moment{r.Now, !p.cfg.ClockTrusted}
	if _, err := at.chain(server, []*x509.Certificate{pinned}, r.Peers[1:]); err != nil {
		return trail.Refuse(NotUnderPin, "pin", "the TLS server %q is not under the pinned certificate %q: %w", server.Subject, pinned.Subject, err)
	}
	trail.Pass("pin", "%q, under %q", server.Subject, pinned.Subject)
	if isRegistrar(server) {
		trail.Pass("registrar", "id-kp-cmcRA")
		return nil
	}
	if p.cfg.AllowPlainRegistrar {
		trail.Pass("registrar", "no id-kp-cmcRA, as this device's maker allows")
		return nil
	}
	return trail.Refuse(decision.NotRegistrar, "registrar", "the certificate of the TLS server %q lacks id-kp-cmcRA (RFC 8995 §5.5.4)", server.Subject)
}

// isRegistrar reports whether a certificate is one of a registrar.
func isRegistrar(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.UnknownExtKeyUsage, oidCMCRA.Equal)
}

// checkRevocation follows domain-cert-revocation-checks (RFC 8366 §5.3): true is
// a demand, false a prohibition, and absent leaves it to the device.
func (p *Pledge) checkRevocation(ctx context.Context, i *Imprint, trail *decision.Trail) error {
	if i.Voucher.Leaves.DomainCertRevocationChecks != codec.BoolOf(true) {
		return nil
	}
	if p.cfg.CheckRevocation == nil || i.Pinned == nil {
		return trail.Refuse(RevocationUnknown, "revocation", "the voucher demands a revocation check, which this device cannot make")
	}
	if err := p.cfg.CheckRevocation(ctx, i.Pinned); err != nil {
		return trail.Refuse(RevocationUnknown, "revocation", "the pinned certificate %q: %w", i.Pinned.Subject, err)
	}
	trail.Pass("revocation", "")
	return nil
}
