package pledge

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A flight is one request to a registrar that is not the device's, or not yet, on
// its way on a goroutine of its own: a registrar that is silent then costs the
// others nothing (RFC 8995 §5.1). The goroutine makes the voucher-request once the
// TLS server is known, sends it and waits for the answer. It decides nothing and
// stores nothing: whatever comes of the answer is for the goroutine of the Joining.
type flight struct {
	candidate *candidate
	name      string // of the operation
	since     time.Time
	cancel    context.CancelFunc
	landed    bool // taken from Joining.landings

	// Of the goroutine until it has sent the flight to Joining.landings.
	reply *Reply
	err   error
}

// errNoReturn is a flight whose goroutine ended within the Network.
var errNoReturn = errors.New("the network did not return")

// inAir reports whether a request to the candidate is on its way.
func (c *candidate) inAir() bool { return c.flight != nil && !c.flight.landed }

// asked reports whether the candidate has not answered yet: else it said that it
// has not decided, or is not asked.
func (c *candidate) asked() bool { return c.attempt != nil && !c.attempt.waiting }

// launch sends a request of the candidate's attempt.
func (j *Joining) launch(ctx context.Context, c *candidate, op *operation) {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{candidate: c, name: op.name, since: j.look(), cancel: cancel, err: errNoReturn}
	c.flight = f
	j.flying++
	go func(s *session) {
		defer func() { j.landings <- f }()
		f.reply, f.err = s.send(ctx, op)
	}(c.attempt.session)
}

// land takes a flight back from its goroutine, which has nothing more to do.
func (j *Joining) land(f *flight) {
	f.cancel()
	f.landed = true
	j.flying--
}

// await waits until a flight lands, and returns its candidate: nil where it must
// wait for the end of another's enrolment, where something else is due before, or
// where ctx ends. It does not look at the clock, which a simulation may move while
// a flight is in the air.
func (j *Joining) await(ctx context.Context) *candidate {
	_, wait := j.next(j.now)
	due := make(chan struct{})
	stop := j.p.cfg.Clock.AfterFunc(wait, func() { close(due) })
	defer stop()
	select {
	case f := <-j.landings:
		j.land(f)
		if j.imprinted == nil || j.imprinted == f.candidate {
			return f.candidate
		}
	case <-due:
	case <-ctx.Done():
	}
	return nil
}

// ground ends the candidate's flight, if there is one, and waits for it.
func (j *Joining) ground(c *candidate) {
	if c.inAir() {
		c.flight.cancel()
		for !c.flight.landed {
			j.land(<-j.landings)
		}
	}
}

// room returns from when on another registrar may be asked for the first time:
// where as many as may be have not answered, when the first of them has been
// silent for NoProgress.
func (j *Joining) room() time.Time {
	asked := 0
	var since time.Time
	for _, c := range j.candidates {
		if !c.asked() {
			continue
		}
		asked++
		if c.inAir() && (since.IsZero() || c.flight.since.Before(since)) {
			since = c.flight.since
		}
	}
	if asked < maxAsked {
		return time.Time{}
	}
	return since.Add(NoProgress)
}

// makeRoom drops the oldest of the attempts that have been silent for NoProgress,
// if there is no room for another (RFC 8995 §5.1). Since attempts begin minSpacing
// apart, a registrar that takes its time has maxAsked times that at least, however
// many others are known. It reports false where an answer came at this moment.
func (j *Joining) makeRoom(now time.Time) bool {
	if j.room().IsZero() {
		return true
	}
	var oldest *candidate
	for _, c := range j.candidates {
		if c.asked() && c.inAir() && !now.Before(c.flight.since.Add(NoProgress)) && (oldest == nil || c.used.Before(oldest.used)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	j.ground(oldest)
	if oldest.flight.err == nil {
		return false
	}
	j.fail(oldest, fmt.Errorf("no answer for %v, and others wait to be asked", now.Sub(oldest.flight.since).Round(time.Second)))
	return true
}
