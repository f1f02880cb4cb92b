package seen_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/engine/seen"
)

func Example() {
	key := seen.NewKey([16]byte{'a', ' ', 'r', 'a', 'n', 'd', 'o', 'm', ' ', 'k', 'e', 'y'})
	devices := []seen.Device{
		{Serial: []byte("A-1")},
		{Serial: []byte("A-2")},
		{IssuerKeyID: []byte{1, 2, 3}, Serial: []byte("A-1")}, // another issuer's
		{Serial: []byte("A-1")},
	}
	var set seen.Set
	hashes := key.AppendHashes(nil, devices)
	for _, i := range set.InsertBatch(hashes, nil) {
		fmt.Printf("device %d (%s) has probably been there before\n", i, devices[i].Serial)
	}
	fmt.Println(set.Len(), "devices")
	// Output:
	// device 3 (A-1) has probably been there before
	// 3 devices
}
