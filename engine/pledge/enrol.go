package pledge

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/sign"
)

// enrolment is a key and the request to certify it.
type enrolment struct {
	key     crypto.Signer
	keyPEM  []byte
	request []byte // the body: base64 of PKCS#10
	domain  domain // that is to certify it
}

// prepareEnrolment gets the CA certificates and the CSR attributes, makes the
// key of the LDevID and makes it durable (RFC 8995 §5.9.1 to §5.9.3). From the
// time the request leaves, a certificate for the key may exist, so the key has
// to be there after a power cut.
func (a *attempt) prepareEnrolment(ctx context.Context) error {
	cfg := &a.p.cfg
	body, err := a.getCACerts(ctx)
	if err != nil {
		return err
	}
	found, err := checkAuthorities(body, a.imprint, cfg.moment(), &a.trail)
	if err != nil {
		return err
	}
	a.authorities = found.authorities
	attributes, binding, err := getAttributes(ctx, a.session, cfg.Label)
	if err != nil {
		return a.failed("csrattrs", err)
	}
	demand, err := a.p.demand(attributes)
	if err != nil {
		return a.failed("csrattrs", err)
	}
	a.trail.Pass("csrattrs", "%d octets; key %v, %d extensions", len(attributes), demand.Key, len(demand.Extensions))
	if a.enrolment, err = newEnrolment(cfg, demand, binding); err != nil {
		return a.failed("csr", err)
	}
	a.enrolment.domain = found
	a.phase, a.since = phaseSign, cfg.Clock.Now()
	return nil
}

func (a *attempt) getCACerts(ctx context.Context) ([]byte, error) {
	op := &operation{name: "cacerts", method: "GET", path: estPath(a.p.cfg.Label, "cacerts"), accept: exchange.TypePKCS7, max: exchange.MaxEST}
	reply, err := a.session.send(ctx, op)
	if err == nil {
		err = expect(op.name, reply, exchange.TypePKCS7)
	}
	if err != nil {
		return nil, a.failed(op.name, err)
	}
	return reply.Body, nil
}

// getAttributes asks for the CSR attributes; nil where the registrar has none to
// state (RFC 7030 §4.5.2). It returns the binding of the connection too, which a
// request may have to name.
func getAttributes(ctx context.Context, s *session, label string) ([]byte, exchange.Binding, error) {
	op := &operation{name: "csrattrs", method: "GET", path: estPath(label, "csrattrs"), accept: exchange.TypeCSRAttrs, max: exchange.MaxEST}
	reply, err := s.send(ctx, op)
	if err != nil {
		return nil, exchange.Binding{}, err
	}
	if reply.Status == 204 || reply.Status == 404 {
		return nil, reply.Binding, nil
	}
	if err := expect(op.name, reply, exchange.TypeCSRAttrs); err != nil {
		return nil, exchange.Binding{}, err
	}
	return reply.Body, reply.Binding, nil
}

// newEnrolment makes a key, stages it, and makes the request to certify it.
func newEnrolment(cfg *Config, demand *est.Demand, binding exchange.Binding) (*enrolment, error) {
	key, err := newKey(demand.Key, cfg.Rand)
	if err != nil {
		return nil, err
	}
	e := &enrolment{key: key}
	if e.keyPEM, err = sign.MarshalKeyPEM(key, nil); err != nil {
		return nil, decision.Refuse(decision.Internal, "the key of the LDevID: %w", err)
	}
	var password []byte
	if demand.ChallengePassword {
		if password = linking(binding); password == nil {
			return nil, decision.Refuse(BadAttributes, "the registrar wants the request linked to its TLS session (RFC 7030 §3.5), which this session has no name for")
		}
	}
	csr, err := newCSR(demand, key, password, cfg.Rand)
	if err != nil {
		return nil, err
	}
	if len(csr) > exchange.MaxCSR {
		return nil, decision.Refuse(BadAttributes, "the CSR attributes make a request of %d octets, the limit is %d", len(csr), exchange.MaxCSR)
	}
	e.request = est.AppendBody(nil, csr)
	return e, vault{cfg.Storage}.stage(FileKey, e.keyPEM)
}

// linking is the challengePassword of a connection: base64 of tls-unique (RFC
// 7030 §3.5), or of tls-exporter where TLS 1.3 has no other (RFC 9266).
func linking(b exchange.Binding) []byte {
	switch {
	case b.Unique != nil:
		return est.AppendBody(nil, b.Unique)
	case b.Exporter != nil:
		return est.AppendBody(nil, b.Exporter)
	}
	return nil
}

// signRequest asks for the certificate. A wait means: not decided, ask again.
func signRequest(ctx context.Context, s *session, path string, e *enrolment) (*Reply, error) {
	op := &operation{name: "simpleenroll", method: "POST", path: path, contentType: exchange.TypePKCS10, accept: exchange.TypePKCS7, max: exchange.MaxEST,
		body: func([]*x509.Certificate) ([]byte, error) { return e.request, nil }}
	reply, err := s.send(ctx, op)
	if err != nil || reply.Status == 202 {
		return reply, err
	}
	return reply, expect(op.name, reply, exchange.TypePKCS7)
}

// enrol has the key certified, brings the new state into force, and reports.
func (a *attempt) enrol(ctx context.Context) (time.Duration, error) {
	cfg := &a.p.cfg
	const name = "simpleenroll"
	reply, err := signRequest(ctx, a.session, estPath(cfg.Label, name), a.enrolment)
	if err != nil {
		return 0, a.failed(name, err)
	}
	if a.waiting = false; reply.Status == 202 {
		return a.pending(name, reply)
	}
	a.trail.Pass(name, "%d octets", len(reply.Body))
	want := &issuedCheck{key: a.enrolment.key, serial: a.p.own.serial, domain: a.enrolment.domain, at: cfg.moment()}
	chain, err := want.find(reply.Body, &a.trail)
	if err != nil {
		return 0, err
	}
	if err := a.commit(chain); err != nil {
		return 0, a.failed("storage", err)
	}
	a.phase = phaseDone
	a.confirm(ctx)
	return 0, nil
}

// commit makes the join durable: from here on the device has an owner.
func (a *attempt) commit(chain []*x509.Certificate) error {
	cfg := &a.p.cfg
	state := &State{Version: 1, SerialNumber: a.p.own.serial, Registrar: a.session.origin, Label: cfg.Label, Format: cfg.Format.String(),
		Assertion: a.imprint.Assertion.String(), Pinned: hex.EncodeToString(a.imprint.Key[:]), JoinedOn: cfg.today()}
	files := map[string][]byte{
		FileKey:                 a.enrolment.keyPEM,
		FileCert:                ca.ChainPEM(chain...),
		FileCACerts:             ca.ChainPEM(a.authorities...),
		voucherFile(cfg.Format): a.imprint.Voucher.Bytes,
	}
	if err := (vault{cfg.Storage}).replace(state, files); err != nil {
		return err
	}
	a.joined = &Joined{State: *state, Voucher: a.imprint.Voucher.Bytes, LDevID: Identity{chain, a.enrolment.key}, CACerts: a.authorities}
	return nil
}

// confirm reports the enrolment over a connection authenticated by the new
// certificate (RFC 8995 §5.9.4). The device has joined whatever comes of it.
func (a *attempt) confirm(ctx context.Context) {
	known := a.session
	a.session.release()
	server := sha256.Sum256(known.peers[0].RawSubjectPublicKeyInfo)
	s := &session{network: known.network, origin: known.origin, identity: a.joined.LDevID, name: known.name + "/ldevid", verified: true,
		authorise: func(peer []*x509.Certificate) error {
			if sha256.Sum256(peer[0].RawSubjectPublicKeyInfo) == server {
				return nil
			}
			return checkServer(peer, a.authorities, known.origin, a.p.cfg.moment())
		}}
	report(ctx, s, opEnrollStatus, nil, &a.trail)
	s.release()
}

// today is the time for the record, nil if it is not known.
func (c *Config) today() *time.Time {
	if !c.ClockTrusted {
		return nil
	}
	now := c.Clock.Now().UTC().Truncate(time.Second)
	return &now
}
