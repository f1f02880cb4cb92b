package pledge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// An Attempt is what happened at one registrar.
type Attempt struct {
	// Registrar is the URL it was begun at.
	Registrar string
	// Checks are all that was looked at, in order.
	Checks []decision.Check
	// Err is nil where the device joined, and while the attempt is under way. A
	// *decision.Refusal is the device's or the registrar's decision; anything else
	// is trouble of the network.
	Err error
	// Pending is true where the registrar had not decided when time was up.
	Pending bool
}

// Refused reports whether one side decided against the other.
func (a *Attempt) Refused() bool {
	var r *decision.Refusal
	return errors.As(a.Err, &r)
}

// A phase is what an attempt has to do next.
type phase int

const (
	phaseRequest phase = iota // ask for a voucher, and judge it
	phaseRefuse               // tell the registrar that its voucher is refused
	phaseEnrol                // get CA certificates, CSR attributes, and make key and request
	phaseSign                 // have the request certified
	phaseDone
)

// attempt is the state machine of RFC 8995 §2.1 at one registrar: requesting
// join, imprint, enrol. It holds nothing that must survive a power cut.
//
// What is sent in the first two phases, to whoever it is, goes on a [flight].
// While that is in the air it alone uses session and makes request out of draft;
// everything else belongs to the goroutine of the Joining.
type attempt struct {
	p         *Pledge
	registrar string
	session   *session
	trail     decision.Trail
	phase     phase

	moved   bool                  // a redirect to another origin has been followed
	draft   *codec.VoucherRequest // of request, but for the TLS server's certificate
	request []byte                // the voucher-request: the same octets until it is decided
	since   time.Time             // of the wait for that decision, or of the one about the certificate
	waiting bool                  // the registrar has said that it has not decided

	refusal     error // of the voucher
	imprint     *Imprint
	authorities []*x509.Certificate
	enrolment   *enrolment
	joined      *Joined
}

func (p *Pledge) newAttempt(registrar string) (*attempt, error) {
	a := &attempt{p: p, registrar: registrar}
	return a, a.connect(registrar)
}

// connect begins a connection of its own, so a request of its own with a nonce of its own.
func (a *attempt) connect(origin string) error {
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(a.p.cfg.Rand, nonce); err != nil {
		return fmt.Errorf("pledge: no randomness for a nonce: %w", err)
	}
	a.p.starts++
	a.session = &session{network: a.p.cfg.Network, origin: origin, identity: a.p.cfg.IDevID,
		name: fmt.Sprintf("%s#%d", origin, a.p.starts)}
	a.since = a.p.cfg.Clock.Now()
	r := &codec.VoucherRequest{}
	r.Assertion, r.SerialNumber, r.Nonce = codec.AssertionProximity, []byte(a.p.own.serial), nonce
	if a.p.cfg.ClockTrusted {
		r.CreatedOn = a.since.UTC().Truncate(time.Second)
	}
	a.draft, a.request = r, nil
	return nil
}

// run goes on, with what a flight brought, or nil, until there is something to
// send by another, something to wait for, which it returns the length of, or the
// attempt is over: phaseDone, or an error.
func (a *attempt) run(ctx context.Context, landed *flight) (send *operation, wait time.Duration, err error) {
	for err == nil && wait == 0 && a.phase != phaseDone {
		switch a.phase {
		case phaseRequest, phaseRefuse:
			if landed == nil {
				return a.operation(ctx), 0, nil
			}
			wait, err = a.received(ctx, landed.reply, landed.err)
			landed = nil
		case phaseEnrol:
			err = a.prepareEnrolment(ctx)
		case phaseSign:
			wait, err = a.enrol(ctx)
		}
	}
	if err != nil && contextError(ctx) == nil {
		a.tellFailure(ctx, err)
	}
	return nil, wait, err
}

// tellFailure reports a failed enrolment over the connection of the enrolment
// (RFC 8995 §5.9.4). A failed imprint has been reported by then.
func (a *attempt) tellFailure(ctx context.Context, err error) {
	var refusal *decision.Refusal
	if a.imprint == nil || !errors.As(err, &refusal) || refusal.Kind == PeerChanged {
		return
	}
	report(ctx, a.session, opEnrollStatus, refusal, &a.trail)
}

// result is the attempt as others see it.
func (a *attempt) result(err error, pending bool) *Attempt {
	a.session.release()
	return &Attempt{Registrar: a.registrar, Checks: a.trail.Checks(), Err: err, Pending: pending}
}

// operation is what a flight sends: the voucher-request (RFC 8995 §5.2), or what
// became of the voucher (§5.7).
func (a *attempt) operation(ctx context.Context) *operation {
	if a.phase == phaseRefuse {
		return statusOperation(opVoucherStatus, decision.Of(a.refusal))
	}
	format := a.p.cfg.Format
	return &operation{name: opRequestVoucher, method: "POST", path: pathBRSKI + opRequestVoucher, contentType: format.MediaType(),
		accept: format.MediaType(), max: exchange.MaxPledgeRequest,
		body: func(peer []*x509.Certificate) ([]byte, error) { return a.voucherRequest(ctx, peer) }}
}

// received goes on with what a flight brought.
func (a *attempt) received(ctx context.Context, reply *Reply, err error) (time.Duration, error) {
	if a.phase == phaseRefuse {
		noteStatus(&a.trail, opVoucherStatus, false, reply, err)
		return 0, a.refusal
	}
	if err != nil {
		return 0, a.failed(opRequestVoucher, err)
	}
	a.waiting = false
	switch {
	case isRedirect(reply.Status):
		return 0, a.move(reply.Location)
	case reply.Status == 202:
		return a.pending(opRequestVoucher, reply)
	}
	if err := expect(opRequestVoucher, reply, a.p.cfg.Format.MediaType()); err != nil {
		return 0, a.failed(opRequestVoucher, err)
	}
	a.trail.Pass(opRequestVoucher, "%d octets from %q", len(reply.Body), a.session.peers[0].Subject)
	return 0, a.judge(ctx, reply.Body)
}

// judge verifies the voucher. What comes of it is reported over the same
// connection (RFC 8995 §5.7): to the device's registrar at once, to any other by
// a flight, since it may take its time to listen.
func (a *attempt) judge(ctx context.Context, voucher []byte) error {
	received := &Received{Body: voucher, Nonce: a.draft.Nonce, Peers: a.session.peers, Now: a.p.cfg.Clock.Now()}
	imprint, err := a.p.Verify(ctx, received, &a.trail)
	switch {
	case err != nil && contextError(ctx) != nil:
		return err
	case err != nil:
		a.refusal, a.phase = err, phaseRefuse
		return nil
	}
	report(ctx, a.session, opVoucherStatus, nil, &a.trail)
	a.imprint, a.phase = imprint, phaseEnrol
	return nil
}

// voucherRequest returns the request, which is made once the TLS server is
// known, and once only: while the registrar decides, the same octets are sent
// again (RFC 8995 §5.2, §5.6).
func (a *attempt) voucherRequest(ctx context.Context, peer []*x509.Certificate) ([]byte, error) {
	if a.request != nil {
		return a.request, nil
	}
	a.draft.ProximityRegistrarCert = peer[0].Raw
	request, err := a.p.sealer.Request(ctx, a.draft)
	if err != nil {
		return nil, decision.Refuse(decision.Internal, "the voucher-request cannot be made: %w", err)
	}
	a.request = request
	return request, nil
}

// move follows the one redirect to another origin that a registrar may send
// (RFC 8995 §5.6). There a new connection, and a new request, begin.
func (a *attempt) move(location string) error {
	if a.moved {
		return a.failed("redirect", decision.Refuse(BadRedirect, "a second redirect to another origin, %.200q; one is followed", location))
	}
	target, err := redirectTarget(a.session.origin, "/", location)
	if err != nil {
		return a.failed("redirect", err)
	}
	a.moved = true
	a.trail.Pass("redirect", "to %s", originOf(target))
	a.session.release()
	if err := a.connect(originOf(target)); err != nil {
		return a.failed("redirect", err)
	}
	return nil
}

// pending returns how long to wait after a 202.
func (a *attempt) pending(name string, reply *Reply) (time.Duration, error) {
	now := a.p.cfg.Clock.Now()
	wait := retryAfter(reply.RetryAfter, now, a.p.cfg.ClockTrusted)
	if now.Add(wait).Sub(a.since) > MaxPending {
		return 0, a.failed(name, decision.Refuse(PendingTooLong, "not decided after %v; giving up", now.Sub(a.since).Round(time.Second)))
	}
	a.waiting = true
	return wait, nil
}

// failed records why a step failed.
func (a *attempt) failed(name string, err error) error {
	var refusal *decision.Refusal
	if errors.As(err, &refusal) {
		a.trail.Fail(name, refusal)
		return err
	}
	a.trail.Fail(name, decision.Refuse(Unreachable, "%w", err))
	return err
}
