package registrar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A pledgeRequest is a pledge's voucher-request in which everything held that
// can be told from itself and the connection.
type pledgeRequest struct {
	format    codec.Format
	accept    []codec.Format // what the pledge takes, the best first
	body      []byte         // as signed
	digest    digest
	nonce     []byte // octets
	nonceText []byte // as sent
}

// readPledgeRequest makes the checks of RFC 8995 §5.2 that come after the
// client's certificate and before its admission. The client is identified.
func (a *attempt) readPledgeRequest(ctx context.Context) (*pledgeRequest, error) {
	p := &pledgeRequest{}
	var err error
	if p.format, err = artefact.FormatOf(a.r.ContentType, served...); err != nil {
		return nil, a.trail.Fail("content-type", decision.Of(err))
	}
	a.trail.Pass("content-type", "%s", p.format.MediaType())
	if p.accept, err = acceptable(a.r.Accept, p.format); err != nil {
		return nil, a.trail.Fail("accept", decision.Of(err))
	}
	a.trail.Pass("accept", "a voucher as %s", p.accept[0].MediaType())
	if p.body, err = a.pledgeBody(p.format); err != nil {
		return nil, err
	}
	p.digest = sha256.Sum256(p.body)
	opened, err := a.open(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := a.checkLeaves(&opened.Leaves); err != nil {
		return nil, err
	}
	p.nonce, p.nonceText = bytes.Clone(opened.Leaves.Nonce), bytes.Clone(opened.Leaves.NonceText)
	return p, nil
}

// acceptable lists the envelopes an Accept field admits. Beside the best only
// those count that it names: a wildcard means the request's (RFC 8995 §5.6).
func acceptable(accept string, request codec.Format) ([]codec.Format, error) {
	best, err := artefact.Negotiate(accept, request, served...)
	if err != nil {
		return nil, err
	}
	list := []codec.Format{best}
	for _, f := range served {
		if f != best && strings.Contains(strings.ToLower(accept), f.MediaType()) && artefact.Accepts(accept, f.MediaType()) {
			list = append(list, f)
		}
	}
	return list, nil
}

// pledgeBody bounds the body and undoes base64 where that is allowed.
func (a *attempt) pledgeBody(format codec.Format) ([]byte, error) {
	body := a.r.Body
	if len(body) > exchange.MaxPledgeRequest {
		return nil, a.trail.Refuse(decision.TooLarge, "size", "the voucher-request has %d octets, the limit is %d", len(body), exchange.MaxPledgeRequest)
	}
	if !a.s.cfg.AcceptBase64 || format != codec.FormatCMS || len(body) == 0 || body[0] == 0x30 {
		return body, nil
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body)))
	if err != nil {
		return body, nil // the decoder says what it is
	}
	a.trail.Pass("encoding", "base64 was undone; RFC 8995 section 5.3 wants the octets themselves")
	return raw, nil
}

// open takes the envelope apart, checks its signature, that the TLS client made
// it, and reads what was signed, in this order.
func (a *attempt) open(ctx context.Context, p *pledgeRequest) (*artefact.Request, error) {
	opener, signed := a.s.opener, false
	opener.Known = nil          // devices ask once, MASAs answer again and again
	opener.Parsed = a.who.Chain // a request is signed with the certificate of the TLS client
	opener.Signed = func(e *artefact.Envelope) error {
		signed = true
		a.trail.Pass("signature", "by %q%s", e.Signer.Subject, oddities(e.Oddities))
		if !bytes.Equal(e.Signer.RawSubjectPublicKeyInfo, a.who.Facts.SubjectPublicKey) {
			return a.trail.Refuse(decision.SignerNotPeer, "signer", "the voucher-request is signed by the key of %q, the TLS client holds that of %q", e.Signer.Subject, a.r.Peer[0].Subject)
		}
		a.trail.Pass("signer", "the TLS client's key")
		return nil
	}
	request, err := opener.Request(ctx, p.format, p.body)
	if err == nil {
		a.trail.Pass("content", "")
		return request, nil
	}
	if decision.Is(err, decision.SignerNotPeer) || ctx.Err() != nil {
		return nil, err
	}
	name := "content"
	if !signed {
		if name = "signature"; !decision.Is(err, decision.BadSignature) {
			name = "envelope"
		}
	}
	return nil, a.trail.Fail(name, decision.Of(err))
}

// oddities names what a producer of today would write differently.
func oddities(list []codec.Oddity) string {
	if len(list) == 0 {
		return ""
	}
	var names []string
	for _, o := range list {
		names = append(names, string(o.Code))
	}
	return "; unusual: " + strings.Join(names, ", ")
}

// checkLeaves checks nonce, serial number and proximity.
func (a *attempt) checkLeaves(q *codec.VoucherRequest) error {
	if q.Nonce == nil {
		return a.trail.Refuse(decision.BadNonce, "nonce", "the voucher-request has none; a pledge that is online sends one (RFC 8995 section 5.2)")
	}
	a.trail.Pass("nonce", "%d octets", len(q.Nonce))
	if string(q.SerialNumber) != a.who.ID.Serial {
		return a.trail.Refuse(decision.SerialMismatch, "serial-number", "the voucher-request is for %.100q, the IDevID is that of %q", q.SerialNumber, a.who.ID.Serial)
	}
	a.trail.Pass("serial-number", "%q", q.SerialNumber)
	if off := q.CreatedOn.Sub(a.r.Now).Abs(); !q.CreatedOn.IsZero() && off > maxSkew {
		a.trail.Pass("created-on", "%s, which is %s away from the time here; the nonce shows that the request is new", q.CreatedOn.UTC().Format(time.RFC3339), off.Round(time.Second))
	}
	return a.checkProximity(q)
}

// maxSkew is how far the clocks of two parties may be apart.
const maxSkew = 5 * time.Minute

// checkProximity holds what the pledge saw of its TLS server against what this
// registrar is (RFC 8995 §5.5: else somebody stands between).
func (a *attempt) checkProximity(q *codec.VoucherRequest) error {
	refuse := func(format string, args ...any) error {
		return a.trail.Refuse(decision.WrongProximity, "proximity", format, args...).Closing()
	}
	switch {
	case q.Assertion == codec.AssertionUnset && a.s.cfg.StrictProximity:
		return refuse("the voucher-request states no assertion, want proximity (RFC 8995 section 5.2)")
	case q.Assertion != codec.AssertionUnset && q.Assertion != codec.AssertionProximity:
		return refuse("the voucher-request asserts %v, want proximity (RFC 8995 section 5.2)", q.Assertion)
	}
	how, ok := a.s.cfg.proximity(q)
	if how == "" {
		return refuse("the voucher-request does not say which registrar the pledge speaks to: proximity-registrar-cert is missing (RFC 8995 section 5.2)")
	}
	if !ok {
		return refuse("the %s of the voucher-request is not this registrar's; somebody stands between, or another registrar was meant", how)
	}
	if q.Assertion == codec.AssertionUnset {
		how += "; the assertion is missing and taken for proximity"
	}
	a.trail.Pass("proximity", "%s", how)
	return nil
}

// proximity reports which leaf of a request names its registrar, "" for none,
// and whether it is this one. Of several the order of draft-ietf-anima-rfc8366bis
// decides. A former certificate, or another certificate of the same key, will do:
// the pledge may have connected before a rollover.
func (c *Config) proximity(q *codec.VoucherRequest) (leaf string, ok bool) {
	certs := append(c.Former[:len(c.Former):len(c.Former)], c.Chain[0])
	var is func(spki []byte) bool
	switch {
	case q.ProximityRegistrarPubkSHA256 != nil:
		leaf = "proximity-registrar-pubk-sha256"
		is = func(spki []byte) bool {
			sum := sha256.Sum256(spki)
			return bytes.Equal(sum[:], q.ProximityRegistrarPubkSHA256)
		}
	case q.ProximityRegistrarPubk != nil:
		leaf = "proximity-registrar-pubk"
		is = func(spki []byte) bool { return bytes.Equal(spki, q.ProximityRegistrarPubk) }
	case q.ProximityRegistrarCert != nil:
		leaf = "proximity-registrar-cert"
		if bytes.Equal(q.ProximityRegistrarCert, c.Chain[0].Raw) {
			return leaf, true
		}
		stated, err := codec.ParseIDevID(q.ProximityRegistrarCert)
		is = func(spki []byte) bool { return err == nil && bytes.Equal(spki, stated.SubjectPublicKey) }
	default:
		return "", false
	}
	for _, cert := range certs {
		if is(cert.RawSubjectPublicKeyInfo) {
			return leaf, true
		}
	}
	return leaf, false
}
