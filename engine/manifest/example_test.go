package manifest_test

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/manifest"
)

func Example() {
	m := manifest.Manifest{
		Run: "order-4711", Format: "jws", Algorithm: "ES256", Count: 1,
		CreatedOn: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		// The tree of one voucher is its leaf.
		TreeRoot:  manifest.LeafHash([]byte("the digest that was signed"), []byte("the raw signature")),
		Templates: []manifest.Template{{SHA256: sha256.Sum256([]byte("constants"))}},
	}
	proof := manifest.Proof{Run: m.Run, Index: 0, Size: 1, Leaf: m.TreeRoot, Root: m.Root()}
	leaf := manifest.LeafHash([]byte("the digest that was signed"), []byte("the raw signature"))
	fmt.Println(proof.Verify(&m, leaf))
	// Output: <nil>
}
