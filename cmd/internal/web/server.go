package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Config is what a Server needs.
type Config struct {
	// Routes are the operations.
	Routes []Route
	// Certificate returns the certificate of new connections; see [Certificate].
	Certificate func() (*tls.Certificate, error)
	// Clock is what requests are told of the time, time.Now where nil.
	Clock func() time.Time
	// Log gets a line a request, at a bounded rate; nil for none.
	Log *slog.Logger
	// Limits, of which a zero field stands for its default.
	Limits Limits
}

// A Server serves a role. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	limits   Limits
	routes   routes
	journal  *journal
	counters *counters
	census   *census
	pace     *pace
	work     chan struct{} // a place for each request in work
	bodies   atomic.Int64  // octets of bodies in memory
}

// New makes a server. The error is about routes that are incomplete or come
// twice.
func New(cfg Config) (*Server, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Certificate == nil {
		cfg.Certificate = new(Certificate).Get
	}
	all, err := newRoutes(cfg.Routes)
	if err != nil {
		return nil, err
	}
	limits := cfg.Limits.withDefaults()
	return &Server{cfg: cfg, limits: limits, routes: all, journal: newJournal(cfg.Log), counters: newCounters(), census: newCensus(limits),
		pace: newPace(limits.Rate, limits.Burst), work: make(chan struct{}, limits.Requests)}, nil
}

// Run serves on the listeners until ctx ends, then takes no more connections and
// lets the requests in work finish, within Limits.Drain; what is not done by
// then is cut off and reported as an error. ready is called once, when all
// listeners accept. The listeners are closed in any case.
func (s *Server) Run(ctx context.Context, listeners []net.Listener, ready func()) error {
	if len(listeners) == 0 {
		return errors.New("web: no listener")
	}
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	g := newGate(s, listeners)
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.Header,
		IdleTimeout:       s.limits.Idle,
		MaxHeaderBytes:    s.limits.HeaderBytes,
		ErrorLog:          log.New(faultWriter{s.journal, s.cfg.Clock}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 alone
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(g) }()
	if ready != nil {
		ready()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-g.failed:
	case err = <-served:
		served <- err
	}
	err = errors.Join(err, s.drain(h, cut))
	g.Close()
	if last := <-served; !errors.Is(last, http.ErrServerClosed) && !errors.Is(err, last) {
		err = errors.Join(err, last)
	}
	g.running.Wait()
	return err
}

// drain lets the requests in work finish.
func (s *Server) drain(h *http.Server, cut context.CancelFunc) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.Drain)
	defer cancel()
	err := h.Shutdown(ctx)
	if err == nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	cut()
	return errors.Join(errors.New("web: requests were cut off, they took too long"), h.Close())
}
