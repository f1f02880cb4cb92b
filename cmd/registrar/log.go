package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/vouchmill/vouchmill/engine/registrar"
)

func newLog(cmd *cobra.Command, s *settings) *slog.Logger {
	opts := &slog.HandlerOptions{Level: s.level()}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), opts))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), opts))
}

// Lines about events of each level, a second and at once: strangers cause them.
const (
	linesPerSecond = 20
	linesAtOnce    = 200
)

// maxText bounds the text of a line, in octets.
const maxText = 1024

// levels are those of the log for those of the registrar.
var levels = [...]slog.Level{registrar.Info: slog.LevelInfo, registrar.Warning: slog.LevelWarn, registrar.Alarm: slog.LevelError}

// observer logs what a registrar says happened, each level at a bounded rate. A
// refusal that is no alarm is left to the line of its request, unless everything
// is logged.
func observer(log *slog.Logger) func(registrar.Event) {
	var limits [len(levels)]*rate.Limiter
	var omitted [len(levels)]atomic.Uint64
	for i := range limits {
		limits[i] = rate.NewLimiter(linesPerSecond, linesAtOnce)
	}
	return func(e registrar.Event) {
		level := min(max(int(e.Level), 0), len(levels)-1)
		severity := levels[level]
		if e.Refusal != nil && e.Level == registrar.Info {
			severity = slog.LevelDebug
		}
		if !log.Enabled(context.Background(), severity) {
			return
		}
		if !limits[level].AllowN(time.Now(), 1) {
			omitted[level].Add(1)
			return
		}
		text := e.Text
		if len(text) > maxText {
			text = text[:maxText] + "..."
		}
		attrs := []slog.Attr{slog.String("event", e.Name), slog.String("text", text)}
		if e.Device != "" {
			attrs = append(attrs, slog.String("device", e.Device))
		}
		if e.Request != "" {
			attrs = append(attrs, slog.String("id", e.Request))
		}
		if e.Refusal != nil {
			attrs = append(attrs, slog.String("kind", string(e.Refusal.Kind)))
		}
		if n := omitted[level].Swap(0); n > 0 {
			attrs = append(attrs, slog.Uint64("suppressed-before", n))
		}
		log.LogAttrs(context.Background(), severity, "registrar", attrs...)
	}
}
