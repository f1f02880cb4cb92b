package engine

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// OnlineConfig sets the size of an Online pool.
type OnlineConfig struct {
	// Workers is how many goroutines call the process function, at most
	// MaxWorkers. Zero stands for one per processor (GOMAXPROCS).
	Workers int

	// Batch is how many requests one call gets at most, up to Requests. Zero
	// stands for 64, or Requests where that is less.
	Batch int

	// Requests is how many requests can be under way at once, waiting or in
	// work, at most MaxRing; callers beyond that wait in Do. Zero stands for
	// 1024.
	Requests int
}

// An Exchange is one request under way in an Online pool, and its answer. It
// belongs to the process function from the call to the return.
type Exchange[Q, R any] struct {
	Request  Q     // what Do was given
	Response R     // what Do is to return
	Err      error // the error Do is to return

	// stage is written by the requester before it hands the exchange over,
	// and then once by each side: done by the worker, abandoned by a
	// requester that leaves. Who comes second recycles the exchange.
	stage atomic.Uint32
	// requester is where the one goroutine in Do waits.
	requester lot
}

const (
	pending = iota
	done
	abandoned
)

// Online answers single requests by batches, for servers: whoever calls Do
// waits for its own answer, while workers take from the Ring whatever waits
// there. An idle pool so answers one request at once, a loaded one works on
// many at a time. All exchanges are allocated at the start; in the steady
// state a request takes no lock and allocates nothing. It is safe for
// concurrent use.
type Online[Q, R any] struct {
	process func(worker int, batch []*Exchange[Q, R])
	unused  *Ring[*Exchange[Q, R]] // what nobody owns; never closed
	waiting *Ring[*Exchange[Q, R]] // the next worker's
	batches atomic.Uint64          // batches taken so far
	workers sync.WaitGroup
}

// NewOnline starts the workers. Process is called by cfg.Workers goroutines,
// each with its own worker number from 0, with 1 to cfg.Batch exchanges; it
// sets Response or Err in each. If it panics, each exchange of the batch fails
// with a *PanicError, whose Seq counts batches in the order they were taken,
// and the worker goes on. Unusable settings are a *ConfigError.
func NewOnline[Q, R any](cfg OnlineConfig, process func(worker int, batch []*Exchange[Q, R])) (*Online[Q, R], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	o := &Online[Q, R]{process: process}
	if o.unused, err = NewRing[*Exchange[Q, R]](cfg.Requests); err != nil {
		return nil, err
	}
	if o.waiting, err = NewRing[*Exchange[Q, R]](cfg.Requests); err != nil {
		return nil, err
	}
	exchanges := make([]Exchange[Q, R], cfg.Requests)
	for i := range exchanges {
		exchanges[i].requester = newLot(1)
		o.recycle(&exchanges[i])
	}
	for worker := range cfg.Workers {
		o.workers.Go(func() { o.workAll(worker, make([]*Exchange[Q, R], cfg.Batch)) })
	}
	return o, nil
}

func (c OnlineConfig) withDefaults() (OnlineConfig, error) {
	if c.Workers == 0 {
		c.Workers = min(runtime.GOMAXPROCS(0), MaxWorkers)
	}
	if c.Workers < 0 || c.Workers > MaxWorkers {
		return c, &ConfigError{"OnlineConfig.Workers", c.Workers, "must be 0 (one per processor) to 4096"}
	}
	if c.Requests == 0 {
		c.Requests = 1024
	}
	if c.Requests < 0 || c.Requests > MaxRing {
		return c, &ConfigError{"OnlineConfig.Requests", c.Requests, "must be 0 (1024) to 16777216"}
	}
	if c.Batch == 0 {
		c.Batch = min(64, c.Requests)
	}
	if c.Batch < 0 || c.Batch > c.Requests {
		return c, &ConfigError{"OnlineConfig.Batch", c.Batch, "must be 0 (64) to OnlineConfig.Requests"}
	}
	return c, nil
}

// Do hands the request to the pool and returns its answer. It returns
// ErrClosed if the pool was closed, and the context's cause if ctx ends first.
// In that case the request may still be worked on, so memory it refers to must
// not be used again; the answer is dropped.
func (o *Online[Q, R]) Do(ctx context.Context, request Q) (response R, err error) {
	var one [1]*Exchange[Q, R]
	if _, err := o.unused.TakeBatch(ctx, one[:]); err != nil {
		return response, err
	}
	e := one[0]
	e.Request = request
	e.stage.Store(pending)
	if err := o.waiting.Put(ctx, e); err != nil {
		o.recycle(e)
		return response, err
	}
	answered := e.requester.await(ctx.Done(), func() bool { return e.stage.Load() == done })
	if !answered && e.stage.CompareAndSwap(pending, abandoned) {
		return response, context.Cause(ctx)
	}
	response, err = e.Response, e.Err
	o.recycle(e)
	return response, err
}

// recycle empties an exchange and makes it available. There is always room:
// the ring holds all exchanges there are.
func (o *Online[Q, R]) recycle(e *Exchange[Q, R]) {
	var request Q
	var response R
	e.Request, e.Response, e.Err = request, response, nil
	// Without an end to its context, and on a ring that is never closed, Put
	// cannot fail.
	_ = o.unused.Put(context.Background(), e)
}

// workAll is a worker. If process ends the goroutine, another takes over.
func (o *Online[Q, R]) workAll(worker int, batch []*Exchange[Q, R]) {
	closed := false
	defer func() {
		if !closed {
			o.workers.Go(func() { o.workAll(worker, batch) })
		}
	}()
	for {
		n, err := o.waiting.TakeBatch(context.Background(), batch)
		if err != nil {
			closed = true
			return
		}
		// Whoever hands a request over and then waits has the scheduler run the
		// worker it woke next, before all the goroutines that are ready to hand
		// theirs over. They go first, so that a busy processor fills batches.
		if n < len(batch) {
			runtime.Gosched()
			n += o.waiting.tryTake(batch[n:])
		}
		o.work(worker, batch[:n])
	}
}

// work calls process and answers every request of the batch, whatever happens.
func (o *Online[Q, R]) work(worker int, batch []*Exchange[Q, R]) {
	seq := o.batches.Add(1) - 1
	returned := false
	defer func() {
		var failure error
		if !returned {
			failure = &PanicError{Stage: StageWork, Seq: seq, Value: recover(), Stack: debug.Stack()}
		}
		for i, e := range batch {
			if failure != nil {
				e.Err = failure
			}
			batch[i] = nil
			o.answer(e)
		}
	}()
	o.process(worker, batch)
	returned = true
}

// answer gives the exchange back to the goroutine in Do, if it is still there.
func (o *Online[Q, R]) answer(e *Exchange[Q, R]) {
	if e.stage.CompareAndSwap(pending, done) {
		e.requester.wake(1) // the exchange may be another's by now, who will look and wait on
		return
	}
	o.recycle(e)
}

// Close refuses new requests, answers those that wait, and returns when all
// workers have ended. Closing again has no effect.
func (o *Online[Q, R]) Close() {
	o.waiting.Close()
	o.workers.Wait()
}
