package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const tick = time.Millisecond

func sleep(ticks int) { time.Sleep(time.Duration(ticks) * tick) }

var errBoom = errors.New("boom")

// failing makes the stage misbehave on batch seq.
func failing(stages Stages[uint64], at Stage, seq uint64, misbehave func() error) Stages[uint64] {
	fill, work, sink := stages.Fill, stages.Work, stages.Sink
	switch at {
	case StageFill:
		stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
			if turn.Seq == seq {
				if err := misbehave(); err != nil {
					return false, err
				}
			}
			return fill(ctx, turn, b)
		}
	case StageWork:
		stages.Work = func(worker int, s uint64, b *uint64) error {
			if s == seq {
				if err := misbehave(); err != nil {
					return err
				}
			}
			return work(worker, s, b)
		}
	case StageSink:
		stages.Sink = func(s uint64, b *uint64) error {
			if s == seq {
				if err := misbehave(); err != nil {
					return err
				}
			}
			return sink(s, b)
		}
	}
	stages.Place = func(b *uint64) string { return fmt.Sprintf("line %d", *b) }
	return stages
}

func inStages(t *testing.T, test func(t *testing.T, at Stage)) {
	for _, at := range []Stage{StageFill, StageWork, StageSink} {
		t.Run(at.String(), func(t *testing.T) {
			inProcs(t, func(t *testing.T) { test(t, at) })
		})
	}
}

func TestAnErrorStopsTheRunAfterEverythingBeforeIt(t *testing.T) {
	inStages(t, func(t *testing.T, at Stage) {
		for range 20 {
			var sunk uint64
			stages := failing(countTo(1000, func(uint64) { sunk++ }), at, 37, func() error { return errBoom })
			err := Run(t.Context(), Config{Workers: 3}, newCount, stages)
			var failed *StageError
			if !errors.As(err, &failed) || !errors.Is(err, errBoom) || failed.Stage != at || failed.Seq != 37 {
				t.Fatalf("error %v, want boom in %v of batch 37", err, at)
			}
			if !strings.HasPrefix(failed.Place, "line ") {
				t.Errorf("the error names no place: %v", err)
			}
			if sunk != 37 {
				t.Errorf("%d batches delivered, want the 37 before the failure", sunk)
			}
		}
	})
}

func TestOfSeveralErrorsTheFirstInSequenceIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sunk uint64
		stages := countTo(1000, func(uint64) { sunk++ })
		stages.Work = func(_ int, seq uint64, _ *uint64) error {
			switch seq {
			case 4:
				sleep(5) // long after batch 6 has failed
				return fmt.Errorf("four: %w", errBoom)
			case 6:
				return fmt.Errorf("six: %w", errBoom)
			}
			if seq > 6 {
				sleep(1) // so that batch 6 has failed when the next is claimed
			}
			if seq > 8 {
				t.Errorf("batch %d worked on after batch 6 had failed", seq)
			}
			return nil
		}
		err := Run(t.Context(), Config{Workers: 3}, newCount, stages)
		var failed *StageError
		if !errors.As(err, &failed) || failed.Seq != 4 || sunk != 4 {
			t.Errorf("after %d batches: %v; want the failure of batch 4", sunk, err)
		}
	})
}

func TestAPanicFailsItsBatchAndNamesIt(t *testing.T) {
	inStages(t, func(t *testing.T, at Stage) {
		var sunk uint64
		stages := failing(countTo(1000, func(uint64) { sunk++ }), at, 21, func() error { panic(errBoom) })
		err := Run(t.Context(), Config{Workers: 3}, newCount, stages)
		var panicked *PanicError
		if !errors.As(err, &panicked) || panicked.Stage != at || panicked.Seq != 21 || panicked.Value != any(errBoom) || !errors.Is(err, errBoom) {
			t.Fatalf("error %v, want the panic in %v of batch 21", err, at)
		}
		if !strings.Contains(string(panicked.Stack), "TestAPanicFailsItsBatchAndNamesIt") {
			t.Errorf("the stack does not lead to the panic:\n%s", panicked.Stack)
		}
		if !strings.Contains(err.Error(), "batch 21 (line ") {
			t.Errorf("%q does not name the batch and its place", err)
		}
		if sunk != 21 {
			t.Errorf("%d batches delivered, want the 21 before the panic", sunk)
		}
	})
}

func TestAPlaceThatPanicsDoesNotHideTheFailure(t *testing.T) {
	stages := failing(countTo(10, func(uint64) {}), StageWork, 3, func() error { return errBoom })
	stages.Place = func(*uint64) string { panic("no words") }
	if err := Run(t.Context(), Config{}, newCount, stages); !errors.Is(err, errBoom) {
		t.Errorf("error %v, want boom", err)
	}
}

func TestAStageThatEndsItsGoroutineFailsItsBatch(t *testing.T) {
	for _, at := range []Stage{StageFill, StageWork} {
		synctest.Test(t, func(t *testing.T) {
			var sunk uint64
			stages := failing(countTo(1000, func(uint64) { sunk++ }), at, 21, func() error { runtime.Goexit(); return nil })
			err := Run(t.Context(), Config{Workers: 2}, newCount, stages)
			var panicked *PanicError
			if !errors.As(err, &panicked) || panicked.Seq != 21 || panicked.Value != nil || sunk != 21 {
				t.Errorf("%v: after %d batches: %v; want the end of batch 21", at, sunk, err)
			}
		})
	}
}

// A failed test calls runtime.Goexit in the sink, on the goroutine of Run's
// caller. The bubble fails if that leaves a goroutine behind.
func TestASinkThatEndsItsGoroutineEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returned := false
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			stages := failing(countTo(1000, func(uint64) {}), StageSink, 5, func() error { runtime.Goexit(); return nil })
			_ = Run(t.Context(), Config{Workers: 2}, newCount, stages)
			returned = true
		}()
		<-ended
		if returned {
			t.Error("Run returned to a goroutine that had ended")
		}
	})
}

func TestCancelFinishesAndDeliversWhatIsFilled(t *testing.T) {
	inStages(t, func(t *testing.T, at Stage) {
		for range 20 {
			ctx, cancel := context.WithCancelCause(t.Context())
			var filled, sunk uint64
			stages := countTo(never, func(uint64) { sunk++ })
			fill := stages.Fill
			stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
				filled = turn.Seq + 1
				return fill(ctx, turn, b)
			}
			stages = failing(stages, at, 50, func() error { cancel(errBoom); return nil })
			err := Run(ctx, Config{Workers: 3}, newCount, stages)
			var stopped *StopError
			if !errors.As(err, &stopped) || !errors.Is(err, errBoom) || stopped.Aborted {
				t.Fatalf("error %v, want a graceful stop because of boom", err)
			}
			if sunk != filled || stopped.Delivered != sunk || sunk < 50 {
				t.Errorf("filled %d, delivered %d, reported %d; want them equal", filled, sunk, stopped.Delivered)
			}
		}
	})
}

func TestCancelBeforeTheStartFillsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stages := countTo(never, func(uint64) { t.Error("sink called") })
	stages.Fill = func(context.Context, Turn, *uint64) (bool, error) { t.Error("fill called"); return true, nil }
	for _, cfg := range []Config{{}, {Abort: ctx}} {
		var stopped *StopError
		err := Run(ctx, cfg, newCount, stages)
		if !errors.As(err, &stopped) || !errors.Is(err, context.Canceled) || stopped.Aborted != (cfg.Abort != nil) {
			t.Errorf("error %v, want a stop", err)
		}
	}
}

func TestFillSeesTheCancelAndItsErrorIsNotAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var sunk uint64
		stages := countTo(never, func(uint64) { sunk++ })
		stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
			if turn.Seq == 3 {
				<-ctx.Done() // as a read from a slow source would
				return false, fmt.Errorf("read: %w", ctx.Err())
			}
			return true, nil
		}
		time.AfterFunc(tick, cancel)
		err := Run(ctx, Config{}, newCount, stages)
		var stopped *StopError
		if !errors.As(err, &stopped) || stopped.Delivered != 3 || sunk != 3 {
			t.Errorf("after %d batches: %v; want a graceful stop after 3", sunk, err)
		}
	})
}

func TestAFailureCancelsAFillThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stages := countTo(never, func(uint64) {})
		stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
			if turn.Seq == 3 {
				<-ctx.Done()
				return false, ctx.Err()
			}
			return true, nil
		}
		err := Run(t.Context(), Config{}, newCount, failing(stages, StageWork, 2, func() error { sleep(1); return errBoom }))
		if !errors.Is(err, errBoom) {
			t.Errorf("error %v, want boom", err)
		}
	})
}

func TestCancelReachesAFillerThatIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		resume := make(chan struct{})
		var sunk uint64
		stages := countTo(never, func(uint64) { <-resume; sunk++ })
		ended := make(chan error)
		go func() { ended <- Run(ctx, Config{Workers: 2, Slots: 4}, newCount, stages) }()
		synctest.Wait() // the sink holds batch 0, all slots are full
		cancel()
		synctest.Wait()
		close(resume)
		var stopped *StopError
		if err := <-ended; !errors.As(err, &stopped) || sunk != 4 {
			t.Errorf("after %d batches: %v; want a graceful stop after the 4 that were filled", sunk, err)
		}
	})
}

func TestAbortDropsWhatIsFilled(t *testing.T) {
	inStages(t, func(t *testing.T, at Stage) {
		abort, cancel := context.WithCancelCause(t.Context())
		var sunk atomic.Uint64
		stages := countTo(never, func(uint64) { sunk.Add(1) })
		stages = failing(stages, at, 50, func() error {
			cancel(errBoom)
			synctest.Wait() // until everybody has seen it and is gone, but this goroutine and the sink's, if it is another
			return nil
		})
		err := Run(t.Context(), Config{Workers: 3, Abort: abort}, newCount, stages)
		var stopped *StopError
		if !errors.As(err, &stopped) || !errors.Is(err, errBoom) || !stopped.Aborted || stopped.Delivered != sunk.Load() {
			t.Fatalf("after %d batches: %v; want an abort because of boom", sunk.Load(), err)
		}
		if most := uint64(51); sunk.Load() > most {
			t.Errorf("%d batches delivered, want at most %d", sunk.Load(), most)
		}
	})
}

func TestTheSecondCancelCutsAGracefulStopShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		abort, hard := context.WithCancel(t.Context())
		resume := make(chan struct{})
		var sunk uint64
		stages := countTo(never, func(uint64) { <-resume; sunk++ })
		ended := make(chan error)
		go func() { ended <- Run(ctx, Config{Workers: 2, Slots: 8, Abort: abort}, newCount, stages) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		hard()
		synctest.Wait()
		close(resume)
		var stopped *StopError
		if err := <-ended; !errors.As(err, &stopped) || !stopped.Aborted || sunk != 1 {
			t.Errorf("after %d batches: %v; want an abort after the one the sink had", sunk, err)
		}
	})
}
