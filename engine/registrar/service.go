package registrar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A Service is one registrar. Its methods are safe for concurrent use.
type Service struct {
	cfg     Config
	opener  artefact.Opener
	sealers map[codec.Format]*artefact.Sealer
	caCerts []byte // body of cacerts
	domains map[string]*domain
	makers  atomic.Pointer[makers]

	known     identities
	issued    issued
	clients   budget // what each client key may ask
	strangers budget // attempts of the unidentified that are recorded
	breakers  breakers

	// life ends with Close; exchanges with MASAs run under it.
	life context.Context
	end  context.CancelCauseFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	closed   bool                         // guarded by mu
	aloft    int                          // guarded by mu; exchanges that run
	flights  map[digest]*flight           // guarded by mu; by voucher key
	verdicts map[device.ID]*verdictFlight // guarded by mu

	addMu sync.Mutex // serialises changes of manufacturers
	crlMu sync.Mutex // serialises making revocation lists
}

var errClosing = errors.New("registrar: shutting down")

// New makes a registrar of its settings and what its database holds. It starts
// no goroutine; exchanges with MASAs run on goroutines of their own until Close.
func New(cfg Config) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, sealers: map[codec.Format]*artefact.Sealer{}, domains: map[string]*domain{},
		flights: map[digest]*flight{}, verdicts: map[device.ID]*verdictFlight{}}
	s.opener = artefact.Opener{Verifier: cfg.Verifier, Known: new(artefact.Known)}
	s.clients = budget{burst: cfg.Burst, refill: cfg.Refill}
	s.strangers = budget{burst: maxStrangers, refill: time.Second}
	s.life, s.end = context.WithCancelCause(context.Background())
	for _, format := range served {
		sealer, err := artefact.NewSealer(artefact.SealerParams{Format: format, Signer: cfg.Signer, Chain: cfg.Chain,
			DataContentType: cfg.DataContentType && format == codec.FormatCMS})
		if err != nil {
			return nil, fmt.Errorf("registrar: %w", err)
		}
		s.sealers[format] = sealer
	}
	var certs [][]byte
	for _, c := range cfg.CACerts {
		certs = append(certs, c.Raw)
	}
	message, err := est.AppendCertsOnly(nil, certs)
	if err != nil {
		return nil, fmt.Errorf("registrar: %w", err)
	}
	s.caCerts = est.AppendBody(nil, message)
	for _, d := range cfg.Domains {
		if s.domains[d.Label], err = newDomain(d); err != nil {
			return nil, err
		}
	}
	if err := s.loadMakers(s.life); err != nil {
		return nil, err
	}
	if cfg.Admit == AdmitManufacturer {
		s.observe(Event{Level: Warning, Name: "admit-manufacturer",
			Text: "every device that a configured manufacturer vouches for is admitted, whoever brought it here; use list or ask where that is too much"})
	}
	return s, nil
}

// Close ends all exchanges with MASAs and waits for them. What is durable stays;
// pledges that waited ask again.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end(errClosing)
	s.wg.Wait()
}

func (s *Service) observe(e Event) { s.cfg.Observe(e) }

// within returns a context that ends after d, with errTimeout as its cause.
func (s *Service) within(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := s.cfg.AfterFunc(d, func() { cancel(errTimeout) })
	return ctx, func() { stop(); cancel(nil) }
}

var errTimeout = errors.New("registrar: it took too long")

// wait waits for done, at most d long. It reports whether done came.
func (s *Service) wait(ctx context.Context, done <-chan struct{}, d time.Duration) (bool, error) {
	select {
	case <-done: // without a timer where none is needed
		return true, nil
	default:
	}
	ctx, cancel := s.within(ctx, d)
	defer cancel()
	select {
	case <-done:
		return true, nil
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
			return false, cause
		}
		return false, nil
	case <-s.life.Done():
		return false, decision.Refuse(decision.Overloaded, "%w", errClosing).After(pendingRetry)
	}
}

// slot takes one of the exchanges that may run at a time; land gives it back.
// s.mu is held.
func (s *Service) slot() error {
	if s.closed {
		return decision.Refuse(decision.Overloaded, "%w", errClosing).After(pendingRetry)
	}
	if s.aloft >= s.cfg.MaxExchanges {
		return decision.Refuse(decision.Overloaded, "%d exchanges with MASAs are under way, which is the limit", s.aloft).After(pendingRetry)
	}
	s.aloft++
	s.wg.Add(1)
	return nil
}

func (s *Service) land() {
	s.mu.Lock()
	s.aloft--
	s.mu.Unlock()
	s.wg.Done()
}

// answered is what a transport sends back.
func answered(contentType string, body []byte) *exchange.Answer {
	return &exchange.Answer{ContentType: contentType, Body: body}
}
