package merkle

import (
	"crypto/sha256"
	"fmt"
)

// A Summer hashes many messages at once: the SHA-256 of messages[i] goes to
// dst[32i:32i+32]. The Hasher of package sign is one.
type Summer interface {
	Sum(dst []byte, messages [][]byte) error
}

// A Builder makes the ranges of whole batches of leaves. It works level by
// level, so that the nodes of a level are hashed side by side where
// [Range.Append] has one to hash at a time. It is scratch memory and belongs to
// one goroutine; after the first batch of a size it allocates nothing.
type Builder struct {
	sum     Summer
	level   []byte   // the nodes of a level, one after the other
	above   []byte   // those of the level above
	entries []byte   // what the nodes above are hashed from
	views   [][]byte // into entries
}

// NewBuilder returns a Builder that hashes by sum.
func NewBuilder(sum Summer) *Builder { return &Builder{sum: sum} }

const (
	hashSize  = sha256.Size
	entrySize = 1 + 2*hashSize // nodePrefix, left, right
)

// Build makes r the range of the leaves that begins at begin: leaves holds
// their hashes, one after the other. The result is that of as many calls of
// [Range.Append].
func (b *Builder) Build(r *Range, begin uint64, leaves []byte) error {
	if len(leaves)%hashSize != 0 {
		return fmt.Errorf("merkle: leaves of %d octets, want a multiple of %d", len(leaves), hashSize)
	}
	r.Reset(begin)
	r.End = begin + uint64(len(leaves)/hashSize)
	// What has no sibling in the range is a node of it: at the left end from
	// small to large, at the right end from large to small.
	var right [MaxLevel + 1]Hash
	rights := 0
	level := append(b.level[:0], leaves...)
	b.level = level
	for at := begin; len(level) > 0; at >>= 1 {
		if at&1 == 1 {
			r.Nodes = append(r.Nodes, Hash(level))
			level = level[hashSize:]
			at++
		}
		if whole := len(level) &^ (2*hashSize - 1); whole < len(level) {
			right[rights] = Hash(level[whole:])
			rights++
			level = level[:whole]
		}
		var err error
		if level, err = b.parents(level); err != nil {
			return err
		}
	}
	for rights > 0 {
		rights--
		r.Nodes = append(r.Nodes, right[rights])
	}
	return nil
}

// parents returns the level above a whole number of pairs. It may be written to
// the memory that level is in.
func (b *Builder) parents(level []byte) ([]byte, error) {
	n := len(level) / (2 * hashSize)
	if need := n * entrySize; cap(b.entries) < need {
		b.entries, b.above = make([]byte, need), make([]byte, n*hashSize)
	}
	b.views = b.views[:0]
	for i := range n {
		e := b.entries[i*entrySize : (i+1)*entrySize]
		e[0] = nodePrefix
		copy(e[1:], level[i*2*hashSize:])
		b.views = append(b.views, e)
	}
	above := b.above[:n*hashSize]
	err := b.sum.Sum(above, b.views)
	return above, err
}
