package engine

import (
	"sync/atomic"
	"time"
)

// StageStats says what one stage did with its time.
type StageStats struct {
	Batches uint64        // batches that went through the stage
	Busy    time.Duration // inside the stage's function, summed over its goroutines
	Parked  time.Duration // waiting for a batch, summed over its goroutines
}

// Stats says what a run did with its time, stage by stage. Time in a Barrier
// is counted as parked for the filler.
type Stats struct {
	Fill, Work, Sink StageStats
}

// A Meter collects Stats while a run goes on. It costs two readings of the
// clock per batch and stage. The zero Meter is ready for use; it may serve
// several runs, at once or one after the other, and then sums them.
type Meter struct {
	stages [3]stageMeter // by Stage; each on its own cache line
}

type stageMeter struct {
	batches atomic.Uint64
	busy    atomic.Int64 // nanoseconds
	parked  atomic.Int64 // nanoseconds
	_       [cacheLine - 24]byte
}

// Stats returns what was counted so far. It may be called at any time, from
// any goroutine; batches in progress are not in it yet.
func (m *Meter) Stats() Stats {
	return Stats{
		Fill: m.stages[StageFill].stats(),
		Work: m.stages[StageWork].stats(),
		Sink: m.stages[StageSink].stats(),
	}
}

func (m *stageMeter) stats() StageStats {
	return StageStats{
		Batches: m.batches.Load(),
		Busy:    time.Duration(m.busy.Load()),
		Parked:  time.Duration(m.parked.Load()),
	}
}

// A stopwatch divides one goroutine's time between busy and parked. It is
// that goroutine's own.
type stopwatch struct {
	meter *stageMeter
	start time.Time
	last  time.Duration // since start, of the latest reading
}

func (m *Meter) stopwatch(stage Stage) stopwatch {
	return stopwatch{meter: &m.stages[stage], start: time.Now()}
}

// lap returns the time since the last lap.
func (w *stopwatch) lap() int64 {
	now := time.Since(w.start)
	d := now - w.last
	w.last = now
	return int64(d)
}

func (w *stopwatch) parked() { w.meter.parked.Add(w.lap()) }
func (w *stopwatch) busy()   { w.meter.busy.Add(w.lap()) }

func (w *stopwatch) done() {
	w.busy()
	w.meter.batches.Add(1)
}
