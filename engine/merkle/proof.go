package merkle

import (
	"errors"
	"fmt"
)

// ErrProof reports an inclusion proof that does not lead to the root.
var ErrProof = errors.New("merkle: inclusion proof does not lead to the root")

// Node returns the root of the complete subtree number index (from the left)
// of the given level, which covers the leaves [index<<level, (index+1)<<level).
type Node func(level uint8, index uint64) (Hash, error)

// InclusionProof returns the proof of RFC 9162 §2.1.3.1 that leaf index is in
// the tree of size leaves: sibling hashes from the leaf upwards. node is asked
// for complete subtrees only, at most two for each level.
func InclusionProof(index, size uint64, node Node) ([]Hash, error) {
	if index >= size {
		return nil, fmt.Errorf("merkle: leaf %d is not in a tree of %d leaves", index, size)
	}
	var proof []Hash
	for level := uint8(0); (size-1)>>level > 0; level++ {
		at, last := index>>level, (size-1)>>level
		if at == last && at&1 == 0 {
			continue // no right sibling: the node moves up as it is
		}
		sibling := at ^ 1
		h, err := subtree(sibling, level, size, node)
		if err != nil {
			return nil, err
		}
		proof = append(proof, h)
	}
	return proof, nil
}

// subtree returns the hash of a node that may reach over the right border of
// the tree, folded from its complete parts.
func subtree(index uint64, level uint8, size uint64, node Node) (Hash, error) {
	begin, end := index<<level, size
	if (size-begin)>>level > 0 {
		return node(level, index)
	}
	var parts []Hash
	for begin < end {
		l := firstLevel(begin, end)
		h, err := node(l, begin>>l)
		if err != nil {
			return Hash{}, err
		}
		parts = append(parts, h)
		begin += 1 << l
	}
	return fold(parts), nil
}

// VerifyInclusion checks a proof as RFC 9162 §2.1.3.2 says. It returns an
// error that wraps [ErrProof] unless leaf, the leaf hash, is number index of
// the tree of size leaves under root. Its time is bounded by 64 hashes.
func VerifyInclusion(index, size uint64, leaf Hash, proof []Hash, root Hash) error {
	if index >= size {
		return fmt.Errorf("%w: leaf %d is outside the tree of %d leaves", ErrProof, index, size)
	}
	at, last, h := index, size-1, leaf
	for _, sibling := range proof {
		if last == 0 {
			return fmt.Errorf("%w: it has more hashes than the path has nodes", ErrProof)
		}
		if at&1 == 1 || at == last {
			h = NodeHash(sibling, h)
			for at&1 == 0 && at != 0 {
				at >>= 1
				last >>= 1
			}
		} else {
			h = NodeHash(h, sibling)
		}
		at >>= 1
		last >>= 1
	}
	if last != 0 {
		return fmt.Errorf("%w: it has fewer hashes than the path has nodes", ErrProof)
	}
	if h != root {
		return fmt.Errorf("%w: another leaf, position, size or root", ErrProof)
	}
	return nil
}
