package store

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// emptyDigest is the digest of the header of a run that is being deleted.
var emptyDigest = sha256.Sum256(nil)

// State is how far a run has come.
type State uint8

// The states of a run.
const (
	Unfinished State = iota // pages may be appended
	Complete                // finished: nothing changes any more
	Deleting                // being deleted; only DeleteRun may follow
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Unfinished:
		return "unfinished"
	case Complete:
		return "complete"
	case Deleting:
		return "being deleted"
	}
	return fmt.Sprintf("in state %d", uint8(s))
}

// Records are CBOR behind one octet of format version. Decoding is strict: a
// record of this version has these fields and no others.
var (
	recordMode, _ = cbor.CanonicalEncOptions().EncMode()
	parseMode, _  = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxArrayElements:  1 << 21,
		TagsMd:            cbor.TagsForbidden,
	}.DecMode()
)

// runRecord is what the store knows of a run as a whole.
type runRecord struct {
	ID       uint32            `cbor:"1,keyasint"`
	Name     string            `cbor:"2,keyasint"`
	State    State             `cbor:"3,keyasint"`
	Created  int64             `cbor:"4,keyasint"` // Unix nanoseconds
	IndexKey [16]byte          `cbor:"5,keyasint"`
	Header   []byte            `cbor:"6,keyasint"`
	Digest   [sha256.Size]byte `cbor:"7,keyasint"` // SHA-256 of Header
	Vouchers uint64            `cbor:"8,keyasint"` // once complete
	Pages    uint32            `cbor:"9,keyasint"` // once complete
	Final    []byte            `cbor:"10,keyasint"`
}

// progress goes into the transaction of every group of pages.
type progress struct {
	Pages    uint32 `cbor:"1,keyasint"` // committed
	Vouchers uint64 `cbor:"2,keyasint"`
	Durable  uint32 `cbor:"3,keyasint"` // pages known durable when this was written
}

// segmentHead is the small part of an index segment, kept in memory.
type segmentHead struct {
	FirstPage    uint32   `cbor:"1,keyasint"`
	Pages        uint32   `cbor:"2,keyasint"`
	FirstVoucher uint64   `cbor:"3,keyasint"`
	Vouchers     uint32   `cbor:"4,keyasint"`
	Starts       []uint32 `cbor:"5,keyasint"` // first voucher of each page, from FirstVoucher; nil: 256 a page
	Fences       []uint64 `cbor:"6,keyasint"` // first entry of each chunk
	FirstSubtree uint64   `cbor:"7,keyasint"`
	Subtrees     []byte   `cbor:"8,keyasint"` // roots completed in this segment, 32 octets each
	Tree         []byte   `cbor:"9,keyasint"` // nodes of the run's tree at the segment's end
}

func encodeRecord(v any) ([]byte, error) {
	b, err := recordMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: encode record: %w", err)
	}
	return append([]byte{formatVersion}, b...), nil
}

func decodeRecord(where string, b []byte, v any) error {
	if len(b) == 0 {
		return fmt.Errorf("%s is empty", where)
	}
	if b[0] != formatVersion {
		return &VersionError{Where: where, Found: fmt.Sprint(b[0])}
	}
	if err := parseMode.Unmarshal(b[1:], v); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

func (r *runRecord) created() time.Time { return time.Unix(0, r.Created).UTC() }
