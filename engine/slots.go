package engine

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// cacheLine is the distance in bytes that keeps two counters from slowing
// each other down.
const cacheLine = 64

// never is the sequence number no batch reaches: sequence numbers share a
// word with two bits of stage.
const never = math.MaxUint64 >> 2

// What a slot's state says of its batch, next to the sequence number the
// batch has in this round. The state is also the deed of ownership: only the
// goroutine the state names may touch the batch, and only it may change the
// state, by storing the next one as its last act.
const (
	free   = iota // the filler's
	filled        // the worker's that claimed the sequence number
	signed        // the sink's
)

// state is a slot's state word. The sequence number in it tells the rounds
// apart: a slot that is free for number 20 is not free for number 4.
func state(seq uint64, stage uint64) uint64 { return seq<<2 | stage }

// A slot holds one batch. The batch stays in its slot for the whole run; what
// moves is the right to touch it.
type slot[B any] struct {
	// state is written by the batch's owner only and read by those who wait
	// to be the next one. A filled batch has an owner once a worker claimed
	// its number.
	state atomic.Uint64

	// batch is set before the run starts and never changes. What it points
	// to belongs to the owner.
	batch *B

	// err is the failure of Work, written by the worker before it stores
	// signed, read by the sink after it loaded that.
	err error

	_ [cacheLine - 32]byte
}

// A pipeline is one run.
type pipeline[B any] struct {
	// Set before the run starts, read by all.
	cfg    Config
	stages Stages[B]
	slots  []slot[B] // the batch with number seq is in slots[seq % len(slots)]
	// fillContext is what Fill gets: it ends with the run's context, on any
	// failure and on abort, which call endFill.
	fillContext context.Context
	endFill     context.CancelCauseFunc
	// barrierFunc is awaitSunk, made into a value once.
	barrierFunc func(seq uint64) error

	// Written by the filler before it stores end, read by the sink after it
	// loaded end.
	outcome error // nil: Fill came to its end

	// The filler's own.
	watch stopwatch

	_ [cacheLine]byte
	// claim is the next number to work on. A worker takes it by advancing it.
	claim atomic.Uint64
	// worker is where workers wait while that number is not filled.
	worker lot
	_      [cacheLine]byte

	// sunk counts the batches that left the sink, which makes it the number
	// the sink waits for. The sink writes it.
	sunk atomic.Uint64
	// flushed is the number up to which Flush has been called. The sink
	// writes it.
	flushed atomic.Uint64
	// sink is where the sink waits.
	sink lot
	_    [cacheLine]byte

	// want is the value of sunk the filler waits for. The filler writes it
	// before it parks.
	want atomic.Uint64
	// barrier is the number up to which the filler wants Flush called. The
	// filler writes it.
	barrier atomic.Uint64
	// end is the first number that will never be filled, never while that is
	// open. The filler writes it, once, as its last act.
	end atomic.Uint64
	// filler is where the filler waits.
	filler lot
	_      [cacheLine]byte

	// failed is the lowest number a worker failed on. It only falls. What
	// lies after it need not be worked on any more.
	failed atomic.Uint64
	// stopping is set when the filler is to stop and the rest to finish.
	stopping atomic.Bool
	// aborted is set when everybody is to stop.
	aborted atomic.Bool
}

func newPipeline[B any](cfg Config, newBatch func() *B, stages Stages[B]) *pipeline[B] {
	p := &pipeline[B]{cfg: cfg, stages: stages, slots: make([]slot[B], cfg.Slots)}
	for i := range p.slots {
		s := &p.slots[i]
		s.state.Store(state(uint64(i), free))
		s.batch = newBatch()
	}
	p.filler, p.worker, p.sink = newLot(1), newLot(cfg.Workers), newLot(1)
	p.barrierFunc = p.awaitSunk
	p.end.Store(never)
	p.failed.Store(never)
	return p
}

func (p *pipeline[B]) slot(seq uint64) *slot[B] {
	return &p.slots[seq%uint64(len(p.slots))]
}

// run starts the goroutines, is the sink, and sees everybody out.
func (p *pipeline[B]) run(ctx context.Context) error {
	p.fillContext, p.endFill = context.WithCancelCause(ctx)
	var everybody sync.WaitGroup
	defer everybody.Wait()
	defer p.halt(context.Canceled)
	defer context.AfterFunc(ctx, p.stop)()
	defer context.AfterFunc(p.cfg.Abort, func() { p.halt(context.Cause(p.cfg.Abort)) })()

	if ctx.Err() != nil {
		p.stop() // nothing is to be filled, not even before AfterFunc gets its turn
	}
	if p.cfg.Abort.Err() != nil {
		p.halt(context.Cause(p.cfg.Abort))
	}

	everybody.Go(func() { p.fillAll(ctx) })
	for worker := range p.cfg.Workers {
		everybody.Go(func() { p.workAll(worker) })
	}
	return p.sinkAll()
}

// stop makes the filler stop; what is filled is finished.
func (p *pipeline[B]) stop() {
	p.stopping.Store(true)
	p.filler.wake(1)
}

// halt makes everybody stop after the call they are in.
func (p *pipeline[B]) halt(cause error) {
	p.aborted.Store(true)
	p.endFill(cause)
	p.filler.wake(1)
	p.worker.wake(allWaiters)
	p.sink.wake(1)
}

// fail notes that number seq failed, so that nothing after it is started.
func (p *pipeline[B]) fail(seq uint64, err error) {
	for {
		lowest := p.failed.Load()
		if seq >= lowest {
			return
		}
		if p.failed.CompareAndSwap(lowest, seq) {
			break
		}
	}
	p.endFill(err)
	p.filler.wake(1)
}

// unwanted reports whether the filler is to stop. Whatever makes it true also
// cancels fillContext, at once or right before.
func (p *pipeline[B]) unwanted() bool {
	return p.stopping.Load() || p.aborted.Load() || p.failed.Load() != never
}
