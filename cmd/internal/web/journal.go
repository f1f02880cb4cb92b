package web

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Log lines of each sort, a second and at once.
const (
	linesPerSecond = 20
	linesAtOnce    = 200
)

// A journal writes log lines at a bounded rate, each sort by itself, so that a
// flood of one sort does not hide the others.
type journal struct {
	log        *slog.Logger
	answers    sorted
	refusals   sorted
	faults     sorted
	transport  sorted
	events     sorted
	suppressed atomic.Uint64 // in all
}

// sorted is a sort of lines.
type sorted struct {
	limiter *rate.Limiter
	omitted atomic.Uint64 // since the last that was written
}

func newJournal(log *slog.Logger) *journal {
	j := &journal{log: log}
	for _, s := range []*sorted{&j.answers, &j.refusals, &j.faults, &j.transport, &j.events} {
		s.limiter = rate.NewLimiter(linesPerSecond, linesAtOnce)
	}
	return j
}

// line writes a line, or counts it where there are too many of its sort; the
// next one written says how many were left out before it.
func (j *journal) line(sort *sorted, now time.Time, level slog.Level, message string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !j.log.Enabled(ctx, level) {
		return
	}
	if !sort.limiter.AllowN(now, 1) {
		sort.omitted.Add(1)
		j.suppressed.Add(1)
		return
	}
	if n := sort.omitted.Swap(0); n > 0 {
		attrs = append(attrs, slog.Uint64("suppressed-before", n))
	}
	j.log.LogAttrs(ctx, level, message, attrs...)
}

// Event writes a line of the role's own, such as what it decided about which
// device, at the same bounded rate.
func (s *Server) Event(level slog.Level, message string, attrs ...slog.Attr) {
	s.journal.line(&s.journal.events, s.cfg.Clock(), level, message, attrs...)
}

// A faultWriter takes what net/http has to say.
type faultWriter struct {
	j     *journal
	clock func() time.Time
}

// Write writes one line of net/http's.
func (w faultWriter) Write(text []byte) (int, error) {
	w.j.line(&w.j.transport, w.clock(), slog.LevelDebug, "http", slog.String("message", cut(string(text))))
	return len(text), nil
}

// maxDetail bounds each text of a log line, in octets.
const maxDetail = 1024

func cut(text string) string {
	if len(text) > maxDetail {
		return text[:maxDetail-3] + "..."
	}
	return text
}
