package masa

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// issue signs what was decided and makes it durable. The voucher leaves only
// when device, audit event, request and answer are on disk; when that fails it
// is thrown away.
func (a *attempt) issue(ctx context.Context) (*exchange.Answer, error) {
	body, err := a.seal(ctx)
	if err != nil {
		return nil, err
	}
	c := &commit{attempt: a, body: body}
	if err := a.s.cfg.DB.Update(ctx, c.write); err != nil {
		if errors.Is(err, errChanged) {
			return nil, err
		}
		return nil, a.trail.Fail("commit", refusalOf(err))
	}
	if c.earlier != nil {
		return a.repeat(c.earlier), nil
	}
	a.s.pruned(c.swept)
	a.observed.Assertion = a.assertion
	a.trail.Pass("commit", "")
	return &exchange.Answer{ContentType: a.answer.MediaType(), Body: body}, nil
}

// seal makes the voucher's octets, or takes those issued before.
func (a *attempt) seal(ctx context.Context) ([]byte, error) {
	if a.preissued != nil {
		a.observed.Preissued = a.preissued.run
		a.trail.Pass("voucher", "of run %s", a.preissued.run)
		return a.preissued.body, nil
	}
	body, err := a.s.sealers[a.answer].Voucher(ctx, a.draft(), false)
	if err != nil {
		refusal := refusalOf(err)
		return nil, a.trail.Fail("voucher", refusal)
	}
	a.trail.Pass("voucher", "%v, signed", a.assertion)
	return body, nil
}

// draft is the voucher (RFC 8366 §5.3, RFC 8995 §5.6). created-on and expires-on
// are whole seconds.
func (a *attempt) draft() *codec.Voucher {
	q := &a.request.Leaves
	v := &codec.Voucher{Assertion: a.assertion, CreatedOn: a.r.Now.UTC().Truncate(time.Second), SerialNumber: q.SerialNumber,
		Nonce: q.Nonce, NonceText: q.NonceText, PinnedDomainCert: a.pin.Raw, DomainCertRevocationChecks: codec.BoolOf(false), ExpiresOn: a.expires}
	if !a.device.unique {
		v.IDevIDIssuer = a.device.issuerLeaf()
	}
	return v
}

// logIssue appends the event of a voucher that was made now. One issued in
// advance has that of its run.
func (c *commit) logIssue(tx state.Tx) error {
	voucher := sha256.Sum256(c.body)
	event := &audit.Event{Kind: audit.VoucherIssued, Date: c.r.Now, Assertion: c.assertion, Device: c.device.id, DomainID: audit.DomainID(c.pin),
		RequestDigest: c.request.Digest[:], VoucherDigest: voucher[:], Customer: c.owner}
	if !c.nonceless {
		text := string(c.request.Leaves.NonceText)
		event.Nonce = &text
	}
	_, err := c.s.cfg.Log.Append(tx, event)
	return err
}

// A commit is what one transaction writes.
type commit struct {
	*attempt
	body    []byte
	claimed uint64 // 1 when the device's record was changed
	// earlier is what the same request was answered in the meantime, if it was:
	// then nothing is written.
	earlier *replayRecord
	swept   []byte // the last key of what was deleted
}

func (c *commit) write(tx state.Tx) error {
	if err := c.unchanged(tx); err != nil {
		return err
	}
	known := new(replayRecord)
	found, err := loadIfAny(tx, replayKey(c.digest[:]), known)
	if err != nil {
		return err
	}
	if found && c.s.stillReplayed(known, c.r.Now) {
		c.earlier = known
		return nil
	}
	if err := c.claim(tx); err != nil {
		return err
	}
	if c.preissued == nil {
		if err := c.logIssue(tx); err != nil {
			return err
		}
	}
	if err := c.countIssue(tx); err != nil {
		return err
	}
	if err := c.remember(tx); err != nil {
		return err
	}
	_, c.swept, err = c.s.sweep(tx, c.r.Now, sweepStep)
	return err
}

// unchanged makes sure that the device, and customers, pools and runs, are what
// the decision was based on.
func (c *commit) unchanged(tx state.Tx) error {
	raw, err := tx.Get(deviceKey(keyDevice, c.device.id))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	generation, err := counter(tx, keyGeneration)
	if err != nil {
		return err
	}
	if string(raw) != string(c.device.raw) || generation != c.dir.generation {
		return errChanged
	}
	return nil
}

// claim notes which domain an exclusive device without owner now belongs to, and
// that this domain has been given a voucher.
func (c *commit) claim(tx state.Tx) error {
	key := spkiOf(c.pin)
	if c.device.policy.Exclusive && c.device.policy.owner == "" && c.device.record.Claim == nil {
		record := c.device.record
		record.Claim = key[:]
		if err := c.s.setDevice(tx, c.device.id, &record); err != nil {
			return err
		}
		c.claimed = 1
	}
	return tx.Set(ownerKey(c.device.id, key[:]), nil)
}

func (c *commit) countIssue(tx state.Tx) error {
	key := deviceKey(keyActivity, c.device.id)
	var activity activityRecord
	if _, err := loadIfAny(tx, key, &activity); err != nil {
		return err
	}
	if err := c.countToday(&activity); err != nil {
		return err
	}
	activity.Issued++
	activity.LastIssued = c.r.Now.Unix()
	return tx.Set(key, encode(&activity))
}

// maxUnasked is how many vouchers a day a device gets that neither it nor its
// owner asked for, maxAsked how many that it did: each is an event in a log that
// is kept for ever. Strangers need no more than a serial number for the former,
// and one request of the device, which they may send again and again, for the
// latter.
const (
	maxUnasked = 16
	maxAsked   = 1000
)

func (c *commit) countToday(activity *activityRecord) error {
	if c.owner != "" {
		return nil
	}
	const day = 24 * 60 * 60
	if today := c.r.Now.Unix() / day; activity.Day != today {
		activity.Day, activity.Unasked, activity.Asked = today, 0, 0
	}
	given, most, of := &activity.Unasked, uint64(maxUnasked), "no request of its own"
	if c.prior != nil && c.prior.request != nil {
		given, most, of = &activity.Asked, maxAsked, "a request of its own"
	}
	if *given >= most {
		left := time.Duration(day-c.r.Now.Unix()%day) * time.Second
		return decision.Refuse(decision.RateLimited, "%v was given %d vouchers today for requests that hold %s and are not its owner's; it gets no more until the day ends", c.device.id, *given, of).After(left)
	}
	*given++
	return nil
}

// remember keeps the answer for whoever asks the same again.
func (c *commit) remember(tx state.Tx) error {
	record := &replayRecord{Format: uint8(c.answer), Body: c.body, At: c.r.Now.Unix(), Device: deviceKey("", c.device.id),
		Revision: c.device.record.Revision + c.claimed, Generation: c.dir.generation}
	if c.nonceless {
		record.Peer = c.peerDigest()
	}
	if !c.expires.IsZero() {
		record.Expires = c.expires.Unix()
	}
	if err := tx.Set(replayKey(c.digest[:]), encode(record)); err != nil {
		return err
	}
	return tx.Set(replayEndKey(c.r.Now.Add(c.s.cfg.Replay).Unix(), c.digest[:]), nil)
}

// sweepStep is how many answers that are kept no longer each issue deletes: more
// than it adds.
const sweepStep = 4

// sweep deletes at most limit answers whose time is over, and returns how many
// and the last key. It begins where the last one ended, so as not to read over
// what is deleted already.
func (s *Service) sweep(tx state.Tx, now time.Time, limit int) (deleted int, last []byte, err error) {
	after, due := s.due(now)
	if !due {
		return 0, nil, nil
	}
	var ended [][]byte
	var next int64
	err = tx.Scan([]byte(keyReplayEnd), after, func(key, _ []byte) error {
		at := int64(binary.BigEndian.Uint64(key[len(keyReplayEnd):]))
		if at > now.Unix() {
			next = at
			return state.ErrStop
		}
		if len(ended) == limit {
			return state.ErrStop
		}
		ended = append(ended, append([]byte{}, key...))
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	s.setDue(next)
	for _, key := range ended {
		if err := s.forget(tx, key, now); err != nil {
			return 0, nil, err
		}
		last = key
	}
	return len(ended), last, nil
}

// due reports whether an answer may have ended, and where to look. Answers that
// are added later end later, unless the clock was set back: a time that is further
// ahead than an answer is kept is then not believed.
func (s *Service) due(now time.Time) (after []byte, due bool) {
	s.prune.Lock()
	defer s.prune.Unlock()
	wait := s.prune.next - now.Unix()
	return s.prune.after, wait <= 0 || wait > int64(s.cfg.Replay/time.Second)+1
}

// setDue notes when the next answer ends, 0 when that is not known.
func (s *Service) setDue(next int64) {
	s.prune.Lock()
	defer s.prune.Unlock()
	s.prune.next = next
}

// forget deletes an answer by the key that says when it ends. The same request
// may have been answered anew since; that answer stays.
func (s *Service) forget(tx state.Tx, end []byte, now time.Time) error {
	key := replayKey(end[len(keyReplayEnd)+8:])
	var kept replayRecord
	found, err := loadIfAny(tx, key, &kept)
	if err != nil {
		return err
	}
	if found && !s.stillReplayed(&kept, now) {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return tx.Delete(end)
}

// pruned notes how far a sweep came, once that is durable.
func (s *Service) pruned(last []byte) {
	if last == nil {
		return
	}
	s.prune.Lock()
	defer s.prune.Unlock()
	if string(last) > string(s.prune.after) {
		s.prune.after = last
	}
}

// Sweep deletes answers whose time is over, at most limit of them, and returns
// how many it deleted. Issuing does so too, a few at a time; Sweep is for quiet
// times.
func (s *Service) Sweep(ctx context.Context, now time.Time, limit int) (deleted int, err error) {
	const step = 1000
	for deleted < limit {
		n := 0
		var last []byte
		err := s.cfg.DB.Update(ctx, func(tx state.Tx) (err error) {
			n, last, err = s.sweep(tx, now, min(step, limit-deleted))
			return err
		})
		if err != nil {
			return deleted, err
		}
		s.pruned(last)
		deleted += n
		if n == 0 {
			break
		}
	}
	return deleted, nil
}

// recordRefusal puts a refusal on record with its device, when the signer leads
// to a customer: strangers must not be able to fill the disk. What cannot be
// written is told the observer alone.
func (a *attempt) recordRefusal(ctx context.Context, refusal *decision.Refusal) bool {
	if a.who == nil || len(a.who.customers) == 0 || refusal.Kind == decision.StorageFull || refusal.Kind == decision.Overloaded {
		return false
	}
	if a.device == nil && !a.guessDevice(ctx) {
		return false
	}
	record := refusalRecord{At: a.r.Now.Unix(), Op: a.observed.Op, Kind: string(refusal.Kind),
		Operator: strings.ToValidUTF8(refusal.Operator[:min(len(refusal.Operator), decision.MaxDetail)], ""), Customer: a.who.customers[0].Name}
	err := a.s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		key := deviceKey(keyActivity, a.device.id)
		var activity activityRecord
		if _, err := loadIfAny(tx, key, &activity); err != nil {
			return err
		}
		activity.Refused++
		activity.Refusals = append(activity.Refusals, record)
		if extra := len(activity.Refusals) - maxRefusals; extra > 0 {
			activity.Refusals = activity.Refusals[extra:]
		}
		return tx.Set(key, encode(&activity))
	})
	return err == nil
}

// maxRefusals is how many refusals of a device are kept.
const maxRefusals = 16

// guessDevice takes the only device of the serial number as the one that was
// asked for.
func (a *attempt) guessDevice(ctx context.Context) bool {
	err := a.s.cfg.DB.View(ctx, func(r state.Reader) error {
		ids, err := device.WithSerial(r, []byte(keyDevice), string(a.request.Leaves.SerialNumber))
		if err != nil || len(ids) != 1 {
			return err
		}
		d, err := a.loadDevice(r, ids[0])
		a.device = d
		return err
	})
	return err == nil && a.device != nil
}
