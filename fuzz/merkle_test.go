package fuzz

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/seen"
)

// treeHead is RFC 9162 §2.1.1, word for word.
func treeHead(leaves []merkle.Hash) merkle.Hash {
	switch n := len(leaves); n {
	case 0:
		return merkle.EmptyRoot()
	case 1:
		return leaves[0]
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		return merkle.NodeHash(treeHead(leaves[:k]), treeHead(leaves[k:]))
	}
}

// path is RFC 9162 §2.1.3.1, word for word.
func path(m int, leaves []merkle.Hash) []merkle.Hash {
	n := len(leaves)
	if n <= 1 {
		return nil
	}
	k := 1
	for 2*k < n {
		k *= 2
	}
	if m < k {
		return append(path(m, leaves[:k]), treeHead(leaves[k:]))
	}
	return append(path(m-k, leaves[k:]), treeHead(leaves[:k]))
}

// FuzzMerkle cuts a run into stretches of the lengths that the octets of cuts
// say, merges their ranges and compares with the recursion.
func FuzzMerkle(f *testing.F) {
	f.Add([]byte{1}, uint16(0))
	f.Add([]byte{3, 0, 4, 1, 255, 2}, uint16(200))
	f.Fuzz(func(t *testing.T, cuts []byte, index uint16) {
		if len(cuts) > 16 {
			return
		}
		var run merkle.Range
		var leaves []merkle.Hash
		for _, n := range cuts {
			var part merkle.Range
			part.Reset(run.End)
			for range n {
				leaf := merkle.LeafHash(binary.BigEndian.AppendUint64(nil, uint64(len(leaves))))
				leaves = append(leaves, leaf)
				part.Append(leaf)
			}
			if len(part.Nodes) != merkle.NodeCount(part.Begin, part.End) || len(part.Nodes) > merkle.MaxNodes(int(n)) {
				t.Fatalf("[%d,%d) has %d nodes", part.Begin, part.End, len(part.Nodes))
			}
			must(t, run.Merge(&part, nil))
		}
		root := treeHead(leaves)
		if run.End != uint64(len(leaves)) || run.Root() != root {
			t.Fatalf("%d leaves: root %x, want %x", len(leaves), run.Root(), root)
		}
		var ahead merkle.Range
		ahead.Reset(run.End + 1)
		ahead.Append(root)
		if err := run.Merge(&ahead, nil); !errors.Is(err, merkle.ErrNotAdjacent) || run.Root() != root {
			t.Fatalf("a gap in the tree: %v", err)
		}
		if len(leaves) > 0 {
			proves(t, leaves, int(index)%len(leaves), root)
		}
	})
}

func proves(t *testing.T, leaves []merkle.Hash, i int, root merkle.Hash) {
	t.Helper()
	node := func(level uint8, index uint64) (merkle.Hash, error) {
		return treeHead(leaves[index<<level : (index+1)<<level]), nil
	}
	size := uint64(len(leaves))
	proof, err := merkle.InclusionProof(uint64(i), size, node)
	must(t, err)
	same(t, "the proof", append([]merkle.Hash{}, proof...), append([]merkle.Hash{}, path(i, leaves)...))
	must(t, merkle.VerifyInclusion(uint64(i), size, leaves[i], proof, root))
	if size > 1 {
		if err := merkle.VerifyInclusion(uint64(i+1)%size, size, leaves[i], proof, root); !errors.Is(err, merkle.ErrProof) {
			t.Fatalf("leaf %d is proven to be its neighbour: %v", i, err)
		}
		proof[0][0] ^= 1
		if err := merkle.VerifyInclusion(uint64(i), size, leaves[i], proof, root); !errors.Is(err, merkle.ErrProof) {
			t.Fatalf("an altered proof holds: %v", err)
		}
	}
}

// FuzzProof gives VerifyInclusion anything.
func FuzzProof(f *testing.F) {
	f.Add(uint64(0), uint64(1), make([]byte, 64))
	f.Add(uint64(1<<63), uint64(1<<64-1), make([]byte, 64*32))
	f.Fuzz(func(t *testing.T, index, size uint64, b []byte) {
		var proof []merkle.Hash
		for ; len(b) >= 32; b = b[32:] {
			proof = append(proof, merkle.Hash(b))
		}
		if err := merkle.VerifyInclusion(index, size, merkle.LeafHash(nil), proof, merkle.EmptyRoot()); !errors.Is(err, merkle.ErrProof) {
			t.Fatalf("a proof out of nothing: %v", err)
		}
	})
}

// FuzzSeen inserts hashes one by one and in batches, and compares with a map.
// Each four octets are a hash: two of them its top, so that it crowds.
func FuzzSeen(f *testing.F) {
	f.Add([]byte("aaaaaaaabbbbaaaa"), uint8(1))
	f.Add(make([]byte, 4096), uint8(64))
	f.Fuzz(func(t *testing.T, b []byte, batch uint8) {
		if len(b) > 1<<14 {
			return
		}
		var hashes []uint64
		for ; len(b) >= 4; b = b[4:] {
			hashes = append(hashes, uint64(binary.BigEndian.Uint16(b))<<48|uint64(binary.BigEndian.Uint16(b[2:])))
		}
		var one, many seen.Set
		known := map[uint64]bool{}
		for len(hashes) > 0 {
			n := min(int(batch)+1, len(hashes))
			var want []int
			for i, h := range hashes[:n] {
				if hit := one.Insert(h); hit != known[h] {
					t.Fatalf("hash %x: hit %v, want %v", h, hit, known[h])
				}
				if known[h] {
					want = append(want, i)
				}
				known[h] = true
			}
			same(t, "the hits of a batch", many.InsertBatch(hashes[:n], nil), want)
			hashes = hashes[n:]
		}
		if one.Len() != uint64(len(known)) || many.Len() != one.Len() {
			t.Fatalf("%d and %d hashes, want %d", one.Len(), many.Len(), len(known))
		}
	})
}
