package verify

import (
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// Bounds of one batch. A page of the store is a batch as it is.
const (
	batchVouchers = page.MaxVouchers
	batchBytes    = 256 << 10 // beyond, the batch is closed
)

// A batch is some vouchers of one source, in the hands of one stage at a time:
// the filler reads them, a worker checks them, the sink reports.
type batch struct {
	source *source
	first  uint64 // position of the first voucher in the source
	last   bool   // the source ends with this batch
	opened bool   // the source begins with this batch
	ended  *Failure

	page   uint32 // of a stored run; arena holds its octets then
	blank  bool   // there is no page
	damage finding

	items []item
	arena []byte

	nodes merkle.Range // of the items, where a tree is wanted
	gap   int          // 1 + the item that kept the range from being built
}

// An item is one voucher of a batch: what was read beside it, then what was
// found out about it.
type item struct {
	place        string // where it was read; empty for stored runs
	line         uint64 // in the device list of a stored run
	format       codec.Format
	voucher      span
	statedSerial span
	statedKeyID  span

	serial  span
	keyID   span // of its idevid-issuer
	finding finding
}

// A span is a stretch of the batch's arena. Offsets stay right when it grows.
type span struct{ begin, end int }

// set reports whether there is something in the span.
func (s span) set() bool { return s.end > s.begin }

func newBatch() *batch {
	return &batch{items: make([]item, 0, batchVouchers), nodes: merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(batchVouchers))}}
}

func (b *batch) reset(src *source, first uint64) {
	clear(b.items) // places are strings
	b.source, b.first, b.last, b.opened, b.ended = src, first, false, false, nil
	b.page, b.blank, b.damage, b.gap = 0, false, finding{}, 0
	b.items, b.arena = b.items[:0], b.arena[:0]
}

// keep copies octets into the arena.
func (b *batch) keep(octets []byte) span {
	begin := len(b.arena)
	b.arena = append(b.arena, octets...)
	return span{begin, len(b.arena)}
}

// at returns the octets of a span, until something is kept.
func (b *batch) at(s span) []byte { return b.arena[s.begin:s.end] }

// full reports whether nothing more should be put into b.
func (b *batch) full() bool { return len(b.items) >= batchVouchers || len(b.arena) >= batchBytes }

// place says where item i comes from.
func (b *batch) place(i int) string {
	if b.source.stored == nil {
		return b.items[i].place
	}
	return fmt.Sprintf("%s, page %d, voucher %d (line %d of the device list)", b.source.name, b.page, i, b.items[i].line)
}

// serialOf returns the serial number of item i, as far as it could be told.
func (b *batch) serialOf(i int) string {
	it := &b.items[i]
	if it.serial.set() {
		return string(b.at(it.serial))
	}
	return string(b.at(it.statedSerial))
}

// describe says in words which vouchers b holds, for errors of the pipeline.
func (b *batch) describe() string {
	if b.source == nil || len(b.items) == 0 {
		return "a batch without vouchers"
	}
	return fmt.Sprintf("%s to %s", b.place(0), b.place(len(b.items)-1))
}
