package registrar

import (
	"sync"
	"time"
)

// maxClients bounds how many client keys a budget knows at a time.
const maxClients = 1 << 15

// A budget gives each client key a bucket of tokens: burst of them, one more
// every refill (as golang.org/x/time/rate does, over the clock of requests and
// with a bound on the keys). Keys are of clients that proved to hold them, so a
// site behind one address is not one client.
type budget struct {
	burst  int
	refill time.Duration

	mu  sync.Mutex
	all map[digest]time.Time // guarded by mu; when the bucket is full again
}

// take spends a token. It reports how long to wait where there is none.
func (b *budget) take(key digest, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.all[key]
	if full.Before(now) {
		full = now
	}
	empty := now.Add(time.Duration(b.burst) * b.refill)
	if full.After(empty) {
		full = now // the clock went back
	}
	full = full.Add(b.refill)
	if over := full.Sub(empty); over > 0 {
		return over, false
	}
	if b.all == nil {
		b.all = map[digest]time.Time{}
	}
	if _, known := b.all[key]; !known && len(b.all) >= maxClients {
		b.forget(now)
	}
	b.all[key] = full
	return 0, true
}

// forget makes room: buckets that are full say nothing; if none is, half of
// them go, whichever.
func (b *budget) forget(now time.Time) {
	for key, full := range b.all {
		if !full.After(now) {
			delete(b.all, key)
		}
	}
	for key := range b.all {
		if len(b.all) <= maxClients/2 {
			return
		}
		delete(b.all, key)
	}
}
