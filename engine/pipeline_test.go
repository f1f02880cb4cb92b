package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A parcel is a batch whose fields no atomics protect, so that the race
// detector sees two owners, and whose content tells one owner from the next.
type parcel struct {
	owner string
	seq   uint64
	bytes [64]byte
}

const poison = 0xdb

func newParcel() *parcel {
	p := &parcel{owner: "nobody"}
	p.release()
	return p
}

func (p *parcel) release() {
	p.owner = "nobody"
	for i := range p.bytes {
		p.bytes[i] = poison
	}
}

// pass checks that the parcel comes as from left it and makes it to's.
func (p *parcel) pass(t *testing.T, from, to string, content byte) {
	if p.owner != from {
		t.Errorf("batch is owned by %s, want %s", p.owner, from)
	}
	if want := bytes.Repeat([]byte{content}, len(p.bytes)); !bytes.Equal(p.bytes[:], want) {
		t.Errorf("batch from %s holds %x, want all %x", from, p.bytes, content)
	}
	p.owner = to
}

func (p *parcel) set(content byte) {
	for i := range p.bytes {
		p.bytes[i] = content
	}
}

// count returns stages that only count, n batches long.
func countTo(n uint64, sink func(seq uint64)) Stages[uint64] {
	return Stages[uint64]{
		Fill: func(_ context.Context, turn Turn, b *uint64) (bool, error) {
			*b = turn.Seq
			return turn.Seq < n-1, nil
		},
		Work: func(_ int, _ uint64, b *uint64) error { *b *= 3; return nil },
		Sink: func(_ uint64, b *uint64) error { sink(*b / 3); return nil },
	}
}

func newCount() *uint64 { return new(uint64) }

// sometimes lets another goroutine run, so that the stages meet in every way.
func sometimes() {
	if rand.IntN(4) == 0 {
		runtime.Gosched()
	}
}

func TestRunDeliversEveryBatchInOrderByOneOwnerAtATime(t *testing.T) {
	for _, cfg := range []Config{{Workers: 1, Slots: 1}, {Workers: 1, Slots: 2}, {Workers: 3, Slots: 3}, {Workers: 4, Slots: 16}} {
		inProcs(t, func(t *testing.T) {
			const n = 2000
			var next uint64
			err := Run(t.Context(), cfg, newParcel, Stages[parcel]{
				Fill: func(_ context.Context, turn Turn, b *parcel) (bool, error) {
					b.pass(t, "nobody", "filler", poison)
					b.seq = turn.Seq
					b.set(1)
					sometimes()
					return turn.Seq < n-1, nil
				},
				Work: func(_ int, seq uint64, b *parcel) error {
					b.pass(t, "filler", "worker", 1)
					if b.seq != seq {
						t.Errorf("worker got batch %d as %d", b.seq, seq)
					}
					sometimes()
					b.set(2)
					return nil
				},
				Sink: func(seq uint64, b *parcel) error {
					b.pass(t, "worker", "sink", 2)
					if b.seq != seq || seq != next {
						t.Errorf("sink got batch %d as %d, want %d", b.seq, seq, next)
					}
					next++
					sometimes()
					b.release()
					return nil
				},
			})
			if err != nil || next != n {
				t.Errorf("%d batches delivered, error %v; want %d and none", next, err, n)
			}
		})
	}
}

func TestRunEndsWithoutUsingTheLastBatch(t *testing.T) {
	for _, n := range []uint64{0, 1, 5, 40} {
		inProcs(t, func(t *testing.T) {
			var sunk uint64
			stages := countTo(never, func(uint64) { sunk++ })
			stages.Fill = func(_ context.Context, turn Turn, b *uint64) (bool, error) {
				if turn.Seq == n {
					return true, ErrNoBatch
				}
				return true, nil
			}
			if err := Run(t.Context(), Config{Workers: 2}, newCount, stages); err != nil || sunk != n {
				t.Errorf("%d batches, error %v; want %d and none", sunk, err, n)
			}
		})
	}
}

func TestAnEndOfFileFromFillIsAnErrorNotTheEnd(t *testing.T) {
	stages := countTo(never, func(uint64) {})
	stages.Fill = func(context.Context, Turn, *uint64) (bool, error) { return true, io.EOF }
	if err := Run(t.Context(), Config{}, newCount, stages); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want one that wraps io.EOF", err)
	}
}

func TestAStalledWorkerHoldsUpTheOthersOnlyOnceEverySlotIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, n = 8, 20
		resume := make(chan struct{})
		var filled, worked, sunk atomic.Int64
		stages := countTo(n, func(uint64) { sunk.Add(1) })
		fill := stages.Fill
		stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
			filled.Add(1)
			return fill(ctx, turn, b)
		}
		stages.Work = func(_ int, seq uint64, b *uint64) error {
			if seq == 0 {
				<-resume
			}
			worked.Add(1)
			return nil
		}
		ended := make(chan error)
		go func() { ended <- Run(t.Context(), Config{Workers: 2, Slots: slots}, newCount, stages) }()

		synctest.Wait() // until everybody is parked
		if filled.Load() != slots || worked.Load() != slots-1 || sunk.Load() != 0 {
			t.Errorf("while worker 0 stalls: filled %d, worked %d, sunk %d; want %d, %d, 0",
				filled.Load(), worked.Load(), sunk.Load(), slots, slots-1)
		}
		close(resume)
		if err := <-ended; err != nil || sunk.Load() != n {
			t.Errorf("after it went on: %d batches, error %v; want %d and none", sunk.Load(), err, n)
		}
	})
}

func TestRunClaimsItsMemoryAtTheStart(t *testing.T) {
	made, sunk := 0, 0
	newBatch := func() *uint64 {
		if sunk > 0 {
			t.Error("batch made after the run began")
		}
		made++
		return new(uint64)
	}
	err := Run(t.Context(), Config{Workers: 2, Slots: 7}, newBatch, countTo(100, func(uint64) { sunk++ }))
	if err != nil || made != 7 {
		t.Errorf("%d batches made, error %v; want 7 and none", made, err)
	}
}

func TestRunAllocatesNothingPerBatch(t *testing.T) {
	run := func(n uint64) float64 {
		return testing.AllocsPerRun(3, func() {
			if err := Run(t.Context(), Config{Workers: 2}, newCount, countTo(n, func(uint64) {})); err != nil {
				t.Error(err)
			}
		})
	}
	const small, large = 1000, 51000
	// What the runtime itself allocates when a goroutine first blocks on a
	// processor is not a matter of batches; one in 500 would be.
	if extra := run(large) - run(small); extra > (large-small)/500 {
		t.Errorf("%v allocations for %d batches", extra, large-small)
	}
}

func TestRunRefusesUnusableSettings(t *testing.T) {
	for _, cfg := range []Config{{Workers: -1}, {Workers: MaxWorkers + 1}, {Slots: -1}, {Workers: 4, Slots: 3}, {Slots: MaxSlots + 1}} {
		var bad *ConfigError
		err := Run(t.Context(), cfg, newCount, countTo(1, func(uint64) {}))
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%+v: error %v, want a *ConfigError with a remedy", cfg, err)
		}
	}
}

func TestMeterCountsBatchesAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var meter Meter
		const n = 100
		if err := Run(t.Context(), Config{Workers: 3, Meter: &meter}, newCount, countTo(n, func(uint64) {})); err != nil {
			t.Fatal(err)
		}
		got := meter.Stats()
		for _, s := range []StageStats{got.Fill, got.Work, got.Sink} {
			if s.Batches != n {
				t.Errorf("%d batches, want %d: %+v", s.Batches, n, got)
			}
			if s.Busy != 0 || s.Parked != 0 {
				t.Errorf("time passed in a bubble where nobody slept: %+v", got)
			}
		}
	})
}

func TestMeterTellsBusyFromParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10
		var meter Meter
		stages := countTo(n, func(uint64) {})
		stages.Work = func(int, uint64, *uint64) error { sleep(7); return nil }
		stages.Flush = func() error { sleep(3); return nil }
		fill := stages.Fill
		stages.Fill = func(ctx context.Context, turn Turn, b *uint64) (bool, error) {
			sleep(1)
			if err := turn.Barrier(); err != nil {
				return false, err
			}
			return fill(ctx, turn, b)
		}
		if err := Run(t.Context(), Config{Workers: 1, Meter: &meter}, newCount, stages); err != nil {
			t.Fatal(err)
		}
		got := meter.Stats()
		want := Stats{
			Fill: StageStats{n, n * tick, (n - 1) * (7 + 3 - 1) * tick},
			Work: StageStats{n, n * 7 * tick, (1 + (n-1)*3) * tick},
			Sink: StageStats{n, (n - 1) * 3 * tick, (1 + 7 + (n-1)*7) * tick},
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}
