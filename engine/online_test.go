package engine

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

type echo = Exchange[int, int]

func newOnline(t testing.TB, cfg OnlineConfig, process func(worker int, batch []*echo)) *Online[int, int] {
	t.Helper()
	o, err := NewOnline(cfg, process)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func double(_ int, batch []*echo) {
	for _, e := range batch {
		e.Response = 2 * e.Request
	}
}

func TestOnlineAnswersEachRequestWithItsOwnAnswer(t *testing.T) {
	for _, cfg := range []OnlineConfig{{1, 1, 1}, {2, 3, 4}, {3, 64, 64}} {
		inProcs(t, func(t *testing.T) {
			o := newOnline(t, cfg, func(worker int, batch []*echo) {
				if len(batch) == 0 || len(batch) > cfg.Batch {
					t.Errorf("batch of %d, want 1 to %d", len(batch), cfg.Batch)
				}
				double(worker, batch)
				sometimes()
			})
			var all sync.WaitGroup
			for client := range 8 {
				all.Go(func() {
					for i := range 500 {
						q := client*1000 + i
						if got, err := o.Do(t.Context(), q); got != 2*q || err != nil {
							t.Errorf("Do(%d) = %d, %v", q, got, err)
						}
					}
				})
			}
			all.Wait()
			o.Close()
		})
	}
}

func TestAnIdlePoolAnswersAtOnceAndALoadedOneManyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		var sizes []int
		o := newOnline(t, OnlineConfig{Workers: 1, Batch: 16}, func(worker int, batch []*echo) {
			sizes = append(sizes, len(batch)) // one worker
			<-resume
			double(worker, batch)
		})
		var all sync.WaitGroup
		ask := func() {
			if _, err := o.Do(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
		all.Go(ask)
		synctest.Wait() // the worker has taken the one request
		for range 20 {
			all.Go(ask)
		}
		synctest.Wait()
		close(resume)
		all.Wait()
		o.Close()
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 16 || sizes[2] != 4 {
			t.Errorf("batches of %v, want 1, 16 and 4", sizes)
		}
	})
}

func TestARequesterThatLeavesCostsNobodyAnAnswer(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		o := newOnline(t, OnlineConfig{Workers: 2, Batch: 2, Requests: 3}, func(worker int, batch []*echo) {
			sometimes()
			double(worker, batch)
		})
		var all sync.WaitGroup
		var left atomic.Int64
		for client := range 6 {
			all.Go(func() {
				for q := range 500 {
					ctx, cancel := context.WithCancelCause(t.Context())
					if client%2 == 0 {
						go func() { sometimes(); cancel(errBoom) }()
					}
					got, err := o.Do(ctx, q)
					switch {
					case client%2 == 0 && errors.Is(err, errBoom):
						left.Add(1)
					case got != 2*q || err != nil:
						t.Errorf("Do(%d) = %d, %v", q, got, err)
					}
					cancel(nil)
				}
			})
		}
		all.Wait()
		o.Close()
		if free := o.unused.Len(); free != 3 {
			t.Errorf("%d exchanges left of 3, after %d requesters left early", free, left.Load())
		}
	})
}

func TestOnlineLetsNoMoreThanRequestsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		o := newOnline(t, OnlineConfig{Workers: 1, Batch: 2, Requests: 2}, func(worker int, batch []*echo) {
			<-resume
			double(worker, batch)
		})
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if _, err := o.Do(t.Context(), 1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		all.Go(func() {
			if _, err := o.Do(ctx, 1); !errors.Is(err, errBoom) {
				t.Errorf("error %v, want boom", err)
			}
		})
		synctest.Wait()
		cancel(errBoom)
		synctest.Wait()
		close(resume)
		all.Wait()
		o.Close()
	})
}

func TestAPanicFailsTheRequestsOfItsBatchOnly(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic(errBoom) }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOnline(t, OnlineConfig{Workers: 1}, func(worker int, batch []*echo) {
					if batch[0].Request < 0 {
						end()
					}
					double(worker, batch)
				})
				for range 3 {
					var panicked *PanicError
					_, err := o.Do(t.Context(), -1)
					if !errors.As(err, &panicked) || errors.Is(err, errBoom) != (name == "panic") {
						t.Errorf("error %v, want a *PanicError", err)
					} else if !strings.Contains(string(panicked.Stack), "TestAPanicFailsTheRequests") {
						t.Errorf("the stack does not lead to the panic:\n%s", panicked.Stack)
					}
					if got, err := o.Do(t.Context(), 4); got != 8 || err != nil {
						t.Errorf("the next request: %d, %v", got, err)
					}
				}
				o.Close()
			})
		})
	}
}

func TestAClosedPoolAnswersWhatItHasAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		o := newOnline(t, OnlineConfig{Workers: 1, Batch: 1}, func(worker int, batch []*echo) {
			<-resume
			double(worker, batch)
		})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if got, err := o.Do(t.Context(), 5); got != 10 || err != nil {
					t.Errorf("request before Close: %d, %v", got, err)
				}
			})
		}
		synctest.Wait()
		all.Go(o.Close)
		synctest.Wait()
		if _, err := o.Do(t.Context(), 5); !errors.Is(err, ErrClosed) {
			t.Errorf("request after Close: %v", err)
		}
		close(resume)
		all.Wait()
		o.Close()
	})
}

func TestOnlineAllocatesNothingPerRequest(t *testing.T) {
	o := newOnline(t, OnlineConfig{Workers: 1}, double)
	defer o.Close()
	ctx := t.Context()
	if n := testing.AllocsPerRun(5000, func() {
		if _, err := o.Do(ctx, 1); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOnlineRefusesUnusableSettings(t *testing.T) {
	for _, cfg := range []OnlineConfig{
		{Workers: -1}, {Workers: MaxWorkers + 1}, {Requests: -1}, {Requests: MaxRing + 1}, {Batch: -1}, {Batch: 9, Requests: 8},
	} {
		var bad *ConfigError
		if _, err := NewOnline(cfg, double); !errors.As(err, &bad) {
			t.Errorf("%+v: error %v, want a *ConfigError", cfg, err)
		}
	}
}

// Goroutines that are ready to ask go before the worker that the first of them
// woke, or a busy processor would answer one request at a time.
func TestRequestsThatAreReadyShareABatch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const callers, rounds = 32, 50
	var batches atomic.Uint64
	pool, err := NewOnline(OnlineConfig{Workers: 1}, func(_ int, batch []*Exchange[int, int]) {
		batches.Add(1)
		for _, e := range batch {
			e.Response = e.Request + 1
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for range rounds {
				if n, err := pool.Do(context.Background(), i); err != nil || n != i+1 {
					t.Errorf("%d, %v; want %d", n, err, i+1)
				}
			}
		})
	}
	all.Wait()
	if most := uint64(callers * rounds / 4); batches.Load() > most {
		t.Errorf("%d requests took %d batches, want at most %d", callers*rounds, batches.Load(), most)
	}
}
