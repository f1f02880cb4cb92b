package masa

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// checkNonceless decides what is pinned, and for a request without nonce whether
// it is served at all and how long its voucher lasts (RFC 8995 §5.5.1). Nothing
// ties such a voucher to one attempt of the device, so it goes to known owners
// alone.
func (a *attempt) checkNonceless() error {
	a.nonceless = a.request.Leaves.Nonce == nil && a.request.Leaves.NonceText == nil
	if !a.nonceless {
		a.pin = a.farthest()
		if a.s.cfg.Pin == PinRegistrar {
			a.pin = a.who.path[0]
		}
		return a.checkPin()
	}
	if err := a.mayBeNonceless(); err != nil {
		return err
	}
	a.trail.Pass("nonceless", "customer %s may", a.owner)
	if a.pin = a.domainCA(); a.pin == nil {
		return a.trail.Refuse(decision.ChainInconsistent, "pin", "the path from %q to customer %s holds no CA to be pinned, which a voucher without nonce needs", a.request.Signer.Subject, a.owner)
	}
	if err := a.checkPin(); err != nil {
		return err
	}
	lifetime := a.member.MaxLifetime
	if lifetime == 0 {
		lifetime = a.s.cfg.NoncelessLifetime
	}
	a.expires = a.r.Now.Add(lifetime)
	if a.pin.NotAfter.Before(a.expires) {
		a.expires = a.pin.NotAfter
	}
	a.expires = a.expires.UTC().Truncate(time.Second)
	a.trail.Pass("expires-on", "%s", a.expires.Format(time.RFC3339))
	if err := a.findPreissued(); err != nil {
		return asUnavailable(err)
	}
	return nil
}

// farthest is the certificate of the signer's path that is farthest from it: for
// an owner, of those that the customer's anchor vouches for. Whoever gets hold of
// a request in CMS may add to its certificates, which no signature covers, one
// that says the domain's CA was issued by a CA of theirs.
func (a *attempt) farthest() *x509.Certificate {
	path := a.who.path
	if a.owner == "" {
		return path[len(path)-1]
	}
	for _, c := range slices.Backward(path) {
		if slices.ContainsFunc(a.member.path, func(m *x509.Certificate) bool { return spkiOf(m) == spkiOf(c) }) {
			return c
		}
	}
	return path[0]
}

func (a *attempt) mayBeNonceless() error {
	if len(a.authenticated()) == 0 {
		if len(a.who.customers) > 0 {
			return a.trail.Refuse(decision.NoncelessUnknown, "nonceless", "the signer is of customer %s, but the TLS client certificate is not the one configured for it", a.who.customers[0].Name)
		}
		return a.trail.Refuse(decision.NoncelessUnknown, "nonceless", "the signer %q leads to no customer's anchor; a request without nonce is for customers alone", a.request.Signer.Subject)
	}
	if a.owner == "" {
		kind := decision.NoncelessForbidden
		if a.device.policy.owner != "" {
			kind = decision.OwnedByOther
		}
		return a.trail.Refuse(kind, "nonceless", "%v: %s, and not customer %s, which asks", a.device.id, a.ownerText(), a.authenticated()[0].Name)
	}
	if !a.member.Nonceless {
		return a.trail.Refuse(decision.NoncelessForbidden, "nonceless", "customer %s is not allowed vouchers without nonce", a.owner)
	}
	return nil
}

// domainCA is the CA that a nonceless voucher pins: of the path to the
// customer's anchor the one farthest from the registrar that it sent itself,
// else the registrar's issuer; nil where there is none.
func (a *attempt) domainCA() *x509.Certificate {
	path := a.member.path
	for i := len(path) - 1; i > 0; i-- {
		if path[i].IsCA && slices.ContainsFunc(a.who.path, path[i].Equal) {
			return path[i]
		}
	}
	if len(path) > 1 && path[1].IsCA {
		return path[1]
	}
	return nil
}

// checkPin makes sure that the device will have the time to use what is pinned.
func (a *attempt) checkPin() error {
	until := a.r.Now.Add(a.s.cfg.PinLifetime)
	if a.pin.NotAfter.Before(until) {
		return a.trail.Refuse(decision.PinExpires, "pin", "%q, which would be pinned, expires at %s, and the device may need it until %s; renew it", a.pin.Subject, a.pin.NotAfter.Format(time.RFC3339), until.Format(time.RFC3339))
	}
	if n := len(audit.DomainID(a.pin)); n > audit.MaxDomainID {
		return a.trail.Refuse(decision.ChainInconsistent, "pin", "%q, which would be pinned, has a subject key identifier of %d octets, more than the %d that a domainID may have", a.pin.Subject, n, audit.MaxDomainID)
	}
	a.trail.Pass("pin", "%q", a.pin.Subject.CommonName)
	return nil
}
