package page_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

func Example() {
	var b page.Builder
	if err := b.Reset(nil, 0, 64); err != nil { // ES256, from the run's first voucher
		fmt.Println(err)
		return
	}
	for i, serial := range []string{"SN-1", "SN-2"} {
		if _, err := b.Add([]byte(serial), 0, uint64(i)+2); err != nil {
			fmt.Println(err)
			return
		}
	}
	signatures := b.Signatures() // a worker signs into this
	var nodes merkle.Range
	for i := range b.Len() {
		nodes.Append(merkle.LeafHash(signatures[i*64 : (i+1)*64]))
	}
	bytes, err := b.Finish(nodes.Nodes)
	if err != nil {
		fmt.Println(err)
		return
	}

	var v page.View
	if err := v.Parse(bytes); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Count(), string(v.Serial(1)), v.Line(1))
	// Output: 2 SN-2 3
}
