package engine

import (
	"context"
	"runtime"
)

// Bounds on Config. They keep a mistaken setting from claiming the machine.
const (
	MaxWorkers = 1 << 12
	MaxSlots   = 1 << 16
)

// Config sets the size of a run. The zero Config is a good choice for work
// that keeps the processors busy.
type Config struct {
	// Workers is how many goroutines call Stages.Work, at most MaxWorkers.
	// Zero stands for one per processor (GOMAXPROCS).
	Workers int

	// Slots is how many batches exist, and so how much memory a run takes: as
	// many times what newBatch allocates. At least Workers, at most MaxSlots.
	// A stalled worker holds up the others once Slots-1 batches are behind
	// it. Zero stands for four per worker and four more.
	Slots int

	// Abort, when not nil, ends the run at once when it is cancelled: batches
	// that are filled or worked on are dropped. The context given to Run
	// stops a run gracefully instead.
	Abort context.Context

	// Meter, when not nil, collects where the time goes.
	Meter *Meter
}

// Stages are the three functions every batch goes through, in this order. A
// batch belongs to the function it was passed to until that function returns,
// and to nobody else meanwhile; keeping the pointer for longer is a mistake.
type Stages[B any] struct {
	// Fill puts work into b. One goroutine calls it, with turn.Seq counting
	// up from 0. It returns true if there may be more to come, false if b is
	// the last batch; ErrNoBatch if b was not used and nothing is left; any
	// other error to stop the run after everything before b was delivered.
	//
	// The batch holds what the last user of its memory left in it.
	//
	// ctx is cancelled as soon as no further batch is wanted: Fill should
	// return then. A batch it still completes is delivered if the run was
	// stopped gracefully.
	Fill func(ctx context.Context, turn Turn, b *B) (more bool, err error)

	// Work does the computing. Config.Workers goroutines call it, each with
	// its own worker number from 0, on batches in no particular order.
	Work func(worker int, seq uint64, b *B) error

	// Sink takes the finished batches strictly in sequence, on the goroutine
	// that called Run.
	Sink func(seq uint64, b *B) error

	// Flush, when not nil, is called between two calls of Sink, on the same
	// goroutine, when a Barrier waits and all batches before it left Sink. A
	// Sink that gathers batches makes them visible here.
	Flush func() error

	// Place, when not nil, says in words where the content of a batch came
	// from ("lines 257 to 512"), for error messages. It is called by the
	// stage that failed on the batch.
	Place func(b *B) string
}

// A Turn is what Fill is told about the batch it is to fill.
type Turn struct {
	// Seq is the sequence number of the batch.
	Seq uint64

	barrier func(seq uint64) error
}

// Barrier waits until every batch handed over so far, those numbered below
// t.Seq, has been consumed by Sink and by Flush. It may be called only from
// within Fill. When the run is being stopped or has failed it returns the
// reason, which Fill should return in turn.
func (t Turn) Barrier() error { return t.barrier(t.Seq) }

// Run moves batches through the stages until Fill says there are no more, a
// stage fails, or a context is cancelled. It returns when all its goroutines
// have ended and no function of stages runs any more.
//
// NewBatch is called Config.Slots times before anything else, and never again:
// that is all the memory the run takes. In the steady state Run takes no lock,
// uses no channel and allocates nothing; a goroutine with nothing to do parks.
//
// Of several failures the one with the lowest sequence number is returned, as
// a *StageError or a *PanicError, and every batch before it has gone through
// Sink. When ctx is cancelled the run stops gracefully: no more is filled,
// what is filled is finished and goes through Sink, and a *StopError wraps the
// context's cause, unless Fill had just delivered its last batch. When
// Config.Abort is cancelled, the *StopError says so. Unusable settings are a
// *ConfigError.
func Run[B any](ctx context.Context, cfg Config, newBatch func() *B, stages Stages[B]) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	p := newPipeline(cfg, newBatch, stages)
	return p.run(ctx)
}

func (c Config) withDefaults() (Config, error) {
	if c.Workers == 0 {
		c.Workers = min(runtime.GOMAXPROCS(0), MaxWorkers)
	}
	if c.Workers < 0 || c.Workers > MaxWorkers {
		return c, &ConfigError{"Config.Workers", c.Workers, "must be 0 (one per processor) to 4096"}
	}
	if c.Slots == 0 {
		c.Slots = 4*c.Workers + 4
	}
	if c.Slots < c.Workers || c.Slots > MaxSlots {
		return c, &ConfigError{"Config.Slots", c.Slots, "must be 0 (four per worker and four more), or at least Workers and at most 65536"}
	}
	if c.Abort == nil {
		c.Abort = context.Background()
	}
	if c.Meter == nil {
		c.Meter = new(Meter)
	}
	return c, nil
}
