package engine

import (
	"math"
	"sync/atomic"
)

// A lot is where goroutines wait that have nothing to do: the one parking
// primitive of this package.
//
// A waiter announces itself, looks once more at what it waits for, and only
// then blocks. A waker first makes the condition true and then looks for
// announcements. Go's atomics are sequentially consistent, so of the two at
// least one sees the other: either the waiter finds its condition true, or the
// waker finds the waiter. That is the whole argument against lost wake-ups; it
// needs the condition to be read and written through atomics as well.
//
// Tokens are anonymous, so all that wait in one lot must wait for the same
// thing: any of them may take the token sent because of another.
//
// Waking a lot in which nobody waits costs one atomic load. Blocking and
// unblocking go through a channel, which only a goroutine that really has
// nothing to do ever touches. Nothing spins, nothing allocates.
type lot struct {
	// waiting counts announced waiters to whom no token has been promised
	// yet. Waiters add to it; whoever takes from it, a waker or a waiter that
	// changed its mind, does so by compare-and-swap and never below zero.
	waiting atomic.Int32

	// tokens carries one token for each waiter a waker took off waiting. Each
	// token is certain to be received, so a send can wait only for a waiter
	// that is between its announcement and its receive.
	tokens chan struct{}
}

// allWaiters is more than ever wait in a lot.
const allWaiters = math.MaxInt32

// newLot returns a lot that takes up to room tokens without making wakers
// wait for waiters.
func newLot(room int) lot { return lot{tokens: make(chan struct{}, room)} }

// await returns true once ready does, and false if done closes first. A nil
// done never closes. Ready may be called several times, by the caller's
// goroutine only, and must read atomics only.
func (l *lot) await(done <-chan struct{}, ready func() bool) bool {
	for !ready() {
		l.waiting.Add(1)
		if ready() {
			l.leave()
			return true
		}
		select {
		case <-l.tokens:
		case <-done:
			l.leave()
			return ready()
		}
	}
	return true
}

// leave takes back an announcement. If a waker was quicker, the token on its
// way is taken and passed on: it may have been meant for somebody else who
// waits for the same thing.
func (l *lot) leave() {
	if l.take(1) == 1 {
		return
	}
	<-l.tokens
	l.wake(1)
}

// wake unparks up to n waiters. The caller must have made the condition true
// before.
func (l *lot) wake(n int) {
	if l.waiting.Load() == 0 {
		return
	}
	for range l.take(n) {
		l.tokens <- struct{}{}
	}
}

// take takes up to n announcements off waiting and returns how many.
func (l *lot) take(n int) int {
	for {
		waiting := l.waiting.Load()
		taken := min(int(waiting), n)
		if taken <= 0 {
			return 0
		}
		if l.waiting.CompareAndSwap(waiting, waiting-int32(taken)) {
			return taken
		}
	}
}
