package registrar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// An Attempt is one request and every check that was made of it, in order.
type Attempt struct {
	At        time.Time `json:"at" cbor:"1,keyasint"`
	Operation string    `json:"operation" cbor:"2,keyasint"` // "requestvoucher", "simpleenroll", "simplereenroll"
	Request   string    `json:"request,omitempty" cbor:"3,keyasint,omitempty"`
	Remote    string    `json:"remote,omitempty" cbor:"4,keyasint,omitempty"`
	// Subject is that of the certificate presented. Where the attempt ended
	// before the certificate verified, it is a claim.
	Subject string `json:"subject,omitempty" cbor:"5,keyasint,omitempty"`
	// Outcome is the kind of the refusal, "" for none, and Reason what the
	// operator is told about it.
	Outcome decision.Kind `json:"outcome,omitempty" cbor:"6,keyasint,omitempty"`
	Reason  string        `json:"reason,omitempty" cbor:"7,keyasint,omitempty"`
	// Remedy is the command that would help, "" where there is none.
	Remedy string           `json:"remedy,omitempty" cbor:"8,keyasint,omitempty"`
	Checks []decision.Check `json:"checks" cbor:"9,keyasint"`
	// Digest is the SHA-256 of the request's body: attempts with the same octets
	// and the same end count as one.
	Digest []byte `json:"-" cbor:"10,keyasint,omitempty"`
	Serial string `json:"serial,omitempty" cbor:"11,keyasint,omitempty"` // claimed by the certificate
}

// How many attempts are kept: of each device, and of all the unidentified.
const (
	maxAttempts  = 4
	maxStrangers = 32
)

// An attempt is a request on its way through the checks.
type attempt struct {
	s         *Service
	r         *exchange.Request
	operation string
	trail     decision.Trail
	id        *device.ID       // nil until the device is known
	who       *device.Identity // nil unless an IDevID was presented
	handed    bool             // a flight owns the trail now and records it
	silent    bool             // there is nothing new to record
}

func (s *Service) attempt(operation string, r *exchange.Request) *attempt {
	return &attempt{s: s, r: r, operation: operation}
}

// finish records the attempt and returns what the transport is to answer.
func (a *attempt) finish(ctx context.Context, answer *exchange.Answer, err error) (*exchange.Answer, error) {
	if err == nil {
		if !a.handed && !a.silent {
			a.record(ctx, nil)
		}
		return answer, nil
	}
	var refused *decision.Refusal
	if ctx.Err() != nil && !errors.As(err, &refused) {
		err = decision.Refuse(decision.Overloaded, "the request ended before it was decided: %w", err).After(pendingRetry)
	}
	refusal := decision.Of(stored(err))
	a.s.tell(a.r.ID, a.id, refusal)
	if !a.handed && !a.silent {
		a.record(ctx, refusal)
	}
	return nil, refusal
}

// alarming are the refusals that an operator has to look at, or to act upon.
var alarming = map[decision.Kind]bool{
	decision.NoMASA: true, decision.MASAAddress: true, decision.MASAUnauthorized: true, decision.VoucherMismatch: true,
	decision.AuditRefused: true, decision.WrongProximity: true, decision.Internal: true, decision.StorageFull: true, decision.KeyReused: true,
}

// tell reports a refusal.
func (s *Service) tell(request string, id *device.ID, refusal *decision.Refusal) {
	e := Event{Name: "refused", Request: request, Text: refusal.Operator, Refusal: refusal}
	if alarming[refusal.Kind] {
		e.Level = Alarm
	}
	if id != nil {
		e.Device = id.String()
	}
	s.observe(e)
}

// unrecorded are the outcomes that say nothing about a device.
var unrecorded = map[decision.Kind]bool{
	decision.RateLimited: true, decision.Overloaded: true, decision.Internal: true, decision.StorageFull: true,
	decision.UnknownPath: true, decision.WrongMethod: true,
}

// record writes the attempt down. That it cannot is no reason to answer
// otherwise.
func (a *attempt) record(ctx context.Context, refusal *decision.Refusal) {
	if refusal != nil && unrecorded[refusal.Kind] {
		return
	}
	if a.id == nil {
		if _, ok := a.s.strangers.take(digest{}, a.r.Now); !ok {
			return
		}
	}
	entry := a.entry(refusal)
	err := a.s.cfg.DB.Update(context.WithoutCancel(ctx), func(tx state.Tx) error {
		if a.id == nil {
			return addStranger(tx, entry)
		}
		if err := a.meet(tx); err != nil {
			return err
		}
		return addAttempt(tx, *a.id, entry)
	})
	if err != nil {
		a.s.observe(Event{Level: Warning, Name: "attempt-lost", Request: a.r.ID, Text: "the attempt could not be recorded: " + err.Error()})
	}
}

// meet puts a device on record that failed before it could be admitted.
func (a *attempt) meet(tx state.Tx) error {
	if a.who == nil {
		return nil
	}
	key := deviceKey(prefixDevice, a.who.ID)
	dev, known, err := get[deviceRecord](tx, key)
	if err != nil || known {
		return err
	}
	dev.seen(a.who, a.r.Now)
	if err := noteIDevID(tx, a.who); err != nil {
		return err
	}
	return put(tx, key, &dev)
}

// entry is the attempt as it is kept.
func (a *attempt) entry(refusal *decision.Refusal) Attempt {
	body := sha256.Sum256(a.r.Body)
	e := Attempt{At: a.r.Now.UTC(), Operation: a.operation, Request: clip(a.r.ID, 128), Remote: clip(a.r.Remote, 128),
		Checks: a.trail.Checks(), Digest: short(body)}
	if len(a.r.Peer) > 0 {
		e.Subject, e.Serial = clip(a.r.Peer[0].Subject.String(), 256), clip(a.r.Peer[0].Subject.SerialNumber, 256)
	}
	if refusal != nil {
		e.Outcome, e.Reason = refusal.Kind, clip(refusal.Operator, decision.MaxDetail)
		e.Remedy = remedy(refusal.Kind, a.id)
		if n := len(e.Checks); refusal.Kind == decision.Pending && n > 0 && e.Checks[n-1].Name == "admission" {
			e.Remedy = command("approve", *a.id)
		}
	}
	return e
}

// addAttempt keeps the last attempts of a device.
func addAttempt(tx state.Tx, id device.ID, entry Attempt) error {
	key := deviceKey(prefixAttempts, id)
	record, _, err := get[keptAttempts](tx, key)
	if err != nil {
		return err
	}
	if n := len(record.Attempts); n > 0 {
		var newest attemptGist
		if err := gistMode.Unmarshal(record.Attempts[n-1], &newest); err != nil {
			return damaged(key, err)
		}
		if newest.Operation == entry.Operation && newest.Outcome == entry.Outcome && bytes.Equal(newest.Digest, entry.Digest) {
			record.Attempts = record.Attempts[:n-1]
		}
	}
	encoded, err := recordMode.Marshal(&entry)
	if err != nil {
		return err
	}
	record.Attempts = last(append(record.Attempts, encoded), maxAttempts)
	return put(tx, key, &record)
}

// cursorRecord is where the next attempt of a stranger goes.
type cursorRecord struct {
	Next int `cbor:"1,keyasint"`
}

func addStranger(tx state.Tx, entry Attempt) error {
	cursor, _, err := get[cursorRecord](tx, keyCursor)
	if err != nil {
		return err
	}
	if err := put(tx, under(prefixStranger, []byte{byte(cursor.Next)}), &entry); err != nil {
		return err
	}
	cursor.Next = (cursor.Next + 1) % maxStrangers
	return put(tx, keyCursor, &cursor)
}

// nameByCertificate notes whose certificate of this domain a client presented.
func (a *attempt) nameByCertificate(leaf *x509.Certificate) {
	_ = a.s.cfg.DB.View(context.Background(), func(r state.Reader) error {
		record, found, err := get[certificateRecord](r, serialKey(prefixCertificate, leaf.SerialNumber))
		if err != nil || !found || !bytes.Equal(record.DER, leaf.Raw) {
			return err
		}
		id, err := device.ParseKey(record.Device)
		if err == nil {
			a.id = &id
		}
		return err
	})
}
