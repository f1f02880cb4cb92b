package issue

import (
	"bytes"
	"fmt"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/run"
)

// A batch is the page being made, in the hands of one stage at a time: the
// filler writes rows, templates and variants, a worker page and nodes, the sink
// reads.
type batch struct {
	builder   page.Builder
	templates []*run.Template
	issuers   [][]byte // key identifiers, owned by the filler's variants, never written to
	hashes    []uint64 // of issuer and serial number, for finding duplicates
	keys      []uint64 // of the serial number, for the store's index
	variants  []newVariant

	page  []byte // finished page, a view into builder
	nodes merkle.Range
}

// A newVariant comes into being with the batch that uses it first, and is stored
// no later than that batch.
type newVariant struct {
	id   uint32
	json []byte
}

func newBatch() *batch {
	return &batch{
		templates: make([]*run.Template, 0, page.MaxVouchers),
		issuers:   make([][]byte, 0, page.MaxVouchers),
		hashes:    make([]uint64, 0, page.MaxVouchers),
		keys:      make([]uint64, 0, page.MaxVouchers),
		nodes:     merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(page.MaxVouchers))},
	}
}

// clear empties b; the builder is reset when the page's first position is known.
func (b *batch) clear() {
	b.templates, b.issuers, b.hashes, b.keys, b.variants = b.templates[:0], b.issuers[:0], b.hashes[:0], b.keys[:0], b.variants[:0]
	b.page = nil
}

// find returns the place in b of a device, or -1. It is called for the rare
// rows whose hash was seen before.
func (b *batch) find(hash uint64, issuer, serial []byte) int {
	for i, h := range b.hashes {
		if h == hash && bytes.Equal(b.issuers[i], issuer) && bytes.Equal(b.builder.Serial(i), serial) {
			return i
		}
	}
	return -1
}

// place says in words which rows b holds.
func (b *batch) place() string {
	n := b.builder.Len()
	if n == 0 {
		return "an empty batch"
	}
	return fmt.Sprintf("lines %d to %d of the device list", b.builder.Line(0), b.builder.Line(n-1))
}
