package masa

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// A Service is a MASA. It is safe for concurrent use.
type Service struct {
	cfg        Config
	opener     artefact.Opener // of requests; it remembers registrars' certificates
	served     []codec.Format
	sealers    map[codec.Format]*artefact.Sealer
	current    atomic.Pointer[directory]
	requesters recent[[sha256.Size]byte, *requester] // by the certificates of their envelopes
	verifier   sign.Verifier                         // of bulk work

	importing sync.Mutex  // held by ImportRun
	watch     changeWatch // of ImportRun
	readers   readers     // of imported runs

	prune struct {
		sync.Mutex
		after []byte // the last key of keyReplayEnd that was deleted
		next  int64  // Unix time before which nothing ends; 0 when not known
	}
}

// New makes a Service. Runs that are in Config.Runs and not on record are what
// an import left that did not end: they are deleted.
func New(cfg Config) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, opener: artefact.Opener{Verifier: cfg.Verifier, Limits: cfg.Limits, Known: new(artefact.Known)}, sealers: map[codec.Format]*artefact.Sealer{}}
	var unusable error
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		sealer, err := artefact.NewSealer(artefact.SealerParams{Format: format, Signer: cfg.Signer, Chain: cfg.Chain, DataContentType: cfg.DataContentType})
		if err != nil {
			unusable = errors.Join(unusable, err)
			continue
		}
		s.sealers[format] = sealer
		s.served = append(s.served, format)
	}
	if len(s.served) == 0 {
		return nil, fmt.Errorf("masa: no format that is served over HTTP can be signed: %w", unusable)
	}
	var err error
	if s.verifier, err = sign.NewVerifier(sign.VerifierOptions{}); err != nil {
		return nil, err
	}
	return s, s.dropHalfImported()
}

// Operations of a Service, as attempts and refusals name them.
const (
	OpVoucher  = "requestvoucher"
	OpAuditLog = "requestauditlog"
)

// An Attempt is what became of one request, for logs and metrics.
type Attempt struct {
	Op, ID, Remote string
	At             time.Time
	// Device is the device asked for, zero where it is not known; Serial is the
	// serial number as stated, "" before a signature was verified.
	Device device.ID
	Serial string
	// Customers are those the signer leads to.
	Customers []string
	// Checks are those made, in their order.
	Checks []decision.Check
	// Refusal is nil where there was an answer.
	Refusal *decision.Refusal
	// Recorded says that the refusal is on record with the device.
	Recorded bool
	// Replayed says that the answer is one given before.
	Replayed bool
	// Preissued names the run the voucher is from.
	Preissued string
	// Assertion of the voucher, as it was signed now.
	Assertion codec.Assertion
}

// attempt is one request on its way.
type attempt struct {
	s        *Service
	r        *exchange.Request
	trail    decision.Trail
	observed Attempt

	format, accepted codec.Format // of the request, and of the answer as far as it says
	digest           [sha256.Size]byte
	request          *artefact.Request
	prior            *prior        // nil where there is none
	known            *replayRecord // what this request was answered before
	dir              *directory
	decided
}

// decided is what the checks find out. When what they were based on changes, all
// of it is found out anew.
type decided struct {
	who        *requester
	candidates []device.ID
	records    [][]byte // of candidates, in their order
	device     *foundDevice
	answer     codec.Format // of the voucher
	assertion  codec.Assertion
	owner      string // the requester's customer that owns the device, "" for none
	member     membership
	nonceless  bool
	pin        *x509.Certificate
	expires    time.Time
	preissued  *preissued
}

func (s *Service) attempt(op string, r *exchange.Request) *attempt {
	return &attempt{s: s, r: r, observed: Attempt{Op: op, ID: r.ID, Remote: r.Remote, At: r.Now}}
}

// RequestVoucher decides about a registrar's voucher-request (RFC 8995 §5.5).
// The answer is a voucher whose audit event is durable. The error is a
// *decision.Refusal.
func (s *Service) RequestVoucher(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	a := s.attempt(OpVoucher, r)
	answer, err := a.voucher(ctx)
	return a.conclude(ctx, answer, err)
}

// RequestAuditLog answers a registrar's request for the audit log of a device
// (RFC 8995 §5.8): the body is that of a voucher-request. The error is a
// *decision.Refusal.
func (s *Service) RequestAuditLog(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	a := s.attempt(OpAuditLog, r)
	answer, err := a.auditLog(ctx)
	return a.conclude(ctx, answer, err)
}

// conclude makes a Refusal of any error, puts it on record where it belongs, and
// tells the observer.
func (a *attempt) conclude(ctx context.Context, answer *exchange.Answer, err error) (*exchange.Answer, error) {
	if err == nil && answer == nil {
		err = errors.New("no decision was made")
	}
	var refusal *decision.Refusal
	if err != nil {
		answer, refusal = nil, refusalOf(err)
		a.observed.Refusal = refusal
		if checks := a.trail.Checks(); len(checks) == 0 || checks[len(checks)-1].OK {
			a.trail.Fail("outcome", refusal)
		}
		a.observed.Recorded = a.recordRefusal(ctx, refusal)
	}
	if a.s.cfg.Observe != nil {
		a.observed.Checks = a.trail.Checks()
		a.s.cfg.Observe(&a.observed)
	}
	if refusal != nil {
		return nil, refusal
	}
	return answer, nil
}

// Waits that a peer is asked for.
const (
	waitFull = time.Minute
	waitBusy = 2 * time.Second
)

// refusalOf says what a peer gets for an error that is no decision.
func refusalOf(err error) *decision.Refusal {
	var refusal *decision.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, state.ErrFull):
		return decision.Refuse(decision.StorageFull, "nothing is issued: %w", err).After(waitFull)
	case errors.Is(err, state.ErrClosed), errors.Is(err, engine.ErrClosed):
		return decision.Refuse(decision.Overloaded, "the service is shutting down: %w", err).After(waitBusy)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return decision.Refuse(decision.Overloaded, "the request was given up: %w", err).After(waitBusy)
	}
	return decision.Of(err)
}
