package masa

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A prior is what a registrar's request holds as prior-signed-voucher-request:
// the device's own request, or, to renew it, an old voucher of ours
// (draft-ietf-anima-rfc8366bis).
type prior struct {
	request  *artefact.Request
	identity *device.Identity // of request's signer
	voucher  *artefact.Voucher
}

// openPrior verifies what the request has inside. That nobody the device's
// manufacturer vouches for signed it is a reason to refuse, and so is everything
// that keeps it from being read: it is there, so somebody wants it believed.
func (a *attempt) openPrior(ctx context.Context) error {
	octets := a.request.Leaves.PriorSignedVoucherRequest
	if octets == nil {
		a.trail.Pass("prior-request", "absent")
		return nil
	}
	if a.prior == nil {
		p, err := a.s.readPrior(ctx, octets, a.r)
		if err != nil {
			var refusal *decision.Refusal
			if errors.As(err, &refusal) {
				return a.trail.Fail("prior-request", refusal)
			}
			return err
		}
		a.prior = p
	}
	if a.prior.voucher != nil {
		a.trail.Pass("prior-request", "an old voucher, to be renewed")
		return nil
	}
	a.trail.Pass("prior-request", "signed by the IDevID of %v, manufacturer %s", a.prior.identity.ID, a.prior.identity.Manufacturer.Name)
	return a.matchIdentity()
}

func (s *Service) readPrior(ctx context.Context, octets []byte, r *exchange.Request) (*prior, error) {
	if len(octets) > exchange.MaxPledgeRequest {
		return nil, decision.Refuse(decision.TooLarge, "prior-signed-voucher-request has %d octets, at most %d are read", len(octets), exchange.MaxPledgeRequest)
	}
	form, err := codec.Detect(octets)
	if err != nil || form.Bare || form.Wrapping != codec.WrapNone || form.Format != codec.FormatCMS && form.Format != codec.FormatJWS {
		return nil, decision.Refuse(decision.PriorSignature, "prior-signed-voucher-request is neither CMS nor JWS")
	}
	opener := s.opener
	opener.Known = nil // devices ask once
	request, err := opener.Request(ctx, form.Format, octets)
	if err == nil {
		return s.identifyPrior(request, r)
	}
	var top *codec.TopLevelError
	if errors.As(err, &top) {
		// Signed content that is no request: it may be a voucher.
		if voucher, refused := s.opener.Voucher(ctx, form.Format, octets, artefact.Trust{Anchors: s.cfg.VoucherAnchors, At: r.Now}); refused == nil {
			return &prior{voucher: voucher}, nil
		} else if !decision.Is(refused, decision.BadPayload) {
			err = refused
		}
	}
	return nil, asPriorSignature(err)
}

func (s *Service) identifyPrior(request *artefact.Request, r *exchange.Request) (*prior, error) {
	chain := []*x509.Certificate{request.Signer}
	for _, c := range request.Certificates {
		if !c.Equal(request.Signer) {
			chain = append(chain, c)
		}
	}
	identity, err := device.Identify(chain, s.cfg.Manufacturers, r.Now)
	if err != nil {
		return nil, asPriorSignature(err)
	}
	return &prior{request: request, identity: identity}, nil
}

// asPriorSignature makes a refusal one of the request inside. Errors that are no
// decisions stay what they are.
func asPriorSignature(err error) error {
	var refusal *decision.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	return decision.Refuse(decision.PriorSignature, "prior-signed-voucher-request: %w", err)
}

// matchIdentity compares the registrar's words about the device with the
// device's certificate and its own words.
func (a *attempt) matchIdentity() error {
	q, p := &a.request.Leaves, a.prior
	if own := p.identity.ID.Serial; string(q.SerialNumber) != own {
		return a.trail.Refuse(decision.PriorMismatch, "serial-number", "the request is for %q, the one inside it is signed by %q", q.SerialNumber, own)
	}
	if stated := p.request.Leaves.SerialNumber; string(stated) != p.identity.ID.Serial {
		return a.trail.Refuse(decision.PriorMismatch, "serial-number", "the pledge states serial-number %q, its certificate says %q", stated, p.identity.ID.Serial)
	}
	a.trail.Pass("serial-number", "%q", q.SerialNumber)
	if q.IDevIDIssuer == nil {
		return nil
	}
	if !artefact.IssuerMatches(q.IDevIDIssuer, p.identity.Facts, issuerOf(p.identity)) {
		return a.trail.Refuse(decision.IssuerMismatch, "idevid-issuer", "the request states idevid-issuer %x, the pledge's certificate has %x", q.IDevIDIssuer, p.identity.Issuer)
	}
	a.trail.Pass("idevid-issuer", "")
	return nil
}

// issuerOf returns the certificate that issued an IDevID.
func issuerOf(identity *device.Identity) *x509.Certificate {
	return identity.Chain[min(1, len(identity.Chain)-1)]
}

// checkPrior compares the device's own request with the registrar's: nonce and
// proximity (RFC 8995 §5.5.5), or an old voucher with who asks for a new one.
func (a *attempt) checkPrior() error {
	a.assertion = codec.AssertionLogged
	switch {
	case a.prior == nil:
		return nil
	case a.prior.voucher != nil:
		return a.checkRenewal()
	}
	seen, ok := proximityOf(&a.prior.request.Leaves, a.request.Certificates)
	reason := "the pledge's request has no proximity-registrar-cert"
	if ok {
		if a.who.onPath(seen) {
			a.assertion = codec.AssertionProximity
			a.trail.Pass("proximity", "the pledge saw a registrar of the signer's path")
			return nil
		}
		if slices.Contains(a.who.siblings, seen) {
			a.assertion = codec.AssertionProximity
			a.trail.Pass("proximity", "the pledge saw another registrar of the signer's issuer")
			return nil
		}
		reason = "the registrar the pledge saw has a key that none of the signer's path has, nor a further registrar certificate of the same issuer in the request"
	}
	if a.device.policy.LoggedOnMismatch {
		a.trail.Pass("proximity", "not shown, and this device may do without: %s", reason)
		return nil
	}
	return a.trail.Refuse(decision.ProximityNotInPath, "proximity", "%s; the registrar must sign with the key of its TLS certificate, or send that certificate along (RFC 8995 §5.5.5)", reason)
}

// proximityOf returns the SPKI of the registrar that a pledge says it spoke to,
// of several leaves the first in the order of draft-ietf-anima-rfc8366bis. The
// certificate is likely to be one of those that the registrar sent.
func proximityOf(q *codec.VoucherRequest, sent []*x509.Certificate) (key spki, ok bool) {
	switch {
	case len(q.ProximityRegistrarPubkSHA256) == sha256.Size:
		return spki(q.ProximityRegistrarPubkSHA256), true
	case len(q.ProximityRegistrarPubk) > 0:
		return sha256.Sum256(q.ProximityRegistrarPubk), true
	case len(q.ProximityRegistrarCert) > 0:
		for _, c := range sent {
			if bytes.Equal(c.Raw, q.ProximityRegistrarCert) {
				return spkiOf(c), true
			}
		}
		c, err := x509.ParseCertificate(q.ProximityRegistrarCert)
		if err != nil {
			return spki{}, false
		}
		return spkiOf(c), true
	}
	return spki{}, false
}

// checkRenewal holds an old voucher against the request that wants a new one:
// the same device and the same domain.
func (a *attempt) checkRenewal() error {
	old := &a.prior.voucher.Leaves
	if !bytes.Equal(old.SerialNumber, a.request.Leaves.SerialNumber) {
		return a.trail.Refuse(decision.PriorMismatch, "renewal", "the old voucher is for %q, the request for %q", old.SerialNumber, a.request.Leaves.SerialNumber)
	}
	if keyID, err := codec.IssuerKeyID(old.IDevIDIssuer); old.IDevIDIssuer != nil && (err != nil || !a.device.isOf(keyID)) {
		return a.trail.Refuse(decision.PriorMismatch, "renewal", "the old voucher is for a device of another issuer, idevid-issuer %x", old.IDevIDIssuer)
	}
	if pinned, ok := pinnedKey(old); !ok || !a.who.onPath(pinned) {
		return a.trail.Refuse(decision.ProximityNotInPath, "renewal", "the old voucher pins a certificate that is not on the path of who wants it renewed")
	}
	a.trail.Pass("renewal", "of a voucher made at %s", old.CreatedOn)
	return nil
}

// pinnedKey returns the SPKI that a voucher pins.
func pinnedKey(v *codec.Voucher) (key spki, ok bool) {
	switch {
	case len(v.PinnedDomainPubkSHA256) == sha256.Size:
		return spki(v.PinnedDomainPubkSHA256), true
	case len(v.PinnedDomainPubk) > 0:
		return sha256.Sum256(v.PinnedDomainPubk), true
	case len(v.PinnedDomainCert) > 0:
		c, err := x509.ParseCertificate(v.PinnedDomainCert)
		if err != nil {
			return spki{}, false
		}
		return spkiOf(c), true
	}
	return spki{}, false
}

// checkNonce compares the nonces as texts: a registrar copies the pledge's.
func (a *attempt) checkNonce() error {
	own := a.request.Leaves.NonceText
	if own == nil {
		own = a.request.Leaves.Nonce
	}
	switch {
	case a.prior == nil || a.prior.request == nil:
		if own == nil {
			a.trail.Pass("nonce", "absent")
			return nil
		}
		if a.s.cfg.RequirePrior {
			return a.trail.Refuse(decision.PriorSignature, "nonce", "a request with a nonce must hold the pledge's own as prior-signed-voucher-request")
		}
	default:
		theirs := a.prior.request.Leaves.NonceText
		switch {
		case (own == nil) != (theirs == nil):
			return a.trail.Refuse(decision.NonceMismatch, "nonce", "only one of the registrar's and the pledge's request has a nonce")
		case !bytes.Equal(own, theirs):
			return a.trail.Refuse(decision.NonceMismatch, "nonce", "the registrar's request has nonce %q, the pledge's %q; it must be copied as text", own, theirs)
		case own == nil:
			a.trail.Pass("nonce", "absent")
			return nil
		}
	}
	a.trail.Pass("nonce", "%q", own)
	return nil
}
