package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestBarrierWaitsForAllBatchesHandedOver(t *testing.T) {
	for _, every := range []uint64{1, 3, 50} {
		inProcs(t, func(t *testing.T) {
			const n = 400
			var sunk uint64 // not atomic: the barrier itself must order the accesses
			stages := countTo(n, func(uint64) { sunk++; sometimes() })
			fill := stages.Fill
			stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
				if turn.Seq%every == 0 {
					if err := turn.Barrier(); err != nil {
						return false, err
					}
					if sunk != turn.Seq {
						t.Errorf("barrier before batch %d returned with %d consumed", turn.Seq, sunk)
					}
				}
				return fill(ctx, turn, b)
			}
			if err := Run(t.Context(), Config{Workers: 2, Slots: 5}, newCount, stages); err != nil || sunk != n {
				t.Errorf("%d batches, error %v; want %d and none", sunk, err, n)
			}
		})
	}
}

func TestBarrierFlushesOnceWhatTheSinkGathered(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		const n = 300
		var sunk, visible uint64
		flushes := 0
		stages := countTo(n, func(uint64) { sunk++ })
		stages.Flush = func() error { visible = sunk; flushes++; sometimes(); return nil }
		fill := stages.Fill
		stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
			if turn.Seq%10 == 9 {
				for range 2 { // the second finds everything done
					if err := turn.Barrier(); err != nil {
						return false, err
					}
				}
				if visible != turn.Seq {
					t.Errorf("barrier before batch %d returned with %d visible", turn.Seq, visible)
				}
			}
			return fill(ctx, turn, b)
		}
		if err := Run(t.Context(), Config{Workers: 2, Slots: 5}, newCount, stages); err != nil {
			t.Fatal(err)
		}
		if flushes != n/10 || sunk != n {
			t.Errorf("%d flushes for %d barriers, %d batches", flushes, n/10, sunk)
		}
	})
}

// barrierAt returns stages whose Fill waits at a barrier before batch 2 and
// gives its error on.
func barrierAt(work func(seq uint64) error, sink func()) Stages[uint64] {
	stages := countTo(never, func(uint64) { sink() })
	fill := stages.Fill
	stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
		if turn.Seq == 2 {
			if err := turn.Barrier(); err != nil {
				return false, err
			}
		}
		return fill(ctx, turn, b)
	}
	stages.Work = func(_ int, seq uint64, _ *uint64) error { return work(seq) }
	return stages
}

func TestBarrierReturnsWhenTheRunFails(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		stages := barrierAt(func(seq uint64) error { sleep(1); return errBoom }, func() {})
		if err := Run(t.Context(), Config{Workers: 1}, newCount, stages); !errors.Is(err, errBoom) {
			t.Errorf("error %v, want boom", err)
		}
		stages = barrierAt(func(uint64) error { return nil }, func() {})
		stages.Flush = func() error { return errBoom }
		var failed *StageError
		if err := Run(t.Context(), Config{Workers: 1}, newCount, stages); !errors.As(err, &failed) || !errors.Is(err, errBoom) || failed.Stage != StageSink {
			t.Errorf("error %v, want boom in sink", err)
		}
	})
}

func TestBarrierReturnsWhenTheRunIsCancelledOrAborted(t *testing.T) {
	for _, hard := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			var sunk uint64
			resume := make(chan struct{})
			stages := barrierAt(func(uint64) error { <-resume; return nil }, func() { sunk++ })
			ended := make(chan error)
			go func() {
				if hard {
					ended <- Run(t.Context(), Config{Workers: 1, Abort: ctx}, newCount, stages)
				} else {
					ended <- Run(ctx, Config{Workers: 1}, newCount, stages)
				}
			}()
			synctest.Wait() // worker stalled, filler at the barrier
			cancel(errBoom)
			synctest.Wait()
			close(resume)
			var stopped *StopError
			err := <-ended
			if !errors.As(err, &stopped) || !errors.Is(err, errBoom) || stopped.Aborted != hard {
				t.Errorf("error %v, want a stop because of boom", err)
			}
			if want := map[bool]uint64{false: 2, true: 0}[hard]; sunk != want {
				t.Errorf("%d batches delivered, want %d", sunk, want)
			}
		})
	}
}
