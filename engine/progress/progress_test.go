package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeClock stands still until it is told to advance, and ticks when the
// test says so.
type fakeClock struct {
	now      time.Time
	ticks    chan time.Time
	interval time.Duration
	running  bool
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), ticks: make(chan time.Time)}
}

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Ticker(d time.Duration) (<-chan time.Time, func()) {
	c.interval, c.running = d, true
	return c.ticks, func() { c.running = false }
}

// tick lets time pass and waits until the report is written.
func (c *fakeClock) tick(d time.Duration) {
	c.now = c.now.Add(d)
	c.ticks <- c.now
	synctest.Wait()
}

// reporting runs the test with a reporter in a bubble, which fails if the
// reporter leaves its goroutine behind.
func reporting(t *testing.T, o Options, test func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := newFakeClock()
		o.Job, o.Unit, o.Out, o.Clock = "issue", "vouchers", &out, c
		r, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		test(t, r, c, &out)
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		if c.running {
			t.Error("the ticker was not stopped")
		}
	})
}

// add counts as the stages would.
func add(r *Reporter, issued, durable uint64) {
	r.Issued.Add(issued)
	r.Durable.Add(durable)
}

// want compares what was written since the last call.
func want(t *testing.T, out *bytes.Buffer, text string) {
	t.Helper()
	if got := out.String(); got != text {
		t.Errorf("got  %q\nwant %q", got, text)
	}
	out.Reset()
}

func TestPlainWritesALineEveryFiveSeconds(t *testing.T) {
	reporting(t, Options{Mode: Plain, Total: 1000000}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		if c.interval != 5*time.Second {
			t.Errorf("ticks every %v", c.interval)
		}
		add(r, 250000, 200000)
		c.tick(5 * time.Second)
		want(t, out, "issue: 25%, 250,000 of 1,000,000 issued, 200,000 durable, 50,000 vouchers/s, 0:15 left\n")
		add(r, 249990, 299000)
		r.Rejected.Add(10)
		c.tick(5 * time.Second)
		want(t, out, "issue: 50%, 499,990 of 1,000,000 issued, 499,000 durable, 10 rejected, 49,999 vouchers/s, 0:11 left\n")
		add(r, 500000, 500990)
		c.now = c.now.Add(10 * time.Second)
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		want(t, out, "issue: 999,990 of 1,000,000 issued, 999,990 durable, 10 rejected, 50,000 vouchers/s, took 20s\n")
	})
}

func TestWithoutATotalNothingIsSaidAboutTheEnd(t *testing.T) {
	reporting(t, Options{Mode: Plain}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		add(r, 500, 0)
		c.tick(5 * time.Second)
		want(t, out, "issue: 500 issued, 0 durable, 100 vouchers/s\n")
		r.SetTotal(2000)
		add(r, 500, 0)
		c.tick(5 * time.Second)
		want(t, out, "issue: 50%, 1,000 of 2,000 issued, 0 durable, 100 vouchers/s, 0:10 left\n")
	})
}

func TestAJobAtRestHasNoTimeLeft(t *testing.T) {
	reporting(t, Options{Mode: Plain, Total: 100}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		c.tick(5 * time.Second)
		want(t, out, "issue: 0%, 0 of 100 issued, 0 durable, 0 vouchers/s\n")
	})
}

func TestWhatWasThereBeforeCountsButNotForTheRate(t *testing.T) {
	reporting(t, Options{Mode: Plain, Total: 2000, Resumed: 1000}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		add(r, 500, 250)
		c.tick(5 * time.Second)
		want(t, out, "issue: 75%, 1,500 of 2,000 issued, 1,250 durable, 100 vouchers/s, 0:05 left\n")
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		want(t, out, "issue: 1,500 of 2,000 issued, 1,250 durable, 100 vouchers/s, took 5s\n")
	})
}

func TestTheRateForgetsThePast(t *testing.T) {
	at := time.Unix(0, 0)
	s := rateSample{at: at}.advance(at.Add(time.Second), 100)
	if s.perSecond != 100 {
		t.Errorf("first rate %v, want what was measured, 100", s.perSecond)
	}
	// At rest for as long as the memory, 1/e of the rate is left, however
	// often it was looked at.
	for _, looks := range []int{1, 10, 1000} {
		r := s
		for range looks {
			r = r.advance(r.at.Add(rateMemory/time.Duration(looks)), 100)
		}
		if want := 100 / math.E; math.Abs(r.perSecond-want) > 1e-6 {
			t.Errorf("%d looks: rate %v, want %v", looks, r.perSecond, want)
		}
	}
	if r := s.advance(s.at, 5000); r != s {
		t.Errorf("a rate from no time at all: %+v", r)
	}
}

func TestBarRedrawsOneLineWithinTheTerminal(t *testing.T) {
	reporting(t, Options{Mode: Bar, Total: 1000, Width: 100}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		if c.interval != 100*time.Millisecond {
			t.Errorf("ticks every %v", c.interval)
		}
		add(r, 500, 250)
		c.tick(100 * time.Millisecond)
		want(t, out, "\r\x1b[Kissue [############............]  50% 500 of 1,000 issued, 250 durable, 5,000 vouchers/s, 0:01 left")
		add(r, 500, 750)
		c.tick(100 * time.Millisecond)
		want(t, out, "\r\x1b[Kissue [####################] 100% 1,000 of 1,000 issued, 1,000 durable, 5,000 vouchers/s, 0:00 left")
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		want(t, out, "\r\x1b[Kissue: 1,000 of 1,000 issued, 1,000 durable, 5,000 vouchers/s, took 200ms\n")
	})
}

func TestBarFitsIntoEveryWidth(t *testing.T) {
	for width := 1; width < 200; width++ {
		for _, total := range []uint64{0, 12345678} {
			o := Options{Job: "issue", Unit: "vouchers", Mode: Bar, Width: width}
			s := snapshot{elapsed: time.Hour, total: total, issued: 7654321, durable: 7000000, rejected: 12, perSecond: 1234567, measured: true}
			line := strings.TrimPrefix(string(s.append(nil, &o)), eraseLine)
			if len(line) > width-1 {
				t.Errorf("width %d: %d columns: %q", width, len(line), line)
			}
			if width > 150 && total > 0 && !strings.Contains(line, "] ") {
				t.Errorf("width %d: no bar: %q", width, line)
			}
		}
	}
}

func TestJSONWritesOneObjectPerLine(t *testing.T) {
	reporting(t, Options{Mode: JSON, Total: 1000}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		add(r, 500, 250)
		c.tick(time.Second)
		want(t, out, `{"job":"issue","unit":"vouchers","elapsed_ms":1000,"total":1000,"done":500,"durable":250,"rejected":0,"per_second":500,"eta_ms":1000,"final":false}`+"\n")
		add(r, 500, 750)
		c.now = c.now.Add(3 * time.Second)
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		line := out.String()
		want(t, out, `{"job":"issue","unit":"vouchers","elapsed_ms":4000,"total":1000,"done":1000,"durable":1000,"rejected":0,"per_second":250,"final":true}`+"\n")
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	})
}

func TestAutoIsABarOnATerminalOnly(t *testing.T) {
	for terminal, interval := range map[bool]time.Duration{true: barInterval, false: plainInterval} {
		reporting(t, Options{Terminal: terminal}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
			if c.interval != interval {
				t.Errorf("terminal=%v: ticks every %v, want %v", terminal, c.interval, interval)
			}
		})
	}
}

func TestNoneWritesNothingAndNeedsNoWriter(t *testing.T) {
	reporting(t, Options{Mode: None}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
		add(r, 5, 5)
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		want(t, out, "")
	})
	r, err := Start(Options{Mode: Bar})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

type brokenPipe struct{ writes int }

var errPipe = errors.New("broken pipe")

func (p *brokenPipe) Write([]byte) (int, error) { p.writes++; return 0, errPipe }

func TestAFailedWriteEndsTheReportsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, pipe := newFakeClock(), new(brokenPipe)
		r, err := Start(Options{Job: "issue", Mode: JSON, Out: pipe, Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.Issued.Add(1)
			c.tick(time.Second)
		}
		for range 2 {
			if err := r.Stop(); !errors.Is(err, errPipe) {
				t.Errorf("Stop: %v, want the error of the writer", err)
			}
		}
		if pipe.writes != 1 {
			t.Errorf("%d writes, want 1", pipe.writes)
		}
	})
}

func TestStagesMayCountWhileReportsAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r, err := Start(Options{Job: "issue", Unit: "vouchers", Mode: JSON, Out: &out})
		if err != nil {
			t.Fatal(err)
		}
		var stages sync.WaitGroup
		for range 4 {
			stages.Go(func() {
				for range 100 {
					add(r, 1, 1)
					time.Sleep(30 * time.Millisecond)
				}
			})
		}
		stages.Wait()
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		for i, line := range lines {
			var o report
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("line %d: %v", i, err)
			}
			if o.Final != (i == len(lines)-1) || *o.Durable > o.Done {
				t.Errorf("line %d of %d: %s", i, len(lines), line)
			}
			if o.Final && o.Done != 400 {
				t.Errorf("%d issued in the last report, want 400", o.Done)
			}
		}
		if len(lines) < 3 {
			t.Errorf("%d lines in 3 s, want one a second", len(lines))
		}
	})
}

func TestModesHaveNames(t *testing.T) {
	for _, name := range []string{"auto", "bar", "plain", "json", "none"} {
		if m, err := ParseMode(name); err != nil || m.String() != name {
			t.Errorf("%s became %v, %v", name, m, err)
		}
	}
	var bad *ModeError
	if _, err := ParseMode("fancy"); !errors.As(err, &bad) || !strings.Contains(err.Error(), "auto, bar, plain, json, none") {
		t.Errorf("ParseMode: %v, want a *ModeError that lists the modes", err)
	}
	if _, err := Start(Options{Mode: 77}); !errors.As(err, &bad) {
		t.Errorf("Start: %v, want a *ModeError", err)
	}
}

func TestTimesLeftReadLikeAClock(t *testing.T) {
	for d, text := range map[time.Duration]string{
		0: "0:00", time.Millisecond: "0:01", 59 * time.Second: "0:59", 61 * time.Second: "1:01",
		time.Hour: "1:00:00", 25*time.Hour + time.Minute + time.Second: "25:01:01",
	} {
		if got := clockTime(d); got != text {
			t.Errorf("%v reads %s, want %s", d, got, text)
		}
	}
	for n, text := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != text {
			t.Errorf("%d reads %s, want %s", n, got, text)
		}
	}
}

func TestAVerbReplacesWhatOnlyIssuingCounts(t *testing.T) {
	for _, mode := range []Mode{Plain, JSON} {
		reporting(t, Options{Job: "verify", Unit: "vouchers", Verb: "checked", Mode: mode}, func(t *testing.T, r *Reporter, c *fakeClock, out *bytes.Buffer) {
			r.Issued.Add(7)
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			if text := out.String(); strings.Contains(text, "durable") || strings.Contains(text, "issued") || !strings.Contains(text, "7") {
				t.Errorf("%v wrote %q", mode, text)
			}
		})
	}
}
