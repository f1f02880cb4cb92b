package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

const (
	positionBits = 20
	positionMask = 1<<positionBits - 1
	chunkEntries = 1024 // 8 KiB each
)

// A segment is the index of a stretch of whole pages while it is in memory.
// An entry is the upper 44 bits of a voucher's key and its position in the
// segment below: sorting entries sorts keys, and one 64-bit word holds both.
type segment struct {
	number       uint32
	firstPage    uint32
	firstVoucher uint64
	vouchers     uint32
	starts       []uint32 // of each page, from firstVoucher
	uniform      bool     // every page but the last has page.MaxVouchers
	tree         merkle.Range
	firstSubtree uint64
	subtrees     []merkle.Hash

	mu      sync.Mutex // held while entries are sorted
	entries []uint64
}

// newSegment begins a segment; entries is memory to reuse.
func newSegment(number, firstPage uint32, firstVoucher uint64, entries []uint64) *segment {
	return &segment{number: number, firstPage: firstPage, firstVoucher: firstVoucher, uniform: true, entries: entries[:0]}
}

// add takes the keys of the next page and reports whether the segment is full:
// another page might not fit. That depends on the pages alone.
func (g *segment) add(keys []uint64) (full bool) {
	if g.vouchers%page.MaxVouchers != 0 {
		g.uniform = false
	}
	g.starts = append(g.starts, g.vouchers)
	for i, k := range keys {
		g.entries = append(g.entries, k&^positionMask|uint64(g.vouchers)+uint64(i))
	}
	g.vouchers += uint32(len(keys))
	return g.vouchers+page.MaxVouchers > SegmentVouchers
}

// close fixes the Merkle state at the end of the segment.
func (g *segment) close(tree *merkle.Range, firstSubtree uint64, subtrees []merkle.Hash) {
	g.tree, g.firstSubtree, g.subtrees = tree.Clone(), firstSubtree, subtrees
}

// find appends the positions in the run whose keys may equal key.
func (g *segment) find(key uint64, dst []uint64) []uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		if (e^key)&^positionMask == 0 {
			dst = append(dst, g.firstVoucher+e&positionMask)
		}
	}
	return dst
}

// head returns what is stored of the segment beside its sorted entries.
func (g *segment) head() *segmentHead {
	h := &segmentHead{
		FirstPage: g.firstPage, Pages: uint32(len(g.starts)),
		FirstVoucher: g.firstVoucher, Vouchers: g.vouchers,
		FirstSubtree: g.firstSubtree,
	}
	if !g.uniform {
		h.Starts = g.starts
	}
	for at := 0; at < len(g.entries); at += chunkEntries {
		h.Fences = append(h.Fences, g.entries[at])
	}
	for i := range g.subtrees {
		h.Subtrees = append(h.Subtrees, g.subtrees[i][:]...)
	}
	for i := range g.tree.Nodes {
		h.Tree = append(h.Tree, g.tree.Nodes[i][:]...)
	}
	return h
}

// indexSegments is the indexer: it sorts each sealed segment and writes it
// once its pages are durable, so that an index never points at less than what
// a crash leaves.
func (a *Appender) indexSegments() {
	defer a.ended.Done()
	var scratch []uint64
	for g := range a.seals {
		if a.failure() == nil {
			scratch = slices.Grow(scratch[:0], len(g.entries))[:len(g.entries)]
			g.mu.Lock()
			sortEntries(g.entries, scratch)
			g.mu.Unlock()
			if err := a.writeSegment(g); err != nil {
				_ = a.fail(err)
			}
		}
		a.mu.Lock()
		if a.err == nil {
			a.sealed = slices.Delete(a.sealed, 0, 1)
		}
		a.changed.Broadcast()
		a.mu.Unlock()
		a.keys <- g.entries
	}
}

// writeSegment commits the chunks and the head of a sorted segment.
func (a *Appender) writeSegment(g *segment) error {
	end := g.firstVoucher + uint64(g.vouchers)
	a.wakeSyncer()
	if err := a.await(func() bool { return a.durable.vouchers >= end }); err != nil {
		return err
	}
	head := g.head()
	record, err := encodeRecord(head)
	if err != nil {
		return err
	}
	run := a.run.id
	err = a.s.update(len(g.entries)*8+len(record)+len(head.Fences)*128, func(txn *badger.Txn) error {
		for c := range head.Fences {
			entries := g.entries[c*chunkEntries:]
			entries = entries[:min(chunkEntries, len(entries))]
			if err := txn.Set(chunkKey(run, g.number, c), encodeChunk(entries)); err != nil {
				return err
			}
		}
		return txn.Set(dataKey(run, kindSegment, g.number), record)
	})
	if err != nil {
		return err
	}
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	if a.run.loaded && int(g.number) == len(a.run.segments) {
		a.run.segments = append(a.run.segments, head)
	}
	return nil
}

// encodeChunk returns the format version and the entries, big-endian.
func encodeChunk(entries []uint64) []byte {
	b := make([]byte, 1, 1+8*len(entries))
	b[0] = formatVersion
	for _, e := range entries {
		b = binary.BigEndian.AppendUint64(b, e)
	}
	return b
}

// A chunk is the entries of a stored chunk, big-endian.
type chunk []byte

// parseChunk checks the format and the size of a stored chunk.
func parseChunk(b []byte) (chunk, error) {
	if len(b) == 0 || b[0] != formatVersion {
		return nil, errors.New("chunk has another format version")
	}
	if b = b[1:]; len(b) == 0 || len(b)%8 != 0 || len(b) > 8*chunkEntries {
		return nil, fmt.Errorf("chunk has %d octets", len(b))
	}
	return b, nil
}

func (c chunk) len() int { return len(c) / 8 }

func (c chunk) at(i int) uint64 { return binary.BigEndian.Uint64(c[8*i:]) }

// sortEntries sorts entries ascending; scratch is as long. Keys are hashes,
// so three counting passes over the upper 33 bits leave almost nothing for the
// insertion pass behind them, which makes the order exact whatever the keys.
func sortEntries(entries, scratch []uint64) {
	const digit, shift = 11, 64 - 3*11
	if len(entries) < 1<<digit {
		slices.Sort(entries)
		return
	}
	from, to := entries, scratch
	for pass := range 3 {
		var counts [1 << digit]int
		at := shift + pass*digit
		for _, e := range from {
			counts[e>>at&(1<<digit-1)]++
		}
		sum := 0
		for i, n := range counts {
			counts[i] = sum
			sum += n
		}
		for _, e := range from {
			d := e >> at & (1<<digit - 1)
			to[counts[d]] = e
			counts[d]++
		}
		from, to = to, from
	}
	copy(entries, from) // an odd number of passes ends in scratch
	finishSort(entries, shift)
}

// finishSort sorts the runs of entries that agree above shift.
func finishSort(entries []uint64, shift int) {
	for begin := 0; begin < len(entries); {
		end := begin + 1
		for end < len(entries) && entries[end]>>shift == entries[begin]>>shift {
			end++
		}
		if end-begin > 1 {
			slices.Sort(entries[begin:end])
		}
		begin = end
	}
}
