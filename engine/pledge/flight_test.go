package pledge_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

// passing is a clock that goes on, in a bubble where time passes only when
// everybody waits.
type passing struct{ start time.Time }

func (c passing) Now() time.Time { return epoch.Add(time.Since(c.start)) }

func (c passing) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c passing) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

// slow is a network on which answers take their time, or never come.
type slow struct {
	network
	start time.Time
	takes map[string]func(c *pledge.Call) time.Duration // by registrar; nil: at once; silent: for ever
	last  string                                        // a registrar whose answer comes as a call is given up

	mu   sync.Mutex
	log  []event
	air  int // calls under way
	most int // and how many that ever were
}

type event struct {
	at              time.Duration
	what, registrar string // "requestvoucher", or "end" of a call that had no answer
}

const silent = -1

func after(d time.Duration) func(*pledge.Call) time.Duration {
	return func(*pledge.Call) time.Duration { return d }
}

func (s *slow) note(what string, c *pledge.Call, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, event{time.Since(s.start), what, c.Registrar})
	s.air += change
	s.most = max(s.most, s.air)
}

func (s *slow) Exchange(ctx context.Context, c *pledge.Call) (*pledge.Reply, error) {
	s.note(c.Path[strings.LastIndex(c.Path, "/")+1:], c, 1)
	var wait time.Duration
	if takes := s.takes[c.Registrar]; takes != nil {
		wait = takes(c)
	}
	switch {
	case wait == silent:
		if _, err := c.Prepare(s.network[c.Registrar].chain); err != nil {
			return nil, err
		}
		if <-ctx.Done(); c.Registrar == s.last {
			ctx = context.WithoutCancel(ctx)
		}
	case wait > 0:
		_ = passing{}.Sleep(ctx, wait)
	}
	if ctx.Err() != nil {
		s.note("end", c, -1)
		return nil, ctx.Err()
	}
	reply, err := s.network.Exchange(ctx, c)
	s.note("answer", c, -1)
	return reply, err
}

// underWay is how many calls are under way.
func (s *slow) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.air
}

// registrars are those to which what happened, in order.
func (s *slow) registrars(what string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.log {
		if e.what == what {
			all = append(all, e.registrar)
		}
	}
	return all
}

// when is when something first happened to a registrar.
func (s *slow) when(what, registrar string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.log {
		if e.what == what && e.registrar == registrar {
			return e.at
		}
	}
	return -1
}

// slowly runs a test with n registrars on a slow network, in a bubble. That fails
// when a goroutine is left.
func slowly(t *testing.T, n int, f func(t *testing.T, w *world, s *slow, urls []string)) {
	t.Helper()
	w := newWorld(t)
	urls := w.several(n)
	synctest.Test(t, func(t *testing.T) {
		s := &slow{network: w.cfg.Network.(network), start: time.Now(), takes: map[string]func(*pledge.Call) time.Duration{}}
		w.cfg.Network, w.cfg.Clock = s, passing{s.start}
		f(t, w, s, urls)
		if n := s.underWay(); n != 0 {
			t.Errorf("%d calls are still under way", n)
		}
	})
}

func TestASilentRegistrarHoldsNobodyUp(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		s.takes[urls[0]] = after(silent)
		var seen []*pledge.Attempt
		w.cfg.Observe = func(a *pledge.Attempt) { seen = append(seen, a) }
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[1] {
			t.Fatalf("%+v, %v", joined, err)
		}
		if asked := s.when("requestvoucher", urls[1]); asked < 3*time.Second || asked > 5*time.Second || time.Since(s.start) != asked {
			t.Errorf("the second was asked after %v, joined after %v", asked, time.Since(s.start))
		}
		if len(seen) != 2 || seen[0].Err != nil || seen[1].Err == nil || seen[1].Refused() || seen[1].Pending || len(seen[1].Checks) != 1 {
			t.Errorf("%+v", seen)
		}
		if len(s.registrars("end")) != 1 {
			t.Error("the silent one is still asked")
		}
	})
}

func TestOfTooManySilentRegistrarsTheOldestMakesRoom(t *testing.T) {
	slowly(t, 12, func(t *testing.T, w *world, s *slow, urls []string) {
		for _, url := range urls[:11] {
			s.takes[url] = after(silent)
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[11] {
			t.Fatalf("%+v, %v", joined, err)
		}
		asked := s.registrars("requestvoucher")
		if !slices.Equal(asked, urls) || s.most != 8 {
			t.Errorf("asked %v, %d at a time", asked, s.most)
		}
		if dropped := s.registrars("end")[:4]; !slices.Equal(dropped, urls[:4]) {
			t.Errorf("dropped %v", dropped)
		}
		for i := 1; i < len(urls); i++ {
			if gap := s.when("requestvoucher", urls[i]) - s.when("requestvoucher", urls[i-1]); gap < 3*time.Second || gap > 5*time.Second {
				t.Errorf("%s was asked %v after the one before", urls[i], gap)
			}
		}
		if had := s.when("end", urls[0]) - s.when("requestvoucher", urls[0]); had < 8*3*time.Second {
			t.Errorf("the first had %v to answer", had)
		}
	})
}

// A registrar that answers with another device's voucher, and then does not listen
// to what becomes of it, has 5 s more where others wait.
func TestARegistrarHasFiveSeconds(t *testing.T) {
	slowly(t, 9, func(t *testing.T, w *world, s *slow, urls []string) {
		eight := make(chan struct{})
		for _, url := range urls[:8] {
			s.network[url].voucher = func(v *codec.Voucher) { v.SerialNumber = []byte("another") }
			s.takes[url] = func(c *pledge.Call) time.Duration {
				if strings.HasSuffix(c.Path, "voucher_status") {
					return silent
				}
				if url == urls[7] {
					close(eight)
				}
				<-eight
				return time.Second
			}
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[8] {
			t.Fatalf("%+v, %v", joined, err)
		}
		told, asked := s.when("voucher_status", urls[0]), s.when("requestvoucher", urls[8])
		if asked != told+pledge.NoProgress || s.when("end", urls[0]) != asked || s.most != 8 {
			t.Errorf("told after %v, the next asked after %v, %d at a time", told, asked, s.most)
		}
	})
}

// The oldest is not among those that make room as long as it does something.
func TestTheOldestThatIsSilentMakesRoom(t *testing.T) {
	slowly(t, 9, func(t *testing.T, w *world, s *slow, urls []string) {
		eight := make(chan struct{})
		for i, url := range urls[:8] {
			s.network[url].voucher = func(v *codec.Voucher) { v.SerialNumber = []byte("another") }
			s.takes[url] = func(c *pledge.Call) time.Duration {
				if i == 7 {
					close(eight)
				}
				if i == 0 && strings.HasSuffix(c.Path, "requestvoucher") {
					<-eight
					return time.Second
				}
				return silent
			}
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[8] {
			t.Fatalf("%+v, %v", joined, err)
		}
		if dropped := s.registrars("end")[0]; dropped != urls[1] || s.when("voucher_status", urls[0]) < 0 {
			t.Errorf("%s made room", dropped)
		}
	})
}

// What comes at the moment at which its registrar is given up is looked at.
func TestAnAnswerAtTheLastMoment(t *testing.T) {
	slowly(t, 9, func(t *testing.T, w *world, s *slow, urls []string) {
		s.last = urls[0]
		for i, url := range urls[:8] {
			s.takes[url] = func(c *pledge.Call) time.Duration {
				if i == 0 && !strings.HasSuffix(c.Path, "requestvoucher") {
					return 0
				}
				return silent
			}
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[0] || len(s.network[urls[8]].calls) != 0 {
			t.Fatalf("%+v, %v; the last was asked %v", joined, err, s.network[urls[8]].calls)
		}
	})
}

// Registrars that ask for more time, and take their time to do so, are not among
// those that make room; and nobody has to wait for one of them.
func TestSlowUndecidedRegistrarsHoldNobodyUp(t *testing.T) {
	slowly(t, 9, func(t *testing.T, w *world, s *slow, urls []string) {
		for _, url := range urls[:8] {
			s.takes[url] = after(20 * time.Second)
			s.network[url].answers["requestvoucher"] = func(*pledge.Call, []byte) *pledge.Reply {
				return &pledge.Reply{Status: 202, RetryAfter: "1"}
			}
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[8] || time.Since(s.start) > 8*5*time.Second {
			t.Fatalf("%+v after %v, %v", joined, time.Since(s.start), err)
		}
		for _, url := range urls[:8] {
			for _, body := range s.network[url].bodies["requestvoucher"] {
				if string(body) != string(s.network[url].bodies["requestvoucher"][0]) {
					t.Errorf("%s got another request", url)
				}
			}
		}
	})
}

// Eight that have not answered do not push out eight that have not decided, nor
// the other way round.
func TestEightAreAskedBesideEightThatAreWaitedFor(t *testing.T) {
	slowly(t, 16, func(t *testing.T, w *world, s *slow, urls []string) {
		w.cfg.Once = false
		for i, url := range urls {
			s.network[url].answers["requestvoucher"] = plain(202)
			if i%2 == 0 {
				s.takes[url] = after(silent)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		defer cancel()
		_, err := w.pledge().Join(ctx, urls...)
		var failed *pledge.JoinError
		if !errors.As(err, &failed) || len(failed.Attempts) != 16 {
			t.Fatalf("%v", err)
		}
		for i, a := range failed.Attempts {
			if !errors.Is(a.Err, context.DeadlineExceeded) || a.Pending != (i%2 == 1) {
				t.Errorf("%+v", a)
			}
		}
	})
}

// Of many silent ones, the one asked longest ago is asked again.
func TestSilentRegistrarsTakeTurns(t *testing.T) {
	slowly(t, 10, func(t *testing.T, w *world, s *slow, urls []string) {
		w.cfg.Once = false
		for i, url := range urls {
			times := 0
			s.takes[url] = func(*pledge.Call) time.Duration {
				if times++; times > 1 && i == 2 {
					return 0
				}
				return silent
			}
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[2] {
			t.Fatalf("%+v, %v", joined, err)
		}
		if asked := s.registrars("requestvoucher"); !slices.Equal(asked, slices.Concat(urls, urls[:3])) {
			t.Errorf("asked %v", asked)
		}
		first, second := s.network[urls[2]].bodies["requestvoucher"], joined.Attempt
		if len(first) != 1 || second.Err != nil {
			t.Errorf("%d requests, %+v", len(first), second)
		}
	})
}

// A voucher that comes while the device enrols elsewhere is kept, unread, for the
// case that this fails.
func TestAVoucherThatComesDuringAnotherEnrolmentIsKept(t *testing.T) {
	for _, fails := range []bool{true, false} {
		slowly(t, 3, func(t *testing.T, w *world, s *slow, urls []string) {
			a, b := s.network[urls[0]], s.network[urls[1]]
			s.takes[urls[0]] = func(c *pledge.Call) time.Duration {
				if strings.HasSuffix(c.Path, "requestvoucher") {
					return 6 * time.Second
				}
				return 0
			}
			s.takes[urls[1]] = func(c *pledge.Call) time.Duration {
				if strings.HasSuffix(c.Path, "requestvoucher") {
					return 10 * time.Second
				}
				return 0
			}
			good, asked := a.answers["simpleenroll"], 0
			a.answers["simpleenroll"] = func(c *pledge.Call, body []byte) *pledge.Reply {
				if asked++; asked == 1 {
					return &pledge.Reply{Status: 202}
				}
				if len(b.calls) != 1 {
					t.Errorf("the other was told %v meanwhile", b.calls)
				}
				if fails {
					return &pledge.Reply{Status: 403}
				}
				return good(c, body)
			}
			joined, err := w.pledge().Join(context.Background(), urls...)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.network[urls[2]].calls) != 0 {
				t.Errorf("the third was asked %v", s.network[urls[2]].calls)
			}
			if !fails {
				if joined.Registrar != urls[0] || len(b.calls) != 1 {
					t.Errorf("joined at %s; the other was told %v", joined.Registrar, b.calls)
				}
				return
			}
			want := []string{"requestvoucher", "voucher_status:true", "cacerts", "csrattrs", "simpleenroll", "enrollstatus:true"}
			if joined.Registrar != urls[1] || !slices.Equal(b.calls, want) {
				t.Errorf("joined at %s, which was asked %v", joined.Registrar, b.calls)
			}
			if names := slices.Compact(slices.Clone(b.names[:5])); len(names) != 1 {
				t.Errorf("connections %v", b.names)
			}
		})
	}
}

// A voucher that was kept is held against the TLS server it was asked through.
func TestAVoucherThatWasKeptIsForItsConnection(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		a, b := s.network[urls[0]], s.network[urls[1]]
		s.takes[urls[0]] = func(c *pledge.Call) time.Duration {
			return map[bool]time.Duration{true: 6 * time.Second}[strings.HasSuffix(c.Path, "requestvoucher")]
		}
		s.takes[urls[1]] = s.takes[urls[0]]
		asked := 0
		a.answers["simpleenroll"] = func(*pledge.Call, []byte) *pledge.Reply {
			if asked++; asked == 1 {
				return &pledge.Reply{Status: 202}
			}
			b.peers = w.other() // answers where b did
			return &pledge.Reply{Status: 403}
		}
		_, err := w.pledge().Join(context.Background(), urls...)
		var failed *pledge.JoinError
		if !errors.As(err, &failed) || len(failed.Attempts) != 2 || !decision.Is(failed.Attempts[1].Err, pledge.PeerChanged) {
			t.Errorf("%v", err)
		}
		if len(b.calls) != 1 {
			t.Errorf("the other server was told %v", b.calls)
		}
	})
}

func TestARegistrarThatDoesNotListenToARefusalHoldsNobodyUp(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		s.network[urls[0]].voucher = func(v *codec.Voucher) { v.SerialNumber = []byte("another") }
		s.takes[urls[0]] = func(c *pledge.Call) time.Duration {
			if strings.HasSuffix(c.Path, "voucher_status") {
				return silent
			}
			return 0
		}
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[1] || time.Since(s.start) > 5*time.Second {
			t.Errorf("%+v after %v, %v", joined, time.Since(s.start), err)
		}
	})
}

// With Once, whoever is asked has his time to answer.
func TestOnceWaitsForAnswers(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		s.takes[urls[0]] = func(c *pledge.Call) time.Duration {
			return map[bool]time.Duration{true: 40 * time.Second}[strings.HasSuffix(c.Path, "requestvoucher")]
		}
		s.network[urls[1]].answers["requestvoucher"] = plain(403)
		joined, err := w.pledge().Join(context.Background(), urls...)
		if err != nil || joined.Registrar != urls[0] {
			t.Errorf("%+v, %v", joined, err)
		}
	})
	slowly(t, 1, func(t *testing.T, w *world, s *slow, urls []string) {
		s.takes[urls[0]] = after(40 * time.Second)
		s.network[urls[0]].down = true
		_, err := w.pledge().Join(context.Background(), urls...)
		var failed *pledge.JoinError
		if !errors.As(err, &failed) || failed.Outcome() != pledge.NothingReached || failed.Cause != nil || time.Since(s.start) != 40*time.Second {
			t.Errorf("%v after %v", err, time.Since(s.start))
		}
	})
}

func TestASilentRegistrarHoldsUpNoDiscovery(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		w.cfg.Once = false
		s.takes[urls[0]] = after(silent)
		var asked []time.Duration
		w.cfg.Discover = func(context.Context) ([]string, error) {
			if asked = append(asked, time.Since(s.start)); len(asked) == 3 {
				return urls[1:], nil
			}
			return nil, errNoRoute
		}
		joined, err := w.pledge().Join(context.Background(), urls[0])
		if err != nil || joined.Registrar != urls[1] {
			t.Fatalf("%+v, %v", joined, err)
		}
		if !slices.Equal(asked, []time.Duration{0, 5 * time.Second, 15 * time.Second}) || time.Since(s.start) != 15*time.Second {
			t.Errorf("asked after %v, joined after %v", asked, time.Since(s.start))
		}
	})
}

// When the time is up nothing goes on, and what had been asked is in the record.
func TestNothingOutlivesAJoin(t *testing.T) {
	slowly(t, 4, func(t *testing.T, w *world, s *slow, urls []string) {
		w.cfg.Once = false
		for _, url := range urls[1:] {
			s.takes[url] = after(silent)
		}
		asked := 0
		s.takes[urls[0]] = func(*pledge.Call) time.Duration {
			if asked++; asked > 1 {
				return silent
			}
			return 0
		}
		s.network[urls[0]].answers["requestvoucher"] = func(*pledge.Call, []byte) *pledge.Reply {
			return &pledge.Reply{Status: 202, RetryAfter: "1"}
		}
		late := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, late)
		defer cancel()
		_, err := w.pledge().Join(ctx, urls...)
		var failed *pledge.JoinError
		if !errors.As(err, &failed) || !errors.Is(failed.Cause, late) || failed.Outcome() != pledge.Undecided || len(failed.Attempts) != 4 {
			t.Fatalf("%v", err)
		}
		for i, a := range failed.Attempts {
			last := a.Checks[len(a.Checks)-1]
			if a.Pending != (i == 0) || !errors.Is(a.Err, late) || last.Name != "requestvoucher" || last.OK || last.Detail != "too late" {
				t.Errorf("%+v", a)
			}
		}
		if len(s.registrars("end")) != 4 {
			t.Errorf("%+v", s.log)
		}
	})
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) { // a storage that fails
		s.takes[urls[0]] = after(silent)
		w.storage.left = 1
		if _, err := w.pledge().Join(context.Background(), urls...); !errors.Is(err, errPowerCut) {
			t.Errorf("%v", err)
		}
	})
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) { // a source of randomness that fails
		s.takes[urls[0]] = after(silent)
		w.cfg.Rand = io.LimitReader(w.random, 30)
		if _, err := w.pledge().Join(context.Background(), urls...); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	})
}

func TestStepByStepAmongSilentRegistrars(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		w.cfg.Once = false
		for _, url := range urls {
			s.takes[url] = after(silent)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		j := must[*pledge.Joining](t)(w.pledge().Start(urls...))
		wait, joined, err := j.Step(ctx)
		if wait != 0 || joined != nil || err != nil || time.Since(s.start) > 5*time.Second || s.underWay() != 1 {
			t.Errorf("the first: %v, %+v, %v after %v", wait, joined, err, time.Since(s.start))
		}
		j.LinkChanged() // what is on its way stays there
		if all := j.Attempts(); len(all) != 1 || all[0].Err != nil || all[0].Pending {
			t.Errorf("%+v", all)
		}
		if err := j.Add("https://x.example"); err != nil {
			t.Fatal(err)
		}
		if _, _, err = j.Step(ctx); err != nil || s.underWay() != 2 {
			t.Errorf("the second: %v, %d under way", err, s.underWay())
		}
		cancel()
		var failed *pledge.JoinError
		if _, _, err = j.Step(ctx); !errors.As(err, &failed) || len(failed.Attempts) != 2 || s.underWay() != 0 {
			t.Errorf("the last: %v, %d under way", err, s.underWay())
		}
	})
}

// A Network that does not return ends an attempt, and not the join.
func TestANetworkThatDoesNotReturn(t *testing.T) {
	slowly(t, 2, func(t *testing.T, w *world, s *slow, urls []string) {
		s.takes[urls[0]] = func(c *pledge.Call) time.Duration {
			s.note("end", c, -1)
			runtime.Goexit()
			return 0
		}
		if joined, err := w.pledge().Join(context.Background(), urls...); err != nil || joined.Registrar != urls[1] {
			t.Errorf("%+v, %v", joined, err)
		}
	})
}
