package masa

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// maxTries bounds how often a decision is made again because what it was based
// on changed before it was durable.
const maxTries = 8

var errChanged = errors.New("what the decision was based on has changed")

// voucher is the order of work for requestvoucher.
func (a *attempt) voucher(ctx context.Context) (*exchange.Answer, error) {
	if err := a.accept(); err != nil {
		return nil, err
	}
	var opened decision.Trail
	for range maxTries {
		var answer *exchange.Answer
		err := a.s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
			if answer, err = a.again(r); answer != nil || err != nil {
				return err
			}
			if a.request == nil {
				if err := a.open(ctx); err != nil {
					return err
				}
				opened = a.trail
			}
			a.trail = opened
			return a.decide(ctx, r)
		})
		if answer != nil || err != nil {
			return answer, err
		}
		if answer, err = a.issue(ctx); !errors.Is(err, errChanged) {
			return answer, err
		}
	}
	return nil, a.trail.Fail("commit", decision.Refuse(decision.Overloaded, "the device or its customer was changed %d times while the request was decided", maxTries).After(waitBusy))
}

// accept looks at the message before anything in it: 415, 406, 413 and 400, in
// this order.
func (a *attempt) accept() (err error) {
	if a.format, err = artefact.FormatOf(a.r.ContentType, a.s.readable()...); err != nil {
		return a.trail.Fail("content-type", decision.Of(err))
	}
	a.trail.Pass("content-type", "%v", a.format)
	if a.observed.Op == OpVoucher {
		a.accepted, err = artefact.Negotiate(a.r.Accept, a.format, a.s.served...)
	} else if !artefact.Accepts(a.r.Accept, exchange.TypeJSON) {
		err = decision.Refuse(decision.NotAcceptable, "Accept is %.200q, which does not admit %s", a.r.Accept, exchange.TypeJSON)
	}
	if err != nil {
		return a.trail.Fail("accept", decision.Of(err))
	}
	a.trail.Pass("accept", "")
	switch n := len(a.r.Body); {
	case n == 0:
		return a.trail.Refuse(decision.Empty, "body", "the body is empty, want a voucher-request")
	case n > exchange.MaxRegistrarRequest:
		return a.trail.Refuse(decision.TooLarge, "body", "the body has %d octets, at most %d are read", n, exchange.MaxRegistrarRequest)
	}
	a.trail.Pass("body", "%d octets", len(a.r.Body))
	h := sha256.New()
	h.Write([]byte{byte(a.format), byte(a.accepted)})
	h.Write(a.r.Body)
	h.Sum(a.digest[:0])
	return nil
}

// readable are the formats of requests: they need no key of ours.
func (s *Service) readable() []codec.Format { return []codec.Format{codec.FormatCMS, codec.FormatJWS} }

// again looks whether the same request was answered before. It returns that
// answer unless something has changed since that may make it a wrong one; then
// the request is looked at like a new one.
func (a *attempt) again(r state.Reader) (*exchange.Answer, error) {
	var err error
	if a.dir, err = a.s.directory(r); err != nil {
		return nil, err
	}
	known := new(replayRecord)
	if found, err := loadIfAny(r, replayKey(a.digest[:]), known); !found || err != nil || !a.s.stillReplayed(known, a.r.Now) {
		return nil, err
	}
	a.known = known
	var d deviceRecord
	if err := load(r, append([]byte(keyDevice), known.Device...), &d); err != nil {
		return nil, err
	}
	if d.Blocked || d.Revision != known.Revision || a.dir.generation != known.Generation || !a.samePeer(known.Peer) {
		return nil, nil
	}
	return a.repeat(known), nil
}

// repeat answers what was answered before.
func (a *attempt) repeat(known *replayRecord) *exchange.Answer {
	a.observed.Replayed = true
	a.trail.Pass("repeated", "the same request was answered at %s", instant(known.At).Format(time.RFC3339))
	return &exchange.Answer{ContentType: codec.Format(known.Format).MediaType(), Body: known.Body}
}

// stillReplayed reports whether an answer is given again: for a day, and while
// its voucher is of use.
func (s *Service) stillReplayed(known *replayRecord, now time.Time) bool {
	return now.Before(instant(known.At).Add(s.cfg.Replay)) && (known.Expires == 0 || now.Unix() < known.Expires)
}

func (a *attempt) samePeer(digest []byte) bool {
	return digest == nil || string(digest) == string(a.peerDigest())
}

// peerDigest names the TLS client certificate, nil for none.
func (a *attempt) peerDigest() []byte {
	if len(a.r.Peer) == 0 {
		return nil
	}
	h := sha256.Sum256(a.r.Peer[0].Raw)
	return h[:]
}

// open verifies the request's signature, and with it that of the request
// inside, and reads both.
func (a *attempt) open(ctx context.Context) error {
	request, err := a.s.opener.Request(ctx, a.format, a.r.Body)
	if err != nil {
		var refusal *decision.Refusal
		if errors.As(err, &refusal) {
			return a.trail.Fail(checkOf(refusal.Kind), refusal)
		}
		return err
	}
	a.observed.Serial = string(request.Leaves.SerialNumber)
	a.trail.Pass("envelope", "")
	a.trail.Pass("signature", "")
	a.trail.Pass("payload", "")
	for _, odd := range request.Oddities {
		a.trail.Pass("oddity", "%s", odd.Code)
	}
	a.request = request
	return nil
}

// checkOf names the check of an envelope that a refusal comes from.
func checkOf(kind decision.Kind) string {
	switch kind {
	case decision.BadSignature:
		return "signature"
	case decision.BadPayload, decision.BadNonce:
		return "payload"
	}
	return "envelope"
}

// decide makes every check and leaves what is to be issued in a.
func (a *attempt) decide(ctx context.Context, r state.Reader) error {
	a.decided, a.observed.Preissued = decided{answer: a.accepted}, ""
	checks := []func() error{
		func() error { return a.identify(ctx) },
		a.checkLeaves,
		a.checkAge,
		func() error { return a.findCandidates(r) },
		func() error { return a.openPrior(ctx) },
		func() error { return a.chooseDevice(r) },
		a.checkDevice,
		a.checkFormat,
		a.checkNonce,
		a.checkPrior,
		a.checkOwner,
		a.checkNonceless,
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkLeaves refuses what a registrar must not state (RFC 8995 §3.3). Leaves
// that are to be ignored in a request are.
func (a *attempt) checkLeaves() error {
	q := &a.request.Leaves
	if q.ProximityRegistrarCert != nil || q.ProximityRegistrarPubk != nil || q.ProximityRegistrarPubkSHA256 != nil {
		return a.trail.Refuse(decision.ForbiddenLeaf, "leaves", "the registrar's own request states a proximity leaf, which only the pledge's inside it may (RFC 8995 §5.5)")
	}
	a.trail.Pass("leaves", "%d unknown ones ignored", len(q.Unknown))
	return nil
}

// checkAge refuses requests that are stale. created-on may be absent.
func (a *attempt) checkAge() error {
	created := a.request.Leaves.CreatedOn
	switch now := a.r.Now; {
	case created.IsZero():
		a.trail.Pass("created-on", "absent")
		return nil
	case a.known == nil && now.Sub(created) > a.s.cfg.RequestAge:
		return a.trail.Refuse(decision.StaleRequest, "created-on", "the request was made at %s, more than %v ago", created.Format(time.RFC3339), a.s.cfg.RequestAge)
	case created.Sub(now) > a.s.cfg.Skew:
		return a.trail.Refuse(decision.StaleRequest, "created-on", "the request was made at %s, more than %v ahead; set the registrar's clock", created.Format(time.RFC3339), a.s.cfg.Skew)
	}
	a.trail.Pass("created-on", "%s", created.Format(time.RFC3339))
	return nil
}

// checkFormat chooses the voucher's format among those the device can read.
func (a *attempt) checkFormat() error {
	readable := a.device.record.Formats
	if readable == nil {
		return nil
	}
	var served []codec.Format
	for _, f := range a.s.served {
		if slices.Contains(readable, uint64(f)) {
			served = append(served, f)
		}
	}
	answer, err := artefact.Negotiate(a.r.Accept, a.format, served...)
	if err != nil {
		return a.trail.Refuse(decision.NotAcceptable, "format", "%v reads %v: %w", a.device.id, served, err)
	}
	a.answer = answer
	a.trail.Pass("format", "%v", answer)
	return nil
}
