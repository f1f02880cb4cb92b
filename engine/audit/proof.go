package audit

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vouchmill/vouchmill/engine/state"
)

const (
	// MaxPath bounds a proof, in hashes: a log of MaxSize events has no longer one.
	MaxPath = 96
	// MaxConsistency bounds a consistency proof as written, in octets.
	MaxConsistency = 16 << 10
)

// InclusionProof returns the proof that the log of the size given has the event
// at index: the sibling hashes from the leaf upwards (RFC 9162 §2.1.3).
func InclusionProof(r state.Reader, index, size uint64) ([]Hash, error) {
	if err := checkSize(r, size); err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fmt.Errorf("audit: there is no event %d in a log of %d", index, size)
	}
	return tlog.ProveRecord(int64(size), int64(index), hashReader{r})
}

// VerifyInclusion checks the proof that the log of a head has the record at
// index. Errors are *[ProofError].
func VerifyInclusion(h Head, index uint64, record []byte, proof []Hash) error {
	part := fmt.Sprintf("event %d", index)
	if index >= h.Size || h.Size > MaxSize {
		return &ProofError{part, fmt.Errorf("the log of the head has %d events", h.Size)}
	}
	if err := tlog.CheckRecord(proof, int64(h.Size), h.Root, int64(index), tlog.RecordHash(record)); err != nil {
		return &ProofError{part, errors.New("the record and its proof do not lead to the root of the head")}
	}
	return nil
}

func checkSize(r state.Reader, n uint64) error {
	have, err := size(r)
	if err == nil && n > have {
		err = fmt.Errorf("audit: the log has %d events, not yet %d", have, n)
	}
	return err
}

// A ConsistencyProof shows that the log of NewSize events begins with the one
// of OldSize: that nothing was taken out or changed between two heads.
type ConsistencyProof struct {
	OldSize, NewSize uint64
	Path             []Hash // RFC 9162 §2.1.4; empty when the sizes are equal or OldSize is 0
}

// NewConsistencyProof returns the proof for two sizes, the first not larger than
// the second, and both not larger than the log.
func NewConsistencyProof(r state.Reader, oldSize, newSize uint64) (*ConsistencyProof, error) {
	if oldSize > newSize {
		return nil, fmt.Errorf("audit: a log does not grow from %d events to %d", oldSize, newSize)
	}
	if err := checkSize(r, newSize); err != nil {
		return nil, err
	}
	p := &ConsistencyProof{OldSize: oldSize, NewSize: newSize}
	if oldSize == 0 || oldSize == newSize {
		return p, nil
	}
	path, err := tlog.ProveTree(int64(newSize), int64(oldSize), hashReader{r})
	p.Path = path
	return p, err
}

// Verify checks that the log of one head is the beginning of that of another.
// Errors are *[ProofError].
func (p *ConsistencyProof) Verify(older, newer Head) error {
	bad := func(format string, args ...any) error {
		return &ProofError{"consistency", fmt.Errorf(format, args...)}
	}
	switch {
	case p.OldSize != older.Size || p.NewSize != newer.Size:
		return bad("the proof is for sizes %d and %d, the heads have %d and %d", p.OldSize, p.NewSize, older.Size, newer.Size)
	case older.Size > newer.Size || newer.Size > MaxSize:
		return bad("a log does not grow from %d events to %d", older.Size, newer.Size)
	case older.Size == newer.Size && older.Root != newer.Root:
		return bad("the heads have one size, %d, and two roots: the log was forked", older.Size)
	case older.Size == 0 && older.Root != emptyRoot():
		return bad("the older head is empty and has a root")
	case older.Size == 0 || older.Size == newer.Size:
		if len(p.Path) != 0 {
			return bad("there is a path where there is nothing to show")
		}
		return nil
	}
	if err := tlog.CheckTree(p.Path, int64(newer.Size), newer.Root, int64(older.Size), older.Root); err != nil {
		return bad("the log of %d events does not begin with that of %d: it was rewritten, or the proof is wrong", newer.Size, older.Size)
	}
	return nil
}

// emptyRoot is the root of a log without events, as tlog has it.
func emptyRoot() Hash {
	h, _ := tlog.TreeHash(0, tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, nil }))
	return h
}

// consistencyDocument is the JSON form.
type consistencyDocument struct {
	Version int    `json:"vouchmill-log-consistency"`
	OldSize uint64 `json:"old-size"`
	NewSize uint64 `json:"new-size"`
	Path    []Hash `json:"path"`
}

// AppendJSON appends the file form of p: one JSON object and a line feed.
func (p *ConsistencyProof) AppendJSON(dst []byte) ([]byte, error) {
	b, err := json.Marshal(&consistencyDocument{1, p.OldSize, p.NewSize, append([]Hash{}, p.Path...)})
	if err != nil {
		return nil, err
	}
	return append(append(dst, b...), '\n'), nil
}

// ParseConsistencyProof reads what AppendJSON wrote. Errors are *[ProofError].
func ParseConsistencyProof(text []byte) (*ConsistencyProof, error) {
	bad := func(err error) error { return &ProofError{"consistency", err} }
	if len(text) > MaxConsistency {
		return nil, bad(fmt.Errorf("it has %d octets, the limit is %d", len(text), MaxConsistency))
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, bad(err)
	}
	if version, err := o.number("vouchmill-log-consistency"); err != nil || version != 1 {
		return nil, bad(fmt.Errorf("it is of version %d, this program reads 1 (%w)", version, err))
	}
	p := &ConsistencyProof{}
	var oldErr, newErr error
	p.OldSize, oldErr = o.number("old-size")
	p.NewSize, newErr = o.number("new-size")
	if err := errors.Join(oldErr, newErr); err != nil {
		return nil, bad(err)
	}
	if p.Path, err = o.hashes("path"); err != nil {
		return nil, bad(err)
	}
	return p, nil
}
