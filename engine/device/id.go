package device

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/state"
)

// An ID names one device. It is comparable.
type ID struct {
	// IssuerKeyID is the key identifier of who issued the IDevID, in octets:
	// the keyIdentifier of its AKI extension, or the SHA-256 of the
	// SubjectPublicKeyInfo of the certificate that verified it where it has none.
	IssuerKeyID string
	// Serial is the serial number, UTF-8 as codec.CheckSerial demands.
	Serial string
}

// Limits on the parts of an ID, in octets.
const (
	MaxIssuer = 64
	MaxSerial = 1024
)

// String returns the hexadecimal issuer, a slash and the serial number: a form
// that [Find] reads.
func (id ID) String() string { return hex.EncodeToString([]byte(id.IssuerKeyID)) + "/" + id.Serial }

// Check reports what makes id no name of a device.
func (id ID) Check() error {
	if n := len(id.IssuerKeyID); n < 1 || n > MaxIssuer {
		return fmt.Errorf("device %q: the issuer's key identifier has %d octets, want 1 to %d", id.Serial, n, MaxIssuer)
	}
	return codec.CheckSerial([]byte(id.Serial), MaxSerial)
}

// AppendKey appends the form of id that databases sort by: the serial number, a
// zero octet and the issuer. No serial number holds a zero octet, so all devices
// of one serial number lie together.
func (id ID) AppendKey(dst []byte) []byte {
	dst = append(dst, id.Serial...)
	dst = append(dst, 0)
	return append(dst, id.IssuerKeyID...)
}

// ParseKey reads what AppendKey wrote.
func ParseKey(key []byte) (ID, error) {
	serial, issuer, ok := bytes.Cut(key, []byte{0})
	id := ID{IssuerKeyID: string(issuer), Serial: string(serial)}
	if !ok {
		return ID{}, fmt.Errorf("device key %x has no zero octet after the serial number", key)
	}
	return id, id.Check()
}

// A NotFoundError is a device that is not on record.
type NotFoundError struct{ Text string }

// Error says how to name a device.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no device %q is on record; a device is named by its serial number, or by ISSUER/SERIAL with the issuer's key identifier in hexadecimal", e.Text)
}

// An AmbiguousError is a serial number that several devices have.
type AmbiguousError struct {
	Serial string
	IDs    []ID // the first MaxCandidates of them
	More   bool // there are more
}

// MaxCandidates bounds AmbiguousError.IDs.
const MaxCandidates = 16

// Error lists the devices.
func (e *AmbiguousError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "serial number %q is that of several devices; name one of them:", e.Serial)
	for _, id := range e.IDs {
		b.WriteString(" " + id.String())
	}
	if e.More {
		b.WriteString(" and more")
	}
	return b.String()
}

// Find returns the device among the keys prefix ‖ ID.AppendKey that text names:
// a serial number that one device has, or ISSUER/SERIAL. The error is a
// *NotFoundError, an *AmbiguousError, or the database's.
func Find(r state.Reader, prefix []byte, text string) (ID, error) {
	ids, more, err := withSerial(r, prefix, text)
	if err != nil {
		return ID{}, err
	}
	if len(ids) == 1 {
		return ids[0], nil
	}
	if len(ids) > 1 {
		return ID{}, &AmbiguousError{text, ids, more}
	}
	if issuer, serial, ok := strings.Cut(text, "/"); ok {
		octets, err := hex.DecodeString(issuer)
		id := ID{IssuerKeyID: string(octets), Serial: serial}
		if err == nil && id.Check() == nil {
			_, err := r.Get(id.AppendKey(bytes.Clone(prefix)))
			if err == nil || !errors.Is(err, state.ErrNotFound) {
				return id, err
			}
		}
	}
	return ID{}, &NotFoundError{text}
}

// WithSerial returns the devices among the keys prefix ‖ ID.AppendKey that have
// a serial number, at most MaxCandidates of them.
func WithSerial(r state.Reader, prefix []byte, serial string) ([]ID, error) {
	ids, _, err := withSerial(r, prefix, serial)
	return ids, err
}

func withSerial(r state.Reader, prefix []byte, serial string) (ids []ID, more bool, err error) {
	err = ScanSerial(r, prefix, serial, func(id ID, _ []byte) error {
		if len(ids) == MaxCandidates {
			more = true
			return state.ErrStop
		}
		ids = append(ids, id)
		return nil
	})
	return ids, more, err
}

// ScanSerial calls f with each of the devices that WithSerial looks among, without
// a limit, and with the value of its key, which is valid during the call. The
// error state.ErrStop of f ends it without one.
func ScanSerial(r state.Reader, prefix []byte, serial string, f func(id ID, value []byte) error) error {
	if codec.CheckSerial([]byte(serial), MaxSerial) != nil {
		return nil
	}
	from := append(append(bytes.Clone(prefix), serial...), 0)
	return r.Scan(from, nil, func(key, value []byte) error {
		id, err := ParseKey(key[len(prefix):])
		if err != nil {
			return err
		}
		return f(id, value)
	})
}
