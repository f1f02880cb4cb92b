package masa

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/sign"
)

// oidCMCRA is id-kp-cmcRA, which makes a certificate a registrar's (RFC 8995
// §5.5.4, RFC 6402 §2.10).
var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

func isRegistrar(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.UnknownExtKeyUsage, oidCMCRA.Equal)
}

type spki = [sha256.Size]byte

func spkiOf(c *x509.Certificate) spki { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// A requester is who signed a request, as far as certificates tell. It is
// shared between requests and does not change.
type requester struct {
	// path leads from the signer to the certificate farthest from it; keys are
	// the SPKIs of its certificates, in order.
	path []*x509.Certificate
	keys []spki
	// text says of the path what a trail shows.
	text string
	// siblings are the SPKIs of further registrars in the envelope that have the
	// signer's issuer: a registrar may sign requests with another key than that
	// of its TLS certificate.
	siblings []spki
	// generation is the directory's of which customers are those the signer
	// leads to.
	generation uint64
	customers  []membership
	// from and until bound the time at which all of it holds, and nothing more.
	from, until time.Time
	octets      int // of the certificates it keeps
}

// A membership is the path from a signer to an anchor of a customer.
type membership struct {
	*customer
	path []*x509.Certificate
}

func (q *requester) onPath(key spki) bool { return slices.Contains(q.keys, key) }

// onPathKey is onPath for a stored key.
func (q *requester) onPathKey(key []byte) bool { return len(key) == len(spki{}) && q.onPath(spki(key)) }

// newRequester builds the path of a request's signer and finds out whose it is.
func newRequester(envelope *artefact.Envelope, dir *directory, now time.Time) (*requester, error) {
	path, err := artefact.Path(envelope.Signer, envelope.Certificates, now)
	if err != nil {
		return nil, expiredAbove(envelope.Signer, err)
	}
	q := &requester{path: path, generation: dir.generation, from: path[0].NotBefore, until: path[0].NotAfter}
	q.text = fmt.Sprintf("%d certificates, from %q to %q", len(path), path[0].Subject, path[len(path)-1].Subject)
	for _, c := range path {
		q.keys = append(q.keys, spkiOf(c))
		q.bound(c)
	}
	for _, c := range envelope.Certificates {
		q.await(c, now)
		if len(path) > 1 && isRegistrar(c) && !c.IsCA && !slices.ContainsFunc(path, c.Equal) && issuedBy(c, path[1], now) {
			q.siblings = append(q.siblings, spkiOf(c))
			q.bound(c)
		}
	}
	for _, m := range dir.candidates(envelope.Certificates) {
		for _, anchor := range m.Anchors {
			q.await(anchor, now)
		}
		chain, err := sign.VerifyChain(envelope.Signer, sign.ChainOptions{Roots: m.Anchors, Intermediates: envelope.Certificates, At: now})
		if err != nil {
			continue
		}
		q.customers = append(q.customers, membership{m, chain})
		for _, c := range chain {
			q.bound(c)
		}
	}
	return q, nil
}

// await ends the time at which q holds before c, which is not valid yet, may
// add to it.
func (q *requester) await(c *x509.Certificate, now time.Time) {
	if c.NotBefore.After(now) && !c.NotBefore.After(q.until) {
		q.until = c.NotBefore.Add(-1)
	}
}

// bound narrows the time at which q holds to that of c, which it keeps.
func (q *requester) bound(c *x509.Certificate) {
	q.octets += len(c.Raw)
	if c.NotBefore.After(q.from) {
		q.from = c.NotBefore
	}
	if c.NotAfter.Before(q.until) {
		q.until = c.NotAfter
	}
}

func issuedBy(c, issuer *x509.Certificate, now time.Time) bool {
	_, err := sign.VerifyChain(c, sign.ChainOptions{Roots: []*x509.Certificate{issuer}, At: now})
	return err == nil
}

// expiredAbove tells a path that ended because what could be pinned has expired
// from one that never held.
func expiredAbove(signer *x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && !invalid.Cert.Equal(signer) {
		return decision.Refuse(decision.PinExpires, "%q, which could be pinned, is not valid now: %w", invalid.Cert.Subject, err)
	}
	return err
}

// maxRequester is how many octets the certificates of a requester have that is
// remembered: strangers may send longer ones.
const maxRequester = 32 << 10

// revocationAge is how long it is believed that a path is not revoked.
const revocationAge = 10 * time.Minute

// holds reports whether what was found out once may be used again.
func (q *requester) holds(generation uint64, now time.Time) bool {
	return q.generation == generation && !now.Before(q.from) && !now.After(q.until)
}

// checkRevocation looks at the path out of the envelope and at those to customers'
// anchors: who leaves its CA out of the envelope has not left the customer.
func (q *requester) checkRevocation(ctx context.Context, known Revocation, now time.Time) error {
	paths := [][]*x509.Certificate{q.path}
	for _, m := range q.customers {
		same := func(p []*x509.Certificate) bool { return slices.EqualFunc(p, m.path, (*x509.Certificate).Equal) }
		if !slices.ContainsFunc(paths, same) {
			paths = append(paths, m.path)
		}
	}
	for _, path := range paths {
		if err := known.Check(ctx, path, now); err != nil {
			return err
		}
	}
	return nil
}

// certificatesKey names the certificates of an envelope in their order, the
// signer's first.
func certificatesKey(e *artefact.Envelope) (key [sha256.Size]byte) {
	h := sha256.New()
	h.Write(e.Signer.Raw)
	for _, c := range e.Certificates {
		h.Write(c.Raw) // DER says where it ends
	}
	h.Sum(key[:0])
	return key
}

// identify finds out who signed the request.
func (a *attempt) identify(ctx context.Context) error {
	key := certificatesKey(&a.request.Envelope)
	if q, known := a.s.requesters.get(key); known && q.holds(a.dir.generation, a.r.Now) {
		a.who = q
	} else {
		q, err := newRequester(&a.request.Envelope, a.dir, a.r.Now)
		if err != nil {
			return a.trail.Fail("chain", decision.Of(err))
		}
		if a.s.cfg.Revocation != nil {
			if err := q.checkRevocation(ctx, a.s.cfg.Revocation, a.r.Now); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return a.trail.Refuse(decision.ChainInconsistent, "revocation", "the path of %q: %w", q.path[0].Subject, err)
			}
			if again := a.r.Now.Add(revocationAge); again.Before(q.until) {
				q.until = again
			}
		}
		a.who = q
		if isRegistrar(q.path[0]) && q.octets <= maxRequester { // nobody else is worth remembering
			a.s.requesters.put(key, q)
		}
	}
	a.trail.Pass("chain", "%s", a.who.text)
	a.observed.Customers = nil
	for _, m := range a.who.customers {
		a.observed.Customers = append(a.observed.Customers, m.Name)
	}
	if !isRegistrar(a.request.Signer) {
		return a.trail.Refuse(decision.NotRegistrar, "cmc-ra", "the signer %q has no id-kp-cmcRA among its extended key usages; issue the registrar's certificate with it (RFC 8995 §5.5.4)", a.request.Signer.Subject)
	}
	a.trail.Pass("cmc-ra", "")
	return nil
}

// authenticated returns the requester's customers, those left out that want a
// TLS client certificate this connection does not have.
func (a *attempt) authenticated() []membership {
	var known []membership
	for _, m := range a.who.customers {
		if m.connected(a.r) {
			known = append(known, m)
		}
	}
	return known
}

// connected reports whether the TLS client is one of the customer's. Its
// certificate is one of those configured, or was issued by one of them.
func (c *customer) connected(r *exchange.Request) bool {
	if len(c.ClientCerts) == 0 {
		return true
	}
	if len(r.Peer) == 0 {
		return false
	}
	if slices.ContainsFunc(c.ClientCerts, r.Peer[0].Equal) {
		return !r.Now.Before(r.Peer[0].NotBefore) && !r.Now.After(r.Peer[0].NotAfter)
	}
	_, err := sign.VerifyChain(r.Peer[0], sign.ChainOptions{Roots: c.ClientCerts, Intermediates: r.Peer[1:min(len(r.Peer), sign.MaxChain)], At: r.Now})
	return err == nil
}
