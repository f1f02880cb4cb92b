package registrar

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// Keys of the database. ID is [device.ID.AppendKey]; a digest is 32 octets, a
// time 8 octets of big-endian Unix seconds.
//
//	m/NAME       a manufacturer
//	d/ID         a device on record
//	s/SERIAL     a listed serial number without issuer, until its device comes
//	a/ID         the device that a list calls by another issuer
//	h/NAME       the newest head of a manufacturer's audit log, where its keys are known
//	n/ID         the nonces a device used last
//	t/ID         the attempts of a device, the last few
//	u/SLOT       an attempt of somebody who was not identified; SLOT is one octet
//	v/DIGEST     a voucher, by the request it answers and who asked
//	e/TIME…      when to forget a voucher: the digest follows
//	k/DIGEST     whose a public key is, by the SHA-256 of its SPKI
//	c/SERIAL     a certificate issued here, by its serial number's octets
//	i/DIGEST     the certificate that answered a certificate request
//	r/SERIAL     the certificates that were revoked, to be listed
//	crl          the revocation list
//	cursor       the next slot of u/
var (
	prefixManufacturer = []byte("m/")
	prefixDevice       = []byte("d/")
	prefixSerial       = []byte("s/")
	prefixAlias        = []byte("a/")
	prefixHead         = []byte("h/")
	prefixNonces       = []byte("n/")
	prefixAttempts     = []byte("t/")
	prefixStranger     = []byte("u/")
	prefixVoucher      = []byte("v/")
	prefixExpiry       = []byte("e/")
	prefixKey          = []byte("k/")
	prefixCertificate  = []byte("c/")
	prefixAnswered     = []byte("i/")
	prefixRevoked      = []byte("r/")
	keyCRL             = []byte("crl")
	keyCursor          = []byte("cursor")
)

// digest is a SHA-256.
type digest = [sha256.Size]byte

func under(prefix, rest []byte) []byte { return append(bytes.Clone(prefix), rest...) }

func deviceKey(prefix []byte, id device.ID) []byte { return id.AppendKey(bytes.Clone(prefix)) }

func serialKey(prefix []byte, serial *big.Int) []byte { return under(prefix, serial.Bytes()) }

func expiryKey(at int64, key digest) []byte {
	return append(binary.BigEndian.AppendUint64(bytes.Clone(prefixExpiry), uint64(at)), key[:]...)
}

// Records are CBOR behind one octet of format version. Decoding is strict: a
// record of this version has these fields and no others.
const recordVersion = 1

var (
	recordMode, _ = cbor.CoreDetEncOptions().UserBufferEncMode()
	parseMode, _  = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
	}.DecMode()
	gistMode, _ = cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden}.DecMode()
)

// deviceRecord is what is known of a device. Times are Unix seconds.
type deviceRecord struct {
	Manufacturer string   `cbor:"1,keyasint,omitempty"`
	Standing     Standing `cbor:"2,keyasint,omitempty"`
	// Key is the SHA-256 of the SPKI that the standing is bound to, empty until
	// the device comes; Seen that of the IDevID it came with last.
	Key       []byte          `cbor:"3,keyasint,omitempty"`
	Seen      []byte          `cbor:"4,keyasint,omitempty"`
	IDevID    []byte          `cbor:"5,keyasint,omitempty"` // DER, as presented last
	FirstSeen int64           `cbor:"6,keyasint,omitempty"`
	LastSeen  int64           `cbor:"7,keyasint,omitempty"`
	Voucher   *voucherMark    `cbor:"8,keyasint,omitempty"`
	Day       int64           `cbor:"9,keyasint,omitempty"`  // of the last enrolment, days since 1970
	Enrolled  int             `cbor:"10,keyasint,omitempty"` // certificates issued on that day
	LDevIDs   [][]byte        `cbor:"11,keyasint,omitempty"` // serial numbers, newest last, at most maxLDevIDs
	Reports   []telemetryNote `cbor:"12,keyasint,omitempty"` // newest last, at most maxReports
	// Maker is the manufacturer that the device belongs to, by the list or since
	// it was admitted; "" until then, and in records older than the field. Open
	// says that a list named it without one.
	Maker string `cbor:"13,keyasint,omitempty"`
	Open  bool   `cbor:"14,keyasint,omitempty"`

	elsewhere string // the manufacturer for which its serial number is on the list, not kept
}

const (
	maxLDevIDs = 16
	maxReports = 8
)

// voucherMark is the voucher a device got last.
type voucherMark struct {
	Key       []byte  `cbor:"1,keyasint"` // SHA-256 of the SPKI of the IDevID it was got for
	Request   digest  `cbor:"2,keyasint"` // key of the voucher record
	At        int64   `cbor:"3,keyasint"`
	Delivered bool    `cbor:"4,keyasint,omitempty"` // answered with 200
	Verdict   Verdict `cbor:"5,keyasint,omitempty"`
	Reason    string  `cbor:"6,keyasint,omitempty"`
	JudgedAt  int64   `cbor:"7,keyasint,omitempty"`
	// What the audit log is asked for with (RFC 8995 §5.8.1), until the verdict.
	Format string `cbor:"8,keyasint,omitempty"`  // envelope of Sent
	Sent   []byte `cbor:"9,keyasint,omitempty"`  // the registrar's request
	Nonce  []byte `cbor:"10,keyasint,omitempty"` // text
	Domain []byte `cbor:"11,keyasint,omitempty"` // domainID of what was pinned
}

// voucherRecord is a voucher kept for repeated requests.
type voucherRecord struct {
	Device []byte `cbor:"1,keyasint"` // device.ID.AppendKey
	Format string `cbor:"2,keyasint"`
	Body   []byte `cbor:"3,keyasint"`
	Until  int64  `cbor:"4,keyasint"`
}

// nonceRecord is the nonces of a device, newest last.
type nonceRecord struct {
	Used []usedNonce `cbor:"1,keyasint"`
}

// maxNonces is how many nonces are remembered for each device.
const maxNonces = 64

type usedNonce struct {
	Nonce   []byte `cbor:"1,keyasint"` // 16 octets of its SHA-256
	Request []byte `cbor:"2,keyasint"` // 16 octets of the SHA-256 of the request it came in
	// Sent is the created-on of the registrar's request made for it, which is
	// thereby the same octets when made again.
	Sent int64 `cbor:"3,keyasint,omitempty"`
}

// headRecord is the largest head of an audit log that was proven.
type headRecord struct {
	Signed []byte `cbor:"1,keyasint"` // the signed note
	At     int64  `cbor:"2,keyasint"`
}

// aliasRecord leads from the name a list gives a device to the device.
type aliasRecord struct {
	Device []byte `cbor:"1,keyasint"` // device.ID.AppendKey
}

// keyRecord says whose a public key is.
type keyRecord struct {
	Device []byte `cbor:"1,keyasint"` // device.ID.AppendKey
	IDevID bool   `cbor:"2,keyasint,omitempty"`
	// Compromised keys are never certified again.
	Compromised bool `cbor:"3,keyasint,omitempty"`
}

// certificateRecord is a certificate issued here.
type certificateRecord struct {
	Device   []byte `cbor:"1,keyasint"` // device.ID.AppendKey
	Label    string `cbor:"2,keyasint,omitempty"`
	DER      []byte `cbor:"3,keyasint"`
	IssuedAt int64  `cbor:"4,keyasint"`
	NotAfter int64  `cbor:"5,keyasint"`
	Revoked  int64  `cbor:"6,keyasint,omitempty"`
	Reason   int    `cbor:"7,keyasint,omitempty"`
}

// answeredRecord leads from a certificate request to its certificate.
type answeredRecord struct {
	Serial []byte `cbor:"1,keyasint"`
	At     int64  `cbor:"2,keyasint"`
}

// crlRecord is the revocation list. It is stale once Revision differs from
// Listed.
type crlRecord struct {
	Number     uint64 `cbor:"1,keyasint,omitempty"`
	DER        []byte `cbor:"2,keyasint,omitempty"`
	ThisUpdate int64  `cbor:"3,keyasint,omitempty"`
	NextUpdate int64  `cbor:"4,keyasint,omitempty"`
	Revision   uint64 `cbor:"5,keyasint,omitempty"` // counts revocations
	Listed     uint64 `cbor:"6,keyasint,omitempty"` // the revision DER holds
}

// attemptsRecord is the attempts of a device, newest last.
type attemptsRecord struct {
	Attempts []Attempt `cbor:"1,keyasint"`
}

// keptAttempts is an attemptsRecord whose attempts stay encoded: who adds one
// needs no more of the others than what the last was about.
type keptAttempts struct {
	Attempts []cbor.RawMessage `cbor:"1,keyasint"`
}

// attemptGist is what makes an Attempt the same as another.
type attemptGist struct {
	Operation string        `cbor:"2,keyasint"`
	Outcome   decision.Kind `cbor:"6,keyasint,omitempty"`
	Digest    []byte        `cbor:"10,keyasint,omitempty"`
}

// get reads the record of a key. It reports whether there is one.
func get[T any](r state.Reader, key []byte) (record T, found bool, err error) {
	value, err := r.Get(key)
	if errors.Is(err, state.ErrNotFound) {
		return record, false, nil
	}
	if err != nil {
		return record, false, err
	}
	record, err = parse[T](key, value)
	return record, err == nil, err
}

func parse[T any](key, value []byte) (record T, err error) {
	if len(value) == 0 || value[0] != recordVersion {
		return record, fmt.Errorf("registrar: the record %q is not of version %d; use the program that wrote it", key, recordVersion)
	}
	if err := parseMode.Unmarshal(value[1:], &record); err != nil {
		return record, damaged(key, err)
	}
	return record, nil
}

func damaged(key []byte, err error) error {
	return fmt.Errorf("registrar: the record %q is damaged: %w; restore the state from a copy", key, err)
}

func put(tx state.Tx, key []byte, record any) error {
	value := putting.Get().(*bytes.Buffer)
	defer func() {
		if value.Cap() <= maxPutting {
			putting.Put(value)
		}
	}()
	value.Reset()
	value.WriteByte(recordVersion)
	if err := recordMode.MarshalToBuffer(record, value); err != nil {
		return err
	}
	return tx.Set(key, value.Bytes()) // which copies
}

// putting holds what records are encoded into, but for the few that are larger
// than maxPutting octets, such as a long revocation list.
var putting = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPutting = 64 << 10

// stored says what a peer is told of an error of the database, or of other work
// of this side's that could not be done or was given up.
func stored(err error) error {
	var refusal *decision.Refusal
	switch {
	case err == nil || errors.As(err, &refusal):
		return err
	case errors.Is(err, state.ErrFull):
		return decision.Refuse(decision.StorageFull, "%w", err).After(storageRetry)
	case errors.Is(err, state.ErrClosed), errors.Is(err, errClosing), errors.Is(err, errTimeout):
		return decision.Refuse(decision.Overloaded, "%w", err).After(storageRetry)
	}
	return decision.Refuse(decision.Internal, "%w", err)
}

// last keeps the last n elements.
func last[T any](list []T, n int) []T {
	if len(list) > n {
		return list[len(list)-n:]
	}
	return list
}

func short(d digest) []byte { return d[:16] }

func hexID(octets []byte) string { return hex.EncodeToString(octets) }
