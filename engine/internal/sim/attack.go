package sim

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// A capture is a pledge's voucher-request that an attacker has seen.
type capture struct {
	device *thing
	format codec.Format
	body   []byte
}

// attack makes one attack, of a kind chosen by the seed. Attackers can do what a
// thief of LDevIDs, a stranger with an authority of his own and somebody in the
// middle of every connection can.
func (w *World) attack() error {
	w.count.Attacks++
	kinds := []func() error{w.manInTheMiddle, w.deviceAsRegistrar, w.deviceAsksForVoucher, w.enrolWithoutVoucher,
		w.enrolAnother, w.strangerNonceless, w.replayAsAnother, w.foreignAuthority, w.deviceSignsForMASA}
	return kinds[w.rand.IntN(len(kinds))]()
}

// refusedBy holds that a server refuses a request.
func (w *World) refusedBy(s server, what string, c *request) {
	answer := s.answer(c)
	if !answer.died && answer.status/100 == 2 {
		w.violate("%s was answered %d", what, answer.status)
	}
}

// An impostor is a TLS server under a certificate it holds the key of, which
// answers a voucher-request with whatever it has.
type impostor struct {
	w       *World
	chain   []*x509.Certificate
	voucher func(c *request) []byte
}

func (i *impostor) peer() []*x509.Certificate { return i.chain }

func (i *impostor) answer(c *request) reply {
	if !strings.HasSuffix(c.path, "/requestvoucher") {
		return reply{status: 200, contentType: exchange.TypeJSON}
	}
	if d := i.w.bySerial(c.peer[0].Subject.SerialNumber); d != nil {
		i.w.captive = append(i.w.captive, capture{d, d.format, slices.Clone(c.body)})
	}
	body := i.voucher(c)
	if body == nil {
		return reply{status: 403, contentType: "text/plain"}
	}
	return reply{status: 200, contentType: c.contentType, body: body}
}

// impersonator is the certificate of an attacker with an authority of his own, which
// says that he is a registrar.
func (w *World) impersonator() ([]*x509.Certificate, crypto.Signer, error) {
	root, err := newRoot("Domain CA 0", keyImpersonatorCA) // the name of an honest one
	if err != nil {
		return nil, nil, err
	}
	key, err := keyNumber(keyImpersonator)
	if err != nil {
		return nil, nil, err
	}
	cert, err := root.Registrar(ca.EntityParams{CommonName: "registrar-0.example", PublicKey: key.Public(), NotBefore: epoch.AddDate(0, -1, 0),
		NotAfter: epoch.AddDate(1, 0, 0), Names: ca.ServerNames{DNS: []string{"registrar-0.example"}}})
	if err != nil {
		return nil, nil, err
	}
	return []*x509.Certificate{cert, root.Certificate()}, key, nil
}

// lure lets a device that has not joined try one registrar alone, and holds
// that no voucher makes it this device's.
func (w *World) lure(d *thing, s server, what string) error {
	const origin = "https://impostor.example"
	w.origins[origin] = s
	defer delete(w.origins, origin)
	cfg := d.config()
	cfg.Once, cfg.Storage = true, newVolatile()
	cfg.Observe = func(a *pledge.Attempt) {
		// A device asks for CA certificates once it believes a registrar.
		if slices.ContainsFunc(a.Checks, func(c decision.Check) bool { return c.Name == "cacerts" }) {
			w.violate("%s was imprinted by %s", d.serial, what)
		}
	}
	p, err := pledge.New(cfg)
	if err != nil {
		return err
	}
	if joined, err := p.Join(w.ctx, origin); err == nil {
		w.violate("%s joined %s by %s", d.serial, joined.Registrar, what)
	}
	return nil
}

// newVolatile is storage that nobody keeps.
func newVolatile() pledge.Storage {
	return calmly{&thing{files: map[string][]byte{}}}
}

// anyDevice is one that may be anywhere in its life.
func (w *World) anyDevice() *thing { return w.devices[w.rand.IntN(len(w.devices))] }

// member is a device that has joined, nil if there is none yet.
func (w *World) member() *thing {
	begin := w.rand.IntN(len(w.devices))
	for i := range w.devices {
		if d := w.devices[(begin+i)%len(w.devices)]; d.joined != nil && d.home != nil {
			return d
		}
	}
	return nil
}

// manInTheMiddle shows a certificate of his own, passes the request on to the
// honest registrar as somebody the registrar knows, and what it answers back.
// What he cannot pass on he answers with a voucher made for somebody else.
func (w *World) manInTheMiddle() error {
	chain, _, err := w.impersonator()
	if err != nil {
		return err
	}
	victim, ally := w.anyDevice(), w.anyDevice()
	if victim == ally {
		return nil
	}
	honest := w.sites[w.rand.IntN(len(w.sites))]
	return w.lure(victim, &impostor{w, chain, func(c *request) []byte {
		forward := *c
		forward.peer = ally.identity.Chain
		if answer := honest.answer(&forward); answer.status == 200 {
			w.violate("%s has a voucher for a request that %s passed on", victim.serial, ally.serial)
			return answer.body
		}
		for _, serial := range slices.Sorted(maps.Keys(w.stolen)) {
			return w.stolen[serial]
		}
		return nil
	}}, "a man in the middle")
}

// deviceAsRegistrar shows a device's certificate of a domain as TLS server, with
// a stolen nonceless voucher that pins this very domain.
func (w *World) deviceAsRegistrar() error {
	thief, victim := w.member(), w.anyDevice()
	if thief == nil || thief.home != w.sites[0] || !victim.exclusive {
		return nil
	}
	voucher, err := w.noncelessVoucher(victim)
	if err != nil || voucher == nil {
		return err
	}
	chain := append(slices.Clone(thief.joined.LDevID.Chain), thief.home.domain.Certificate())
	return w.lure(victim, &impostor{w, chain, func(*request) []byte { return voucher }}, "a device that plays registrar")
}

// noncelessVoucher is what the owner of an exclusive device gets ahead of time,
// and a thief steals.
func (w *World) noncelessVoucher(victim *thing) ([]byte, error) {
	if v := w.stolen[victim.serial]; v != nil {
		return v, nil
	}
	s := w.sites[0]
	body, err := w.registrarRequest(s.chain, s.cfg.Signer, victim, nil, codec.FormatCMS)
	if err != nil {
		return nil, err
	}
	answer := w.masa.answer(&request{peer: s.chain, path: "/.well-known/brski/requestvoucher", contentType: codec.FormatCMS.MediaType(), body: body})
	if answer.died || answer.status != 200 {
		if !answer.died && w.calm {
			w.violate("the owner of %s gets no nonceless voucher: %d %s", victim.serial, answer.status, answer.body)
		}
		return nil, nil
	}
	w.stolen[victim.serial] = answer.body
	return answer.body, nil
}

// registrarRequest is a registrar's voucher-request, nonceless where prior is nil.
func (w *World) registrarRequest(chain []*x509.Certificate, signer artefact.Signer, d *thing, prior *capture, format codec.Format) ([]byte, error) {
	sealer, err := artefact.NewSealer(artefact.SealerParams{Format: format, Signer: signer, Chain: chain})
	if err != nil {
		return nil, err
	}
	facts, err := codec.ParseIDevID(d.identity.Chain[0].Raw)
	if err != nil {
		return nil, err
	}
	r := &codec.VoucherRequest{Voucher: codec.Voucher{CreatedOn: w.now.UTC().Truncate(time.Second), SerialNumber: []byte(d.serial), IDevIDIssuer: facts.Issuer()}}
	if prior != nil {
		opened, err := (&artefact.Opener{Verifier: verifier()}).Request(w.ctx, prior.format, prior.body)
		if err != nil {
			return nil, err
		}
		r.Nonce, r.NonceText, r.Assertion = opened.Leaves.Nonce, opened.Leaves.NonceText, codec.AssertionProximity
		r.PriorSignedVoucherRequest = prior.body
	}
	return sealer.Request(w.ctx, r)
}

// deviceAsksForVoucher uses a domain certificate where an IDevID belongs.
func (w *World) deviceAsksForVoucher() error {
	d := w.member()
	if d == nil || len(w.captive) == 0 {
		return nil
	}
	seen := w.captive[w.rand.IntN(len(w.captive))]
	w.refusedBy(d.home, "a voucher-request under a domain certificate",
		&request{peer: d.joined.LDevID.Chain, path: "/.well-known/brski/requestvoucher", contentType: seen.format.MediaType(), body: seen.body})
	return nil
}

// foreignCSR is a certification request for a device's name, by the attacker's key.
func (w *World) foreignCSR(d *thing) ([]byte, error) {
	key, err := keyNumber(keyImpersonator)
	if err != nil {
		return nil, err
	}
	subject := d.identity.Chain[0].RawSubject
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	info, err := est.AppendCSRInfo(nil, est.CSRParams{Subject: subject, PublicKey: spki})
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(info)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	request, err := est.AppendCSR(nil, info, sign.ES256.SignatureOID, signature)
	if err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(request)), nil
}

// enrolWithoutVoucher asks a registrar that gave no voucher for a certificate.
func (w *World) enrolWithoutVoucher() error {
	d, s := w.anyDevice(), w.sites[w.rand.IntN(len(w.sites))]
	if s.given[sha256.Sum256(d.identity.Chain[0].RawSubjectPublicKeyInfo)] {
		return nil
	}
	body, err := w.foreignCSR(d)
	if err != nil {
		return err
	}
	w.refusedBy(s, "an enrolment without a voucher", &request{peer: d.identity.Chain, path: "/.well-known/est/simpleenroll", contentType: exchange.TypePKCS10, body: body})
	return nil
}

// enrolAnother asks, with a certificate of one device, for one of another's name.
func (w *World) enrolAnother() error {
	d, other := w.member(), w.anyDevice()
	if d == nil || d == other {
		return nil
	}
	body, err := w.foreignCSR(other)
	if err != nil {
		return err
	}
	w.refusedBy(d.home, "an enrolment under another's name", &request{peer: d.identity.Chain, path: "/.well-known/est/simpleenroll", contentType: exchange.TypePKCS10, body: body})
	w.refusedBy(d.home, "a renewal under another's name", &request{peer: d.joined.LDevID.Chain, path: "/.well-known/est/simplereenroll", contentType: exchange.TypePKCS10, body: body})
	return nil
}

// strangerNonceless asks the MASA for a voucher that needs no device.
func (w *World) strangerNonceless() error {
	chain, key, err := w.impersonator()
	if err != nil {
		return err
	}
	signer, err := signerOf(key)
	if err != nil {
		return err
	}
	// With the honest authority beside his own certificates, in both orders.
	honest := w.sites[0].domain.Certificate()
	for _, envelope := range [][]*x509.Certificate{chain, append(slices.Clone(chain), honest)} {
		body, err := w.registrarRequest(envelope, signer, w.anyDevice(), nil, codec.FormatCMS)
		if err != nil {
			return err
		}
		w.refusedBy(w.masa, "a stranger's request without nonce", &request{peer: chain, path: "/.well-known/brski/requestvoucher", contentType: codec.FormatCMS.MediaType(), body: body})
	}
	return nil
}

// replayAsAnother sends a request seen before over a connection of another device.
func (w *World) replayAsAnother() error {
	if len(w.captive) == 0 {
		return nil
	}
	seen, other := w.captive[w.rand.IntN(len(w.captive))], w.anyDevice()
	if seen.device == other {
		return nil
	}
	for _, s := range w.sites {
		w.refusedBy(s, "a request of another device", &request{peer: other.identity.Chain, path: "/.well-known/brski/requestvoucher", contentType: seen.format.MediaType(), body: seen.body})
	}
	return nil
}

// foreignAuthority asks for a voucher that pins an honest domain's authority: the
// attacker's own request, with the honest certificates beside his own, and a
// pledge's request that was made for somebody else.
func (w *World) foreignAuthority() error {
	if len(w.captive) == 0 {
		return nil
	}
	seen := w.captive[w.rand.IntN(len(w.captive))]
	chain, key, err := w.impersonator()
	if err != nil {
		return err
	}
	signer, err := signerOf(key)
	if err != nil {
		return err
	}
	honest := w.sites[0]
	envelope := append(slices.Clone(chain), honest.chain...)
	body, err := w.registrarRequest(envelope, signer, seen.device, &seen, seen.format)
	if err != nil {
		return err
	}
	answer := w.masa.answer(&request{peer: chain, path: "/.well-known/brski/requestvoucher", contentType: seen.format.MediaType(), body: body})
	if !seen.device.exclusive && (answer.died || answer.status == 200) {
		seen.device.tainted = true
	}
	if answer.died || answer.status != 200 {
		return nil
	}
	v, err := (&artefact.Opener{Verifier: verifier()}).Voucher(w.ctx, seen.format, answer.body, artefact.Trust{Anchors: []*x509.Certificate{w.masa.vouchers.Certificate()}, At: w.now})
	if err != nil {
		return fmt.Errorf("a voucher of the MASA: %w", err)
	}
	if !slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return slices.Equal(c.Raw, v.Leaves.PinnedDomainCert) }) {
		w.violate("a voucher pins a certificate that merely lay in the envelope")
	}
	if seen.device.exclusive {
		w.violate("%s: an attacker has a voucher for an exclusive device", seen.device.serial)
	}
	return nil
}

// deviceSignsForMASA asks the MASA with a domain certificate, which is no
// registrar's.
func (w *World) deviceSignsForMASA() error {
	d := w.member()
	if d == nil {
		return nil
	}
	signer, err := signerOf(d.joined.LDevID.Key)
	if err != nil {
		return err
	}
	body, err := w.registrarRequest(append(slices.Clone(d.joined.LDevID.Chain), d.home.domain.Certificate()), signer, w.anyDevice(), nil, codec.FormatCMS)
	if err != nil {
		return err
	}
	w.refusedBy(w.masa, "a request signed by a device of a customer", &request{peer: d.joined.LDevID.Chain, path: "/.well-known/brski/requestvoucher", contentType: codec.FormatCMS.MediaType(), body: body})
	return nil
}
