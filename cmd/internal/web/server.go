package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
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
	g, idle := newGate(s, listeners), &unasked{conns: map[net.Conn]bool{}}
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.Header,
		IdleTimeout:       s.limits.Idle,
		MaxHeaderBytes:    s.limits.HeaderBytes,
		ErrorLog:          log.New(faultWriter{s.journal, s.cfg.Clock}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         idle.note,
		ConnContext:       withConnection,
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
	}
	g.Close()
	g.running.Wait()
	if last := <-served; !errors.Is(last, net.ErrClosed) {
		err = errors.Join(err, last)
	}
	idle.close()
	return errors.Join(err, s.drain(h, cut))
}

// drain lets the requests in work finish.
func (s *Server) drain(h *http.Server, cut context.CancelFunc) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.Drain)
	defer cancel()
	if h.Shutdown(ctx) == nil {
		return nil
	}
	cut()
	return errors.Join(errors.New("web: requests were cut off, they took too long"), h.Close())
}

// unasked are the connections on which nothing was asked yet. net/http gives
// them five seconds when it ends, which is time that requests in work need.
type unasked struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// note is told of every change of a connection.
func (u *unasked) note(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state == http.StateNew {
		u.conns[c] = true
		return
	}
	delete(u.conns, c)
}

// close closes them.
func (u *unasked) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		c.Close()
	}
}
