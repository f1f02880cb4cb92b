package sign

import (
	"fmt"

	"github.com/vouchmill/vouchmill/sign/sha256x16"
)

// Prefix is the constant beginning of many messages, hashed once: its state is
// kept after the last whole block, and the rest of it waits in the state's
// buffer. A Prefix is immutable and safe for concurrent use.
type Prefix struct {
	hash   HashID
	length int
	state  []byte            // as the standard library marshals it
	wide   *sha256x16.Prefix // nil where 16 messages at a time are not to be had
}

// NewPrefix hashes a constant prefix, which may be empty. It fails only for an
// unknown hash, with a [*UsageError].
func NewPrefix(h HashID, prefix []byte) (*Prefix, error) {
	s := h.newState()
	if s == nil {
		return nil, &UsageError{Reason: fmt.Sprintf("hash %d is not one of ours", h)}
	}
	s.Write(prefix)
	state, err := s.AppendBinary(nil)
	if err != nil {
		return nil, &UsageError{Reason: "the state of " + h.String() + " cannot be kept: " + err.Error()}
	}
	p := &Prefix{hash: h, length: len(prefix), state: state}
	if h == SHA256 && sha256x16.Available() {
		p.wide = sha256x16.NewPrefix(prefix)
	}
	return p, nil
}

// Hash is the hash function the prefix was made for.
func (p *Prefix) Hash() HashID { return p.hash }

// Len is the length of the prefix in octets.
func (p *Prefix) Len() int { return p.length }

// Hasher hashes batches of messages without allocating. It is one worker's
// own: not for concurrent use.
type Hasher struct {
	hash  HashID
	state hashState
	empty *Prefix
	wide  *sha256x16.Hasher // nil where 16 messages at a time are not to be had
	lanes []*sha256x16.Prefix
}

// NewHasher makes a hasher. It fails only for an unknown hash, with a
// [*UsageError].
func NewHasher(h HashID) (*Hasher, error) {
	empty, err := NewPrefix(h, nil)
	if err != nil {
		return nil, err
	}
	hasher := &Hasher{hash: h, state: h.newState(), empty: empty}
	if empty.wide != nil {
		hasher.wide = sha256x16.NewHasher()
	}
	return hasher, nil
}

// Size is the length of a digest in octets.
func (h *Hasher) Size() int { return h.hash.Size() }

// SumTails writes the digest of prefixes[i] ‖ tails[i] to
// dst[i*Size() : (i+1)*Size()] for each i. Neighbours with the same prefix are
// best kept together. Lists of different lengths, a dst too short for them or
// a prefix of another hash are a [*UsageError], and nothing is written.
func (h *Hasher) SumTails(dst []byte, prefixes []*Prefix, tails [][]byte) error {
	if len(prefixes) != len(tails) {
		return &UsageError{Reason: fmt.Sprintf("%d prefixes for %d tails", len(prefixes), len(tails))}
	}
	if err := h.fits(dst, len(tails)); err != nil {
		return err
	}
	for i, p := range prefixes {
		if p == nil || p.hash != h.hash {
			return &UsageError{Reason: fmt.Sprintf("prefix %d is not one of %v", i, h.hash)}
		}
	}
	if h.wide != nil {
		h.lanes = h.lanes[:0]
		for _, p := range prefixes {
			h.lanes = append(h.lanes, p.wide)
		}
		return h.wide.SumTails(dst[:len(tails)*h.Size()], h.lanes, tails)
	}
	size := h.hash.Size()
	for i, p := range prefixes {
		if err := h.sum(dst[i*size:(i+1)*size:(i+1)*size], p, tails[i]); err != nil {
			return err
		}
	}
	return nil
}

// Sum writes the digest of messages[i] to dst[i*Size() : (i+1)*Size()] for
// each i. A dst too short is a [*UsageError], and nothing is written.
func (h *Hasher) Sum(dst []byte, messages [][]byte) error {
	if err := h.fits(dst, len(messages)); err != nil {
		return err
	}
	if h.wide != nil {
		return h.wide.Sum(dst[:len(messages)*h.Size()], messages)
	}
	size := h.hash.Size()
	for i, m := range messages {
		if err := h.sum(dst[i*size:(i+1)*size:(i+1)*size], h.empty, m); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hasher) fits(dst []byte, n int) error {
	if need := n * h.hash.Size(); len(dst) < need {
		return &UsageError{Reason: fmt.Sprintf("%d digests need %d octets, dst has %d", n, need, len(dst))}
	}
	return nil
}

// sum hashes one message: taking up the kept state costs a copy of about a
// hundred octets, far less than the block or two that follow.
func (h *Hasher) sum(dst []byte, p *Prefix, tail []byte) error {
	if err := h.state.UnmarshalBinary(p.state); err != nil {
		return &UsageError{Reason: "the kept state of " + h.hash.String() + " is not accepted: " + err.Error()}
	}
	h.state.Write(tail)
	h.state.finish(dst)
	return nil
}
