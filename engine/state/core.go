package state

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// maxGroup is how many updates one commit takes at most. How much they may
// write together is what one of them may.
const maxGroup = 256

// A backend keeps what is durable.
type backend interface {
	room() error              // why nothing may be written now, as a *FullError
	commit(w *overlay) error  // atomic; nil: durable and part of the next snapshot
	snapshot() snapshot       // of all that was committed with success
	release() error           // called once, when no snapshot is held any more
	crashed() <-chan struct{} // closed when the process is to be taken for dead; nil: never
}

// A core is a DB over a backend. Updates wait in a queue; while there are any,
// one goroutine, the committer, takes as many as wait, runs them one after the
// other, commits what they wrote at once and answers them. There is none while
// there is nothing to do: who comes then, and finds itself alone, is the committer
// of its own update, which costs no goroutine, and leaves what came meanwhile to
// one.
type core struct {
	b backend

	mu      sync.Mutex
	queue   []*update
	working bool          // there is a committer
	closed  bool          // by Close
	current *shared       // the snapshot that Views and the next group read
	idle    chan struct{} // made by Close, closed by the committer that ends

	views  sync.WaitGroup
	failed atomic.Pointer[FailedError] // set by the committer
}

// shared is a snapshot with the number of those who hold it: each View, and the
// DB while it is the current one.
type shared struct {
	snapshot
	holders atomic.Int64
}

func (s *shared) drop() {
	if s.holders.Add(-1) == 0 {
		s.release()
	}
}

// An update is a call of Update.
type update struct {
	ctx  context.Context
	f    func(Tx) error
	turn atomic.Bool // taken by whoever decides first: the committer or the caller who gives up
	ran  bool        // f was called
	err  error       // of f, then the outcome; the committer's until done
	done chan struct{}
}

func newCore(b backend) *core {
	c := &core{b: b}
	c.current = c.newShared()
	return c
}

func (c *core) newShared() *shared {
	s := &shared{snapshot: c.b.snapshot()}
	s.holders.Store(1)
	return s
}

// dead reports whether the backend is to be taken for a killed process.
func (c *core) dead() bool {
	select {
	case <-c.b.crashed():
		return true
	default:
		return false
	}
}

// acquire returns the current snapshot for one more View, which drops it and is
// then done.
func (c *core) acquire() (*shared, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.dead() {
		return nil, ErrClosed
	}
	c.views.Add(1)
	c.current.holders.Add(1)
	return c.current, nil
}

// View implements DB.
func (c *core) View(ctx context.Context, f func(Reader) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s, err := c.acquire()
	if err != nil {
		return err
	}
	defer c.views.Done()
	defer s.drop()
	v := &view{ctx: ctx, base: s}
	defer func() { v.finished = true }()
	return f(v)
}

// Update implements DB.
func (c *core) Update(ctx context.Context, f func(Tx) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	u := &update{ctx: ctx, f: f, done: make(chan struct{})}
	idle, err := c.enqueue(u)
	if err != nil {
		return err
	}
	if idle && c.lead() {
		return u.err
	}
	select {
	case <-u.done:
		return u.err
	case <-ctx.Done():
	}
	if u.turn.CompareAndSwap(false, true) {
		return context.Cause(ctx)
	}
	<-u.done
	return u.err
}

// enqueue puts u into the queue. Where it finds no committer the caller has to see
// to one, by lead.
func (c *core) enqueue(u *update) (idle bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.dead() {
		return false, ErrClosed
	}
	if failed := c.failed.Load(); failed != nil {
		return false, failed
	}
	c.queue = append(c.queue, u)
	idle = !c.working
	c.working = true
	return idle, nil
}

// Close implements DB.
func (c *core) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	idle := make(chan struct{})
	if c.working {
		c.idle = idle
	} else {
		close(idle)
	}
	c.mu.Unlock()
	<-idle
	c.views.Wait()
	c.current.drop()
	return c.b.release()
}

// A group is a number of updates that are committed at once.
type group struct {
	updates []*update // those not yet answered
	next    int       // of updates: those before it had their turn
	base    *shared   // what they read; nil in a group that was not begun
	room    error     // why none of them is called
	written overlay   // by those that ran, over base
}

// lead is the committer of the first update of a group, on the goroutine of its
// caller, and reports whether that was all: where others came at the same time,
// they share a commit, and a goroutine that is nobody's calls their functions.
func (c *core) lead() bool {
	runtime.Gosched() // for those who are about to come
	g := c.take()
	if len(g.updates) > 1 {
		go c.work(g)
		return false
	}
	defer func() { // even when the function ends the goroutine
		if len(g.updates) == 0 {
			g = c.take()
		}
		if g != nil {
			go c.work(g)
		}
	}()
	c.run(g)
	return true
}

// work is the committer. It ends when nothing waits.
func (c *core) work(g *group) {
	ended := false
	defer func() {
		if !ended { // a function passed to Update ended this goroutine
			go c.work(g)
		}
	}()
	for {
		c.run(g)
		if g = c.take(); g == nil {
			break
		}
	}
	ended = true
}

// take makes a group of what waits, nil when there is nothing: then the caller
// is the committer no longer.
func (c *core) take() *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.working, c.queue = false, nil
		if c.idle != nil {
			close(c.idle)
		}
		return nil
	}
	n := min(len(c.queue), maxGroup)
	g := &group{updates: c.queue[:n:n]}
	c.queue = c.queue[n:]
	return g
}

// run calls, commits and answers the updates of a group.
func (c *core) run(g *group) {
	if g.base == nil && len(g.updates) > 0 {
		g.base, g.room = c.current, c.b.room() // only the committer changes c.current
	}
	for g.next < len(g.updates) {
		u := g.updates[g.next]
		g.next++
		if u.err = c.mayRun(u, g); u.err != nil {
			continue
		}
		t := &tx{base: g.base, group: g.written.root}
		call(u, t)
		if u.err != nil || len(t.own.list) == 0 {
			continue
		}
		if g.written.use.and(t.own.use).exceeds() == nil || g.written.root == nil {
			g.written.add(&t.own)
			continue
		}
		// What it wrote goes on top of what those before it wrote.
		before := g.next - 1
		err := c.finish(g.updates[:before], g.written)
		*g = group{updates: g.updates[before:], next: 1, base: c.current, room: g.room}
		if u.err = err; err == nil {
			g.written.add(&t.own)
		}
	}
	_ = c.finish(g.updates, g.written) // each of them has the error
	*g = group{}
}

// mayRun takes the turn of u and says why its function is not called.
func (c *core) mayRun(u *update, g *group) error {
	if !u.turn.CompareAndSwap(false, true) {
		return context.Cause(u.ctx)
	}
	if err := context.Cause(u.ctx); err != nil {
		return err
	}
	if c.dead() {
		return ErrClosed
	}
	if failed := c.failed.Load(); failed != nil {
		return failed
	}
	return g.room
}

// call calls the function of u and leaves its error there.
func call(u *update, t *tx) {
	u.ran, u.err = true, errExited
	defer func() {
		t.finished = true
		if r := recover(); r != nil {
			u.err = &PanicError{r, debug.Stack()}
		}
		if u.err == nil {
			u.err = t.err
		}
	}()
	u.err = u.f(t)
}

// finish commits what updates wrote and answers them. When the commit fails,
// so do all that ran: what they read, or would have been refused for, may not
// be on disk.
func (c *core) finish(updates []*update, w overlay) error {
	var err error
	if w.root != nil {
		err = c.commit(w)
	}
	for _, u := range updates {
		if err != nil && u.ran {
			u.err = err
		}
		close(u.done)
	}
	return err
}

// commit makes w durable and the state that is read from now on.
func (c *core) commit(w overlay) error {
	if err := c.b.commit(&w); errors.Is(err, ErrClosed) {
		return err
	} else if err != nil {
		failed := &FailedError{err}
		c.failed.Store(failed)
		return failed
	}
	s := c.newShared()
	c.mu.Lock()
	old := c.current
	c.current = s
	c.mu.Unlock()
	old.drop()
	return nil
}
