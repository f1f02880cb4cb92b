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
	// state counts two things, so that they change together. The lower half
	// is the announced waiters to whom no token has been promised yet; who
	// takes from it, a waker or a waiter that changed its mind, does so by
	// compare-and-swap and never below zero. The upper half is the tokens
	// under way; a waker adds, the waiter that received subtracts.
	state atomic.Uint64

	// tokens carries one token for each waiter a waker took off waiting. Each
	// token is certain to be received, so a send can wait only for a waiter
	// that is between its announcement and its receive.
	tokens chan struct{}
}

// underWay is one token under way in lot.state; what is below counts waiters.
const underWay = 1 << 32

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
		l.state.Add(1)
		if ready() {
			l.leave()
			return true
		}
		if done == nil {
			l.receive() // half the price of a select
			continue
		}
		select {
		case <-l.tokens:
			l.received()
		case <-done:
			l.leave()
			return ready()
		}
	}
	return true
}

func (l *lot) receive() {
	<-l.tokens
	l.received()
}

// received must come before the waiter looks at its condition again: see
// nudge.
func (l *lot) received() { l.state.Add(^uint64(underWay - 1)) }

// leave takes back an announcement. If a waker was quicker, the token on its
// way is taken and passed on: it may have been meant for somebody else who
// waits for the same thing.
func (l *lot) leave() {
	if l.take(1, 0) == 1 {
		return
	}
	l.receive()
	l.wake(1)
}

// wake unparks up to n waiters. The caller must have made the condition true
// before.
func (l *lot) wake(n int) {
	for range l.take(n, underWay) {
		l.tokens <- struct{}{}
	}
}

// nudge unparks one waiter unless one is on its way already: that one has yet
// to look, and will see what the caller did before. Whoever waits in a lot
// that is nudged must nudge it in turn, if it leaves something for others. So
// a busy lot costs one wake-up for many events, and none of them is for
// nothing.
func (l *lot) nudge() {
	if l.state.Load() < underWay {
		l.wake(1)
	}
}

// take takes up to n announcements back, adds as many times token, and returns
// how many.
func (l *lot) take(n int, token uint64) int {
	for {
		old := l.state.Load()
		taken := min(old%underWay, uint64(n))
		if taken == 0 {
			return 0
		}
		if l.state.CompareAndSwap(old, old-taken+taken*token) {
			return int(taken)
		}
	}
}
