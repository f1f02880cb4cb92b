package pledge

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// Renew gets the device a new certificate for a new key from the registrar it
// enrolled at (RFC 7030 §4.2.2), authenticated by the one it has, under the same
// subject and subjectAltName. The registrar must chain to the CA certificates the
// device holds, which are fetched anew as well. Of the Config, IDevID and
// what concerns vouchers are not needed. While the registrar has not decided,
// Renew asks again, with the same request, until ctx ends: the error is then a
// *decision.Refusal of kind Pending around the context's cause.
//
// The old key and certificate stay in force until the new ones are durable. Other
// errors are a *decision.Refusal, the network's, or a *StorageError.
func Renew(ctx context.Context, cfg Config, trail *decision.Trail) (*Joined, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	had, err := notFactory(cfg.Storage)
	if err != nil {
		return nil, err
	}
	r := &renewal{cfg: &cfg, had: had, trail: trail}
	r.session = &session{network: cfg.Network, origin: had.Registrar, identity: had.LDevID, name: had.Registrar + "#renew", verified: true,
		authorise: func(peer []*x509.Certificate) error {
			return checkServer(peer, had.CACerts, had.Registrar, cfg.moment())
		}}
	defer r.session.release()
	renewed, err := r.run(ctx)
	if err != nil && !fatal(err) {
		// The key made for nothing goes; if that fails, Load sees to it.
		_ = vault{cfg.Storage}.settle(&had.State)
	}
	return renewed, err
}

type renewal struct {
	cfg     *Config
	had     *Joined
	trail   *decision.Trail
	session *session
}

func (r *renewal) run(ctx context.Context) (*Joined, error) {
	found, err := r.refreshAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	attributes, binding, err := getAttributes(ctx, r.session, r.had.Label)
	if err != nil {
		return nil, r.failed("csrattrs", err)
	}
	demand, err := renewalDemand(attributes, r.had.LDevID.Chain[0])
	if err != nil {
		return nil, r.failed("csrattrs", err)
	}
	r.trail.Pass("csrattrs", "key %v", demand.Key)
	e, err := newEnrolment(r.cfg, demand, binding)
	if err != nil {
		return nil, r.failed("csr", err)
	}
	answer, err := r.sign(ctx, e)
	if err != nil {
		return nil, r.failed("simplereenroll", err)
	}
	want := &issuedCheck{key: e.key, serial: r.had.SerialNumber, domain: found, at: r.cfg.moment()}
	chain, err := want.find(answer, r.trail)
	if err != nil {
		return nil, err
	}
	state := r.had.State
	state.RenewedOn = r.cfg.today()
	files := map[string][]byte{FileKey: e.keyPEM, FileCert: ca.ChainPEM(chain...), FileCACerts: ca.ChainPEM(found.authorities...)}
	if err := (vault{r.cfg.Storage}).replace(&state, files); err != nil {
		return nil, r.failed("storage", err)
	}
	return &Joined{State: state, Voucher: r.had.Voucher, LDevID: Identity{chain, e.key}, CACerts: found.authorities}, nil
}

// refreshAuthorities fetches the CA certificates, which change when the domain's
// authority rolls over. They come from a server the old ones vouch for (RFC 7030
// §4.1.3); without a usable answer nothing is renewed, and the old ones stay.
func (r *renewal) refreshAuthorities(ctx context.Context) (domain, error) {
	op := &operation{name: "cacerts", method: "GET", path: estPath(r.had.Label, "cacerts"), accept: exchange.TypePKCS7, max: exchange.MaxEST}
	reply, err := r.session.send(ctx, op)
	if err == nil {
		err = expect(op.name, reply, exchange.TypePKCS7)
	}
	if err != nil {
		return domain{}, r.failed(op.name, err)
	}
	return checkAuthorities(reply.Body, &Imprint{Direct: true}, r.cfg.moment(), r.trail)
}

// sign asks until the registrar has decided.
func (r *renewal) sign(ctx context.Context, e *enrolment) ([]byte, error) {
	clock := r.cfg.Clock
	for since := clock.Now(); ; {
		reply, err := signRequest(ctx, r.session, estPath(r.had.Label, "simplereenroll"), e)
		if err != nil {
			return nil, err
		}
		if reply.Status != 202 {
			return reply.Body, nil
		}
		wait := retryAfter(reply.RetryAfter, clock.Now(), r.cfg.ClockTrusted)
		if clock.Now().Add(wait).Sub(since) > MaxPending {
			return nil, decision.Refuse(PendingTooLong, "not decided after %v; giving up", clock.Now().Sub(since).Round(time.Second))
		}
		if clock.Sleep(ctx, wait) != nil {
			return nil, decision.Refuse(decision.Pending, "the registrar has not decided yet: %w", context.Cause(ctx))
		}
	}
}

func (r *renewal) failed(name string, err error) error {
	if refusal := decision.Of(err); refusal.Kind != decision.Internal {
		r.trail.Fail(name, refusal)
	} else {
		r.trail.Fail(name, decision.Refuse(Unreachable, "%w", err))
	}
	return err
}
