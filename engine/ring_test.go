package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func newRing[T any](t testing.TB, capacity int) *Ring[T] {
	t.Helper()
	r, err := NewRing[T](capacity)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRingDeliversEachValueOnceAndEachProducersInOrder(t *testing.T) {
	for _, shape := range []struct{ capacity, producers, consumers, batch int }{
		{2, 1, 1, 1}, {2, 4, 4, 1}, {2, 3, 2, 8}, {64, 4, 3, 16}, {8, 1, 4, 3},
	} {
		t.Run(fmt.Sprintf("%+v", shape), func(t *testing.T) {
			inProcs(t, func(t *testing.T) {
				const each = 3000
				r := newRing[[2]int](t, shape.capacity)
				var producers, consumers sync.WaitGroup
				for p := range shape.producers {
					producers.Go(func() {
						for i := range each {
							if err := r.Put(t.Context(), [2]int{p, i}); err != nil {
								t.Error(err)
							}
						}
					})
				}
				var taken atomic.Int64
				seen := make([]atomic.Bool, shape.producers*each)
				for range shape.consumers {
					consumers.Go(func() {
						latest := make([]int, shape.producers)
						dst := make([][2]int, shape.batch)
						for {
							n, err := r.TakeBatch(t.Context(), dst)
							if err != nil {
								if !errors.Is(err, ErrClosed) {
									t.Error(err)
								}
								return
							}
							for _, v := range dst[:n] {
								if v[1]+1 <= latest[v[0]] {
									t.Errorf("producer %d: value %d after %d", v[0], v[1], latest[v[0]]-1)
								}
								latest[v[0]] = v[1] + 1
								if seen[v[0]*each+v[1]].Swap(true) {
									t.Errorf("value %v twice", v)
								}
							}
							taken.Add(int64(n))
							sometimes()
						}
					})
				}
				producers.Wait()
				r.Close()
				consumers.Wait()
				if got := taken.Load(); got != int64(shape.producers*each) {
					t.Errorf("%d values, want %d", got, shape.producers*each)
				}
			})
		})
	}
}

func TestRingTakesWhatWaitsAndNeverWaitsForMore(t *testing.T) {
	r := newRing[int](t, 8)
	dst := make([]int, 5)
	for i, waiting := range []int{1, 3, 5, 8} {
		for v := range waiting {
			if done, err := r.TryPut(v); !done || err != nil {
				t.Fatal(done, err)
			}
		}
		if r.Len() != waiting {
			t.Errorf("Len is %d with %d values in", r.Len(), waiting)
		}
		for left := waiting; left > 0; {
			n, err := r.TakeBatch(t.Context(), dst)
			if want := min(left, len(dst)); err != nil || n != want || dst[0] != waiting-left {
				t.Fatalf("case %d: took %d from value %d on, error %v; want %d from %d on", i, n, dst[0], err, want, waiting-left)
			}
			left -= n
		}
	}
}

func TestRingRefusesWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing[int](t, 3)
		for i := range r.Cap() {
			if done, err := r.TryPut(i); !done || err != nil {
				t.Fatal(i, done, err)
			}
		}
		if done, err := r.TryPut(99); done || err != nil {
			t.Errorf("TryPut on a full ring: %v, %v", done, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		refused := make(chan error)
		go func() { refused <- r.Put(ctx, 99) }()
		synctest.Wait()
		cancel(errBoom)
		if err := <-refused; !errors.Is(err, errBoom) {
			t.Errorf("Put with a cancelled context: %v", err)
		}
		if r.Len() != r.Cap() {
			t.Errorf("%d values in, want %d", r.Len(), r.Cap())
		}
	})
}

func TestRingPutGoesOnOnceThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing[int](t, 2)
		var put atomic.Int64
		for i := range 6 {
			go func() {
				if err := r.Put(t.Context(), i); err != nil {
					t.Error(err)
				}
				put.Add(1)
			}()
		}
		dst := make([]int, 2)
		for _, want := range []int64{2, 4, 6} {
			synctest.Wait()
			if put.Load() != want {
				t.Errorf("%d puts returned, want %d", put.Load(), want)
			}
			if n, err := r.TakeBatch(t.Context(), dst); n != 2 || err != nil {
				t.Errorf("took %d, %v", n, err)
			}
		}
	})
}

func TestRingTakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing[int](t, 2)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		for range 3 {
			go func() {
				_, err := r.TakeBatch(ctx, make([]int, 1))
				ended <- err
			}()
		}
		synctest.Wait()
		cancel(errBoom)
		for range 3 {
			if err := <-ended; !errors.Is(err, errBoom) {
				t.Errorf("error %v, want boom", err)
			}
		}
	})
}

func TestClosingARingRefusesTheNewAndDeliversTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing[int](t, 2)
		for i := range 2 {
			if err := r.Put(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		refused := make(chan error)
		for range 3 {
			go func() { refused <- r.Put(t.Context(), 9) }()
		}
		synctest.Wait()
		r.Close()
		r.Close()
		for range 3 {
			if err := <-refused; err != ErrClosed {
				t.Errorf("Put that waited: %v", err)
			}
		}
		if done, err := r.TryPut(9); done || err != ErrClosed {
			t.Errorf("TryPut: %v, %v", done, err)
		}
		dst := make([]int, 4)
		if n, err := r.TakeBatch(t.Context(), dst); n != 2 || err != nil {
			t.Errorf("took %d, %v; want the 2 that were in", n, err)
		}
		if n, err := r.TakeBatch(t.Context(), dst); n != 0 || err != ErrClosed {
			t.Errorf("took %d, %v; want ErrClosed", n, err)
		}
	})
}

func TestClosingARingReleasesEveryConsumer(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		for range 500 {
			r := newRing[int](t, 4)
			var all sync.WaitGroup
			var taken atomic.Int64
			for range 4 {
				all.Go(func() {
					dst := make([]int, 1)
					for {
						n, err := r.TakeBatch(t.Context(), dst)
						if err != nil {
							return
						}
						taken.Add(int64(n))
					}
				})
			}
			var put atomic.Int64
			for range 3 {
				all.Go(func() {
					for r.Put(t.Context(), 1) == nil {
						put.Add(1)
						sometimes()
					}
				})
			}
			sometimes()
			r.Close()
			all.Wait()
			if put.Load() != taken.Load() {
				t.Fatalf("%d values went in, %d came out", put.Load(), taken.Load())
			}
		}
	})
}

func TestWhoeverWaitsAtARingIsServedInTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting = 10
		r := newRing[int](t, 2)
		dst := make([]int, 1)
		for i := range waiting + 2 {
			go func() {
				if err := r.Put(t.Context(), i); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait() // the first two are in, the others wait
		}
		for want := range waiting + 2 {
			if n, err := r.TakeBatch(t.Context(), dst); n != 1 || err != nil || dst[0] != want {
				t.Errorf("took %d of %v, %v; want %d", n, dst, err, want)
			}
			synctest.Wait()
		}

		served := make(chan int, waiting)
		for i := range waiting {
			go func() {
				if _, err := r.TakeBatch(t.Context(), make([]int, 1)); err != nil {
					t.Error(err)
				}
				served <- i
			}()
			synctest.Wait()
		}
		for want := range waiting {
			if done, err := r.TryPut(want); !done || err != nil {
				t.Fatal(done, err)
			}
			if got := <-served; got != want {
				t.Errorf("consumer %d was served, want %d", got, want)
			}
		}
	})
}

func TestOneWakeUpPassesOnToAllThereIsWorkFor(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		r := newRing[int](t, 8)
		var served atomic.Int64
		for range 5 {
			go func() {
				if _, err := r.TakeBatch(t.Context(), make([]int, 1)); err != nil {
					t.Error(err)
				}
				served.Add(1)
			}()
		}
		synctest.Wait()
		for i := range 5 {
			if done, err := r.TryPut(i); !done || err != nil {
				t.Fatal(done, err)
			}
		}
		synctest.Wait()
		if served.Load() != 5 {
			t.Errorf("%d of 5 consumers served with 5 values in", served.Load())
		}
	})
}

// Two consumers give their cells back in the wrong order, the first while
// nobody can use it yet: the producer it woke goes back to sleep.
func TestRoomMadeOutOfOrderIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing[int](t, 2)
		var put atomic.Int64
		for i := range 4 {
			go func() {
				if err := r.Put(t.Context(), i); err != nil {
					t.Error(err)
				}
				put.Add(1)
			}()
		}
		synctest.Wait()
		r.head.Add(2) // one each
		for _, pos := range []uint64{1, 0} {
			r.cells[pos].turn.Store(pos + 2)
			r.notFull.wake(1)
			synctest.Wait()
		}
		if put.Load() != 4 {
			t.Errorf("%d of 4 values in; there is room for all", put.Load())
		}
	})
}

// A producer has its place but not yet put its value there when the ring is
// closed: the consumers cannot leave before it comes, and all leave after.
func TestConsumersOfAClosedRingWaitForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing[int](t, 4)
		var taken, ended atomic.Int64
		for range 4 {
			go func() {
				for {
					n, err := r.TakeBatch(t.Context(), make([]int, 1))
					if err != nil {
						break
					}
					taken.Add(int64(n))
				}
				ended.Add(1)
			}()
		}
		r.tail.Add(1)
		synctest.Wait()
		r.Close()
		synctest.Wait()
		if ended.Load() != 0 {
			t.Errorf("%d consumers left with a value under way", ended.Load())
		}
		r.cells[0].turn.Store(1)
		r.notEmpty.nudge()
		synctest.Wait()
		if taken.Load() != 1 || ended.Load() != 4 {
			t.Errorf("%d values taken, %d consumers left; want 1 and 4", taken.Load(), ended.Load())
		}
	})
}

func TestRingKeepsNothingAlive(t *testing.T) {
	r := newRing[*int](t, 2)
	if err := r.Put(t.Context(), new(int)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.TakeBatch(t.Context(), make([]*int, 1)); err != nil {
		t.Fatal(err)
	}
	for i := range r.cells {
		if r.cells[i].value != nil {
			t.Error("a value that was taken is still in its cell")
		}
	}
}

func TestRingAllocatesNothing(t *testing.T) {
	r := newRing[int](t, 8)
	dst := make([]int, 4)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		for i := range 4 {
			if err := r.Put(ctx, i); err != nil {
				t.Error(err)
			}
		}
		if n, err := r.TakeBatch(ctx, dst); n != 4 || err != nil {
			t.Error(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRingRefusesUnusableCapacities(t *testing.T) {
	for _, capacity := range []int{-1, 0, MaxRing + 1} {
		var bad *ConfigError
		if _, err := NewRing[byte](capacity); !errors.As(err, &bad) || bad.Value != capacity {
			t.Errorf("capacity %d: %v", capacity, err)
		}
	}
	for capacity, want := range map[int]int{1: 2, 2: 2, 3: 4, 4: 4, 5: 8, 1000: 1024} {
		if got := newRing[byte](t, capacity).Cap(); got != want {
			t.Errorf("capacity %d became %d, want %d", capacity, got, want)
		}
	}
}
