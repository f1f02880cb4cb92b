package store_test

import (
	"fmt"
	"os"
	"time"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	check(err)
	defer os.RemoveAll(dir)

	s, err := store.Open(dir, store.Options{Create: true})
	check(err)
	defer s.Close()
	run, err := s.CreateRun(store.RunSpec{
		Name: "lot-7", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Header: []byte("settings"),
	})
	check(err)
	a, err := run.Appender()
	check(err)

	// A page of one voucher; see package page for how many are made.
	var b page.Builder
	check(b.Reset(nil, 0, 64))
	_, err = b.Add([]byte("SN-1"), 0, 2)
	check(err)
	signature := b.Signatures()
	copy(signature, "r‖s")
	var nodes merkle.Range
	nodes.Append(merkle.LeafHash(signature))
	bytes, err := b.Finish(nodes.Nodes)
	check(err)
	check(a.Append(store.Page{Bytes: bytes, Range: &nodes, Keys: []uint64{run.Key([]byte("SN-1"))}}))
	check(a.Finish([]byte("manifest")))

	for hit, err := range s.Lookup([]byte("SN-1")) {
		check(err)
		fmt.Println(hit.Run.Name(), hit.Position, hit.Line)
	}
	// Output: lot-7 0 2
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
