package masa

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A Device is a device on record.
type Device struct {
	ID device.ID
	// Issuer is its idevid-issuer, 04 LL 30 …, as vouchers state it where the
	// serial number alone does not tell.
	Issuer []byte
	// Verified says that an IDevID of it was imported, not only a row of a list.
	Verified bool
	Imported time.Time
	// Owner is a customer, "" for none: the device's own, or its pool's.
	Owner string
	Pool  string
	// Exclusive and LoggedOnMismatch hold for it by itself or by its pool.
	Exclusive, LoggedOnMismatch bool
	// Formats are those of vouchers that it can read, nil for all.
	Formats []codec.Format
	// Claim is the SHA-256 of the SubjectPublicKeyInfo of the domain that an
	// exclusive device without owner belongs to, nil for none.
	Claim       []byte
	Blocked     bool
	BlockReason string
	// Issued counts vouchers, LastIssued is when the last was made.
	Issued     uint64
	LastIssued time.Time
	// Refused counts refusals by requesters that are known, Refusals are the
	// last 16 of them, oldest first. Listings leave them out.
	Refused  uint64
	Refusals []Refused
	// History is who owned it, oldest first; "" stands for nobody. Listings leave
	// it out.
	History []Owned
}

// A Refused is a refusal on record.
type Refused struct {
	At       time.Time
	Op       string
	Kind     decision.Kind
	Operator string
	Customer string
}

// An Owned is one change of the owner.
type Owned struct {
	Customer string
	Since    time.Time
}

// maxHistory bounds the owners that ShowDevice returns: the last ones.
const maxHistory = 256

// ListDevices returns at most n devices in the order of their serial numbers,
// those behind after; the zero ID begins.
func (s *Service) ListDevices(ctx context.Context, after device.ID, n int) ([]Device, error) {
	var from []byte
	if after != (device.ID{}) {
		from = deviceKey(keyDevice, after)
	}
	var list []Device
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		dir, err := s.directory(r)
		if err != nil {
			return err
		}
		return r.Scan([]byte(keyDevice), from, func(key, value []byte) error {
			if len(list) >= n {
				return state.ErrStop
			}
			id, err := device.ParseKey(key[len(keyDevice):])
			if err != nil {
				return err
			}
			var record deviceRecord
			if err := decode(key, value, &record); err != nil {
				return err
			}
			d, _, err := s.describe(r, dir, id, &record)
			list = append(list, *d)
			return err
		})
	})
	return list, err
}

// ShowDevice returns all that is known of the device that text names: its serial
// number, or ISSUER/SERIAL as device.ID.String writes it. The error is a
// *device.NotFoundError, a *device.AmbiguousError, or the database's.
func (s *Service) ShowDevice(ctx context.Context, text string) (*Device, error) {
	var shown *Device
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		dir, err := s.directory(r)
		if err != nil {
			return err
		}
		id, record, err := findDevice(r, text)
		if err != nil {
			return err
		}
		d, activity, err := s.describe(r, dir, id, record)
		if err != nil {
			return err
		}
		for _, x := range activity.Refusals {
			d.Refusals = append(d.Refusals, Refused{instant(x.At), x.Op, decision.Kind(x.Kind), x.Operator, x.Customer})
		}
		shown = d
		return s.readHistory(r, d, record.Owners)
	})
	return shown, err
}

func findDevice(r state.Reader, text string) (device.ID, *deviceRecord, error) {
	id, err := device.Find(r, []byte(keyDevice), text)
	if err != nil {
		return id, nil, err
	}
	record := new(deviceRecord)
	return id, record, load(r, deviceKey(keyDevice, id), record)
}

func (s *Service) describe(r state.Reader, dir *directory, id device.ID, record *deviceRecord) (*Device, *activityRecord, error) {
	activity := new(activityRecord)
	_, err := loadIfAny(r, deviceKey(keyActivity, id), activity)
	p := dir.policyOf(record)
	var formats []codec.Format
	for _, f := range record.Formats {
		formats = append(formats, codec.Format(f))
	}
	return &Device{ID: id, Issuer: (&foundDevice{id: id, record: *record}).issuerLeaf(), Verified: record.Verified, Imported: instant(record.Imported),
		Owner: p.owner, Pool: record.Pool, Exclusive: p.Exclusive, LoggedOnMismatch: p.LoggedOnMismatch, Formats: formats, Claim: record.Claim,
		Blocked: record.Blocked, BlockReason: record.BlockReason, Issued: activity.Issued, LastIssued: instant(activity.LastIssued), Refused: activity.Refused}, activity, err
}

func (s *Service) readHistory(r state.Reader, d *Device, owners uint64) error {
	first := hashed(keyHistory, d.ID)
	var after []byte
	if owners > maxHistory {
		after = binary.BigEndian.AppendUint64(first[:len(first):len(first)], owners-maxHistory-1)
	}
	return r.Scan(first, after, func(key, value []byte) error {
		var record ownershipRecord
		err := decode(key, value, &record)
		d.History = append(d.History, Owned{record.Customer, instant(record.Since)})
		return err
	})
}

// Block refuses every further request for a device, for the reason given, and
// returns which it is. Blocking again changes the reason. Errors are those of
// ShowDevice, and *UsageError.
func (s *Service) Block(ctx context.Context, text, reason string) (device.ID, error) {
	if len(reason) > maxReason {
		return device.ID{}, usage("the reason has %d octets, at most %d are kept", len(reason), maxReason)
	}
	return s.changeDevice(ctx, text, func(d *deviceRecord) { d.Blocked, d.BlockReason = true, strings.ToValidUTF8(reason, "") })
}

// Unblock undoes Block.
func (s *Service) Unblock(ctx context.Context, text string) (device.ID, error) {
	return s.changeDevice(ctx, text, func(d *deviceRecord) { d.Blocked, d.BlockReason = false, "" })
}

// Release forgets which domain came first to an exclusive device without owner,
// so that the next one may.
func (s *Service) Release(ctx context.Context, text string) (device.ID, error) {
	return s.changeDevice(ctx, text, func(d *deviceRecord) { d.Claim = nil })
}

// SetDevice says what holds for a device by itself: Exclusive refuses all but
// the owner; loggedOnMismatch gives "logged" where its own request does not show
// that it saw the registrar that asks.
func (s *Service) SetDevice(ctx context.Context, text string, exclusive, loggedOnMismatch bool) (device.ID, error) {
	return s.changeDevice(ctx, text, func(d *deviceRecord) { d.Exclusive, d.LoggedOnMismatch = exclusive, loggedOnMismatch })
}

func (s *Service) changeDevice(ctx context.Context, text string, change func(*deviceRecord)) (device.ID, error) {
	var changed device.ID
	err := s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		id, record, err := findDevice(tx, text)
		if err != nil {
			return err
		}
		change(record)
		changed = id
		return s.setDevice(tx, id, record)
	})
	return changed, err
}

// give makes a customer the owner of a device, or nobody for "". It changes the
// record, which the caller writes, and reports whether there was anything to
// change. A claim of a domain that came first ends with it.
func give(tx state.Tx, id device.ID, record *deviceRecord, customer string, now time.Time) (bool, error) {
	if record.Owner == customer {
		return false, nil
	}
	if record.Owner != "" {
		if err := tx.Delete(ownedKey(record.Owner, id)); err != nil {
			return false, err
		}
	}
	if customer != "" {
		if err := tx.Set(ownedKey(customer, id), nil); err != nil {
			return false, err
		}
	}
	key := binary.BigEndian.AppendUint64(hashed(keyHistory, id), record.Owners)
	if err := tx.Set(key, encode(&ownershipRecord{customer, now.Unix()})); err != nil {
		return false, err
	}
	record.Owner, record.Claim = customer, nil
	record.Owners++
	return true, nil
}

// ListOwned returns at most n devices of a customer, those behind after; the
// zero ID begins. Devices that a customer has through their pool are not listed.
func (s *Service) ListOwned(ctx context.Context, customer string, after device.ID, n int) ([]device.ID, error) {
	prefix := append([]byte(keyOwned+customer), 0)
	var from []byte
	if after != (device.ID{}) {
		from = ownedKey(customer, after)
	}
	var ids []device.ID
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		if err := needCustomer(r, customer); err != nil {
			return err
		}
		return r.Scan(prefix, from, func(key, _ []byte) error {
			if len(ids) >= n {
				return state.ErrStop
			}
			id, err := device.ParseKey(key[len(prefix):])
			ids = append(ids, id)
			return err
		})
	})
	return ids, err
}

// locate finds the device of a row: by its key identifier, which may be one of
// the device's other names, or by the serial number alone.
func locate(r state.Reader, serial, keyID []byte) (device.ID, *deviceRecord, error) {
	if keyID == nil {
		ids, err := device.WithSerial(r, []byte(keyDevice), string(serial))
		switch {
		case err != nil:
			return device.ID{}, nil, err
		case len(ids) == 0:
			return device.ID{}, nil, &device.NotFoundError{Text: string(serial)}
		case len(ids) > 1:
			return device.ID{}, nil, &device.AmbiguousError{Serial: string(serial), IDs: ids, More: len(ids) == device.MaxCandidates}
		}
		record := new(deviceRecord)
		return ids[0], record, load(r, deviceKey(keyDevice, ids[0]), record)
	}
	id := device.ID{IssuerKeyID: string(keyID), Serial: string(serial)}
	record := new(deviceRecord)
	found, err := loadIfAny(r, deviceKey(keyDevice, id), record)
	if found || err != nil {
		return id, record, err
	}
	name, err := r.Get(deviceKey(keyAlias, id))
	if errors.Is(err, state.ErrNotFound) {
		return id, nil, &device.NotFoundError{Text: id.String()}
	}
	if err != nil {
		return id, nil, err
	}
	if id, err = device.ParseKey(name); err != nil {
		return id, nil, err
	}
	return id, record, load(r, deviceKey(keyDevice, id), record)
}
