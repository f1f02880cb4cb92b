package engine

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// inProcs runs the test with several numbers of processors, each in a bubble:
// there a lost wake-up is a deadlock, which fails at once, and so does a
// goroutine left behind.
func inProcs(t *testing.T, test func(t *testing.T)) {
	for _, procs := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			synctest.Test(t, test)
		})
	}
}

func TestLotWakesWhoeverTurnItIs(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		const players, rounds = 4, 5000
		var turn atomic.Uint64
		var lots [players]lot
		for i := range lots {
			lots[i] = newLot(1)
		}
		var all sync.WaitGroup
		for me := range uint64(players) {
			all.Go(func() {
				for i := range uint64(rounds) {
					mine := i*players + me
					lots[me].await(nil, func() bool { return turn.Load() == mine })
					turn.Store(mine + 1)
					lots[(me+1)%players].wake(1)
				}
			})
		}
		all.Wait()
		if got := turn.Load(); got != players*rounds {
			t.Errorf("%d turns, want %d", got, players*rounds)
		}
	})
}

func TestLotWakesOneOfManyPerToken(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		const takers, tokens = 8, 20000
		l := newLot(2)
		var stock, taken atomic.Int64
		var all sync.WaitGroup
		for range takers {
			all.Go(func() {
				for taken.Add(1) <= tokens {
					for {
						l.await(nil, func() bool { return stock.Load() > 0 })
						if n := stock.Load(); n > 0 && stock.CompareAndSwap(n, n-1) {
							break
						}
					}
				}
			})
		}
		for i := range tokens {
			stock.Add(1)
			l.wake(1)
			if i%64 == 0 {
				runtime.Gosched()
			}
		}
		all.Wait()
		if stock.Load() != 0 {
			t.Errorf("%d left over", stock.Load())
		}
	})
}

// A waiter that gives up at the moment it is woken must not take the wake-up
// with it.
func TestLotPassesOnTheWakeUpOfAWaiterThatGivesUp(t *testing.T) {
	inProcs(t, func(t *testing.T) {
		for range 3000 {
			l := newLot(1)
			var stock atomic.Int64
			take := func() bool {
				n := stock.Load()
				return n > 0 && stock.CompareAndSwap(n, n-1)
			}
			stop := make(chan struct{})
			var faithful, fickle sync.WaitGroup
			fickle.Go(func() {
				for l.await(stop, func() bool { return stock.Load() > 0 }) {
					if take() {
						stock.Add(1) // it wanted no more than to be in the way
						l.wake(1)
						return
					}
				}
			})
			faithful.Go(func() {
				for l.await(nil, func() bool { return stock.Load() > 0 }) {
					if take() {
						return
					}
				}
			})
			fickle.Go(func() { close(stop) })
			stock.Add(1)
			l.wake(1)
			faithful.Wait()
			fickle.Wait()
			if n := l.state.Load(); n != 0 {
				t.Fatalf("state %x after all have left, want 0", n)
			}
		}
	})
}

// A nudge leaves an event to the waiter that is on its way. If that one gives
// up, the next must hear of the event.
func TestAWaiterThatGivesUpPassesOnWhatWasLeftToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLot(1)
		var event, heard atomic.Bool
		stop := make(chan struct{})
		go l.await(stop, func() bool { return false })
		synctest.Wait()
		if l.take(1, underWay) != 1 { // a waker that is slow to send its token
			t.Fatal("nobody waits")
		}
		close(stop)
		synctest.Wait() // the first waiter gives up, but must await its token
		go func() { heard.Store(l.await(nil, event.Load)) }()
		synctest.Wait()
		event.Store(true)
		l.nudge()
		l.tokens <- struct{}{}
		synctest.Wait()
		if !heard.Load() {
			t.Error("the second waiter did not hear of the event")
			l.wake(1)
		}
	})
}

func TestWakingAnEmptyLotDoesNothing(t *testing.T) {
	l := newLot(1)
	l.wake(allWaiters)
	if len(l.tokens) != 0 {
		t.Error("a token nobody waits for")
	}
	if n := testing.AllocsPerRun(100, func() { l.wake(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
