package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/inbound"
)

// A census counts connections, for all listeners of a server together.
type census struct {
	limits Limits

	mu         sync.Mutex
	total      int
	handshakes int
	shaking    map[netip.Prefix]int // handshakes by address
	clients    map[client]int       // connections behind their handshake, by client
}

func newCensus(limits Limits) *census {
	return &census{limits: limits, shaking: map[netip.Prefix]int{}, clients: map[client]int{}}
}

func (c *census) open() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.total)
}

// enter takes a new connection in, whose handshake begins, unless a limit is
// reached.
func (c *census) enter(address netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.limits.Connections || c.handshakes >= c.limits.Handshakes || c.shaking[address] >= c.limits.HandshakesPerAddress {
		return false
	}
	c.total++
	c.handshakes++
	c.shaking[address]++
	return true
}

// shaken ends the handshake of a connection.
func (c *census) shaken(address netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handshakes--
	decrement(c.shaking, address)
}

// settle counts the connection as that of a client, unless that has too many.
func (c *census) settle(who client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients[who] >= c.limits.ConnectionsPerClient {
		return false
	}
	c.clients[who]++
	return true
}

// leave is the end of a connection; who is nil for one that did not settle.
func (c *census) leave(who *client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if who != nil {
		decrement(c.clients, *who)
	}
}

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// A counted connection leaves the census when it is closed.
type counted struct {
	net.Conn
	census *census
	once   sync.Once
	mu     sync.Mutex
	who    *client // nil before it settles
	closed bool
}

// settle counts the connection as a client's; one that is closed already stays
// uncounted and is refused.
func (c *counted) settle(who client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.census.settle(who) {
		return false
	}
	c.who = &who
	return true
}

// Close closes the connection and counts it out.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = true
		c.census.leave(c.who)
	})
	return err
}

// A gate is the listener that net/http accepts from: connections that were
// within the limits and have their TLS handshake behind them. Handshakes run
// here and not in net/http so that they can be counted.
type gate struct {
	s         *Server
	listeners []net.Listener
	tls       *tls.Config
	shaken    chan *tls.Conn
	failed    chan error // of the first listener that ended by itself
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup // accepting and handshakes
}

func newGate(s *Server, listeners []net.Listener) *gate {
	g := &gate{s: s, listeners: listeners, tls: serverTLS(s.cfg.Certificate), shaken: make(chan *tls.Conn), failed: make(chan error, len(listeners))}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, l := range listeners {
		g.running.Go(func() {
			if err := g.accept(l); err != nil {
				g.failed <- err
			}
		})
	}
	return g
}

// accept takes connections in until the listener is closed.
func (g *gate) accept(l net.Listener) error {
	for wait := time.Duration(0); ; {
		c, err := l.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case err == nil:
			wait = 0
			g.admit(c)
		case g.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case errors.As(err, &temporary) && temporary.Temporary(): // out of descriptors, or the client is gone
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			g.s.journal.line(&g.s.journal.faults, g.s.cfg.Clock(), slog.LevelWarn, "accepting a connection failed", slog.String("error", err.Error()))
			select {
			case <-time.After(wait):
			case <-g.ctx.Done():
				return nil
			}
		default:
			return err
		}
	}
}

// admit begins the handshake of a connection, or closes it.
func (g *gate) admit(c net.Conn) {
	address := inbound.Source(c.RemoteAddr())
	g.s.counters.connections.Add(1)
	if !g.s.census.enter(address) {
		g.refuse(c, "too many connections or handshakes at a time")
		return
	}
	held := &counted{Conn: c, census: g.s.census}
	g.running.Go(func() { g.handshake(held, address) })
}

func (g *gate) handshake(held *counted, address netip.Prefix) {
	ctx, cancel := context.WithTimeout(g.ctx, g.s.limits.Handshake)
	defer cancel()
	c := tls.Server(held, g.tls)
	err := c.HandshakeContext(ctx)
	g.s.census.shaken(address)
	if err != nil {
		held.Close()
		g.s.counters.handshakesFailed.Add(1)
		g.s.journal.line(&g.s.journal.transport, g.s.cfg.Clock(), slog.LevelDebug, "a TLS handshake failed",
			slog.String("remote", held.RemoteAddr().String()), slog.String("error", cut(err.Error())))
		return
	}
	if !held.settle(clientOf(held.RemoteAddr(), c.ConnectionState().PeerCertificates)) {
		g.refuse(held, "too many connections of one client")
		return
	}
	select {
	case g.shaken <- c:
	case <-g.ctx.Done():
		held.Close()
	}
}

func (g *gate) refuse(c net.Conn, why string) {
	g.s.counters.connectionsRefused.Add(1)
	g.s.journal.line(&g.s.journal.transport, g.s.cfg.Clock(), slog.LevelWarn, "a connection was closed: "+why, slog.String("remote", c.RemoteAddr().String()))
	c.Close()
}

// Accept returns the next connection that may speak HTTP.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.shaken:
		return c, nil
	case <-g.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends accepting, and the handshakes under way.
func (g *gate) Close() error {
	g.cancel()
	return closeAll(g.listeners)
}

// Addr is the first listener's.
func (g *gate) Addr() net.Addr { return g.listeners[0].Addr() }
