package circuit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/inbound"
)

// Limits bound what strangers can make a proxy do. A zero field stands for the
// default given with it.
type Limits struct {
	Circuits           int // at a time, 256
	CircuitsPerAddress int // at a time, 16; of IPv6 an address is its /64, but for link-local ones

	Connect time.Duration // until the registrar has taken the connection, 10 s
	// Idle is how long a circuit lives on which nothing moves, 150 s: more than
	// the registrar's own limit, which then tells the pledge.
	Idle time.Duration
	// HalfIdle takes the place of Idle once one side has ended, 30 s.
	HalfIdle time.Duration
	Total    time.Duration // of a circuit, 1 h
	Drain    time.Duration // for circuits when the proxy ends, 10 s
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *time.Duration
		def   time.Duration
	}{
		{&l.Connect, 10 * time.Second}, {&l.Idle, 150 * time.Second}, {&l.HalfIdle, 30 * time.Second},
		{&l.Total, time.Hour}, {&l.Drain, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.def
		}
	}
	if l.Circuits <= 0 {
		l.Circuits = 256
	}
	if l.CircuitsPerAddress <= 0 {
		l.CircuitsPerAddress = 16
	}
	return l
}

// Config is what a Proxy is made of.
type Config struct {
	// Registrar is where every circuit leads, as HOST:PORT. A name is looked up
	// for every circuit. Required.
	Registrar string
	// Limits are the limits.
	Limits Limits
	// Log gets a line for every refusal, as far as its rate is bounded. Default:
	// none.
	Log *slog.Logger
}

// Stats count what a proxy did.
type Stats struct {
	Circuits    uint64 // begun
	Refused     uint64 // over a limit
	Unreachable uint64 // the registrar did not take the connection
	Cut         uint64 // ended by a limit, or broken off
	Up, Down    uint64 // octets to the registrar, and from it
	Open        int    // circuits at the moment
}

// A Proxy passes connections on to one registrar.
type Proxy struct {
	cfg    Config
	limits Limits
	dialer net.Dialer
	lines  journal
	counts struct{ circuits, refused, unreachable, cut, up, down atomic.Uint64 }

	mu        sync.Mutex
	open      int                  // guarded by mu
	addresses map[netip.Prefix]int // guarded by mu; circuits by source address
}

// New makes a proxy that is not running yet.
func New(cfg Config) (*Proxy, error) {
	host, port, err := net.SplitHostPort(cfg.Registrar)
	if err != nil {
		return nil, fmt.Errorf("circuit: the registrar %.200q is not HOST:PORT: %w", cfg.Registrar, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return nil, fmt.Errorf("circuit: the registrar %.200q is not HOST:PORT with a port from 1 to 65535", cfg.Registrar)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Proxy{cfg: cfg, limits: cfg.Limits.withDefaults(), lines: newJournal(cfg.Log), addresses: map[netip.Prefix]int{}}, nil
}

// Stats returns what was counted so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	c := &p.counts
	return Stats{Circuits: c.circuits.Load(), Refused: c.refused.Load(), Unreachable: c.unreachable.Load(),
		Cut: c.cut.Load(), Up: c.up.Load(), Down: c.down.Load(), Open: open}
}

// Run passes on what the listeners take, until ctx ends; circuits then have the
// drain time to end by themselves. It closes the listeners. The error is that of
// a listener which failed; circuits that had to be cut at the end are none.
func (p *Proxy) Run(ctx context.Context, listeners []net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("circuit: a proxy needs a listener")
	}
	accepting, stop := context.WithCancel(ctx)
	defer stop()
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	failed := make(chan error, len(listeners))
	var takers, circuits sync.WaitGroup
	for _, l := range listeners {
		takers.Go(func() {
			if err := p.accept(accepting, life, l, &circuits); err != nil {
				failed <- err
				stop()
			}
		})
	}
	<-accepting.Done()
	for _, l := range listeners {
		l.Close()
	}
	takers.Wait()
	p.drain(&circuits, cut)
	select {
	case err := <-failed:
		return fmt.Errorf("circuit: accepting connections: %w", err)
	default:
		return nil
	}
}

// drain waits for the circuits, and cuts those that stay too long.
func (p *Proxy) drain(circuits *sync.WaitGroup, cut context.CancelFunc) {
	timer := time.AfterFunc(p.limits.Drain, cut)
	defer timer.Stop()
	circuits.Wait()
}

// accept takes connections until accepting ends. Each circuit lives under life.
func (p *Proxy) accept(accepting, life context.Context, l net.Listener, circuits *sync.WaitGroup) error {
	for wait := time.Duration(0); ; {
		conn, err := l.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case err == nil:
			wait = 0
			p.admit(life, conn, circuits)
		case accepting.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case errors.As(err, &temporary) && temporary.Temporary(): // out of descriptors, or the client is gone
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			p.lines.warn("accepting a connection failed", "error", err)
			select {
			case <-time.After(wait):
			case <-accepting.Done():
			}
		default:
			return err
		}
	}
}

// admit begins a circuit for a connection, or resets it.
func (p *Proxy) admit(life context.Context, conn net.Conn, circuits *sync.WaitGroup) {
	address := inbound.Source(conn.RemoteAddr())
	if why := p.enter(address); why != "" {
		p.counts.refused.Add(1)
		p.lines.warn("a connection was refused: "+why, "remote", conn.RemoteAddr())
		reset(conn)
		return
	}
	p.counts.circuits.Add(1)
	circuits.Go(func() {
		defer p.leave(address)
		p.serve(life, conn)
	})
}

// enter counts a circuit in, or says which limit is reached.
func (p *Proxy) enter(address netip.Prefix) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.open >= p.limits.Circuits:
		return fmt.Sprintf("%d circuits are open already", p.open)
	case p.addresses[address] >= p.limits.CircuitsPerAddress:
		return fmt.Sprintf("%d circuits of %s are open already", p.addresses[address], address)
	}
	p.open++
	p.addresses[address]++
	return ""
}

func (p *Proxy) leave(address netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	if p.addresses[address]--; p.addresses[address] == 0 {
		delete(p.addresses, address)
	}
}
