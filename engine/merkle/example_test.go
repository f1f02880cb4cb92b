package merkle_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/engine/merkle"
)

func Example() {
	entries := []string{"one", "two", "three", "four", "five"}
	leaves := make([]merkle.Hash, len(entries))
	for i, e := range entries {
		leaves[i] = merkle.LeafHash([]byte(e))
	}

	// Two workers fold their part, the sink merges them in order.
	first, second := merkle.Range{}, merkle.Range{Begin: 3, End: 3}
	for _, l := range leaves[:3] {
		first.Append(l)
	}
	for _, l := range leaves[3:] {
		second.Append(l)
	}
	var run merkle.Range
	for _, part := range []merkle.Range{first, second} {
		if err := run.Merge(&part, nil); err != nil {
			fmt.Println(err)
			return
		}
	}

	proof, err := merkle.InclusionProof(4, 5, func(level uint8, index uint64) (merkle.Hash, error) {
		var r merkle.Range
		r.Reset(index << level)
		for _, l := range leaves[index<<level : (index+1)<<level] {
			r.Append(l)
		}
		return r.Root(), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(proof), merkle.VerifyInclusion(4, 5, leaves[4], proof, run.Root()))
	// Output: 1 <nil>
}
