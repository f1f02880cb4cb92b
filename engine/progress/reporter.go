package progress

import (
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// How often each mode writes.
const (
	barInterval   = 100 * time.Millisecond
	plainInterval = 5 * time.Second
	jsonInterval  = time.Second
)

// rateMemory is how long the current rate remembers: what happened that long
// ago counts e times less than what happens now.
const rateMemory = 5 * time.Second

// A Clock tells the time and ticks. Tests bring their own.
type Clock interface {
	// Now returns the time at which it is called.
	Now() time.Time
	// Ticker returns a channel that delivers a time every d, and a function
	// that ends that.
	Ticker(d time.Duration) (ticks <-chan time.Time, stop func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Ticker(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// Options say what is reported, where and how.
type Options struct {
	Job      string    // what is running, as in "issue"
	Unit     string    // what is counted, as in "vouchers"
	Verb     string    // what is done with them, as in "checked"; empty for issuing, which counts durable ones too
	Mode     Mode      // how it is shown
	Out      io.Writer // where to; a write error ends the reports, not the job
	Terminal bool      // whether Out is a terminal
	Width    int       // columns of the terminal; 0 stands for 80
	Total    uint64    // how many there will be in all; 0 while not known, see SetTotal
	Resumed  uint64    // how many were issued and durable before the start
	Clock    Clock     // nil stands for the system's clock
}

// A Reporter reports on one job. Its counters may be added to by any
// goroutine at any time.
type Reporter struct {
	Issued   atomic.Uint64 // done so far; starts at Options.Resumed
	Durable  atomic.Uint64 // of these, on disk for certain; starts at Options.Resumed
	Rejected atomic.Uint64 // bad ones that are not going to be done

	total   atomic.Uint64 // 0: not known
	options Options       // read-only after Start
	start   time.Time     // read-only after Start

	quit    chan struct{} // closed by Stop
	done    chan struct{} // closed when the goroutine has ended
	stopped sync.Once

	// The goroutine's own until done is closed, then Stop's.
	last rateSample
	err  error // the first failure to write
}

// A rateSample is what the rate was at some moment.
type rateSample struct {
	at        time.Time
	issued    uint64
	perSecond float64
	measured  bool // false: perSecond is not known yet
}

// Start begins to report. Unless the mode comes to None it starts a goroutine,
// which Stop ends. A mode that does not exist is a *ModeError.
func Start(options Options) (*Reporter, error) {
	if int(options.Mode) >= len(modeNames) {
		return nil, &ModeError{Name: options.Mode.String()}
	}
	if options.Mode == Auto {
		options.Mode = Plain
		if options.Terminal {
			options.Mode = Bar
		}
	}
	if options.Out == nil {
		options.Mode = None
	}
	if options.Clock == nil {
		options.Clock = systemClock{}
	}
	if options.Width <= 0 {
		options.Width = 80
	}
	r := &Reporter{options: options, start: options.Clock.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	r.Issued.Store(options.Resumed)
	r.Durable.Store(options.Resumed)
	r.total.Store(options.Total)
	r.last = rateSample{at: r.start, issued: options.Resumed}
	if options.Mode == None {
		close(r.done)
		return r, nil
	}
	ticks, stop := options.Clock.Ticker(map[Mode]time.Duration{Bar: barInterval, Plain: plainInterval, JSON: jsonInterval}[options.Mode])
	go r.report(ticks, stop)
	return r, nil
}

// SetTotal says how many there will be in all, once that is known.
func (r *Reporter) SetTotal(total uint64) { r.total.Store(total) }

// Stop writes the last report and returns once nothing more will be written.
// It returns the first error that writing met. Stopping again returns the same.
func (r *Reporter) Stop() error {
	r.stopped.Do(func() { close(r.quit) })
	<-r.done
	return r.err
}

func (r *Reporter) report(ticks <-chan time.Time, stop func()) {
	defer close(r.done)
	defer stop()
	for {
		select {
		case <-r.quit:
			r.write(r.snapshot(true))
			return
		case <-ticks:
			r.write(r.snapshot(false))
		}
	}
}

// write writes one report, in one call, unless an earlier one failed.
func (r *Reporter) write(s snapshot) {
	if r.err == nil {
		_, r.err = r.options.Out.Write(s.append(nil, &r.options))
	}
}

// snapshot reads the counters and works out the rate. Durable is read first,
// so that it never appears to be ahead of what is issued.
func (r *Reporter) snapshot(final bool) snapshot {
	s := snapshot{final: final, durable: r.Durable.Load(), rejected: r.Rejected.Load(), total: r.total.Load()}
	s.issued = r.Issued.Load()
	now := r.options.Clock.Now()
	s.elapsed = now.Sub(r.start)
	r.last = r.last.advance(now, s.issued)
	s.perSecond, s.measured = r.last.perSecond, r.last.measured
	if final {
		s.perSecond, s.measured = perSecond(s.issued, r.options.Resumed, s.elapsed), s.elapsed > 0
	}
	return s
}

// advance returns the sample at now: the rate since the last one, mixed with
// what is remembered.
func (s rateSample) advance(now time.Time, issued uint64) rateSample {
	passed := now.Sub(s.at)
	if passed <= 0 {
		return s
	}
	rate := perSecond(issued, s.issued, passed)
	if s.measured {
		rate += (s.perSecond - rate) * math.Exp(-float64(passed)/float64(rateMemory))
	}
	return rateSample{at: now, issued: issued, perSecond: rate, measured: true}
}

// perSecond is the rate that leads from one count to the other in that time.
func perSecond(now, before uint64, passed time.Duration) float64 {
	if passed <= 0 || now < before {
		return 0
	}
	return float64(now-before) / passed.Seconds()
}
