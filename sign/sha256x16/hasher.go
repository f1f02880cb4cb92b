package sha256x16

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// A ShapeError says which argument of a batch has a wrong length. Nothing was
// hashed.
type ShapeError struct {
	What      string
	Got, Want int
}

// Error names the argument and both lengths.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("sha256x16: %s have length %d, the batch needs %d", e.What, e.Got, e.Want)
}

// A Hasher hashes batches of messages. It keeps working memory and is not safe
// for concurrent use. It holds no message after a call.
type Hasher struct {
	one   resumable
	empty *Prefix // of messages without one
	wide  wideHasher
}

// NewHasher returns a Hasher that uses the wide code if it is available.
func NewHasher() *Hasher { return newHasher(Available()) }

// NewScalarHasher returns one that never does, for comparison.
func NewScalarHasher() *Hasher { return newHasher(false) }

func newHasher(wide bool) *Hasher {
	h := &Hasher{one: sha256.New().(resumable), empty: newPrefix(nil, wide)}
	if wide {
		h.wide.init()
	}
	return h
}

// Sum sets dst[32i:32i+32] to the digest of messages[i].
func (h *Hasher) Sum(dst []byte, messages [][]byte) error {
	return h.sum(dst, nil, h.empty, messages)
}

// SumTails sets dst[32i:32i+32] to the digest of prefixes[i] followed by
// tails[i]. A single prefix goes with all tails. Tails with the same number of
// blocks share a call of the wide code whatever their prefixes; it is fastest
// if the prefixes are the same, too.
func (h *Hasher) SumTails(dst []byte, prefixes []*Prefix, tails [][]byte) error {
	if i := slices.Index(prefixes, nil); i >= 0 {
		return &ShapeError{"prefixes before a nil one", i, len(prefixes)}
	}
	if len(prefixes) == 1 {
		return h.sum(dst, nil, prefixes[0], tails)
	}
	if len(prefixes) != len(tails) {
		return &ShapeError{"prefixes", len(prefixes), len(tails)}
	}
	return h.sum(dst, prefixes, nil, tails)
}

// sum takes a prefix for each tail or one for all.
func (h *Hasher) sum(dst []byte, prefixes []*Prefix, common *Prefix, tails [][]byte) error {
	if len(dst) != Size*len(tails) {
		return &ShapeError{"digests", len(dst), Size * len(tails)}
	}
	b := batch{dst, prefixes, common, tails}
	if h.wide.ready() && len(tails) >= minWide {
		h.sumWide(&b)
		return nil
	}
	for i := range tails {
		h.sumOne(&b, i)
	}
	return nil
}

// A batch is what one call works on.
type batch struct {
	dst      []byte
	prefixes []*Prefix // or nil
	common   *Prefix
	tails    [][]byte
}

func (b *batch) prefix(i int) *Prefix {
	if b.prefixes == nil {
		return b.common
	}
	return b.prefixes[i]
}

// sumOne hashes message i by crypto/sha256. It restores a state of the same
// implementation, which cannot fail.
func (h *Hasher) sumOne(b *batch, i int) {
	h.one.UnmarshalBinary(b.prefix(i).saved)
	h.one.Write(b.tails[i])
	h.one.Sum(b.dst[Size*i : Size*i])
}
