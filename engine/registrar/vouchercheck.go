package registrar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// checkVoucher holds a voucher against what was asked, before it is passed on:
// that a manufacturer's service answers wrongly is noticed here, by somebody who
// can tell an operator. It returns the certificate of this registrar that the
// voucher pins.
func (s *Service) checkVoucher(ctx context.Context, a *attempt, m *masa, p *pledgeRequest, format codec.Format, body []byte) (*artefact.Voucher, *x509.Certificate, error) {
	anchors := m.maker.VoucherTrust
	v, err := s.opener.Voucher(ctx, format, body, artefact.Trust{Anchors: anchors, At: a.r.Now, Enclosed: len(anchors) == 0})
	if err != nil {
		kind := decision.MASAFailed
		switch refusal := decision.Of(stored(err)); refusal.Kind {
		case decision.BadSignature:
			kind = decision.VoucherMismatch
		case decision.Overloaded:
			return nil, nil, a.trail.Fail("voucher-signature", refusal)
		}
		return nil, nil, a.trail.Refuse(kind, "voucher-signature", "the MASA at %s: %w", m.origin, err)
	}
	if len(anchors) == 0 {
		a.trail.Pass("voucher-signature", "by %q, whose certificate is in the voucher; nothing here says whether it is the manufacturer's", v.Signer.Subject)
		s.observe(Event{Level: Warning, Name: "voucher-trust-missing", Request: a.r.ID, Device: a.who.ID.String(),
			Text: "manufacturer " + m.maker.Name + " has no voucher-trust: the voucher's signer \"" + v.Signer.Subject.String() + "\" was believed; add the anchor with registrar manufacturers add --voucher-trust"})
	} else {
		a.trail.Pass("voucher-signature", "by %q", v.Signer.Subject)
	}
	if err := checkVoucherLeaves(a, p, &v.Leaves); err != nil {
		return nil, nil, err
	}
	pinned := s.cfg.pinned(&v.Leaves)
	if pinned == nil {
		return nil, nil, a.trail.Refuse(decision.VoucherMismatch, "voucher-pin", "the MASA at %s answered with a voucher that pins nothing on this registrar's path, or something else as well", m.origin)
	}
	a.trail.Pass("voucher-pin", "%q", pinned.Subject)
	return v, pinned, nil
}

func checkVoucherLeaves(a *attempt, p *pledgeRequest, v *codec.Voucher) error {
	refuse := func(name, format string, args ...any) error {
		return a.trail.Refuse(decision.VoucherMismatch, name, format, args...)
	}
	if string(v.SerialNumber) != a.who.ID.Serial {
		return refuse("voucher-serial-number", "the voucher is for %.100q, asked for was %q", v.SerialNumber, a.who.ID.Serial)
	}
	a.trail.Pass("voucher-serial-number", "%q", v.SerialNumber)
	if !sameNonce(v, p) {
		return refuse("voucher-nonce", "the nonce of the voucher is %.100q, that of the request %.100q", v.NonceText, p.nonceText)
	}
	a.trail.Pass("voucher-nonce", "")
	if v.IDevIDIssuer != nil {
		var issuer *x509.Certificate
		if len(a.who.Chain) > 1 {
			issuer = a.who.Chain[1]
		}
		if !artefact.IssuerMatches(v.IDevIDIssuer, a.who.Facts, issuer) {
			return refuse("voucher-idevid-issuer", "the idevid-issuer of the voucher, %x, is not that of the IDevID", clip(string(v.IDevIDIssuer), 64))
		}
		a.trail.Pass("voucher-idevid-issuer", "")
	}
	if !v.ExpiresOn.IsZero() && !a.r.Now.Before(v.ExpiresOn.Add(maxSkew)) {
		return refuse("voucher-expires-on", "the voucher expired at %s", v.ExpiresOn.UTC().Format(time.RFC3339))
	}
	return nil
}

// sameNonce compares nonces as text and, where that differs, as octets: some
// peers decode and encode again.
func sameNonce(v *codec.Voucher, p *pledgeRequest) bool {
	if v.Nonce == nil {
		return false
	}
	return bytes.Equal(v.NonceText, p.nonceText) || bytes.Equal(v.Nonce, p.nonce)
}

// pinned is the certificate on this registrar's own path that a voucher pins,
// nil when it pins none, or something else as well: which of several pins a
// pledge goes by is its choice.
func (c *Config) pinned(v *codec.Voucher) (pinned *x509.Certificate) {
	for _, pin := range []struct {
		value []byte
		of    func(*x509.Certificate) []byte
	}{
		{v.PinnedDomainCert, func(cert *x509.Certificate) []byte { return cert.Raw }},
		{v.PinnedDomainPubk, func(cert *x509.Certificate) []byte { return cert.RawSubjectPublicKeyInfo }},
		{v.PinnedDomainPubkSHA256, func(cert *x509.Certificate) []byte {
			sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
			return sum[:]
		}},
	} {
		if pin.value == nil {
			continue
		}
		i := slices.IndexFunc(c.Chain, func(cert *x509.Certificate) bool { return bytes.Equal(pin.value, pin.of(cert)) })
		if i < 0 {
			return nil
		}
		if pinned == nil {
			pinned = c.Chain[i]
		}
	}
	return pinned
}
