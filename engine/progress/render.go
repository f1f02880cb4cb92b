package progress

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A snapshot is what one report says.
type snapshot struct {
	elapsed                          time.Duration
	total, issued, durable, rejected uint64
	perSecond                        float64
	measured                         bool // false: perSecond is not known yet
	final                            bool
}

// longestETA is beyond what a guess is worth showing.
const longestETA = 100 * 24 * time.Hour

// eta returns the time left, if that can be said.
func (s *snapshot) eta() (time.Duration, bool) {
	settled := s.issued + s.rejected
	if s.final || s.total == 0 || s.perSecond <= 0 || settled > s.total {
		return 0, false
	}
	seconds := float64(s.total-settled) / s.perSecond
	if seconds > longestETA.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// fraction returns how much of the total is issued or rejected, 0 to 1.
func (s *snapshot) fraction() float64 {
	return min(1, float64(s.issued+s.rejected)/float64(s.total))
}

// append appends the report as the mode has it.
func (s *snapshot) append(dst []byte, o *Options) []byte {
	switch o.Mode {
	case Bar:
		return s.appendBar(dst, o)
	case JSON:
		return s.appendJSON(dst, o)
	}
	return s.appendPlain(dst, o)
}

// words returns what plain lines and the bar have in common.
func (s *snapshot) words(o *Options) string {
	var b strings.Builder
	b.WriteString(grouped(s.issued))
	if s.total > 0 {
		fmt.Fprintf(&b, " of %s", grouped(s.total))
	}
	if o.Verb == "" {
		fmt.Fprintf(&b, " issued, %s durable", grouped(s.durable))
	} else {
		b.WriteString(" " + o.Verb)
	}
	if s.rejected > 0 {
		fmt.Fprintf(&b, ", %s rejected", grouped(s.rejected))
	}
	if s.measured {
		fmt.Fprintf(&b, ", %s %s/s", grouped(uint64(math.Round(s.perSecond))), o.Unit)
	}
	if left, ok := s.eta(); ok {
		fmt.Fprintf(&b, ", %s left", clockTime(left))
	}
	if s.final {
		fmt.Fprintf(&b, ", took %s", s.elapsed.Round(time.Millisecond))
	}
	return b.String()
}

func (s *snapshot) appendPlain(dst []byte, o *Options) []byte {
	if s.total > 0 && !s.final {
		return fmt.Appendf(dst, "%s: %d%%, %s\n", o.Job, int(100*s.fraction()), s.words(o))
	}
	return fmt.Appendf(dst, "%s: %s\n", o.Job, s.words(o))
}

// The bar takes what the words leave of the line, within these bounds; below
// the least there is none.
const leastBar, mostBar = 8, 40

// eraseLine goes to the start of the terminal's line and clears it (ECMA-48
// CR, EL).
const eraseLine = "\r\x1b[K"

// appendBar redraws the line. It stays one column short of the width, since
// terminals differ in what a character in the last column does.
func (s *snapshot) appendBar(dst []byte, o *Options) []byte {
	dst = append(dst, eraseLine...)
	if s.final {
		return s.appendPlain(dst, o)
	}
	line := o.Job + " "
	words := s.words(o)
	room := o.Width - 1 - len(line) - len("[] 100% ") - len(words)
	if s.total > 0 {
		if room >= leastBar {
			room = min(room, mostBar)
			full := int(s.fraction() * float64(room))
			line += "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] "
		}
		line += fmt.Sprintf("%3d%% ", int(100*s.fraction()))
	}
	line += words
	return append(dst, line[:min(len(line), o.Width-1)]...)
}

// report is the object of mode JSON; the package comment documents it.
type report struct {
	Job       string  `json:"job"`
	Unit      string  `json:"unit"`
	ElapsedMS int64   `json:"elapsed_ms"`
	Total     uint64  `json:"total,omitempty"`
	Done      uint64  `json:"done"`
	Durable   *uint64 `json:"durable,omitempty"`
	Rejected  uint64  `json:"rejected"`
	PerSecond float64 `json:"per_second"`
	ETAMS     *int64  `json:"eta_ms,omitempty"`
	Final     bool    `json:"final"`
}

func (s *snapshot) appendJSON(dst []byte, o *Options) []byte {
	r := report{
		Job: o.Job, Unit: o.Unit, ElapsedMS: s.elapsed.Milliseconds(),
		Total: s.total, Done: s.issued, Rejected: s.rejected,
		PerSecond: math.Round(10*s.perSecond) / 10, Final: s.final,
	}
	if o.Verb == "" {
		r.Durable = &s.durable
	}
	if left, ok := s.eta(); ok {
		ms := left.Milliseconds()
		r.ETAMS = &ms
	}
	line, _ := json.Marshal(r) // no member can fail: the rate is always a finite number
	return append(append(dst, line...), '\n')
}

// grouped writes n with a comma before every three digits.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// clockTime writes d as m:ss, or h:mm:ss from an hour on, rounded up.
func clockTime(d time.Duration) string {
	seconds := int64((d + time.Second - 1) / time.Second)
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}
