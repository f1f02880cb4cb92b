package state

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// heldBackend holds each commit until it is let go.
type heldBackend struct {
	*memory
	began chan int // the number of writes
	end   chan error
}

func (b *heldBackend) commit(w *overlay) error {
	n := 0
	_ = w.each(func(*node) error { n++; return nil })
	b.began <- n
	if err := <-b.end; err != nil {
		return err
	}
	return b.memory.commit(w)
}

func newHeld() (*core, *heldBackend) {
	b := &heldBackend{NewMemory().disk, make(chan int), make(chan error)}
	return newCore(b), b
}

// waiting blocks until n updates are in the queue.
func (c *core) waiting(n int) {
	for {
		c.mu.Lock()
		have := len(c.queue)
		c.mu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

func put(c *core, key string) error {
	return c.Update(context.Background(), func(tx Tx) error { return tx.Set([]byte(key), nil) })
}

func TestUpdatesThatWaitShareACommit(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := put(c, "first"); err != nil {
			t.Error(err)
		}
	})
	if n := <-b.began; n != 1 {
		t.Fatalf("the first commit has %d writes", n)
	}
	const more = maxGroup + 10
	for i := range more {
		wg.Go(func() {
			if err := put(c, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	c.waiting(more)
	for _, want := range []int{maxGroup, 10} {
		b.end <- nil
		if n := <-b.began; n != want {
			t.Errorf("a commit has %d writes, want %d", n, want)
		}
	}
	b.end <- nil
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhenACommitFailsSoDoAllThatRan(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	fails := func(f func(Tx) error) {
		wg.Go(func() {
			var failed *FailedError
			if err := c.Update(context.Background(), f); !errors.As(err, &failed) {
				t.Errorf("error %v, want that writing failed", err)
			}
		})
	}
	wg.Go(func() {
		if err := put(c, "first"); err != nil {
			t.Error(err)
		}
	})
	<-b.began
	fails(func(tx Tx) error { return tx.Set([]byte("a"), nil) })
	c.waiting(1)
	fails(func(tx Tx) error { _, err := tx.Get([]byte("a")); return err })
	c.waiting(2)
	fails(func(tx Tx) error { return errors.New("there is an a already") })
	c.waiting(3)
	b.end <- nil
	<-b.began
	fails(func(Tx) error { t.Error("called after writing failed"); return nil })
	c.waiting(1)
	// No Update sees what is not durable, and no View.
	if err := c.View(context.Background(), func(r Reader) error {
		if _, err := r.Get([]byte("a")); !errors.Is(err, ErrNotFound) {
			t.Errorf("a View reads what is not durable: %v", err)
		}
		_, err := r.Get([]byte("first"))
		return err
	}); err != nil {
		t.Error(err)
	}
	b.end <- errors.New("the disk is gone")
	wg.Wait()
	var failed *FailedError
	if err := put(c, "later"); !errors.As(err, &failed) {
		t.Errorf("error %v, want that writing failed", err)
	}
	if err := c.View(context.Background(), func(r Reader) error {
		_, err := r.Get([]byte("first"))
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnUpdateTooLargeForTheGroupGoesOnTopOfIt(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := put(c, "first"); err != nil {
			t.Error(err)
		}
	})
	<-b.began
	large := func(key, sees string) {
		wg.Go(func() {
			if err := c.Update(context.Background(), func(tx Tx) error {
				if sees != "" {
					if _, err := tx.Get([]byte(sees)); err != nil {
						t.Errorf("%s does not see %s: %v", key, sees, err)
					}
				}
				for i := range 4 {
					if err := tx.Set(fmt.Appendf(nil, "%s%d", key, i), make([]byte, 200<<10)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	large("a", "first")
	c.waiting(1)
	large("b", "a3")
	c.waiting(2)
	large("c", "b3")
	c.waiting(3)
	b.end <- nil
	for range 3 {
		if n := <-b.began; n != 4 {
			t.Errorf("a commit has %d writes, want 4", n)
		}
		b.end <- nil
	}
	wg.Wait()
}

func TestAFunctionThatEndsItsGoroutineTakesNoOtherWithIt(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	wg.Go(func() { _ = put(c, "first") })
	<-b.began
	wg.Go(func() { _ = put(c, "a") })
	c.waiting(1)
	wg.Go(func() {
		err := c.Update(context.Background(), func(Tx) error {
			runtime.Goexit()
			return nil
		})
		if !errors.Is(err, errExited) {
			t.Errorf("error %v", err)
		}
	})
	c.waiting(2)
	wg.Go(func() { _ = put(c, "b") })
	c.waiting(3)
	b.end <- nil
	if n := <-b.began; n != 2 {
		t.Errorf("the commit has %d writes, want 2", n)
	}
	b.end <- nil
	wg.Wait()
}

func TestAnUpdateThatWaitsMayGiveUp(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := put(c, "first"); err != nil {
			t.Error(err)
		}
	})
	<-b.began
	ctx, giveUp := context.WithCancel(context.Background())
	wg.Go(func() {
		if err := c.Update(ctx, func(Tx) error { t.Error("it was called"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
	c.waiting(1)
	giveUp()
	wg.Go(func() {
		if err := put(c, "second"); err != nil {
			t.Error(err)
		}
	})
	c.waiting(2) // the one that gave up is passed over, not taken out
	b.end <- nil
	if n := <-b.began; n != 1 {
		t.Errorf("the second commit has %d writes", n)
	}
	b.end <- nil
	wg.Wait()
}

func TestWhatWaitsWhenTheProcessDiesIsNotCalled(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	closed := func(f func(Tx) error) {
		wg.Go(func() {
			if err := c.Update(context.Background(), f); !errors.Is(err, ErrClosed) {
				t.Errorf("error %v, want ErrClosed", err)
			}
		})
	}
	closed(func(tx Tx) error { return tx.Set([]byte("first"), nil) })
	<-b.began
	closed(func(Tx) error { t.Error("it was called"); return nil })
	c.waiting(1)
	b.mu.Lock()
	b.kill()
	b.mu.Unlock()
	b.end <- nil
	wg.Wait()
	closed(func(Tx) error { t.Error("it was called"); return nil })
	wg.Wait()
}

func TestWhoFindsNobodyAtWorkDoesItsOwnUpdateAndNoOther(t *testing.T) {
	c, b := newHeld()
	var wg sync.WaitGroup
	first := make(chan struct{})
	wg.Go(func() {
		defer close(first)
		if err := put(c, "first"); err != nil {
			t.Error(err)
		}
	})
	<-b.began
	wg.Go(func() { _ = put(c, "second") })
	c.waiting(1)
	b.end <- nil
	<-b.began // the second's commit is under way, and lasts
	<-first
	b.end <- nil
	wg.Wait()
}

func TestAFunctionThatEndsItsCallersGoroutineLeavesTheOthersServed(t *testing.T) {
	c := NewMemory().core
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = c.Update(context.Background(), func(tx Tx) error {
			_ = tx.Set([]byte("a"), nil)
			wg.Go(func() {
				if err := put(c, "b"); err != nil {
					t.Error(err)
				}
			})
			c.waiting(1)
			runtime.Goexit()
			return nil
		})
		t.Error("the goroutine lives")
	})
	wg.Wait()
	if err := c.View(context.Background(), func(r Reader) error {
		if _, err := r.Get([]byte("a")); !errors.Is(err, ErrNotFound) {
			t.Errorf("what it wrote was kept: %v", err)
		}
		_, err := r.Get([]byte("b"))
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
