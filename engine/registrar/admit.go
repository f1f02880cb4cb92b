package registrar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// Standing is what an operator decided about a device.
type Standing string

// The standings. A device that came by itself has none.
const (
	Listed   Standing = "listed"   // on an imported list
	Approved Standing = "approved" // by an operator
	Waiting  Standing = "waiting"  // came, and waits for an operator
	Refused  Standing = "refused"  // by an operator
)

// listingRecord is a listed serial number whose device has not come yet.
type listingRecord struct {
	Standing Standing `cbor:"1,keyasint"`
	At       int64    `cbor:"2,keyasint"`
	Maker    string   `cbor:"3,keyasint,omitempty"` // whose device it is, "" for anybody's
}

// An admission is what the database says to a pledge's request.
type admission struct {
	sent   time.Time      // created-on of the registrar's request to be made
	cached *voucherRecord // the voucher for the identical request, nil if there is none
}

// admit notes that a device is here with a request and decides whether it may
// join. What it notes is durable when it returns, refusals included: so an
// operator sees the device, and nonces are known again after a crash.
func (s *Service) admit(ctx context.Context, a *attempt, p *pledgeRequest) (*admission, error) {
	out := &admission{}
	var refusal error
	err := s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		dev, err := claim(tx, a.who)
		var ambiguous *device.AmbiguousError
		if err != nil && !errors.As(err, &ambiguous) {
			return err
		}
		if r := dev.foreign(a.who); r != nil {
			refusal = a.trail.Fail("admission", r)
			return nil
		}
		dev.seen(a.who, a.r.Now)
		if ambiguous != nil && s.cfg.Admit != AdmitManufacturer {
			refusal = a.trail.Refuse(decision.AmbiguousDevice, "admission", "%w; the number is on the list without an issuer and admits a device only while no other has it", ambiguous)
		} else if refusal, err = s.admitIn(tx, a, p, &dev, out); err != nil {
			return err
		}
		if err := noteIDevID(tx, a.who); err != nil {
			return err
		}
		return put(tx, deviceKey(prefixDevice, a.who.ID), &dev)
	})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, refusal
	}
	return out, nil
}

// admitIn makes the checks that need the database, in order: freshness,
// admission, a voucher that is at hand.
func (s *Service) admitIn(tx state.Tx, a *attempt, p *pledgeRequest, dev *deviceRecord, out *admission) (refusal, err error) {
	nonces, at, err := useNonce(tx, a.who.ID, p)
	if err != nil {
		return nil, err
	}
	if at < 0 {
		return a.trail.Refuse(decision.StaleRequest, "freshness", "the nonce was in another voucher-request of this device before; a pledge makes a new one for each (RFC 8995 section 5.2)"), nil
	}
	a.trail.Pass("freshness", "")
	if r := s.mayJoin(dev, a.who); r != nil {
		if err := put(tx, deviceKey(prefixNonces, a.who.ID), &nonces); err != nil {
			return nil, err
		}
		return a.trail.Fail("admission", r), nil
	}
	a.trail.Pass("admission", "%s", admittedAs(dev, s.cfg.Admit))
	if sent := time.Unix(nonces.Used[at].Sent, 0); nonces.Used[at].Sent == 0 || a.r.Now.Sub(sent) >= requestRenewal {
		nonces.Used[at].Sent = a.r.Now.Unix()
	}
	out.sent = time.Unix(nonces.Used[at].Sent, 0).UTC()
	if err := put(tx, deviceKey(prefixNonces, a.who.ID), &nonces); err != nil {
		return nil, err
	}
	return s.recall(tx, a, p, dev, out)
}

// recall finds the voucher for the identical request.
func (s *Service) recall(tx state.Tx, a *attempt, p *pledgeRequest, dev *deviceRecord, out *admission) (refusal, err error) {
	key := voucherKey(p.digest, a.who.SPKI)
	if out.cached, err = keptIn(tx, key, p, a.r.Now); err != nil || out.cached == nil {
		return nil, err
	}
	if m := dev.Voucher; m != nil && m.Request == key {
		if m.Verdict == Bad {
			return a.trail.Refuse(decision.AuditRefused, "audit-log", "%s", m.Reason), nil
		}
		m.Delivered = true
	}
	return nil, nil
}

func formatIn(name string, accept []codec.Format) bool {
	return slices.ContainsFunc(accept, func(f codec.Format) bool { return f.String() == name })
}

// voucherKey names a request for a voucher: what was asked, and by whom.
func voucherKey(request, spki digest) digest {
	return sha256.Sum256(append(request[:len(request):len(request)], spki[:]...))
}

func admittedAs(dev *deviceRecord, mode Admission) string {
	if dev.Standing == Listed || dev.Standing == Approved {
		return string(dev.Standing)
	}
	return "every device of its manufacturer (" + string(mode) + ")"
}

// useNonce finds the place of a nonce in the memory of its device, -1 when it
// was in another request.
func useNonce(r state.Reader, id device.ID, p *pledgeRequest) (nonceRecord, int, error) {
	record, _, err := get[nonceRecord](r, deviceKey(prefixNonces, id))
	if err != nil {
		return record, 0, err
	}
	sum := sha256.Sum256(p.nonce)
	for i := range record.Used {
		if bytes.Equal(record.Used[i].Nonce, short(sum)) {
			if !bytes.Equal(record.Used[i].Request, short(p.digest)) {
				return record, -1, nil
			}
			return record, i, nil
		}
	}
	record.Used = last(append(record.Used, usedNonce{Nonce: short(sum), Request: short(p.digest)}), maxNonces)
	return record, len(record.Used) - 1, nil
}

// seen notes with which IDevID a device came.
func (d *deviceRecord) seen(who *device.Identity, now time.Time) {
	d.Seen, d.IDevID, d.LastSeen = bytes.Clone(who.SPKI[:]), who.Facts.Certificate.Raw, now.Unix()
	d.Manufacturer = who.Manufacturer.Name
	if d.FirstSeen == 0 {
		d.FirstSeen = d.LastSeen
	}
}

// claim returns the record of a device that is here. What a list said of it
// under a lesser name becomes part of it: the idevid-issuer of a certificate
// without AKI, or the bare serial number. The error is a *device.AmbiguousError
// when other devices have that number, of the manufacturer where the list names
// one; the record stands nevertheless.
func claim(tx state.Tx, who *device.Identity) (deviceRecord, error) {
	dev, _, err := get[deviceRecord](tx, deviceKey(prefixDevice, who.ID))
	if err != nil || dev.Standing != "" && dev.Standing != Waiting {
		return dev, err
	}
	if claimed, err := claimIssuer(tx, who, &dev); claimed || err != nil {
		return dev, err
	}
	key := under(prefixSerial, []byte(who.ID.Serial))
	listed, found, err := get[listingRecord](tx, key)
	if err != nil || !found {
		return dev, err
	}
	if listed.Maker != "" && listed.Maker != who.Manufacturer.Name {
		dev.elsewhere = listed.Maker
		return dev, nil
	}
	others, err := withSerial(tx, who.ID.Serial, listed.Maker)
	if err != nil {
		return dev, err
	}
	if others = slices.DeleteFunc(others, func(id device.ID) bool { return id == who.ID }); len(others) > 0 && listed.Standing != Refused {
		return dev, &device.AmbiguousError{Serial: who.ID.Serial, IDs: append(others, who.ID)}
	}
	dev.Standing = listed.Standing
	dev.Maker = listed.Maker
	return dev, tx.Delete(key)
}

// claimIssuer takes over what a list says of a device under its idevid-issuer,
// and leaves a note for when the list is imported again.
func claimIssuer(tx state.Tx, who *device.Identity, dev *deviceRecord) (bool, error) {
	lesser, ok := leafID(who)
	if !ok {
		return false, nil
	}
	key := deviceKey(prefixDevice, lesser)
	listed, found, err := get[deviceRecord](tx, key)
	if err != nil || !found || listed.FirstSeen != 0 || listed.foreign(who) != nil {
		return false, err
	}
	// The name is a digest of the device's own key: it proves whom the list means.
	dev.Standing, dev.Maker = listed.Standing, listed.Maker
	if err := put(tx, deviceKey(prefixAlias, lesser), &aliasRecord{Device: who.ID.AppendKey(nil)}); err != nil {
		return true, err
	}
	return true, tx.Delete(key)
}

// leafID is the name that a list gives a device by its idevid-issuer, where
// that is another than its own.
func leafID(who *device.Identity) (device.ID, bool) {
	keyID, err := codec.IssuerKeyID(who.Issuer)
	id := device.ID{IssuerKeyID: string(keyID), Serial: who.ID.Serial}
	return id, err == nil && id != who.ID && id.Check() == nil
}

// mayJoin decides about a device by its standing, and binds the standing to the
// key that the device came with first. A device that must wait is noted as such.
func (s *Service) mayJoin(dev *deviceRecord, who *device.Identity) *decision.Refusal {
	if r := dev.foreign(who); r != nil {
		return r
	}
	if dev.Standing == Refused {
		return refuseRefused(who.ID)
	}
	if s.cfg.Admit == AdmitManufacturer {
		return nil
	}
	reason := "it is on no list"
	if dev.elsewhere != "" {
		reason = fmt.Sprintf("its serial number is on the list for manufacturer %s, and manufacturer %s vouches for it", dev.elsewhere, who.Manufacturer.Name)
	}
	if dev.Standing == Listed || dev.Standing == Approved {
		reason = ""
		if len(dev.Key) == 0 {
			if reason = s.unproven(dev, who); reason == "" {
				dev.Key = bytes.Clone(who.SPKI[:])
				dev.bind(who.Manufacturer.Name)
			}
		} else if !bytes.Equal(dev.Key, who.SPKI[:]) {
			reason = fmt.Sprintf("it is %s with another key than it has now", dev.Standing)
		}
		if reason == "" {
			return nil
		}
	}
	if s.cfg.Admit == AdmitAsk {
		if dev.Standing == "" {
			dev.Standing = Waiting
		}
		return decision.Refuse(decision.Pending, "device %s waits: %s; %s admits it", who.ID, reason, command("approve", who.ID)).After(pendingRetry)
	}
	return decision.Refuse(decision.DeviceNotListed, "device %s is not admitted: %s; %s admits it", who.ID, reason, command("approve", who.ID))
}

func refuseRefused(id device.ID) *decision.Refusal {
	return decision.Refuse(decision.DeviceRefused, "an operator refused the device; %s takes that back", command("approve", id))
}

// noteIDevID puts the key of an IDevID down as one: it is never certified here.
func noteIDevID(tx state.Tx, who *device.Identity) error {
	key := under(prefixKey, who.SPKI[:])
	record, found, err := get[keyRecord](tx, key)
	if err != nil || found && record.IDevID {
		return err
	}
	return put(tx, key, &keyRecord{Device: who.ID.AppendKey(nil), IDevID: true})
}
