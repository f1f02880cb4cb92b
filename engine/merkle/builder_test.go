package merkle_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/sign"
)

// oneByOne is the plainest Summer.
type oneByOne struct{}

func (oneByOne) Sum(dst []byte, messages [][]byte) error {
	for i, m := range messages {
		sum := sha256.Sum256(m)
		copy(dst[i*sha256.Size:], sum[:])
	}
	return nil
}

// testLeaves returns n leaves, alone and one after the other.
func testLeaves(n int) (leaves []merkle.Hash, flat []byte) {
	for i := range n {
		leaf := merkle.LeafHash(fmt.Append(nil, i))
		leaves, flat = append(leaves, leaf), append(flat, leaf[:]...)
	}
	return leaves, flat
}

func TestABuiltRangeIsTheAppendedOne(t *testing.T) {
	hasher, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	leaves, flat := testLeaves(600)
	for _, sum := range []merkle.Summer{oneByOne{}, hasher} {
		builder := merkle.NewBuilder(sum)
		var got, want merkle.Range
		check := func(begin uint64, n int) {
			want.Reset(begin)
			for _, leaf := range leaves[:n] {
				want.Append(leaf)
			}
			if err := builder.Build(&got, begin, flat[:n*sha256.Size]); err != nil {
				t.Fatal(err)
			}
			if got.Begin != want.Begin || got.End != want.End || !slices.Equal(got.Nodes, want.Nodes) {
				t.Fatalf("%d leaves from %d: %d nodes in [%d, %d), want %d", n, begin, len(got.Nodes), got.Begin, got.End, len(want.Nodes))
			}
		}
		for begin := range uint64(70) {
			for n := range 70 {
				check(begin, n)
			}
		}
		for _, begin := range []uint64{0, 1, 255, 256, 257, 4095, 1 << 20, 1<<40 - 3} {
			for _, n := range []int{255, 256, 257, 600} {
				check(begin, n)
			}
		}
	}
}

func TestLeavesOfAWrongLengthAndFailingHashesAreErrors(t *testing.T) {
	_, flat := testLeaves(4)
	var r merkle.Range
	if err := merkle.NewBuilder(oneByOne{}).Build(&r, 0, flat[:40]); err == nil {
		t.Error("leaves of 40 octets passed")
	}
	if err := merkle.NewBuilder(failing{}).Build(&r, 0, flat); !errors.Is(err, errFailing) {
		t.Errorf("error %v, want that of the hash", err)
	}
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Sum([]byte, [][]byte) error { return errFailing }

func TestBuildingAllocatesNothingOnceWarm(t *testing.T) {
	_, flat := testLeaves(256)
	builder := merkle.NewBuilder(oneByOne{})
	r := merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(256))}
	build := func() {
		if err := builder.Build(&r, 77, flat); err != nil {
			t.Error(err)
		}
	}
	build()
	if n := testing.AllocsPerRun(20, build); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRange makes the range of a page of 256 leaves an iteration.
func BenchmarkRange(b *testing.B) {
	leaves, flat := testLeaves(256)
	hasher, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	r := merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(256))}
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/leaf")
	}
	b.Run("by=append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(0)
			for _, leaf := range leaves {
				r.Append(leaf)
			}
		}
		report(b)
	})
	b.Run("by=level", func(b *testing.B) {
		builder := merkle.NewBuilder(hasher)
		b.ReportAllocs()
		for b.Loop() {
			if err := builder.Build(&r, 0, flat); err != nil {
				b.Fatal(err)
			}
		}
		report(b)
	})
}
