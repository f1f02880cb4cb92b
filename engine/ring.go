package engine

import (
	"context"
	"math/bits"
	"sync/atomic"
)

// MaxRing is the largest capacity of a Ring.
const MaxRing = 1 << 24

// ringClosed is the bit in Ring.tail that says that no more is taken in. It
// shares the word with the position, so that closing and taking in have an
// order everybody agrees on.
const ringClosed = 1 << 63

// A Ring is a bounded queue for online intake, in Vyukov's design: any number
// of goroutines put values in and any number take them out, and each cell's
// own sequence number says whose turn it is there. First in is first out.
//
// Taking claims all values that wait with one compare-and-swap. In the steady
// state no call takes a lock, uses a channel or allocates; a goroutine that
// finds the ring full or empty parks. Parked goroutines are woken in the order
// in which they parked. One that arrives while there is room does not queue
// behind them, so a goroutine that puts in a tight loop may overtake one that
// has just been woken: that keeps a full ring fast, and it is fair to
// goroutines that come with one value each, as requests do.
type Ring[T any] struct {
	// cells is set by NewRing. The value of a cell belongs to the goroutine
	// whose position equals the cell's turn; it passes the cell on by storing
	// the next turn.
	cells []cell[T]
	mask  uint64

	_ [cacheLine]byte
	// tail is the position of the next value to come in, and ringClosed.
	// Producers advance it by compare-and-swap.
	tail atomic.Uint64
	_    [cacheLine]byte
	// head is the position of the next value to go out. Consumers advance it
	// by compare-and-swap.
	head atomic.Uint64
	_    [cacheLine]byte

	notFull  lot // producers wait here
	notEmpty lot // consumers wait here
}

type cell[T any] struct {
	// turn is the position a producer may fill the cell at; one more: a
	// consumer may empty it. A consumer adds the ring's size less one.
	turn  atomic.Uint64
	value T
}

// NewRing returns a ring that holds capacity values, rounded up to a power of
// two and at least 2. All its memory is allocated here. A capacity below 1 or
// above MaxRing is a *ConfigError.
func NewRing[T any](capacity int) (*Ring[T], error) {
	if capacity < 1 || capacity > MaxRing {
		return nil, &ConfigError{"capacity of a ring", capacity, "must be 1 to 16777216"}
	}
	size := max(2, 1<<bits.Len(uint(capacity-1)))
	r := &Ring[T]{cells: make([]cell[T], size), mask: uint64(size - 1)}
	for i := range r.cells {
		r.cells[i].turn.Store(uint64(i))
	}
	r.notFull, r.notEmpty = newLot(ringTokens), newLot(ringTokens)
	return r, nil
}

// ringTokens is how many wake-ups of a ring can be under way before a waker
// waits for one to arrive.
const ringTokens = 64

// Cap returns how many values the ring holds.
func (r *Ring[T]) Cap() int { return len(r.cells) }

// Len returns how many values were in the ring at some moment during the call.
func (r *Ring[T]) Len() int {
	for {
		head := r.head.Load()
		tail := r.tail.Load() &^ ringClosed
		if r.head.Load() == head {
			return int(tail - head)
		}
	}
}

// TryPut puts v in if there is room. It never waits. On a full ring it returns
// false and nil, on a closed one ErrClosed.
func (r *Ring[T]) TryPut(v T) (bool, error) {
	for {
		pos := r.tail.Load()
		if pos&ringClosed != 0 {
			return false, ErrClosed
		}
		c := &r.cells[pos&r.mask]
		turn := c.turn.Load()
		switch {
		case turn == pos:
			if !r.tail.CompareAndSwap(pos, pos+1) {
				continue
			}
			c.value = v
			c.turn.Store(pos + 1)
			r.notEmpty.nudge()
			if r.puttable() { // room for another that waits
				r.notFull.wake(1)
			}
			return true, nil
		case turn < pos:
			return false, nil
		}
	}
}

// Put puts v in and waits for room if there is none. It returns ErrClosed if
// the ring is closed, also while waiting, and the context's cause if ctx ends
// first; then v was not put in.
func (r *Ring[T]) Put(ctx context.Context, v T) error {
	for {
		if done, err := r.TryPut(v); done || err != nil {
			return err
		}
		if !r.notFull.await(ctx.Done(), r.puttable) {
			return context.Cause(ctx)
		}
	}
}

// puttable reports whether TryPut has something to say other than "full".
func (r *Ring[T]) puttable() bool {
	pos := r.tail.Load()
	return pos&ringClosed != 0 || r.cells[pos&r.mask].turn.Load() >= pos
}

// TakeBatch moves values into dst and returns how many: what waits in the
// ring, at most len(dst). If nothing waits it waits for one value, never for
// more. It returns ErrClosed once the ring is closed and empty, and the
// context's cause if ctx ends while it waits. With an empty dst it returns 0
// and nil.
func (r *Ring[T]) TakeBatch(ctx context.Context, dst []T) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	for {
		if n := r.tryTake(dst); n > 0 {
			return n, nil
		}
		if r.drained() {
			r.notEmpty.wake(allWaiters) // Close could not tell them: values were under way
			return 0, ErrClosed
		}
		if !r.notEmpty.await(ctx.Done(), r.takeable) {
			return 0, context.Cause(ctx)
		}
	}
}

// tryTake takes what waits.
func (r *Ring[T]) tryTake(dst []T) int {
	for {
		head := r.head.Load()
		n := r.ready(head, len(dst))
		if n == 0 {
			if r.head.Load() != head {
				continue // somebody else took what was there; look again
			}
			return 0
		}
		if !r.head.CompareAndSwap(head, head+uint64(n)) {
			continue
		}
		for i := range n {
			pos := head + uint64(i)
			c := &r.cells[pos&r.mask]
			dst[i] = c.value
			var zero T
			c.value = zero // keep nothing alive
			c.turn.Store(pos + uint64(len(r.cells)))
		}
		r.notFull.wake(n) // as many as there is room for: each has waited for its turn
		if r.takeable() { // a value for another that waits
			r.notEmpty.nudge()
		}
		return n
	}
}

// ready counts the values from position head on that can be taken, up to most.
// They stay so until somebody moves head.
func (r *Ring[T]) ready(head uint64, most int) int {
	n := 0
	for n < most && n < len(r.cells) {
		pos := head + uint64(n)
		if r.cells[pos&r.mask].turn.Load() != pos+1 {
			break
		}
		n++
	}
	return n
}

// takeable reports whether TakeBatch need not wait.
func (r *Ring[T]) takeable() bool {
	head := r.head.Load()
	return r.cells[head&r.mask].turn.Load() >= head+1 || r.drained()
}

// drained reports whether the ring is closed and everything has gone out.
func (r *Ring[T]) drained() bool {
	tail := r.tail.Load()
	return tail&ringClosed != 0 && r.head.Load() == tail&^ringClosed
}

// Close ends the intake: every later Put returns ErrClosed, and so does every
// Put that waits. What was put in before can still be taken. Closing again has
// no effect.
func (r *Ring[T]) Close() {
	r.tail.Or(ringClosed)
	r.notFull.wake(allWaiters)
	r.notEmpty.wake(allWaiters)
}
