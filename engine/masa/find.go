package masa

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A foundDevice is a device on record, and what holds for it.
type foundDevice struct {
	id     device.ID
	record deviceRecord
	raw    []byte // the record as it was read
	// unique says that no other device has its serial number.
	unique bool
	policy devicePolicy
}

// A devicePolicy is what holds for a device by itself and by its pool.
type devicePolicy struct {
	owner                       string
	Exclusive, LoggedOnMismatch bool
}

// isOf reports whether a key identifier is that of the device's issuer, or
// another name for it.
func (d *foundDevice) isOf(keyID []byte) bool {
	if string(keyID) == d.id.IssuerKeyID {
		return true
	}
	for _, alias := range d.record.Aliases {
		if bytes.Equal(alias, keyID) {
			return true
		}
	}
	return false
}

// issuerLeaf is the idevid-issuer of the device as vouchers state it.
func (d *foundDevice) issuerLeaf() []byte {
	if d.record.Issuer != nil {
		return d.record.Issuer
	}
	return codec.IssuerFromKeyID([]byte(d.id.IssuerKeyID))
}

// policyOf lays a device's own settings over those of its pool.
func (dir *directory) policyOf(d *deviceRecord) devicePolicy {
	pool := dir.pools[d.Pool]
	p := devicePolicy{owner: d.Owner, Exclusive: d.Exclusive || pool.Exclusive, LoggedOnMismatch: d.LoggedOnMismatch || pool.LoggedOnMismatch}
	if p.owner == "" {
		p.owner = pool.Owner
	}
	return p
}

// findCandidates reads all devices of the serial number asked for.
func (a *attempt) findCandidates(r state.Reader) error {
	serial := string(a.request.Leaves.SerialNumber)
	err := device.ScanSerial(r, []byte(keyDevice), serial, func(id device.ID, record []byte) error {
		if len(a.candidates) == device.MaxCandidates {
			return state.ErrStop
		}
		a.candidates, a.records = append(a.candidates, id), append(a.records, bytes.Clone(record))
		return nil
	})
	if err != nil {
		return err
	}
	if len(a.candidates) == 0 {
		return a.trail.Refuse(decision.UnknownDevice, "device", "no device with serial number %q is on record; import it", serial)
	}
	return nil
}

// chooseDevice finds out which of the devices of the serial number is meant: the
// one of the pledge's certificate, of idevid-issuer, or the only one.
func (a *attempt) chooseDevice(r state.Reader) error {
	q := &a.request.Leaves
	var keyID []byte
	if q.IDevIDIssuer != nil {
		var err error
		if keyID, err = codec.IssuerKeyID(q.IDevIDIssuer); err != nil {
			return a.trail.Refuse(decision.BadPayload, "idevid-issuer", "%w", err)
		}
	}
	var chosen []*foundDevice
	for i, id := range a.wider(keyID) {
		var d *foundDevice
		var err error
		if i < len(a.records) {
			d, err = a.found(id, a.records[i])
		} else {
			d, err = a.loadDevice(r, id)
		}
		if err != nil {
			if errors.Is(err, state.ErrNotFound) {
				continue
			}
			return err
		}
		if a.meant(d, keyID) {
			chosen = append(chosen, d)
		}
	}
	d, err := one(chosen, a.identity())
	if err != nil {
		return a.trail.Fail("device", err)
	}
	if d == nil {
		return a.trail.Refuse(decision.UnknownDevice, "device", "%d devices with serial number %q are on record, none of the issuer named (idevid-issuer %x, certificate %v); import it", len(a.candidates), q.SerialNumber, keyID, a.identity() != nil)
	}
	a.device = d
	a.observed.Device = d.id
	if r := d.foreign(a.identity(), len(a.s.cfg.Manufacturers)); r != nil {
		return a.trail.Fail("device", r)
	}
	a.trail.Pass("device", "%v", d.id)
	return nil
}

// foreign returns a refusal if the pledge's own request is by another
// manufacturer's device of the same name: whoever makes a CA chooses its key
// identifier, and the serial numbers below it. A device that a list named without
// its manufacturer is that of the only one there is, or of who has the key that
// the identifier is a digest of; its other names are digests of keys as well.
func (d *foundDevice) foreign(who *device.Identity, makers int) *decision.Refusal {
	switch {
	case who == nil || d.record.Maker == who.Manufacturer.Name:
		return nil
	case d.record.Maker != "":
		return decision.Refuse(decision.PriorSignature, "%v is a device of manufacturer %s, and manufacturer %s vouches for the IDevID that signed the pledge's request", d.id, d.record.Maker, who.Manufacturer.Name)
	case !d.record.Open || makers == 1 || d.id != who.ID || who.NamesIssuerKey():
		return nil
	}
	return decision.Refuse(decision.PriorSignature, "%v was imported without its manufacturer, and its issuer's key identifier is no digest of the issuer's key, so that each of the %d manufacturers could have made the IDevID that signed the pledge's request, for which manufacturer %s vouches; import it again for its manufacturer, or its certificate",
		d.id, makers, who.Manufacturer.Name)
}

func (a *attempt) identity() *device.Identity {
	if a.prior == nil {
		return nil
	}
	return a.prior.identity
}

// wider adds to the candidates, which are listed up to a limit, those that the
// request itself leads to.
func (a *attempt) wider(keyID []byte) []device.ID {
	ids := a.candidates[:len(a.candidates):len(a.candidates)]
	if len(ids) < device.MaxCandidates {
		return ids
	}
	if identity := a.identity(); identity != nil {
		ids = append(ids, identity.ID)
	}
	if named := (device.ID{IssuerKeyID: string(keyID), Serial: string(a.request.Leaves.SerialNumber)}); named.Check() == nil {
		ids = append(ids, named)
	}
	return ids
}

func (a *attempt) loadDevice(r state.Reader, id device.ID) (*foundDevice, error) {
	raw, err := r.Get(deviceKey(keyDevice, id))
	if err != nil {
		return nil, err
	}
	return a.found(id, raw)
}

// found reads the record of a device.
func (a *attempt) found(id device.ID, raw []byte) (*foundDevice, error) {
	d := &foundDevice{id: id, raw: raw, unique: len(a.candidates) == 1}
	if err := decode(deviceKey(keyDevice, id), raw, &d.record); err != nil {
		return nil, err
	}
	d.policy = a.dir.policyOf(&d.record)
	return d, nil
}

// meant reports whether the request can be about a device.
func (a *attempt) meant(d *foundDevice, keyID []byte) bool {
	if identity := a.identity(); identity != nil {
		return d.id == identity.ID || artefact.IssuerMatches(codec.IssuerFromKeyID([]byte(d.id.IssuerKeyID)), identity.Facts, issuerOf(identity))
	}
	return keyID == nil || d.isOf(keyID)
}

// one returns the only device, nil for none. Of several the one that the
// pledge's certificate names exactly is taken.
func one(chosen []*foundDevice, identity *device.Identity) (*foundDevice, *decision.Refusal) {
	var names []string
	for i, d := range chosen {
		if identity != nil && d.id == identity.ID {
			return d, nil
		}
		if i == 0 || d.id != chosen[0].id {
			names = append(names, d.id.String())
		}
	}
	if len(names) > 1 {
		return nil, decision.Refuse(decision.AmbiguousDevice, "%d devices have the serial number, and the request states no idevid-issuer that tells which: %s", len(names), strings.Join(names, " "))
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	return chosen[0], nil
}

// checkDevice and checkCustomers refuse what an operator has blocked.
func (a *attempt) checkDevice() error {
	if d := &a.device.record; d.Blocked {
		return a.trail.Refuse(decision.DeviceRefused, "blocked", "%v is blocked: %s", a.device.id, reasonOf(d.BlockReason))
	}
	return a.checkCustomers()
}

func (a *attempt) checkCustomers() error {
	for _, m := range a.who.customers {
		if m.Blocked {
			return a.trail.Refuse(decision.DeviceRefused, "blocked", "customer %s, which the signer belongs to, is blocked: %s", m.Name, reasonOf(m.BlockReason))
		}
	}
	a.trail.Pass("blocked", "no")
	return nil
}

func reasonOf(text string) string {
	if text == "" {
		return "no reason is on record"
	}
	return text
}

// checkOwner decides whose the device is: "verified" is for an owner on record,
// and an exclusive device is for nobody else. One without owner belongs to the
// domain whose voucher became durable first, which is known by the key of the
// certificate that was pinned. Only a domain that the device itself has seen can
// be first: else a serial number were enough to lock a device up. An operator may
// name an owner at any time.
func (a *attempt) checkOwner() error {
	p := &a.device.policy
	for _, m := range a.authenticated() {
		if m.Name == p.owner {
			a.owner, a.member = m.Name, m
		}
	}
	if a.owner != "" {
		a.assertion = codec.AssertionVerified
		a.trail.Pass("owner", "customer %s owns it", a.owner)
		return nil
	}
	if !p.Exclusive {
		a.trail.Pass("owner", "%s, and it is not exclusive", a.ownerText())
		return nil
	}
	switch {
	case p.owner != "":
		return a.trail.Refuse(decision.OwnedByOther, "owner", "%v is exclusive: %s, and the request is not by it", a.device.id, a.ownerText())
	case a.device.record.Claim == nil && a.assertion != codec.AssertionProximity:
		return a.trail.Refuse(decision.OwnedByOther, "owner", "%v is exclusive and without owner: it goes to the first domain that it has seen itself, which the request does not show", a.device.id)
	case a.device.record.Claim != nil && !a.who.onPathKey(a.device.record.Claim):
		return a.trail.Refuse(decision.OwnedByOther, "owner", "%v is exclusive and without owner, and was claimed before by the domain whose key has SHA-256 %x", a.device.id, a.device.record.Claim)
	}
	a.trail.Pass("owner", "exclusive, and the request is by the domain that claims it")
	return nil
}

func (a *attempt) ownerText() string {
	if a.device.policy.owner == "" {
		return "nobody owns it"
	}
	return fmt.Sprintf("customer %s owns it", a.device.policy.owner)
}
