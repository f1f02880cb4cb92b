package masa

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A run's vouchers are verified for as long as that takes, and devices are blocked
// and sold meanwhile. So its devices are looked at again afterwards: all of them
// in a View, which nobody waits for, and in the transaction that records the run
// those that changed since that View.

// A changeWatch notes which serial numbers have devices that change, while it is
// begun. Updates run one at a time, so what f of one notes is seen by the next.
type changeWatch struct {
	begun    atomic.Bool
	mu       sync.Mutex
	serials  map[string]struct{} // guarded by mu
	overflow bool                // guarded by mu; there were more
}

// maxWatched bounds the serial numbers noted, for which all other Updates wait
// when a run is recorded.
const maxWatched = 4096

func (w *changeWatch) note(serial string) {
	if !w.begun.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.overflow = w.overflow || len(w.serials) == maxWatched; !w.overflow {
		w.serials[serial] = struct{}{}
	}
}

// begin forgets what was noted and notes from now on.
func (w *changeWatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serials, w.overflow = map[string]struct{}{}, false
	w.begun.Store(true)
}

func (w *changeWatch) end() { w.begun.Store(false) }

// noted returns what was noted; ok is false if that is not all.
func (w *changeWatch) noted() (serials []string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for serial := range w.serials {
		serials = append(serials, serial)
	}
	return serials, !w.overflow
}

// maxSurveys is how often the devices of a run are looked at again because of
// what changes all at once, such as a customer, before that is given up.
const maxSurveys = 8

var errSurveyAgain = errors.New("customers, pools or too many devices changed")

// record looks at the devices of a verified copy once more and puts the run on
// record. The error is a *RunRefusedError with the devices that were blocked or
// sold since, an *ExistsError, or the database's.
func (s *Service) record(ctx context.Context, name string, now time.Time) (*runRecord, error) {
	stored, err := s.cfg.Runs.Run(name)
	if err != nil {
		return nil, err
	}
	reader, err := run.NewReader(stored)
	if err != nil {
		return nil, err
	}
	defer s.watch.end()
	for range maxSurveys {
		if err := s.beginWatch(ctx); err != nil {
			return nil, err
		}
		v := newSurveyor(reader, now)
		event, record, err := s.survey(ctx, v)
		if err != nil {
			return nil, err
		}
		err = s.cfg.DB.Update(ctx, func(tx state.Tx) error {
			if err := s.surveyed(tx, v); err != nil {
				return err
			}
			return s.recordIn(tx, name, event, record)
		})
		if !errors.Is(err, errSurveyAgain) {
			return record, err
		}
	}
	return nil, &RunRefusedError{Run: name, Reason: "customers, pools or thousands of devices changed each time that its devices were looked at; import it again when that is over"}
}

// beginWatch begins to note changes. Those before it are durable when it returns,
// since its own one is: a View sees them.
func (s *Service) beginWatch(ctx context.Context) error {
	return s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		s.watch.begin()
		n, err := counter(tx, keyGeneration)
		if err != nil {
			return err
		}
		return tx.Set([]byte(keyGeneration), binary.BigEndian.AppendUint64(nil, n))
	})
}

// surveyed decides, in the transaction that records a run, whether what a survey
// found still holds.
func (s *Service) surveyed(tx state.Tx, v *surveyor) error {
	generation, err := counter(tx, keyGeneration)
	if err != nil {
		return err
	}
	serials, all := s.watch.noted()
	if generation != v.dir.generation || !all {
		return errSurveyAgain
	}
	for _, serial := range serials {
		for found, err := range v.reader.Find([]byte(serial)) {
			if err == nil {
				err = v.device(tx, found.Serial, found.Hit.Variant)
			}
			if err != nil {
				return err
			}
		}
	}
	if v.refused.Count > 0 {
		return &v.refused
	}
	return nil
}

// recordIn writes the run's event and makes it known.
func (s *Service) recordIn(tx state.Tx, name string, event *audit.Event, record *runRecord) error {
	key := []byte(keyRun + name)
	if found, err := has(tx, key); err != nil || found {
		return errors.Join(err, existsIf(found, "run", name))
	}
	var err error
	if record.Event, err = s.cfg.Log.Append(tx, event); err != nil {
		return err
	}
	if err := tx.Set(key, encode(record)); err != nil {
		return err
	}
	return changed(tx)
}

// setDevice writes a changed device.
func (s *Service) setDevice(tx state.Tx, id device.ID, d *deviceRecord) error {
	s.watch.note(id.Serial)
	d.Revision++
	return tx.Set(deviceKey(keyDevice, id), encode(d))
}
