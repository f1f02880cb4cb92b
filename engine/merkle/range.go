package merkle

import (
	"errors"
	"fmt"
	"math/bits"
)

// MaxLevel is the level of the largest complete subtree a range can hold: a
// subtree of level l covers 2^l leaves.
const MaxLevel = 63

// ErrNotAdjacent reports ranges or nodes that do not continue each other.
var ErrNotAdjacent = errors.New("merkle: ranges are not adjacent")

// A Range is the compact form of the leaves [Begin, End): the roots of the
// complete, aligned subtrees that cover it, left to right, as few as there
// can be ([NodeCount] of them). It is built append-only.
//
// The zero Range is the empty tree. A page that starts at leaf n begins with
// Range{Begin: n, End: n, Nodes: scratch[:0]}; with a scratch of [MaxNodes] of
// its size nothing is allocated.
type Range struct {
	Begin, End uint64 // leaf positions, End exclusive
	Nodes      []Hash // left to right
}

// Visit is called for every complete subtree that comes into being while a
// range grows: index counts the subtrees of that level from the left of the
// whole tree.
type Visit func(level uint8, index uint64, h Hash)

// Reset makes r the empty range at begin and keeps its memory.
func (r *Range) Reset(begin uint64) {
	r.Begin, r.End, r.Nodes = begin, begin, r.Nodes[:0]
}

// Append adds the next leaf hash. It costs one inner node hash on average.
func (r *Range) Append(leaf Hash) { r.push(0, leaf, nil) }

// push adds a complete subtree of the given level; End must be a multiple of
// its size.
func (r *Range) push(level uint8, h Hash, visit Visit) {
	index := r.End >> level
	r.End += 1 << level
	if visit != nil {
		visit(level, index, h)
	}
	// A right child whose left sibling lies in the range folds into its
	// parent, and so on upwards. The left sibling is then the last node.
	for index&1 == 1 && (index-1)<<level >= r.Begin {
		last := len(r.Nodes) - 1
		h = NodeHash(r.Nodes[last], h)
		r.Nodes = r.Nodes[:last]
		level++
		index >>= 1
		if visit != nil {
			visit(level, index, h)
		}
	}
	r.Nodes = append(r.Nodes, h)
}

// Merge appends next, which must begin where r ends and have exactly the
// nodes its bounds ask for; otherwise r is unchanged and the error wraps
// [ErrNotAdjacent]. A nil visit is allowed; otherwise it sees every node of
// next and every subtree that the merge completes.
func (r *Range) Merge(next *Range, visit Visit) error {
	if next.Begin != r.End || next.End < next.Begin {
		return fmt.Errorf("%w: [%d, %d) after [%d, %d)", ErrNotAdjacent, next.Begin, next.End, r.Begin, r.End)
	}
	if want := NodeCount(next.Begin, next.End); len(next.Nodes) != want {
		return fmt.Errorf("%w: [%d, %d) has %d nodes, needs %d", ErrNotAdjacent, next.Begin, next.End, len(next.Nodes), want)
	}
	begin := next.Begin
	for _, h := range next.Nodes {
		level := firstLevel(begin, next.End)
		r.push(level, h, visit)
		begin += 1 << level
	}
	return nil
}

// Root returns the root over the leaves of r. It is the tree head of RFC 9162
// §2.1.1 when Begin is zero or a multiple of the next power of two that is not
// below the number of leaves; the root of no leaves is [EmptyRoot].
func (r *Range) Root() Hash {
	if len(r.Nodes) == 0 {
		return EmptyRoot()
	}
	return fold(r.Nodes)
}

// Clone returns a copy of r that shares no memory with it.
func (r *Range) Clone() Range {
	return Range{Begin: r.Begin, End: r.End, Nodes: append([]Hash(nil), r.Nodes...)}
}

// fold hashes complete subtrees of falling size into one root, right to left.
func fold(nodes []Hash) Hash {
	h := nodes[len(nodes)-1]
	for i := len(nodes) - 2; i >= 0; i-- {
		h = NodeHash(nodes[i], h)
	}
	return h
}

// firstLevel is the level of the leftmost complete subtree of [begin, end),
// which must not be empty: as large as both the alignment of begin and the
// number of leaves allow.
func firstLevel(begin, end uint64) uint8 {
	level := bits.Len64(end-begin) - 1
	if begin != 0 {
		level = min(level, bits.TrailingZeros64(begin))
	}
	return uint8(level)
}

// NodeCount returns how many nodes the compact range [begin, end) has.
func NodeCount(begin, end uint64) int {
	n := 0
	for begin < end {
		begin += 1 << firstLevel(begin, end)
		n++
	}
	return n
}

// MaxNodes returns the most nodes a range of n leaves can have, wherever it
// begins and at every moment while it is built.
func MaxNodes(n int) int { return 2*bits.Len(uint(n)) + 1 }

// Slice returns the nodes of r that make up [begin, end), sharing memory with
// r, and whether r divides there: no node may reach over either bound, and
// together they must be as few as [NodeCount] says.
func (r *Range) Slice(begin, end uint64) (Range, bool) {
	part := Range{Begin: begin, End: end}
	at, from, to := r.Begin, -1, -1
	for i := 0; ; i++ {
		if at == begin {
			from = i
		}
		if at == end {
			to = i
		}
		if i == len(r.Nodes) || at >= r.End {
			break
		}
		at += 1 << firstLevel(at, r.End)
	}
	if from < 0 || to < from || to-from != NodeCount(begin, end) {
		return Range{}, false
	}
	part.Nodes = r.Nodes[from:to:to]
	return part, true
}
