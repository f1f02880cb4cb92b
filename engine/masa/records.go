package masa

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// The keys of this package. DEVICE is device.ID.AppendKey, H its SHA-256, SPKI
// the SHA-256 of a DER SubjectPublicKeyInfo, times and counters are big-endian.
//
//	masa/d/ DEVICE            deviceRecord
//	masa/i/ DEVICE            DEVICE: another name of that device, see aliases
//	masa/a/ DEVICE            activityRecord
//	masa/h/ H seq64           ownershipRecord: who owned the device, in order
//	masa/w/ H SPKI            "": the key of a domain that was given a voucher
//	masa/c/ NAME              customerRecord
//	masa/o/ NAME 00 DEVICE    "": the devices of a customer
//	masa/p/ NAME              poolRecord
//	masa/r/ NAME              runRecord: a run whose vouchers may be served
//	masa/g                    counter64: changes of customers, pools and runs
//	masa/v/ DIGEST            replayRecord: what a request was answered
//	masa/t/ seconds64 DIGEST  "": when a replayRecord ends
const (
	keyDevice     = "masa/d/"
	keyAlias      = "masa/i/"
	keyActivity   = "masa/a/"
	keyHistory    = "masa/h/"
	keyOwnerKey   = "masa/w/"
	keyCustomer   = "masa/c/"
	keyOwned      = "masa/o/"
	keyPool       = "masa/p/"
	keyRun        = "masa/r/"
	keyGeneration = "masa/g"
	keyReplay     = "masa/v/"
	keyReplayEnd  = "masa/t/"
)

// recordVersion is the first octet of each value that is a record.
const recordVersion = 1

// Records are deterministic CBOR (RFC 8949 §4.2) behind one octet of version.
// Decoding is strict: a record of this version has these fields and no others.
var (
	recordMode, _ = cbor.CoreDetEncOptions().EncMode()
	parseMode, _  = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
	}.DecMode()
)

// A deviceRecord is what is known of a device. It changes when an operator
// changes it and when an exclusive device is claimed, not with every voucher.
type deviceRecord struct {
	Issuer           []byte   `cbor:"1,keyasint,omitempty"` // idevid-issuer as vouchers state it, 04 LL 30 …
	Aliases          [][]byte `cbor:"2,keyasint,omitempty"` // key identifiers that idevid-issuer may name it by, without an AKI
	Owner            string   `cbor:"3,keyasint,omitempty"` // a customer
	Blocked          bool     `cbor:"4,keyasint,omitempty"`
	BlockReason      string   `cbor:"5,keyasint,omitempty"`
	Claim            []byte   `cbor:"6,keyasint,omitempty"` // SPKI of the domain that came first, of an exclusive device without owner
	Exclusive        bool     `cbor:"7,keyasint,omitempty"`
	Pool             string   `cbor:"8,keyasint,omitempty"`
	LoggedOnMismatch bool     `cbor:"9,keyasint,omitempty"`
	Imported         int64    `cbor:"10,keyasint"`           // Unix seconds
	Verified         bool     `cbor:"11,keyasint,omitempty"` // by an IDevID, not only a list
	Revision         uint64   `cbor:"12,keyasint,omitempty"` // counts changes
	Owners           uint64   `cbor:"13,keyasint,omitempty"` // counts ownershipRecords
	Formats          []uint64 `cbor:"14,keyasint,omitempty"` // codec.Format it can read, nil for all
	// Maker is the manufacturer that the device belongs to, "" where nobody said,
	// and in records older than the field. Open says that a list named it without.
	Maker string `cbor:"15,keyasint,omitempty"`
	Open  bool   `cbor:"16,keyasint,omitempty"`
}

// An activityRecord sums up what happened with a device. Every issue is in the
// audit log besides.
type activityRecord struct {
	Issued     uint64          `cbor:"1,keyasint,omitempty"`
	LastIssued int64           `cbor:"2,keyasint,omitempty"` // Unix seconds
	Refused    uint64          `cbor:"3,keyasint,omitempty"`
	Refusals   []refusalRecord `cbor:"4,keyasint,omitempty"` // the last ones, oldest first
	Day        int64           `cbor:"5,keyasint,omitempty"` // of Unasked and Asked, counted from 1970
	Unasked    uint64          `cbor:"6,keyasint,omitempty"` // issued on that day to others than its owner, without a request of its own
	Asked      uint64          `cbor:"7,keyasint,omitempty"` // with one
}

type refusalRecord struct {
	At       int64  `cbor:"1,keyasint"` // Unix seconds
	Op       string `cbor:"2,keyasint"`
	Kind     string `cbor:"3,keyasint"`
	Operator string `cbor:"4,keyasint"`
	Customer string `cbor:"5,keyasint,omitempty"`
}

// An ownershipRecord is one change of a device's owner.
type ownershipRecord struct {
	Customer string `cbor:"1,keyasint"` // "" where it was given up
	Since    int64  `cbor:"2,keyasint"` // Unix seconds
}

type customerRecord struct {
	Anchors     [][]byte `cbor:"1,keyasint"`           // DER
	ClientCerts [][]byte `cbor:"2,keyasint,omitempty"` // DER
	Nonceless   bool     `cbor:"3,keyasint,omitempty"`
	MaxLifetime int64    `cbor:"4,keyasint,omitempty"` // seconds
	Blocked     bool     `cbor:"5,keyasint,omitempty"`
	BlockReason string   `cbor:"6,keyasint,omitempty"`
	Created     int64    `cbor:"7,keyasint"` // Unix seconds
}

type poolRecord struct {
	Exclusive        bool   `cbor:"1,keyasint,omitempty"`
	LoggedOnMismatch bool   `cbor:"2,keyasint,omitempty"`
	Owner            string `cbor:"3,keyasint,omitempty"`
}

// A runRecord is an imported run. It is written with the run's audit event, and
// only then is the run served.
type runRecord struct {
	Manifest []byte   `cbor:"1,keyasint"` // manifest.Manifest.Root
	Pins     [][]byte `cbor:"2,keyasint"` // SPKI of each certificate the vouchers pin
	Created  int64    `cbor:"3,keyasint"` // created-on of the vouchers, Unix seconds
	Expires  int64    `cbor:"4,keyasint"` // the last expires-on, 0 for never
	Count    uint64   `cbor:"5,keyasint"`
	Imported int64    `cbor:"6,keyasint"`
	Format   string   `cbor:"7,keyasint"`
	Event    uint64   `cbor:"8,keyasint"` // the index in the audit log
}

// A replayRecord is what a request was answered.
type replayRecord struct {
	Format     uint8  `cbor:"1,keyasint"` // codec.Format
	Body       []byte `cbor:"2,keyasint"`
	At         int64  `cbor:"3,keyasint"` // Unix seconds
	Device     []byte `cbor:"4,keyasint"`
	Revision   uint64 `cbor:"5,keyasint,omitempty"` // of the device, afterwards
	Generation uint64 `cbor:"6,keyasint,omitempty"` // of customers and pools
	Peer       []byte `cbor:"7,keyasint,omitempty"` // SHA-256 of the TLS client certificate, of nonceless requests that had one
	Expires    int64  `cbor:"8,keyasint,omitempty"` // expires-on of the voucher, Unix seconds
}

// A RecordError is a stored value that cannot be read.
type RecordError struct {
	Key []byte
	Err error
}

// Error names the key and the remedy.
func (e *RecordError) Error() string {
	return fmt.Sprintf("the record of key %q cannot be read: %v; it was written by another version of this program, or damaged: restore the state from a copy", e.Key, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

func encode(record any) []byte {
	b, err := recordMode.Marshal(record)
	if err != nil { // structs of plain values always marshal
		panic("masa: record: " + err.Error())
	}
	return append([]byte{recordVersion}, b...)
}

func decode(key, value []byte, record any) error {
	if len(value) == 0 || value[0] != recordVersion {
		return &RecordError{bytes.Clone(key), errors.New("it has another version")}
	}
	if err := parseMode.Unmarshal(value[1:], record); err != nil {
		return &RecordError{bytes.Clone(key), err}
	}
	return nil
}

// load reads a record into one that is zero. A key that is not there is
// state.ErrNotFound.
func load(r state.Reader, key []byte, record any) error {
	value, err := r.Get(key)
	if err != nil {
		return err
	}
	return decode(key, value, record)
}

// loadIfAny reads a record, and leaves it alone where there is none.
func loadIfAny(r state.Reader, key []byte, record any) (found bool, err error) {
	err = load(r, key, record)
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func has(r state.Reader, key []byte) (bool, error) {
	_, err := r.Get(key)
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func deviceKey(prefix string, id device.ID) []byte { return id.AppendKey([]byte(prefix)) }

// hashed is how keys name a device that something fixed follows: a device's own
// name may be the beginning of another's.
func hashed(prefix string, id device.ID) []byte {
	h := sha256.Sum256(id.AppendKey(nil))
	return append([]byte(prefix), h[:]...)
}

func ownerKey(id device.ID, spki []byte) []byte { return append(hashed(keyOwnerKey, id), spki...) }

func ownedKey(customer string, id device.ID) []byte {
	return id.AppendKey(append([]byte(keyOwned+customer), 0))
}

func replayKey(digest []byte) []byte { return append([]byte(keyReplay), digest...) }

func replayEndKey(end int64, digest []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(keyReplayEnd), uint64(end)), digest...)
}

func counter(r state.Reader, key string) (uint64, error) {
	value, err := r.Get([]byte(key))
	switch {
	case errors.Is(err, state.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(value) != 8:
		return 0, &RecordError{[]byte(key), fmt.Errorf("it has %d octets, want 8", len(value))}
	}
	return binary.BigEndian.Uint64(value), nil
}

// changed counts a change of customers, pools or runs, which decisions under way
// take notice of.
func changed(tx state.Tx) error {
	n, err := counter(tx, keyGeneration)
	if err != nil {
		return err
	}
	return tx.Set([]byte(keyGeneration), binary.BigEndian.AppendUint64(nil, n+1))
}

// instant is a stored time, in UTC.
func instant(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
