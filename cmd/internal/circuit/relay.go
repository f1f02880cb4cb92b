package circuit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// bufferBytes is what each direction of a circuit holds at most.
const bufferBytes = 16 << 10

var (
	errIdle  = errors.New("nothing moved for too long")
	errTotal = errors.New("it lasted too long")
	errDrain = errors.New("the proxy ends")
)

// A relay is one circuit: two connections, and a goroutine for each direction.
type relay struct {
	pledge, registrar net.Conn
	idle, halfIdle    time.Duration

	mu   sync.Mutex
	last time.Time // guarded by mu; when something moved last
	half bool      // guarded by mu; one side has ended
}

// serve connects a pledge to the registrar and passes on what both say.
func (p *Proxy) serve(life context.Context, pledge net.Conn) {
	ctx, cancel := context.WithTimeoutCause(life, p.limits.Total, errTotal)
	defer cancel()
	dialing, done := context.WithTimeout(ctx, p.limits.Connect)
	registrar, err := p.dialer.DialContext(dialing, "tcp", p.cfg.Registrar)
	done()
	if err != nil {
		p.counts.unreachable.Add(1)
		p.lines.warn("the registrar cannot be reached", "registrar", p.cfg.Registrar, "remote", pledge.RemoteAddr(), "error", err)
		reset(pledge)
		return
	}
	r := &relay{pledge: pledge, registrar: registrar, idle: p.limits.Idle, halfIdle: p.limits.HalfIdle, last: time.Now()}
	began := r.last
	if err := r.run(ctx, &p.counts.up, &p.counts.down); err != nil {
		p.counts.cut.Add(1)
		p.lines.debug("a circuit was cut", "remote", pledge.RemoteAddr(), "after", time.Since(began), "error", err)
	}
}

// run returns nil after both sides have ended in order, and the reason why the
// circuit was cut otherwise. Both connections are closed then.
func (r *relay) run(ctx context.Context, up, down *atomic.Uint64) error {
	uncut := context.AfterFunc(ctx, r.cut)
	ended := make(chan error, 2)
	go func() { ended <- r.pump(r.registrar, r.pledge, up) }()
	go func() { ended <- r.pump(r.pledge, r.registrar, down) }()
	err := <-ended
	if err != nil {
		r.cut()
	}
	err = errors.Join(err, <-ended)
	if !uncut() { // what the pumps saw came of it
		<-ctx.Done()
		if err = context.Cause(ctx); errors.Is(err, context.Canceled) {
			err = errDrain
		}
	}
	if err != nil {
		r.cut()
	}
	r.pledge.Close()
	r.registrar.Close()
	return err
}

// cut ends the circuit so that both sides see that it was cut.
func (r *relay) cut() {
	reset(r.pledge)
	reset(r.registrar)
}

// pump passes on what src says until it ends, and then the end. An error means
// that the circuit is to be cut.
func (r *relay) pump(dst, src net.Conn, octets *atomic.Uint64) error {
	buf := make([]byte, bufferBytes)
	for {
		if err := r.await(src); err != nil {
			return err
		}
		n, err := src.Read(buf)
		if n > 0 {
			if err := r.pass(dst, buf[:n]); err != nil {
				return err
			}
			octets.Add(uint64(n))
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return r.end(dst)
		case timedOut(err): // unless the other direction moved meanwhile
			if r.expired() {
				return errIdle
			}
		default:
			return err
		}
	}
}

// pass writes within the time that a circuit may be idle.
func (r *relay) pass(dst net.Conn, octets []byte) error {
	limit := r.moved()
	if err := dst.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := dst.Write(octets)
	if timedOut(err) {
		return errIdle
	}
	r.moved()
	return err
}

// moved notes that something moves, and returns how long nothing may.
func (r *relay) moved() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
	return r.limit()
}

func (r *relay) limit() time.Duration {
	if r.half {
		return r.halfIdle
	}
	return r.idle
}

// await sets the deadline for reading from src. It holds the lock, so that a
// deadline which end shortened is not lengthened again.
func (r *relay) await(src net.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return src.SetReadDeadline(r.last.Add(r.limit()))
}

func (r *relay) expired() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !time.Now().Before(r.last.Add(r.limit()))
}

// end tells dst that src has ended, and bounds what dst may still do. Where that
// fails dst has ended too, as the other pump will see.
func (r *relay) end(dst net.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.half = time.Now(), true
	if dst.SetReadDeadline(r.last.Add(r.limit())) != nil {
		return nil
	}
	c, ok := dst.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("a %T cannot be told that its peer has ended", dst)
	}
	c.CloseWrite()
	return nil
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// reset closes a connection so that its peer sees a reset (TCP alone has it).
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0) // fails on a connection that is closed, which is as well
	}
	c.Close()
}
