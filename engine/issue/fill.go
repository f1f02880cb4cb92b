package issue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/seen"
)

// A filler reads the list and fills batches. Only the pipeline's filling
// goroutine touches it.
type filler struct {
	cfg      *Config
	devices  *list.Reader
	variants *variants
	key      seen.Key
	seen     seen.Set
	stored   *run.Reader // what the run has, to compare rows and confirm duplicates
	replay   *replay     // nil once all that is durable was compared
	delta    *delta      // nil unless an older run is completed

	report   *progress.Reporter // may be nil
	size     int                // octets of a signature
	position uint64             // in the run, of the next row accepted

	ahead window
	row   *row // the row last accepted, in ahead
	held  bool // row did not fit the last page and opens the next

	fresh     []newVariant // not yet given to a batch
	rows      uint64       // judged
	rejected  uint64
	unchanged uint64
	nanos     int64
}

// fill fills b with the next page's rows.
func (f *filler) fill(ctx context.Context, turn engine.Turn, b *batch) (more bool, err error) {
	clock := stopwatch{time.Now()}
	defer clock.add(&f.nanos)
	b.clear()
	if f.replay != nil && !f.held { // the page begins behind what is durable
		if err := f.next(ctx, turn, b); errors.Is(err, io.EOF) {
			return false, engine.ErrNoBatch
		} else if err != nil {
			return false, err
		}
		f.held = true
	}
	if err := b.builder.Reset(b.builder.Memory(), f.position, f.size); err != nil {
		return false, err
	}
	for {
		if !f.held {
			switch err := f.next(ctx, turn, b); {
			case errors.Is(err, io.EOF) && b.builder.Len() == 0:
				return false, engine.ErrNoBatch
			case errors.Is(err, io.EOF):
				return false, nil
			case err != nil:
				return false, err
			}
		}
		added, err := b.builder.Add(f.row.Serial, f.row.variant.id, f.row.Line)
		if err != nil {
			return false, err
		}
		if f.held = !added; f.held {
			return true, nil
		}
		b.templates = append(b.templates, f.row.variant.template)
		b.issuers = append(b.issuers, f.row.variant.keyID)
		b.hashes = append(b.hashes, f.row.hash)
		b.variants = append(b.variants, f.fresh...)
		f.fresh = f.fresh[:0]
		f.position++
	}
}

// next finds the next row that is to be signed: rows that cannot be used and
// duplicates are left out, rows whose vouchers are durable are compared with
// those. It returns io.EOF behind the last row.
func (f *filler) next(ctx context.Context, turn engine.Turn, b *batch) error {
	for {
		if f.rows&255 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		f.row = f.read()
		if f.row.err != nil {
			if err := f.unreadable(f.row.err); err != nil {
				return err
			}
			continue
		}
		f.rows++
		take, err := f.accept(turn, b)
		if err != nil {
			return err
		}
		if take {
			return nil
		}
	}
}

// unreadable judges what the list gave instead of a row: nil means to go on
// with the next one.
func (f *filler) unreadable(err error) error {
	var bad *list.RowError
	switch {
	case errors.As(err, &bad):
		f.rows++
		return f.reject(bad)
	case errors.Is(err, io.EOF):
		return f.ended()
	}
	return err
}

// ended makes sure that the list did not end before the run's durable part.
func (f *filler) ended() error {
	if f.replay != nil && f.position < f.replay.end {
		return &ListChangedError{Run: f.cfg.Header.Name, Place: "the end of the device list",
			Reason: fmt.Sprintf("has %d durable vouchers, the list only %d usable rows", f.replay.end, f.position)}
	}
	return io.EOF
}

// accept judges the row just read and reports whether it is to be signed.
func (f *filler) accept(turn engine.Turn, b *batch) (bool, error) {
	if f.row.bad != nil {
		return false, f.reject(f.rowError("", f.row.bad, "correct the row or the settings it goes by"))
	}
	if f.row.fresh {
		f.fresh = append(f.fresh, newVariant{f.row.variant.id, f.row.variant.json})
	}
	if f.delta != nil {
		unchanged, err := f.delta.unchanged(f)
		if err != nil {
			return false, err
		}
		if unchanged {
			f.unchanged++
			return false, nil
		}
	}
	if f.seen.Insert(f.row.hash) {
		line, err := f.duplicate(turn, b)
		if err != nil {
			return false, err
		}
		if line != 0 {
			return false, f.reject(f.rowError("serial-number", fmt.Errorf("serial number %q stands on line %d already", f.row.Serial, line), "remove one of the two rows"))
		}
	}
	if f.replay != nil {
		if f.position < f.replay.end {
			err := f.replay.compare(f)
			f.position++
			return false, err
		}
		f.replay = nil
	}
	return true, nil
}

func (f *filler) rowError(field string, err error, remedy string) *list.RowError {
	return &list.RowError{File: f.row.File, Unit: f.devices.Unit(), Line: f.row.Line, Field: field, Err: err, Remedy: remedy, Raw: bytes.Clone(f.row.Raw)}
}

// reject leaves a row out, or ends the run at it.
func (f *filler) reject(bad *list.RowError) error {
	f.rejected++
	if f.report != nil {
		f.report.Rejected.Add(1)
	}
	if f.cfg.Rejects != nil {
		if err := f.cfg.Rejects.Add(bad); err != nil {
			return err
		}
	}
	if f.cfg.OnError == Stop {
		return &RowError{bad}
	}
	return nil
}

// duplicate confirms a hash that was seen before. It returns the line of the
// device's first row, or 0 where two devices merely share a hash.
func (f *filler) duplicate(turn engine.Turn, b *batch) (line uint64, err error) {
	if i := b.find(f.row.hash, f.row.variant.keyID, f.row.Serial); i >= 0 {
		return b.builder.Line(i), nil
	}
	if err := turn.Barrier(); err != nil {
		return 0, err
	}
	for hit, err := range f.stored.Find(f.row.Serial) {
		if err != nil {
			return 0, err
		}
		if hit.Position < f.position && bytes.Equal(hit.KeyID, f.row.variant.keyID) {
			return hit.Line, nil
		}
	}
	return 0, nil
}
