package registrar

import (
	"context"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// Verdict is what was made of a device's audit log; "" is none yet.
type Verdict string

// The verdicts.
const (
	Good Verdict = "good"
	Bad  Verdict = "bad"
)

// close gives the verdict. The request is not needed any more then.
func (m *voucherMark) close(v Verdict, reason string, now time.Time) {
	m.Verdict, m.Reason, m.JudgedAt, m.Sent = v, clip(reason, decision.MaxDetail), now.Unix(), nil
}

// A verdictFlight fetches and judges one device's audit log.
type verdictFlight struct {
	id   device.ID
	done chan struct{} // closed when err stands
	err  error         // why there is no verdict
	// dev is the device as it was just recorded and masa where its voucher came
	// from, nil where they have to be looked up.
	dev  *deviceRecord
	masa *masa
}

// openVerdict begins a verdict flight, for the caller to hand to judge, and
// returns nil when there is one already.
func (s *Service) openVerdict(id device.ID, dev *deviceRecord, m *masa) *verdictFlight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verdicts[id] != nil {
		return nil
	}
	v := &verdictFlight{id: id, done: make(chan struct{}), dev: dev, masa: m}
	s.verdicts[id] = v
	return v
}

// joinVerdict returns the verdict flight of a device, begun if there is none.
func (s *Service) joinVerdict(id device.ID) (*verdictFlight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.verdicts[id]; v != nil {
		return v, nil
	}
	if err := s.slot(); err != nil {
		return nil, err
	}
	v := &verdictFlight{id: id, done: make(chan struct{})}
	s.verdicts[id] = v
	go func() {
		defer s.land()
		s.judge(v)
	}()
	return v, nil
}

// awaitVerdict sees to it that there is a verdict about a device that has none.
// Without one the refusal is Pending while there may be one later.
func (s *Service) awaitVerdict(ctx context.Context, id device.ID) error {
	v, err := s.joinVerdict(id)
	if err != nil {
		return err
	}
	done, err := s.wait(ctx, v.done, s.cfg.VerdictPatience)
	if err != nil {
		return err
	}
	if !done {
		return decision.Refuse(decision.Pending, "the device's audit log has not come within %s; it is waited for", s.cfg.VerdictPatience).After(pendingRetry)
	}
	if v.err == nil {
		return nil
	}
	r := decision.Of(v.err)
	switch r.Kind {
	case decision.MASAForbids, decision.MASAUnknownDevice, decision.MASANotAcceptable, decision.MASAContentType, decision.MASAUnauthorized:
		return decision.Refuse(decision.NoVoucher, "the device's audit log cannot be had: %w; the audit policy require needs it, prefer does not", v.err)
	}
	return decision.Refuse(decision.Pending, "the device's audit log has not come: %w", v.err).After(max(r.RetryAfter, pendingRetry))
}

// judge fetches the log of a device, judges it and makes the verdict durable.
func (s *Service) judge(v *verdictFlight) {
	v.err = s.reachVerdict(v)
	s.mu.Lock()
	delete(s.verdicts, v.id)
	s.mu.Unlock()
	close(v.done)
}

func (s *Service) reachVerdict(v *verdictFlight) error {
	ctx, cancel := s.within(s.life, s.cfg.MASATimeout)
	defer cancel()
	known, err := s.ready(ctx, v)
	if err != nil {
		return err
	}
	id, dev := v.id, v.dev
	if dev.Voucher == nil || dev.Voucher.Verdict != "" {
		return nil
	}
	var j judgement
	log, failed := s.fetchLog(ctx, v)
	if failed == nil {
		j, failed = s.judgeLog(log, id.Serial, dev.Voucher, known)
	}
	if s.life.Err() != nil && failed != nil {
		return failed // because of us: that says nothing about the log
	}
	if failed != nil {
		j.reason = "the audit log could not be had: " + decision.Of(failed).Operator
		if s.cfg.Audit == AuditPrefer {
			j.verdict, failed = Good, nil
		}
	}
	if err := s.keepVerdict(id, dev.Voucher, known, &j); err != nil {
		return stored(err)
	}
	s.tellVerdict(id, j.verdict, j.reason)
	return failed
}

// ready reads what a flight lacks, and returns the manufacturer's log where its
// keys are known.
func (s *Service) ready(ctx context.Context, v *verdictFlight) (known *knownLog, err error) {
	if v.dev != nil && s.makers.Load().logs[v.dev.Manufacturer] == nil {
		return nil, nil
	}
	err = s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		if v.dev == nil {
			dev, _, err := get[deviceRecord](r, deviceKey(prefixDevice, v.id))
			if err != nil {
				return err
			}
			v.dev = &dev
		}
		known, err = s.knownLog(r, v.dev.Manufacturer)
		return err
	})
	return known, stored(err)
}

func (s *Service) tellVerdict(id device.ID, verdict Verdict, reason string) {
	e := Event{Name: "audit-log", Device: id.String(), Text: reason}
	switch {
	case verdict == Bad:
		e.Level = Alarm
	case verdict == "" || reason != logInOrder:
		e.Level = Warning
	}
	s.observe(e)
}

// keepVerdict writes down against which head the log was proven, and what became
// of the voucher that was judged, unless the device has another by now.
func (s *Service) keepVerdict(id device.ID, judged *voucherMark, known *knownLog, j *judgement) error {
	return s.cfg.DB.Update(s.life, func(tx state.Tx) error {
		if j.signed != nil {
			if err := known.keep(tx, j, s.cfg.Clock()); err != nil {
				return err
			}
		}
		key := deviceKey(prefixDevice, id)
		dev, found, err := get[deviceRecord](tx, key)
		if err != nil || !found {
			return err
		}
		if m := dev.Voucher; m == nil || m.Request != judged.Request || m.At != judged.At || m.Verdict != "" {
			return nil
		}
		if j.verdict == "" {
			dev.Voucher.Reason = clip(j.reason, decision.MaxDetail)
		} else {
			dev.Voucher.close(j.verdict, j.reason, s.cfg.Clock())
		}
		return put(tx, key, &dev)
	})
}

// fetchLog asks the MASA for a device's audit log, with the octets that the
// voucher was asked for with (RFC 8995 §5.8.1).
func (s *Service) fetchLog(ctx context.Context, v *verdictFlight) ([]byte, error) {
	dev, m := v.dev, v.masa
	if m == nil {
		var err error
		if m, err = s.masaOnRecord(dev); err != nil {
			return nil, err
		}
	}
	format, err := codec.ParseFormat(dev.Voucher.Format)
	if err != nil {
		return nil, decision.Refuse(decision.Internal, "%w", err)
	}
	url := m.base + "/requestauditlog"
	reply, err := s.call(ctx, m, &Call{Method: "POST", URL: url, ContentType: format.MediaType(), Accept: exchange.TypeJSON,
		Body: dev.Voucher.Sent, MaxBody: exchange.MaxAuditLog})
	if err == nil && reply.Status == 201 {
		location, wrong := sameOrigin(url, reply.Location)
		if wrong != nil {
			return nil, decision.Refuse(decision.MASAFailed, "the MASA at %s: %w", m.origin, wrong)
		}
		reply, err = s.call(ctx, m, &Call{Method: "GET", URL: location, Accept: exchange.TypeJSON, MaxBody: exchange.MaxAuditLog})
	}
	if err != nil {
		return nil, err
	}
	return logBody(m, reply)
}

// masaOnRecord finds the MASA of a device that is not here.
func (s *Service) masaOnRecord(dev *deviceRecord) (*masa, error) {
	facts, err := codec.ParseIDevID(dev.IDevID)
	if err != nil {
		return nil, decision.Refuse(decision.Internal, "%w", err)
	}
	maker := s.makers.Load().byName[dev.Manufacturer]
	if maker == nil {
		return nil, decision.Refuse(decision.NoMASA, "manufacturer %s is configured no more", dev.Manufacturer)
	}
	return s.masaOf(maker, facts)
}

func logBody(m *masa, reply *Reply) ([]byte, error) {
	if err := refuseStatus(m, reply); err != nil {
		return nil, err
	}
	switch {
	case !artefact.IsMediaType(reply.ContentType, exchange.TypeJSON):
		return nil, decision.Refuse(decision.MASAFailed, "the MASA at %s answered with an audit log as %.100q, want %s", m.origin, reply.ContentType, exchange.TypeJSON)
	case len(reply.Body) > exchange.MaxAuditLog:
		return nil, decision.Refuse(decision.MASAFailed, "the MASA at %s answered with an audit log of more than %d octets", m.origin, exchange.MaxAuditLog)
	}
	return reply.Body, nil
}
