package registrar

import (
	"bytes"
	"context"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// RequestVoucher answers a pledge's voucher-request (RFC 8995 §5.2 to §5.6) with
// the voucher of its manufacturer, unchanged. The error is a *decision.Refusal.
//
// One of kind Pending asks the pledge to come back with the same octets. The
// exchange with the MASA goes on meanwhile, and the voucher is kept until it
// expires, or for ten minutes, over a restart too. Identical requests of one
// client share one exchange.
func (s *Service) RequestVoucher(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	a := s.attempt("requestvoucher", r)
	answer, err := s.requestVoucher(ctx, a)
	return a.finish(ctx, answer, err)
}

func (s *Service) requestVoucher(ctx context.Context, a *attempt) (*exchange.Answer, error) {
	if err := a.identify(); err != nil {
		return nil, err
	}
	p, err := a.readPledgeRequest(ctx)
	if err != nil {
		return nil, err
	}
	admitted, err := s.admit(ctx, a, p)
	if err != nil {
		return nil, err
	}
	if v := admitted.cached; v != nil {
		a.silent = true
		return voucherAnswer(v.Format, v.Body)
	}
	maker := s.makers.Load().byName[a.who.Manufacturer.Name]
	m, err := s.masaOf(maker, a.who.Facts)
	if err != nil {
		return nil, a.trail.Fail("masa-url", decision.Of(err))
	}
	a.trail.Pass("masa-url", "%s", m.base)
	f, err := s.board(a, p, m, admitted)
	if err != nil {
		return nil, err
	}
	return s.collect(ctx, f)
}

func voucherAnswer(format string, body []byte) (*exchange.Answer, error) {
	f, err := codec.ParseFormat(format)
	if err != nil {
		return nil, decision.Refuse(decision.Internal, "%w", err)
	}
	return answered(f.MediaType(), body), nil
}

// A flight is one exchange with a MASA about one pledge's request.
type flight struct {
	key       digest
	device    device.ID
	landed    chan struct{} // closed when answer, err and delivered stand
	answer    *exchange.Answer
	err       error
	delivered bool          // the voucher is on record as one that was answered with
	recorded  *deviceRecord // the device with its voucher, nil where that was at hand

	waiting int  // guarded by Service.mu; requests that wait for it
	told    bool // guarded by Service.mu; somebody was told the outcome
}

// board joins the flight of a request, or begins it. With a new flight goes the
// attempt, whose trail the flight completes and records.
func (s *Service) board(a *attempt, p *pledgeRequest, m *masa, admitted *admission) (*flight, error) {
	key := voucherKey(p.digest, a.who.SPKI)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[key]; f != nil {
		a.silent = true
		f.waiting++
		return f, nil
	}
	if err := s.slot(); err != nil {
		return nil, err
	}
	f := &flight{key: key, device: a.who.ID, landed: make(chan struct{}), waiting: 1}
	s.flights[key] = f
	a.handed = true
	own, request := *a, *a.r
	request.Body, own.r = bytes.Clone(request.Body), &request
	if bytes.Equal(p.body, request.Body) { // unless it came in base64
		p.body = request.Body
	} else {
		p.body = bytes.Clone(p.body)
	}
	go s.fly(f, &own, p, m, admitted)
	return f, nil
}

// collect waits for a flight as long as a pledge is patient.
func (s *Service) collect(ctx context.Context, f *flight) (*exchange.Answer, error) {
	landed, err := s.wait(ctx, f.landed, s.cfg.Patience)
	s.mu.Lock()
	f.waiting--
	if landed {
		f.told = true
		if s.flights[f.key] == f {
			delete(s.flights, f.key)
		}
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case !landed:
		return nil, decision.Refuse(decision.Pending, "the MASA has not answered within %s; the exchange goes on", s.cfg.Patience).After(pendingRetry)
	}
	if f.err == nil && !f.delivered { // nobody waited when it was written down
		err = s.deliver(ctx, f)
	} else {
		err = f.err
	}
	if err != nil {
		return nil, err
	}
	return f.answer, nil
}

// deliver puts on record that a pledge is answered with its voucher.
func (s *Service) deliver(ctx context.Context, f *flight) error {
	return s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		key := deviceKey(prefixDevice, f.device)
		dev, _, err := get[deviceRecord](tx, key)
		if err != nil || dev.Voucher == nil || dev.Voucher.Request != f.key || dev.Voucher.Delivered {
			return err
		}
		dev.Voucher.Delivered = true
		return put(tx, key, &dev)
	})
}

// fly is the exchange: request, voucher, checks, and the audit log with the same
// request as soon as the voucher is durable (RFC 8995 §5.8).
func (s *Service) fly(f *flight, a *attempt, p *pledgeRequest, m *masa, admitted *admission) {
	defer s.land()
	var verdict *verdictFlight
	f.answer, f.err = s.obtain(f, a, p, m, admitted)
	if f.err != nil {
		a.record(s.life, decision.Of(f.err))
	} else if s.cfg.Audit != AuditOff {
		verdict = s.openVerdict(a.who.ID, f.recorded, m)
	}
	s.mu.Lock()
	waited := f.waiting > 0
	if f.err == nil {
		delete(s.flights, f.key) // the database has it
	}
	s.mu.Unlock()
	close(f.landed)
	if f.err != nil {
		s.cfg.AfterFunc(outcomeMemory, func() { s.forget(f) })
		if !waited { // nobody is here to be told; whoever asks within a while is
			s.tell(a.r.ID, a.id, decision.Of(f.err))
		}
	}
	if verdict != nil {
		s.judge(verdict)
	}
}

// outcomeMemory is how long the failure of an exchange is kept for a pledge that
// was told to come back.
const outcomeMemory = 4 * pendingRetry

func (s *Service) forget(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
	}
}

// obtain gets, checks and stores a voucher. Its errors are in the trail.
func (s *Service) obtain(f *flight, a *attempt, p *pledgeRequest, m *masa, admitted *admission) (*exchange.Answer, error) {
	ctx, cancel := s.within(s.life, s.cfg.MASATimeout)
	defer cancel()
	// The flight before this one may have landed since the database was asked.
	if v, err := s.kept(ctx, f.key, p, a.r.Now); err != nil {
		return nil, stored(err)
	} else if v != nil {
		return voucherAnswer(v.Format, v.Body)
	}
	request, err := s.registrarRequest(ctx, a.who, p, admitted.sent)
	if err != nil {
		return nil, a.trail.Fail("registrar-request", decision.Of(stored(err)))
	}
	a.trail.Pass("registrar-request", "created-on %s", admitted.sent)
	format, body, err := s.askVoucher(ctx, m, p, request)
	if err != nil {
		return nil, a.trail.Fail("masa", decision.Of(err))
	}
	a.trail.Pass("masa", "%d octets of %s", len(body), format.MediaType())
	v, pinned, err := s.checkVoucher(ctx, a, m, p, format, body)
	if err != nil {
		return nil, err
	}
	until := a.r.Now.Add(voucherMemory)
	if !v.Leaves.ExpiresOn.IsZero() {
		until = v.Leaves.ExpiresOn
		if day := a.r.Now.Add(answerMemory); until.After(day) {
			until = day
		}
	}
	mark := &voucherMark{Key: bytes.Clone(a.who.SPKI[:]), Request: f.key, At: a.r.Now.Unix(), Format: p.format.String(),
		Sent: request, Nonce: p.nonceText, Domain: domainID(pinned)}
	if s.cfg.Audit == AuditOff {
		mark.close(Good, "audit logs are not asked for", a.r.Now)
	}
	s.mu.Lock()
	mark.Delivered = f.waiting > 0
	s.mu.Unlock()
	record := &voucherRecord{Device: a.who.ID.AppendKey(nil), Format: format.String(), Body: body, Until: until.Unix()}
	if f.recorded, err = s.keepVoucher(a, f.key, record, mark); err != nil {
		return nil, stored(err)
	}
	f.delivered = mark.Delivered
	s.observe(Event{Name: "voucher", Request: a.r.ID, Device: a.who.ID.String(), Text: "voucher from " + m.origin})
	return answered(format.MediaType(), body), nil
}

// kept finds the voucher that a request was answered with.
func (s *Service) kept(ctx context.Context, key digest, p *pledgeRequest, now time.Time) (v *voucherRecord, err error) {
	err = s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		v, err = keptIn(r, key, p, now)
		return err
	})
	return v, err
}

func keptIn(r state.Reader, key digest, p *pledgeRequest, now time.Time) (*voucherRecord, error) {
	record, found, err := get[voucherRecord](r, under(prefixVoucher, key[:]))
	if err != nil || !found || record.Until <= now.Unix() || !formatIn(record.Format, p.accept) {
		return nil, err
	}
	return &record, nil
}

// keepVoucher makes a voucher and what it means for its device durable, in one
// transaction, if the device may still join. It returns the device's record.
func (s *Service) keepVoucher(a *attempt, key digest, record *voucherRecord, mark *voucherMark) (*deviceRecord, error) {
	var refusal *decision.Refusal
	var dev deviceRecord
	err := s.cfg.DB.Update(s.life, func(tx state.Tx) (err error) {
		dk := deviceKey(prefixDevice, a.who.ID)
		if dev, _, err = get[deviceRecord](tx, dk); err != nil {
			return err
		}
		if refusal = s.mayJoin(&dev, a.who); refusal != nil {
			return nil
		}
		dev.Voucher = mark
		if err := put(tx, dk, &dev); err != nil {
			return err
		}
		if err := forgetVouchers(tx, a.r.Now.Unix()); err != nil {
			return err
		}
		if err := put(tx, under(prefixVoucher, key[:]), record); err != nil {
			return err
		}
		if err := tx.Set(expiryKey(record.Until, key), []byte{recordVersion}); err != nil {
			return err
		}
		return addAttempt(tx, a.who.ID, a.entry(nil))
	})
	if err == nil && refusal != nil {
		err = a.trail.Fail("admission", refusal)
	}
	return &dev, err
}

// maxForgotten is how many expired vouchers one new one takes away.
const maxForgotten = 16

// forgetVouchers removes vouchers whose time is over, the oldest first.
func forgetVouchers(tx state.Tx, now int64) error {
	var keys [][]byte
	err := tx.Scan(prefixExpiry, nil, func(key, _ []byte) error {
		if len(keys) == maxForgotten || bytes.Compare(key, expiryKey(now, digest{})) >= 0 {
			return state.ErrStop
		}
		keys = append(keys, bytes.Clone(key))
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		name := key[len(prefixExpiry)+8:]
		record, found, err := get[voucherRecord](tx, under(prefixVoucher, name))
		if err != nil {
			return err
		}
		if found && record.Until < now {
			if err := tx.Delete(under(prefixVoucher, name)); err != nil {
				return err
			}
		}
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
