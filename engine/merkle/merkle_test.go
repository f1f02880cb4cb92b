package merkle_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vouchmill/vouchmill/engine/merkle"
)

// The entries, roots and proofs that Certificate Transparency implementations
// have published for RFC 6962, whose tree RFC 9162 keeps.
var (
	knownEntries = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	knownRoots   = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	knownProofs = map[uint64][]string{ // position in the tree of eight
		0: {
			"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
		},
		5: {
			"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
			"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
			"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		},
	}
)

func knownLeaves(t *testing.T) []merkle.Hash {
	t.Helper()
	var leaves []merkle.Hash
	for _, e := range knownEntries {
		b, err := hex.DecodeString(e)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, merkle.LeafHash(b))
	}
	return leaves
}

// naiveRoot is MTH of RFC 9162 §2.1.1 word by word.
func naiveRoot(leaves []merkle.Hash) merkle.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := splitPoint(len(leaves))
	l, r := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

// naiveProof is PATH of RFC 9162 §2.1.3.1 word by word.
func naiveProof(m int, leaves []merkle.Hash) []merkle.Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := splitPoint(len(leaves))
	if m < k {
		return append(naiveProof(m, leaves[:k]), naiveRoot(leaves[k:]))
	}
	return append(naiveProof(m-k, leaves[k:]), naiveRoot(leaves[:k]))
}

func splitPoint(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func randomLeaves(n int) []merkle.Hash {
	leaves := make([]merkle.Hash, n)
	for i := range leaves {
		leaves[i] = merkle.LeafHash(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	return leaves
}

func rangeOf(begin uint64, leaves []merkle.Hash) merkle.Range {
	r := merkle.Range{Begin: begin, End: begin}
	for _, l := range leaves {
		r.Append(l)
	}
	return r
}

func nodeOf(leaves []merkle.Hash) merkle.Node {
	return func(level uint8, index uint64) (merkle.Hash, error) {
		begin, end := index<<level, (index+1)<<level
		if end > uint64(len(leaves)) {
			return merkle.Hash{}, fmt.Errorf("asked for an incomplete subtree %d of level %d", index, level)
		}
		return naiveRoot(leaves[begin:end]), nil
	}
}

func TestRootsMatchThePublishedAnswers(t *testing.T) {
	leaves := knownLeaves(t)
	for n, want := range knownRoots {
		r := rangeOf(0, leaves[:n])
		if got := r.Root(); hex.EncodeToString(got[:]) != want {
			t.Errorf("root of %d leaves: %x, want %s", n, got, want)
		}
	}
}

func TestProofsMatchThePublishedAnswers(t *testing.T) {
	leaves := knownLeaves(t)
	for index, want := range knownProofs {
		proof, err := merkle.InclusionProof(index, 8, nodeOf(leaves))
		if err != nil {
			t.Fatal(err)
		}
		if len(proof) != len(want) {
			t.Fatalf("leaf %d: %d hashes, want %d", index, len(proof), len(want))
		}
		for i := range want {
			if hex.EncodeToString(proof[i][:]) != want[i] {
				t.Errorf("leaf %d, hash %d: %x, want %s", index, i, proof[i], want[i])
			}
		}
	}
}

func TestRootEqualsTheRecursiveDefinitionHoweverTheLeavesAreCut(t *testing.T) {
	leaves := randomLeaves(700)
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		n := rng.IntN(len(leaves) + 1)
		var run merkle.Range
		for at := 0; at < n; {
			end := min(n, at+1+rng.IntN(90))
			part := rangeOf(uint64(at), leaves[at:end])
			if got, want := len(part.Nodes), merkle.NodeCount(uint64(at), uint64(end)); got != want {
				t.Fatalf("[%d, %d): %d nodes, want %d", at, end, got, want)
			}
			if len(part.Nodes) > merkle.MaxNodes(end-at) {
				t.Fatalf("[%d, %d): more than MaxNodes nodes", at, end)
			}
			if err := run.Merge(&part, nil); err != nil {
				t.Fatal(err)
			}
			at = end
		}
		if got, want := run.Root(), naiveRoot(leaves[:n]); got != want {
			t.Fatalf("round %d: root of %d leaves is %x, want %x", round, n, got, want)
		}
	}
}

func TestVisitSeesEveryCompleteSubtreeOnce(t *testing.T) {
	leaves := randomLeaves(300)
	seen := map[[2]uint64]merkle.Hash{}
	var run merkle.Range
	for at := 0; at < len(leaves); at += 50 {
		part := rangeOf(uint64(at), leaves[at:at+50])
		if err := run.Merge(&part, func(level uint8, index uint64, h merkle.Hash) {
			key := [2]uint64{uint64(level), index}
			if _, twice := seen[key]; twice {
				t.Errorf("subtree %v seen twice", key)
			}
			seen[key] = h
		}); err != nil {
			t.Fatal(err)
		}
	}
	// Subtrees of 64 never lie inside a page of 50: each must have been seen.
	for index := range uint64(300 / 64) {
		if got, want := seen[[2]uint64{6, index}], naiveRoot(leaves[index*64:(index+1)*64]); got != want {
			t.Errorf("subtree %d of 64: %x, want %x", index, got, want)
		}
	}
}

func TestProofsEqualTheRecursiveDefinitionAndVerify(t *testing.T) {
	leaves := randomLeaves(70)
	for n := 1; n <= len(leaves); n++ {
		root := naiveRoot(leaves[:n])
		for m := range n {
			proof, err := merkle.InclusionProof(uint64(m), uint64(n), nodeOf(leaves[:n]))
			if err != nil {
				t.Fatal(err)
			}
			want := naiveProof(m, leaves[:n])
			if fmt.Sprint(proof) != fmt.Sprint(want) {
				t.Fatalf("leaf %d of %d: proof differs from PATH", m, n)
			}
			if err := merkle.VerifyInclusion(uint64(m), uint64(n), leaves[m], proof, root); err != nil {
				t.Fatalf("leaf %d of %d: %v", m, n, err)
			}
		}
	}
}

func TestAlteredProofsAreRefused(t *testing.T) {
	leaves := randomLeaves(37)
	root := naiveRoot(leaves)
	const m, n = 20, 37
	good := naiveProof(m, leaves)
	alter := func(change func(p []merkle.Hash) []merkle.Hash) []merkle.Hash {
		return change(append([]merkle.Hash(nil), good...))
	}
	cases := map[string]error{
		"flipped bit": merkle.VerifyInclusion(m, n, leaves[m], alter(func(p []merkle.Hash) []merkle.Hash { p[1][3] ^= 1; return p }), root),
		"shorter":     merkle.VerifyInclusion(m, n, leaves[m], good[:len(good)-1], root),
		"longer":      merkle.VerifyInclusion(m, n, leaves[m], append(alter(func(p []merkle.Hash) []merkle.Hash { return p }), root), root),
		"other place": merkle.VerifyInclusion(m+1, n, leaves[m], good, root),
		"other leaf":  merkle.VerifyInclusion(m, n, leaves[m+1], good, root),
		"other size":  merkle.VerifyInclusion(m, n+40, leaves[m], good, root),
		"outside":     merkle.VerifyInclusion(n, n, leaves[m], good, root),
		"empty tree":  merkle.VerifyInclusion(0, 0, leaves[m], nil, root),
	}
	for name, err := range cases {
		if !errors.Is(err, merkle.ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}
	if _, err := merkle.InclusionProof(n, n, nodeOf(leaves)); err == nil {
		t.Error("a proof for a leaf outside the tree was built")
	}
}

func TestMergeRefusesWhatDoesNotContinue(t *testing.T) {
	leaves := randomLeaves(10)
	run := rangeOf(0, leaves[:4])
	before := run.Root()
	gap := rangeOf(5, leaves[5:8])
	short := rangeOf(4, leaves[4:7])
	short.Nodes = short.Nodes[:1]
	backwards := merkle.Range{Begin: 4, End: 3}
	for name, r := range map[string]merkle.Range{"gap": gap, "missing node": short, "backwards": backwards} {
		if err := run.Merge(&r, nil); !errors.Is(err, merkle.ErrNotAdjacent) {
			t.Errorf("%s: %v, want ErrNotAdjacent", name, err)
		}
	}
	if run.Root() != before || run.End != 4 {
		t.Error("a refused merge changed the range")
	}
}

func TestLeafHashIsTheSameHoweverTheEntryIsCut(t *testing.T) {
	for _, n := range []int{0, 1, 96, 255, 256, 1000} {
		entry := make([]byte, n)
		for i := range entry {
			entry[i] = byte(i)
		}
		want := merkle.Hash(sha256.Sum256(append([]byte{0}, entry...)))
		if got := merkle.LeafHash(entry[:n/3], entry[n/3:]); got != want {
			t.Errorf("entry of %d octets: %x, want %x", n, got, want)
		}
	}
}

func TestBuildingAPageAllocatesNothing(t *testing.T) {
	digest, signature := make([]byte, 32), make([]byte, 64)
	page := merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(256))}
	var run merkle.Range
	run.Nodes = make([]merkle.Hash, 0, merkle.MaxLevel)
	if n := testing.AllocsPerRun(20, func() {
		page.Reset(run.End)
		for range 256 {
			page.Append(merkle.LeafHash(digest, signature))
		}
		if err := run.Merge(&page, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a page, want none", n)
	}
}

func BenchmarkLeaf(b *testing.B) {
	digest, signature := make([]byte, 32), make([]byte, 64)
	page := merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(256))}
	b.ReportAllocs()
	for b.Loop() {
		if page.End == 256 {
			page.Reset(0)
		}
		page.Append(merkle.LeafHash(digest, signature))
	}
}
