package audit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/device"
)

// Kind says what happened. The numbers are on disk and in proofs.
type Kind uint8

const (
	// VoucherIssued is one voucher for one device. It is nonceless when
	// Event.Nonce is nil.
	VoucherIssued Kind = 1
	// RunImported is a whole run of vouchers issued in advance, which may be served
	// from then on: one event, whatever the number of devices.
	RunImported Kind = 2
)

// Limits on the fields of an Event, in octets unless said otherwise.
const (
	MaxDomainID   = 64
	MaxNonce      = 1024
	MaxName       = 256 // of a customer or a run
	MaxRunDomains = 64  // domains of a run
	// MaxRecord is the length of a record at most.
	MaxRecord = 8 << 10
)

// An Event is one entry of the log. Record is what others are shown of it;
// Customer, Run and Count are kept beside the log and are in it as a salted
// digest alone, so that a device's next owner does not learn who had it before.
type Event struct {
	Kind Kind
	// Date is when it was logged, to the second.
	Date time.Time
	// Assertion is that of the voucher, or of the run's vouchers.
	Assertion codec.Assertion

	// Of a VoucherIssued: the device, the domainID of the certificate that is
	// pinned, the nonce as the text the request had (nil: none), and the SHA-256 of
	// the request as received and of the voucher as sent; either may be nil.
	Device        device.ID
	DomainID      []byte
	Nonce         *string
	RequestDigest []byte
	VoucherDigest []byte

	// Of a RunImported: the root of its manifest (manifest.Manifest.Root), the
	// domainIDs its vouchers pin, created-on of its vouchers, and the last
	// expires-on (zero: they never expire).
	Manifest  []byte
	DomainIDs [][]byte
	CreatedOn time.Time
	ExpiresOn time.Time

	// Customer is the name of the owner, as far as it is known. Run and Count are
	// the name of a run and how many vouchers it has.
	Customer string
	Run      string
	Count    uint64
}

// A publicRecord is a leaf of the log. Its form is never changed: another one
// gets another version.
type publicRecord struct {
	Version   uint64   `cbor:"0,keyasint"`
	Kind      Kind     `cbor:"1,keyasint"`
	Date      int64    `cbor:"2,keyasint"` // Unix seconds
	Assertion string   `cbor:"3,keyasint"`
	Issuer    []byte   `cbor:"4,keyasint,omitempty"`
	Serial    string   `cbor:"5,keyasint,omitempty"`
	DomainIDs [][]byte `cbor:"6,keyasint"`
	Nonce     *string  `cbor:"7,keyasint,omitempty"`
	Request   []byte   `cbor:"8,keyasint,omitempty"`
	Voucher   []byte   `cbor:"9,keyasint,omitempty"`
	Manifest  []byte   `cbor:"10,keyasint,omitempty"`
	CreatedOn *int64   `cbor:"11,keyasint,omitempty"`
	ExpiresOn *int64   `cbor:"12,keyasint,omitempty"`
	Private   []byte   `cbor:"13,keyasint"` // SHA-256 of the encoded privateRecord
}

// A privateRecord is what is not shown.
type privateRecord struct {
	Version  uint64 `cbor:"0,keyasint"`
	Salt     []byte `cbor:"1,keyasint"`
	Customer string `cbor:"2,keyasint,omitempty"`
	Run      string `cbor:"3,keyasint,omitempty"`
	Count    uint64 `cbor:"4,keyasint,omitempty"`
}

const (
	recordVersion = 1
	saltSize      = 16
)

// Records are core deterministic CBOR (RFC 8949 §4.2.1), so an event has one
// record and a record one event.
var (
	recordMode = must(cbor.CoreDetEncOptions().EncMode())
	parseMode  = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   4,
		MaxArrayElements:  MaxRunDomains,
		MaxMapPairs:       16,
	}.DecMode())
)

func must[M any](mode M, err error) M {
	if err != nil { // the options above are constants
		panic(err)
	}
	return mode
}

var assertionName = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// An EventError is an event or a record that cannot be in a log.
type EventError struct {
	Field   string
	Problem string
}

// Error names the field and what is wrong with it.
func (e *EventError) Error() string { return "audit event: " + e.Field + ": " + e.Problem }

// check holds an event to its limits.
func (e *Event) check() error {
	bad := func(field, format string, args ...any) error {
		return &EventError{field, fmt.Sprintf(format, args...)}
	}
	if e.Assertion < codec.AssertionVerified || e.Assertion > codec.AssertionAgentProximity {
		return bad("assertion", "none is given")
	}
	for name, text := range map[string]string{"customer": e.Customer, "run": e.Run} {
		if len(text) > MaxName || !utf8.ValidString(text) {
			return bad(name, "has %d octets, at most %d of UTF-8 are kept", len(text), MaxName)
		}
	}
	for name, at := range map[string]time.Time{"date": e.Date, "created-on": e.CreatedOn, "expires-on": e.ExpiresOn} {
		if !at.IsZero() && (at.Year() < 1 || at.Year() > 9999) {
			return bad(name, "is in the year %d", at.Year())
		}
	}
	if e.Date.IsZero() {
		return bad("date", "is missing")
	}
	switch e.Kind {
	case VoucherIssued:
		return e.checkVoucher(bad)
	case RunImported:
		return e.checkRun(bad)
	}
	return bad("kind", "%d is none that this program knows", e.Kind)
}

func (e *Event) checkVoucher(bad func(field, format string, args ...any) error) error {
	if err := e.Device.Check(); err != nil {
		return bad("device", "%v", err)
	}
	if n := len(e.DomainID); n < 1 || n > MaxDomainID {
		return bad("domainID", "has %d octets, want 1 to %d", n, MaxDomainID)
	}
	if e.Nonce != nil && (*e.Nonce == "" || len(*e.Nonce) > MaxNonce || !utf8.ValidString(*e.Nonce)) {
		return bad("nonce", "has %d octets, 1 to %d of UTF-8 are kept", len(*e.Nonce), MaxNonce)
	}
	for name, digest := range map[string][]byte{"request digest": e.RequestDigest, "voucher digest": e.VoucherDigest} {
		if len(digest) != 0 && len(digest) != sha256.Size {
			return bad(name, "has %d octets, a SHA-256 has %d", len(digest), sha256.Size)
		}
	}
	if e.Manifest != nil || e.DomainIDs != nil || !e.CreatedOn.IsZero() || !e.ExpiresOn.IsZero() || e.Count != 0 {
		return bad("kind", "a voucher has a field of a run")
	}
	return nil
}

func (e *Event) checkRun(bad func(field, format string, args ...any) error) error {
	if n := len(e.DomainIDs); n < 1 || n > MaxRunDomains {
		return bad("domainIDs", "there are %d, want 1 to %d", n, MaxRunDomains)
	}
	for i, id := range e.DomainIDs {
		if n := len(id); n < 1 || n > MaxDomainID {
			return bad("domainIDs", "one has %d octets, want 1 to %d", n, MaxDomainID)
		}
		if i > 0 && bytes.Compare(e.DomainIDs[i-1], id) >= 0 {
			return bad("domainIDs", "they are not sorted, or one is there twice")
		}
	}
	switch {
	case len(e.Manifest) != sha256.Size:
		return bad("manifest", "its root has %d octets, want %d", len(e.Manifest), sha256.Size)
	case e.CreatedOn.IsZero():
		return bad("created-on", "is missing")
	case e.Run == "" || bytes.IndexByte([]byte(e.Run), 0) >= 0:
		return bad("run", "%q is no name", e.Run)
	case e.Device != device.ID{} || e.DomainID != nil || e.Nonce != nil || e.RequestDigest != nil || e.VoucherDigest != nil:
		return bad("kind", "a run has a field of a voucher")
	}
	return nil
}

// record returns the record of e, which commits to its private part.
func (e *Event) record(private []byte) ([]byte, error) {
	digest := sha256.Sum256(private)
	p := publicRecord{Version: recordVersion, Kind: e.Kind, Date: e.Date.Unix(), Assertion: e.Assertion.String(),
		Issuer: []byte(e.Device.IssuerKeyID), Serial: e.Device.Serial, DomainIDs: e.DomainIDs, Nonce: e.Nonce,
		Request: e.RequestDigest, Voucher: e.VoucherDigest, Manifest: e.Manifest, Private: digest[:]}
	if e.Kind == VoucherIssued {
		p.DomainIDs = [][]byte{e.DomainID}
	}
	p.CreatedOn, p.ExpiresOn = seconds(e.CreatedOn), seconds(e.ExpiresOn)
	b, err := recordMode.Marshal(&p)
	if err == nil && len(b) > MaxRecord {
		err = &EventError{"record", fmt.Sprintf("has %d octets, the limit is %d", len(b), MaxRecord)}
	}
	return b, err
}

func (e *Event) private(salt []byte) ([]byte, error) {
	return recordMode.Marshal(&privateRecord{recordVersion, salt, e.Customer, e.Run, e.Count})
}

func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}

func instant(seconds *int64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(*seconds, 0).UTC()
}

// ParseRecord reads a record: what it says of the event, without the private
// part. It accepts what an Append wrote and nothing else; errors are
// *[EventError].
func ParseRecord(record []byte) (*Event, error) {
	e, _, err := parseRecord(record)
	return e, err
}

// parseRecord returns the digest of the private part too.
func parseRecord(record []byte) (e *Event, private []byte, err error) {
	var p publicRecord
	if len(record) > MaxRecord {
		return nil, nil, &EventError{"record", fmt.Sprintf("has %d octets, the limit is %d", len(record), MaxRecord)}
	}
	if err := parseMode.Unmarshal(record, &p); err != nil {
		return nil, nil, &EventError{"record", err.Error()}
	}
	if p.Version != recordVersion {
		return nil, nil, &EventError{"version", fmt.Sprintf("%d, this program reads version %d; use the program that wrote it", p.Version, recordVersion)}
	}
	if !assertionName.MatchString(p.Assertion) {
		return nil, nil, &EventError{"assertion", fmt.Sprintf("%q", p.Assertion)}
	}
	assertion, err := codec.ParseAssertion(p.Assertion)
	if err != nil {
		return nil, nil, &EventError{"assertion", err.Error()}
	}
	e = &Event{Kind: p.Kind, Date: time.Unix(p.Date, 0).UTC(), Assertion: assertion,
		Device: device.ID{IssuerKeyID: string(p.Issuer), Serial: p.Serial}, Nonce: p.Nonce,
		RequestDigest: p.Request, VoucherDigest: p.Voucher, Manifest: p.Manifest,
		CreatedOn: instant(p.CreatedOn), ExpiresOn: instant(p.ExpiresOn)}
	if e.Kind != VoucherIssued {
		e.DomainIDs = p.DomainIDs
	} else if len(p.DomainIDs) == 1 {
		e.DomainID = p.DomainIDs[0]
	}
	if err := e.checkPublic(); err != nil {
		return nil, nil, err
	}
	return e, p.Private, checkForm(record, &p)
}

// checkPublic is check for an event whose private part is not there.
func (e *Event) checkPublic() error {
	whole := *e
	if e.Kind == RunImported {
		whole.Run = "-"
	}
	return whole.check()
}

// checkForm tells a record that says the same in another form.
func checkForm(record []byte, p *publicRecord) error {
	if len(p.Private) != sha256.Size {
		return &EventError{"private", "is no SHA-256"}
	}
	again, err := recordMode.Marshal(p)
	if err != nil || !bytes.Equal(again, record) {
		return &EventError{"record", "is not in its one form (deterministic CBOR)"}
	}
	return nil
}

// addPrivate reads the private part of e and checks it against the record.
func (e *Event) addPrivate(private, digest []byte) error {
	if got := sha256.Sum256(private); !bytes.Equal(got[:], digest) {
		return &EventError{"private", "is not what the record commits to"}
	}
	var p privateRecord
	if err := parseMode.Unmarshal(private, &p); err != nil {
		return &EventError{"private", err.Error()}
	}
	e.Customer, e.Run, e.Count = p.Customer, p.Run, p.Count
	return nil
}
