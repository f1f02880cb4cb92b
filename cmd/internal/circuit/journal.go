package circuit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Warnings a second, and at once.
const (
	warningsPerSecond = 5
	warningsAtOnce    = 50
)

// A journal writes warnings at a bounded rate: strangers cause them.
type journal struct {
	log     *slog.Logger
	limiter *rate.Limiter
	omitted *atomic.Uint64 // since the last that was written
}

func newJournal(log *slog.Logger) journal {
	return journal{log, rate.NewLimiter(warningsPerSecond, warningsAtOnce), new(atomic.Uint64)}
}

func (j *journal) warn(message string, attrs ...any) {
	if !j.limiter.AllowN(time.Now(), 1) {
		j.omitted.Add(1)
		return
	}
	if n := j.omitted.Swap(0); n > 0 {
		attrs = append(attrs, "suppressed-before", n)
	}
	j.log.Warn(message, attrs...)
}

func (j *journal) debug(message string, attrs ...any) {
	if j.log.Enabled(context.Background(), slog.LevelDebug) {
		j.log.Debug(message, attrs...)
	}
}
