package registrar

import (
	"sync"
	"time"
)

// A breaker keeps calls from MASAs that are known to fail: after breakAfter
// failures in a row none is made for a while, which doubles up to maxBreak; then
// one call tries, and the others wait for its outcome.
const (
	breakAfter  = 5
	firstBreak  = 10 * time.Second
	maxBreak    = 10 * time.Minute
	maxBreakers = 1024
)

// breakers holds one breaker for each origin that failed last.
type breakers struct {
	mu  sync.Mutex
	all map[string]*breaker // guarded by mu
}

type breaker struct {
	failures int
	pause    time.Duration
	until    time.Time // no call before
	trying   bool      // one is on its way after the pause
}

// allow reports whether a call may be made, else how long to wait.
func (b *breakers) allow(origin string, now time.Time) (ok bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.all[origin]
	switch {
	case x == nil || x.failures < breakAfter:
		return true, 0
	case now.Before(x.until):
		return false, x.until.Sub(now)
	case x.trying:
		return false, time.Second
	}
	x.trying = true
	return true, 0
}

// done notes how a call ended that allow let pass.
func (b *breakers) done(origin string, ok bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		delete(b.all, origin)
		return
	}
	x := b.all[origin]
	if x == nil {
		if len(b.all) >= maxBreakers {
			b.forget(now)
		}
		if b.all == nil {
			b.all = map[string]*breaker{}
		}
		x = &breaker{}
		b.all[origin] = x
	}
	x.trying = false
	if x.failures++; x.failures < breakAfter {
		return
	}
	x.pause = min(max(2*x.pause, firstBreak), maxBreak)
	x.until = now.Add(x.pause)
}

// forget drops the breakers that hold nothing back, and any one if all do.
func (b *breakers) forget(now time.Time) {
	for origin, x := range b.all {
		if x.until.Before(now) && !x.trying {
			delete(b.all, origin)
		}
	}
	for origin := range b.all {
		if len(b.all) < maxBreakers {
			return
		}
		delete(b.all, origin)
	}
}
