package pledge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
)

// Limits of a Joining.
const (
	maxCandidates = 64 // registrars known at a time: discovery is not authenticated
	maxAsked      = 8  // registrars asked at a time that have not answered
	maxWaiting    = 8  // registrars waited for that have answered that they have not decided
)

// A Joining is a device on its way into a domain: it goes from registrar to
// registrar until one has a voucher for it and a certificate. It is for one
// goroutine at a time, and judges, enrols and stores on that alone; only requests
// for vouchers are on their way on goroutines of their own. [Pledge.Join] runs one;
// Step runs it by hand, as a simulation or an event loop does.
//
// Registrars are asked 3 to 5 s apart, up to eight at a time that have not
// answered, beside up to eight that answered that they have not decided. Where
// there are more, the oldest that has been silent for NoProgress makes room. Of
// several vouchers one is judged at a time: while the device enrols at a registrar
// whose voucher was good, no other is asked, and what comes from those already
// asked is kept for the case that this fails.
type Joining struct {
	p          *Pledge
	candidates []*candidate
	imprinted  *candidate // the one whose voucher was good; no other is tried meanwhile
	spaced     time.Time  // no attempt at another registrar before
	now        time.Time  // when the clock was last looked at
	turns      int        // how often a registrar was spoken to
	flying     int        // flights that have not landed
	landings   chan *flight
	discovery  struct {
		due      time.Time
		failures int
	}
	joined *Joined
}

// A candidate is one registrar, or a join proxy in front of one.
type candidate struct {
	url      string
	named    bool     // by the caller; else discovery found it
	attempt  *attempt // that is under way or waits for a decision, nil for none
	flight   *flight  // of the attempt, until what it brought is looked at; nil for none
	due      time.Time
	failures int
	used     time.Time // when the last attempt began
	turn     int       // of the Joining, when it was last spoken to; 0: never
	last     *Attempt
}

// Start begins to join through the given registrars, URLs as Origin takes them.
// A device that has joined stays as it is: the first Step returns what it has.
// Only a reset makes it start again (RFC 8995 §2.1). What a power cut left
// behind is finished or cleared away first. Errors are a *StorageError, a
// *decision.Refusal about the storage, or about the URLs.
func (p *Pledge) Start(registrars ...string) (*Joining, error) {
	had, err := Load(p.cfg.Storage)
	if err != nil {
		return nil, err
	}
	j := &Joining{p: p, landings: make(chan *flight, maxCandidates)}
	now := j.look()
	if had != nil {
		if had.SerialNumber != p.own.serial {
			return nil, decision.Refuse(ForeignState, "the storage is that of device %q, this is %q", had.SerialNumber, p.own.serial)
		}
		had.Already = true
		j.joined = had
		return j, nil
	}
	j.spaced, j.discovery.due = now, now
	for _, url := range registrars {
		if err := j.Add(url); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// Add makes another registrar known; one that is known already is not changed,
// and beyond 64 it takes the place of one that discovery found and that came to
// nothing, or is left out.
func (j *Joining) Add(registrar string) error { return j.add(registrar, true) }

// add is Add; named says that it was not discovery that found it.
func (j *Joining) add(registrar string, named bool) error {
	origin, err := Origin(registrar)
	if err != nil {
		return fmt.Errorf("pledge: registrar: %w", err)
	}
	if at := slices.IndexFunc(j.candidates, func(c *candidate) bool { return c.url == origin }); at >= 0 {
		j.candidates[at].named = j.candidates[at].named || named
		return nil
	}
	c := &candidate{url: origin, named: named, due: j.look()}
	if len(j.candidates) < maxCandidates {
		j.candidates = append(j.candidates, c)
	} else if at := j.spent(); at >= 0 {
		j.candidates[at] = c
	}
	return nil
}

// spent returns which candidate can make room for another: of those that
// discovery found and that were tried in vain, the one tried longest ago. Whoever
// floods the link with names would else keep a registrar out that comes later.
func (j *Joining) spent() int {
	found := -1
	for i, c := range j.candidates {
		if !c.named && c.attempt == nil && c.last != nil && (found < 0 || c.turn < j.candidates[found].turn) {
			found = i
		}
	}
	return found
}

// LinkChanged forgets all back-off: what did not answer before may do so on
// another link (RFC 8995 §4.1). Requests that are on their way stay there: the link
// they left by may be up still.
func (j *Joining) LinkChanged() {
	now := j.look()
	j.discovery.due, j.discovery.failures = now, 0
	for _, c := range j.candidates {
		c.failures = 0
		if c.attempt == nil {
			c.due = now
		}
	}
}

// Attempts returns the last attempt at each registrar, over or under way.
func (j *Joining) Attempts() []*Attempt {
	var all []*Attempt
	for _, c := range j.candidates {
		if c.attempt != nil {
			all = append(all, &Attempt{Registrar: c.url, Checks: c.attempt.trail.Checks(), Pending: c.attempt.waiting})
		} else if c.last != nil {
			all = append(all, c.last)
		}
	}
	return all
}

// look looks at the clock.
func (j *Joining) look() time.Time {
	j.now = j.p.cfg.Clock.Now()
	return j.now
}

// Join runs a Joining until the device has joined, and returns what it has: at
// once, without a word to the network, if it has joined before. With Config.Once
// it ends with a *JoinError when every registrar was tried, else only when ctx
// ends. Other errors are those of Start, a *StorageError, and that of Config.Rand.
func (p *Pledge) Join(ctx context.Context, registrars ...string) (*Joined, error) {
	j, err := p.Start(registrars...)
	if err != nil {
		return nil, err
	}
	for {
		wait, joined, err := j.Step(ctx)
		if joined != nil || err != nil {
			return joined, err
		}
		if wait > 0 && p.cfg.Clock.Sleep(ctx, wait) != nil {
			return nil, j.end(context.Cause(ctx))
		}
	}
}

// Step does what is due, and returns how long there is nothing to do
// afterwards. While a registrar has not answered, Step waits: until it does, or
// something else is due, such as another registrar or a discovery. It returns the
// device once it has joined, and errors as Join does; after either it has nothing
// more to do, and nothing it began is left. ctx is that of the whole Joining, whose
// requests outlast a Step: once it has ended, one more Step waits for them to end.
func (j *Joining) Step(ctx context.Context) (wait time.Duration, joined *Joined, err error) {
	if j.joined == nil {
		wait, err = j.step(ctx)
	}
	if err != nil {
		j.drop(errGivenUp) // unless an end has done so
	}
	return wait, j.joined, err
}

func (j *Joining) step(ctx context.Context) (time.Duration, error) {
	if contextError(ctx) != nil {
		return 0, j.end(context.Cause(ctx))
	}
	if err := j.discover(ctx); err != nil {
		return 0, err
	}
	c, wait := j.next(j.look())
	switch {
	case c != nil:
		if err := j.try(ctx, c); err != nil {
			return 0, err
		}
	case j.exhausted():
		return 0, j.end(nil)
	case j.flying == 0:
		return wait, nil
	}
	for j.joined == nil && j.flying > 0 {
		c := j.await(ctx)
		if contextError(ctx) != nil {
			return 0, j.end(context.Cause(ctx))
		}
		if c == nil {
			break
		}
		if err := j.try(ctx, c); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// next picks the candidate whose turn it is: one that has answered, or of those
// that are due the one not spoken to for longest, so that none keeps others
// waiting, however often it asks to be asked again. It returns how long to wait
// for the first that is due, too.
func (j *Joining) next(now time.Time) (*candidate, time.Duration) {
	var best *candidate
	soonest := now.Add(MaxBackoff)
	room := j.room()
	for _, c := range j.candidates {
		if j.imprinted != nil && c != j.imprinted || c.inAir() || j.done(c) {
			continue
		}
		due := c.due
		if c.attempt == nil {
			due = latest(due, j.spaced, room)
		}
		if due.Before(soonest) {
			soonest = due
		}
		if !due.After(now) && (best == nil || c.before(best)) {
			best = c
		}
	}
	if j.discovers() && j.discovery.due.Before(soonest) {
		soonest = j.discovery.due
	}
	return best, max(soonest.Sub(now), 0)
}

// before reports whether it is the turn of c and not that of other.
func (c *candidate) before(other *candidate) bool {
	if answered := c.flight != nil; answered != (other.flight != nil) {
		return answered
	}
	return c.turn < other.turn
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}

// done reports whether a candidate has had its one chance, where it has only one.
func (j *Joining) done(c *candidate) bool {
	return j.p.cfg.Once && c.attempt == nil && c.last != nil && (c.last.Refused() || !j.p.cfg.UntilReached)
}

// try begins an attempt, or goes on with one.
func (j *Joining) try(ctx context.Context, c *candidate) error {
	landed := c.flight
	c.flight = nil
	if landed == nil {
		if begun, err := j.begin(c, j.look()); err != nil || !begun {
			return err
		}
	}
	send, wait, err := c.attempt.run(ctx, landed)
	switch {
	case fatal(err): // before the context's end: what is in the storage may be in force
		j.finish(c, err)
		return err
	case contextError(ctx) != nil && c.attempt.phase != phaseDone:
		return j.end(context.Cause(ctx))
	case err != nil:
		j.fail(c, err)
		return nil
	case c.attempt.phase == phaseDone:
		j.joined = c.attempt.joined
		j.finish(c, nil)
		j.joined.Attempt = c.last
		j.drop(errJoined)
		return nil
	case send != nil:
		j.launch(ctx, c, send)
		return nil
	}
	c.due = j.look().Add(wait)
	if c.attempt.imprint != nil {
		j.imprinted = c
	}
	j.limitWaiting(c)
	return nil
}

// begin begins an attempt where none waits to go on. It reports false where there
// is no room for another.
func (j *Joining) begin(c *candidate, now time.Time) (bool, error) {
	if c.attempt == nil {
		if !j.makeRoom(now) {
			return false, nil
		}
		gap, err := spacing(j.p.cfg.Rand)
		if err != nil {
			return false, fmt.Errorf("pledge: no randomness: %w", err)
		}
		a, err := j.p.newAttempt(c.url)
		if err != nil {
			return false, err
		}
		c.attempt, c.used, j.spaced = a, now, now.Add(gap)
	}
	j.turns++
	c.turn = j.turns
	return true, nil
}

// fail ends an attempt that came to nothing: the registrar is tried again, later.
func (j *Joining) fail(c *candidate, err error) {
	j.finish(c, err)
	c.failures++
	c.due = j.look().Add(backoff(c.failures))
}

// What ends the attempts at other registrars.
var (
	errJoined  = errors.New("the device joined elsewhere")
	errGivenUp = errors.New("the device gave up joining")
)

// finish ends the attempt at a candidate.
func (j *Joining) finish(c *candidate, err error) {
	j.close(c, err, false)
	if j.imprinted == c {
		j.imprinted = nil
	}
}

// close turns an attempt into its result.
func (j *Joining) close(c *candidate, err error, pending bool) {
	j.ground(c)
	if f := c.flight; f != nil && f.err != nil {
		_ = c.attempt.failed(f.name, err)
	}
	c.last = c.attempt.result(err, pending)
	c.attempt, c.flight = nil, nil
	if j.p.cfg.Observe != nil {
		j.p.cfg.Observe(c.last)
	}
}

// limitWaiting drops the oldest of too many attempts that wait for a decision
// (RFC 8995 §4.1), but not the one that just began to.
func (j *Joining) limitWaiting(current *candidate) {
	var oldest *candidate
	waiting := 0
	for _, c := range j.candidates {
		if c.attempt == nil || !c.attempt.waiting {
			continue
		}
		if waiting++; c != current && (oldest == nil || c.used.Before(oldest.used)) {
			oldest = c
		}
	}
	if waiting > maxWaiting && oldest != nil {
		j.finish(oldest, decision.Refuse(PendingTooLong, "not decided yet, and %d registrars are waited for", waiting))
		oldest.due = j.look().Add(MaxBackoff)
	}
}

// drop gives up all attempts, and waits for all flights.
func (j *Joining) drop(cause error) {
	for _, c := range j.candidates {
		if c.inAir() {
			c.flight.cancel()
		}
	}
	for _, c := range j.candidates {
		if c.attempt != nil {
			j.close(c, cause, c.attempt.waiting)
		}
	}
}

// discovers reports whether there is to be another discovery.
func (j *Joining) discovers() bool {
	return j.p.cfg.Discover != nil && j.imprinted == nil && (j.discovery.failures == 0 || !j.p.cfg.Once || j.p.cfg.UntilReached)
}

// discover looks for registrars, when it is time to and none is imprinted.
func (j *Joining) discover(ctx context.Context) error {
	if !j.discovers() || j.look().Before(j.discovery.due) {
		return nil
	}
	found, err := j.p.cfg.Discover(ctx)
	if contextError(ctx) != nil {
		return j.end(context.Cause(ctx))
	}
	j.discovery.failures++
	j.discovery.due = j.look().Add(backoff(j.discovery.failures))
	if err != nil {
		if len(j.candidates) == 0 && j.p.cfg.Once && !j.p.cfg.UntilReached {
			return j.end(err)
		}
		return nil
	}
	for _, url := range found {
		_ = j.add(url, false) // what is no URL of a registrar is not one to try
	}
	return nil
}

// exhausted reports whether, tried once each, no registrar is left.
func (j *Joining) exhausted() bool {
	if !j.p.cfg.Once || len(j.candidates) == 0 && j.discovers() {
		return false
	}
	return !slices.ContainsFunc(j.candidates, func(c *candidate) bool { return !j.done(c) })
}

// end gives up. Files staged for an enrolment that did not come about go.
func (j *Joining) end(cause error) error {
	j.drop(cause)
	e := &JoinError{Cause: cause, Attempts: j.Attempts()}
	if _, err := (vault{j.p.cfg.Storage}).recover(); err != nil {
		return err
	}
	return e
}
