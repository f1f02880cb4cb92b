package engine

import (
	"context"
	"errors"
	"runtime/debug"
)

// fillAll is the filler. Run is the context that stops the run.
func (p *pipeline[B]) fillAll(run context.Context) {
	p.watch = p.cfg.Meter.stopwatch(StageFill)
	var seq uint64
	defer func() {
		p.end.Store(seq)
		p.worker.wake(allWaiters)
		p.sink.wake(1)
	}()
	for more := true; more; seq++ {
		s := p.slot(seq)
		if !p.awaitFree(s, seq) {
			p.outcome = &StopError{Cause: context.Cause(run)}
			return
		}
		p.watch.parked()
		var handOver bool
		more, handOver = p.fill(run, seq, s.batch)
		if !handOver {
			p.watch.busy()
			return
		}
		p.watch.done()
		s.state.Store(state(seq, filled))
		p.worker.wake(1)
	}
}

// awaitFree waits until the slot is free for number seq and reports whether
// the filler is to go on.
func (p *pipeline[B]) awaitFree(s *slot[B], seq uint64) bool {
	if s.state.Load() != state(seq, free) {
		p.want.Store(seq + 1 - uint64(len(p.slots)))
		p.filler.await(nil, func() bool { return s.state.Load() == state(seq, free) || p.unwanted() })
	}
	return !p.unwanted()
}

// fill calls Fill and reports whether more may come and whether the batch is
// to be handed over; if not, it has set the outcome.
func (p *pipeline[B]) fill(run context.Context, seq uint64, b *B) (more, handOver bool) {
	returned := false
	defer func() {
		if !returned {
			p.outcome = p.caught(StageFill, seq, b, recover())
		}
	}()
	more, err := p.stages.Fill(p.fillContext, Turn{Seq: seq, barrier: p.barrierFunc}, b)
	returned = true
	switch {
	case err == nil:
		return more, true
	case err == ErrNoBatch:
		p.outcome = nil
	case run.Err() != nil && (errors.Is(err, run.Err()) || errors.Is(err, context.Cause(run))):
		p.outcome = &StopError{Cause: context.Cause(run)}
	default:
		p.outcome = &StageError{Stage: StageFill, Seq: seq, Place: p.placeOf(b), Err: err}
	}
	return false, false
}

// awaitSunk is Turn.Barrier.
func (p *pipeline[B]) awaitSunk(seq uint64) error {
	p.watch.busy()
	defer p.watch.parked()
	reached := &p.sunk
	if p.stages.Flush != nil {
		reached = &p.flushed
	}
	p.want.Store(seq)
	p.barrier.Store(seq)
	p.sink.wake(1) // it may be parked with everything sunk and Flush to call
	p.filler.await(nil, func() bool { return reached.Load() >= seq || p.unwanted() })
	if p.unwanted() {
		<-p.fillContext.Done() // whoever makes the filler unwanted cancels this next
		return context.Cause(p.fillContext)
	}
	return nil
}

// workAll is a worker.
func (p *pipeline[B]) workAll(worker int) {
	watch := p.cfg.Meter.stopwatch(StageWork)
	for {
		seq, ok := p.claimNext()
		watch.parked()
		if !ok {
			return
		}
		p.work(worker, seq, p.slot(seq))
		watch.done()
	}
}

// claimNext claims the next batch and waits for one if there is none. It
// returns false when no more will come. A worker claims only what is filled:
// so all that wait, wait for the same thing, and a batch is never kept for a
// worker that has yet to wake up while another is awake.
func (p *pipeline[B]) claimNext() (uint64, bool) {
	for {
		p.worker.await(nil, func() bool {
			_, filled := p.claimable()
			return filled || p.claim.Load() >= p.end.Load() || p.aborted.Load()
		})
		next, filled := p.claimable()
		if p.aborted.Load() || !filled && next >= p.end.Load() {
			return 0, false
		}
		if filled && p.claim.CompareAndSwap(next, next+1) {
			return next, true
		}
	}
}

// claimable returns the number that is to be claimed next and whether its
// batch is filled.
func (p *pipeline[B]) claimable() (uint64, bool) {
	for {
		next := p.claim.Load()
		if p.slot(next).state.Load() == state(next, filled) {
			return next, true
		}
		if p.claim.Load() == next { // else it was claimed, and another may be filled
			return next, false
		}
	}
}

// work calls Work and hands the batch to the sink, whatever happens.
func (p *pipeline[B]) work(worker int, seq uint64, s *slot[B]) {
	returned := false
	defer func() {
		if !returned {
			s.err = p.caught(StageWork, seq, s.batch, recover())
		}
		if s.err != nil {
			p.fail(seq, s.err)
		}
		s.state.Store(state(seq, signed))
		if p.sunk.Load() == seq {
			p.sink.wake(1)
		}
	}()
	if seq < p.failed.Load() { // else it will never reach Sink
		if err := p.stages.Work(worker, seq, s.batch); err != nil {
			s.err = &StageError{Stage: StageWork, Seq: seq, Place: p.placeOf(s.batch), Err: err}
		}
	}
	returned = true
}

// sinkAll is the sink. It returns what Run returns.
func (p *pipeline[B]) sinkAll() error {
	watch := p.cfg.Meter.stopwatch(StageSink)
	for seq := uint64(0); ; seq++ {
		s := p.slot(seq)
		if err := p.awaitSigned(&watch, s, seq); err != nil {
			return err
		}
		if p.aborted.Load() {
			return &StopError{Delivered: seq, Aborted: true, Cause: context.Cause(p.cfg.Abort)}
		}
		if s.state.Load() != state(seq, signed) {
			if stop, ok := p.outcome.(*StopError); ok {
				stop.Delivered = seq
			}
			return p.outcome
		}
		if s.err != nil {
			return s.err
		}
		if err := p.consume(seq, s.batch, p.stages.Sink); err != nil {
			return err
		}
		watch.done()
		s.state.Store(state(seq+uint64(len(p.slots)), free))
		p.sunk.Store(seq + 1)
		if seq+1 >= p.want.Load() {
			p.filler.wake(1)
		}
	}
}

// awaitSigned waits until there is a reason to go on with number seq, and
// calls Flush meanwhile if a Barrier asks for it.
func (p *pipeline[B]) awaitSigned(watch *stopwatch, s *slot[B], seq uint64) error {
	mustFlush := func() bool {
		return p.stages.Flush != nil && p.flushed.Load() < seq && p.barrier.Load() == seq
	}
	for {
		p.sink.await(nil, func() bool {
			return s.state.Load() == state(seq, signed) || p.end.Load() == seq || p.aborted.Load() || mustFlush()
		})
		watch.parked()
		if !mustFlush() || p.aborted.Load() {
			return nil
		}
		if err := p.consume(seq, nil, p.flush); err != nil {
			return err
		}
		watch.busy()
		p.flushed.Store(seq)
		p.filler.wake(1)
	}
}

// flush is Flush in the shape of Sink. No batch is the sink's at that time, so
// it gets none.
func (p *pipeline[B]) flush(uint64, *B) error { return p.stages.Flush() }

// consume calls one of the sink's functions. A call of runtime.Goexit, as in
// a failed test, unwinds the caller of Run as well, and Run ends cleanly.
func (p *pipeline[B]) consume(seq uint64, b *B, call func(uint64, *B) error) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = p.caught(StageSink, seq, b, recover())
		}
	}()
	err = call(seq, b)
	returned = true
	if err != nil {
		err = &StageError{Stage: StageSink, Seq: seq, Place: p.placeOf(b), Err: err}
	}
	return err
}

// caught turns what was recovered into an error. It must be called by the
// deferred function that recovered, for the stack to tell where it began.
func (p *pipeline[B]) caught(stage Stage, seq uint64, b *B, value any) error {
	return &PanicError{Stage: stage, Seq: seq, Place: p.placeOf(b), Value: value, Stack: debug.Stack()}
}

// placeOf asks Place about a batch that failed. What Place makes of a batch
// in any state must not hide the failure, so a panic there only costs the
// words.
func (p *pipeline[B]) placeOf(b *B) (where string) {
	defer func() { _ = recover() }()
	if p.stages.Place == nil || b == nil {
		return ""
	}
	return p.stages.Place(b)
}
