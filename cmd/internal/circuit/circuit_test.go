package circuit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// never is a limit that no test reaches: a test which should not run into one
// must not come near it.
const never = time.Hour

func unlimited() Limits {
	return Limits{Connect: never, Idle: never, HalfIdle: never, Total: never, Drain: never}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A running proxy, and the registrar behind it.
type running struct {
	*Proxy
	at        string
	registrar net.Listener
	stop      func() error // ends it and returns what Run returned
	log       *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func run(t *testing.T, limits Limits) *running {
	t.Helper()
	r := &running{registrar: listen(t), log: new(lockedBuffer)}
	var err error
	r.Proxy, err = New(Config{Registrar: r.registrar.Addr().String(), Limits: limits, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	r.at = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, []net.Listener{l}) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	return r
}

func dial(t *testing.T, at string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func accept(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// pair is a circuit from end to end.
func (r *running) pair(t *testing.T) (pledge, registrar *net.TCPConn) {
	t.Helper()
	pledge = dial(t, r.at)
	return pledge, accept(t, r.registrar)
}

func wantReset(t *testing.T, who string, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: the connection ended with %v, want a reset", who, err)
	}
}

// wantRefused dials and wants a reset, which may come before dialling is done.
func wantRefused(t *testing.T, who, at string) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err == nil {
		defer c.Close()
		_, err = io.Copy(io.Discard, c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: the connection ended with %v, want a reset", who, err)
	}
}

func TestOctetsPassUnchangedBothWaysAtOnce(t *testing.T) {
	r := run(t, unlimited())
	pledge, registrar := r.pair(t)
	const size = 5<<20 + 17
	seeds := [2][32]byte{{1}, {2}}
	send := func(c *net.TCPConn, seed [32]byte) {
		octets := make([]byte, size)
		rand.NewChaCha8(seed).Read(octets)
		if _, err := c.Write(octets); err != nil {
			t.Error(err)
		}
		c.CloseWrite()
	}
	sum := func(c io.Reader) (digest [32]byte) {
		octets, err := io.ReadAll(c)
		if err != nil || len(octets) != size {
			t.Errorf("%d octets came, %v", len(octets), err)
		}
		return sha256.Sum256(octets)
	}
	want := func(seed [32]byte) [32]byte {
		octets := make([]byte, size)
		rand.NewChaCha8(seed).Read(octets)
		return sha256.Sum256(octets)
	}
	var wg sync.WaitGroup
	wg.Go(func() { send(pledge, seeds[0]) })
	wg.Go(func() { send(registrar, seeds[1]) })
	wg.Go(func() {
		if sum(pledge) != want(seeds[1]) {
			t.Error("what the registrar sent arrived changed")
		}
	})
	if sum(registrar) != want(seeds[0]) {
		t.Error("what the pledge sent arrived changed")
	}
	wg.Wait()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Circuits != 1 || s.Up != size || s.Down != size || s.Cut != 0 || s.Open != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestOneSideMayEndAndStillHear(t *testing.T) {
	for _, first := range []string{"pledge", "registrar"} {
		t.Run(first, func(t *testing.T) {
			r := run(t, unlimited())
			a, b := r.pair(t)
			if first == "registrar" {
				a, b = b, a
			}
			a.Write([]byte("question"))
			a.CloseWrite()
			if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
				t.Fatalf("%q %v", got, err)
			}
			b.Write([]byte("answer after the end"))
			b.CloseWrite()
			if got, err := io.ReadAll(a); string(got) != "answer after the end" || err != nil {
				t.Fatalf("%q %v", got, err)
			}
			if err := r.stop(); err != nil || r.Stats().Cut != 0 {
				t.Errorf("%v, %+v", err, r.Stats())
			}
		})
	}
}

func TestACircuitThatBreaksOffIsNoOrderlyEnd(t *testing.T) {
	for _, broken := range []string{"pledge", "registrar"} {
		r := run(t, unlimited())
		a, b := r.pair(t)
		if broken == "registrar" {
			a, b = b, a
		}
		a.Write([]byte("half a mess"))
		if _, err := io.ReadFull(b, make([]byte, 11)); err != nil {
			t.Fatal(err)
		}
		reset(a)
		wantReset(t, "the side beyond the "+broken, b)
		if err := r.stop(); err != nil || r.Stats().Cut != 1 {
			t.Errorf("%v, %+v", err, r.Stats())
		}
	}
}

func TestIdleHalfOpenAndEndlessCircuitsAreCut(t *testing.T) {
	const soon = 50 * time.Millisecond
	for name, c := range map[string]struct {
		limits Limits
		act    func(pledge, registrar *net.TCPConn)
		reason error
	}{
		"nothing is ever said": {Limits{Idle: soon, HalfIdle: never, Total: never}, func(_, _ *net.TCPConn) {}, errIdle},
		"one side ended and the other says nothing": {Limits{Idle: never, HalfIdle: soon, Total: never},
			func(pledge, registrar *net.TCPConn) { pledge.CloseWrite() }, errIdle},
		"the registrar ended and the pledge stays": {Limits{Idle: never, HalfIdle: soon, Total: never},
			func(pledge, registrar *net.TCPConn) { registrar.CloseWrite() }, errIdle},
		"the peer takes nothing": {Limits{Idle: soon, HalfIdle: never, Total: never},
			func(pledge, registrar *net.TCPConn) { go io.Copy(registrar, endless{}) }, errIdle},
		"it talks for ever": {Limits{Idle: never, HalfIdle: never, Total: 4 * soon},
			func(pledge, registrar *net.TCPConn) { go io.Copy(pledge, endless{}); go io.Copy(io.Discard, registrar) }, errTotal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.limits.Connect, c.limits.Drain = never, never
			r := run(t, c.limits)
			pledge, registrar := r.pair(t)
			c.act(pledge, registrar)
			// Run returns when the circuit has ended by itself, since Drain is never.
			if err := r.stop(); err != nil || r.Stats().Cut != 1 {
				t.Errorf("%v, %+v", err, r.Stats())
			}
			if !strings.Contains(r.log.String(), c.reason.Error()) {
				t.Errorf("the log does not say %q:\n%s", c.reason, r.log)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestACircuitIsIdleOnlyWhenNeitherDirectionMoves runs in fake time.
func TestACircuitIsIdleOnlyWhenNeitherDirectionMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Minute
		pledge, in := net.Pipe()
		out, registrar := net.Pipe()
		r := &relay{pledge: in, registrar: out, idle: idle, halfIdle: time.Second, last: time.Now()}
		ended := make(chan error, 1)
		var octets [2]atomic.Uint64
		go func() { ended <- r.run(t.Context(), &octets[0], &octets[1]) }()
		one := make([]byte, 1)
		for range 10 { // the registrar stays silent for longer than the limit
			time.Sleep(idle - time.Second)
			if _, err := pledge.Write(one); err != nil {
				t.Fatalf("the circuit was cut while octets moved: %v", err)
			}
			if _, err := io.ReadFull(registrar, one); err != nil {
				t.Fatal(err)
			}
		}
		last := time.Now()
		if err := <-ended; !errors.Is(err, errIdle) || time.Since(last) != idle || octets[0].Load() != 10 {
			t.Errorf("%v after %v, %d octets", err, time.Since(last), octets[0].Load())
		}
	})
}

func TestASlowReaderHoldsNoMoreThanItsBuffersAndLosesNothing(t *testing.T) {
	r := run(t, unlimited())
	pledge, registrar := r.pair(t)
	const size = 8 << 20 // more than the buffers on the way hold
	go func() {
		octets := make([]byte, size)
		rand.NewChaCha8([32]byte{3}).Read(octets)
		registrar.Write(octets)
		registrar.CloseWrite()
	}()
	h, source := sha256.New(), rand.NewChaCha8([32]byte{3})
	want := make([]byte, size)
	source.Read(want)
	small := make([]byte, 1000)
	for {
		n, err := pledge.Read(small)
		h.Write(small[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if sum := sha256.Sum256(want); !bytes.Equal(h.Sum(nil), sum[:]) {
		t.Error("a slow reader got other octets")
	}
}

func TestCircuitsAreBounded(t *testing.T) {
	for name, set := range map[string]func(*Limits){
		"in all":      func(l *Limits) { l.Circuits = 2 },
		"per address": func(l *Limits) { l.CircuitsPerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			limits := unlimited()
			set(&limits)
			r := run(t, limits)
			p1, r1 := r.pair(t)
			r.pair(t)
			wantRefused(t, "one too many", r.at)
			p1.CloseWrite()
			r1.CloseWrite()
			if _, err := io.Copy(io.Discard, p1); err != nil {
				t.Fatal(err)
			}
			// The place is free once the circuit has ended, a moment after its
			// last octet; until then the proxy may still say no.
			accepted := make(chan net.Conn, 1)
			go func() {
				if c, err := r.registrar.Accept(); err == nil {
					accepted <- c
				}
			}()
			for {
				c, err := net.Dial("tcp", r.at)
				if err != nil {
					continue
				}
				t.Cleanup(func() { c.Close() })
				refused := make(chan struct{})
				go func() { io.Copy(io.Discard, c); close(refused) }()
				select {
				case <-refused:
					continue
				case c := <-accepted:
					c.Close()
				}
				break
			}
			if s := r.Stats(); s.Refused == 0 || s.Circuits != 3 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

func TestARegistrarThatIsDownIsToldAtOnce(t *testing.T) {
	r := run(t, unlimited())
	r.registrar.Close()
	wantRefused(t, "the pledge", r.at)
	r.stop()
	if s := r.Stats(); s.Unreachable != 1 || s.Open != 0 {
		t.Errorf("counted %+v", s)
	}
	if !strings.Contains(r.log.String(), "the registrar cannot be reached") {
		t.Errorf("log:\n%s", r.log)
	}
}

func TestTheProxyComesBackWithTheRegistrar(t *testing.T) {
	r := run(t, unlimited())
	at := r.registrar.Addr().String()
	r.registrar.Close()
	wantRefused(t, "the pledge", r.at)
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	r.registrar = l
	pledge, registrar := r.pair(t)
	registrar.Write([]byte("here"))
	if _, err := io.ReadFull(pledge, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
}

func TestTheEndWaitsForCircuitsAndThenCutsThem(t *testing.T) {
	t.Run("waits", func(t *testing.T) {
		limits := unlimited()
		limits.Circuits = 1 // so that those who knock below are sent away
		r := run(t, limits)
		pledge, registrar := r.pair(t)
		ended := make(chan error, 1)
		go func() { ended <- r.stop() }()
		for { // new connections are not taken any more
			c, err := net.Dial("tcp", r.at)
			if err != nil {
				break
			}
			c.Close()
		}
		pledge.Write([]byte("last words"))
		pledge.CloseWrite()
		if got, err := io.ReadAll(registrar); string(got) != "last words" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		registrar.CloseWrite()
		if err := <-ended; err != nil || r.Stats().Open != 0 {
			t.Errorf("%v, %+v", err, r.Stats())
		}
	})
	t.Run("cuts", func(t *testing.T) {
		limits := unlimited()
		limits.Drain = time.Millisecond
		r := run(t, limits)
		pledge, registrar := r.pair(t)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		wantReset(t, "pledge", pledge)
		wantReset(t, "registrar", registrar)
		if s := r.Stats(); s.Cut != 1 || s.Open != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestAFailedListenerEndsTheProxy(t *testing.T) {
	p, err := New(Config{Registrar: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := p.Run(t.Context(), []net.Listener{listen(t), failing{listen(t), broken}}); !errors.Is(err, broken) {
		t.Errorf("Run returned %v", err)
	}
	if err := p.Run(t.Context(), nil); err == nil {
		t.Error("it ran without a listener")
	}
}

type failing struct {
	net.Listener
	err error
}

func (f failing) Accept() (net.Conn, error) { return nil, f.err }

func TestTheRegistrarIsAHostAndAPort(t *testing.T) {
	for at, ok := range map[string]bool{
		"registrar.example:8443": true, "[fe80::1%eth0]:8443": true, "192.0.2.1:443": true,
		"": false, "registrar.example": false, ":8443": false, "h:0": false, "h:http": false, "h:65536": false, "https://h:1": false,
	} {
		if _, err := New(Config{Registrar: at}); (err == nil) != ok {
			t.Errorf("%q: %v", at, err)
		}
	}
}

func TestAFloodOfRefusalsDoesNotFillTheLog(t *testing.T) {
	var log lockedBuffer
	j := newJournal(slog.New(slog.NewTextHandler(&log, nil)))
	for range 10000 {
		j.warn("refused")
	}
	if n := strings.Count(log.String(), "\n"); n < warningsAtOnce || n > 10*warningsAtOnce {
		t.Errorf("%d lines", n)
	}
}
