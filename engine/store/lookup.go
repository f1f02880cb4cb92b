package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// A Hit is one stored voucher. Its slices belong to the caller.
type Hit struct {
	Run       *Run
	Position  uint64 // in the run, from 0
	Page      uint32
	Index     int // in the page
	Variant   uint32
	Line      uint64
	Serial    []byte
	Signature []byte
}

// Lookup yields the vouchers of the run for a serial number, in input order
// within each segment. Devices of several issuers may share a serial: their
// variants tell them apart. Appended vouchers are found at once. It reads the
// page of every hit and compares the serial itself; the hash only leads there.
func (r *Run) Lookup(serial []byte) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		var c cursor
		key := r.Key(serial)
		heads, pending, err := r.lookupState(key)
		if err != nil {
			yield(Hit{}, err)
			return
		}
		for i, h := range heads {
			positions, err := r.searchSegment(&c, uint32(i), h, key)
			if err != nil {
				if !yield(Hit{}, err) {
					return
				}
				continue
			}
			if !r.yieldEqual(&c, positions, serial, yield) {
				return
			}
		}
		r.yieldEqual(&c, pending, serial, yield)
	}
}

// Lookup yields the vouchers of all runs for a serial number, the newest run
// first.
func (s *Store) Lookup(serial []byte) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		infos, err := s.Runs()
		if err != nil && !yield(Hit{}, err) {
			return
		}
		for _, info := range infos {
			if info.State == Deleting {
				continue
			}
			r, err := s.Run(info.Name)
			if err != nil {
				if !yield(Hit{}, err) {
					return
				}
				continue
			}
			for hit, err := range r.Lookup(serial) {
				if !yield(hit, err) {
					return
				}
			}
		}
	}
}

// yieldEqual yields those of the positions whose serial is the one wanted.
func (r *Run) yieldEqual(c *cursor, positions []uint64, serial []byte, yield func(Hit, error) bool) bool {
	slices.Sort(positions)
	for _, at := range positions {
		hit, err := r.voucher(c, at)
		if err == nil && !bytes.Equal(hit.Serial, serial) {
			continue
		}
		if !yield(hit, err) {
			return false
		}
	}
	return true
}

// Voucher returns the voucher at a position of the run.
func (r *Run) Voucher(position uint64) (Hit, error) {
	var c cursor
	return r.voucher(&c, position)
}

// cursor keeps the page that was read last, and memory for index chunks.
type cursor struct {
	view    page.View
	buf     []byte
	number  uint32
	entries []byte
}

func (r *Run) voucher(c *cursor, position uint64) (Hit, error) {
	number, index, err := r.place(position)
	if err != nil {
		return Hit{}, err
	}
	if c.view.Count() == 0 || c.number != number {
		if c.buf, err = r.readPage(number, c.buf[:0], &c.view); err != nil {
			return Hit{}, err
		}
		c.number = number
	}
	v := &c.view
	if index >= v.Count() || v.First()+uint64(index) != position {
		return Hit{}, &DamageError{Run: r.name, Part: "page", Number: uint64(number), Err: fmt.Errorf("it does not hold voucher %d", position)}
	}
	return Hit{
		Run: r, Position: position, Page: number, Index: index,
		Variant: v.Variant(index), Line: v.Line(index),
		Serial: bytes.Clone(v.Serial(index)), Signature: bytes.Clone(v.Signature(index)),
	}, nil
}

// place finds the page of a position.
func (r *Run) place(position uint64) (number uint32, index int, err error) {
	heads, err := r.loadSegments()
	if err != nil {
		return 0, 0, err
	}
	if i := sort.Search(len(heads), func(i int) bool { return heads[i].end() > position }); i < len(heads) {
		number, index = locate(heads[i].Starts, heads[i].FirstPage, uint32(position-heads[i].FirstVoucher))
		return number, index, nil
	}
	if a := r.activeAppender(); a != nil {
		return a.place(position)
	}
	t, err := r.loadTail(heads)
	if err != nil {
		return 0, 0, err
	}
	for _, g := range t.segments {
		if number, index, ok := g.place(position); ok {
			return number, index, nil
		}
	}
	return 0, 0, r.noSuch(position)
}

func (r *Run) noSuch(position uint64) error {
	return fmt.Errorf("run %s has no voucher at position %d", r.name, position)
}

func (a *Appender) place(position uint64) (number uint32, index int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range append(slices.Clone(a.sealed), a.segment) {
		if number, index, ok := g.place(position); ok {
			return number, index, nil
		}
	}
	return 0, 0, a.run.noSuch(position)
}

func (g *segment) place(position uint64) (number uint32, index int, ok bool) {
	if position < g.firstVoucher || position >= g.firstVoucher+uint64(g.vouchers) {
		return 0, 0, false
	}
	number, index = locate(g.starts, g.firstPage, uint32(position-g.firstVoucher))
	return number, index, true
}

func (h *segmentHead) end() uint64 { return h.FirstVoucher + uint64(h.Vouchers) }

// lookupState returns the segments on disk and the candidates of what is not
// in one of them, without a gap between the two.
func (r *Run) lookupState(key uint64) ([]*segmentHead, []uint64, error) {
	if a := r.activeAppender(); a != nil {
		if _, err := r.loadSegments(); err != nil {
			return nil, nil, err
		}
		// The appender's part first, then what is on disk before it: a
		// segment written between the two looks is neither missed nor doubled.
		pending, from := a.find(key)
		heads, err := r.loadSegments()
		for len(heads) > 0 && heads[len(heads)-1].FirstVoucher >= from {
			heads = heads[:len(heads)-1]
		}
		return heads, pending, err
	}
	heads, err := r.loadSegments()
	if err != nil {
		return nil, nil, err
	}
	t, err := r.loadTail(heads)
	if err != nil {
		return nil, nil, err
	}
	var pending []uint64
	for _, g := range t.segments {
		pending = g.find(key, pending)
	}
	return heads, pending, nil
}

// find returns candidates among the vouchers whose index is not on disk, and
// the position these vouchers begin at.
func (a *Appender) find(key uint64) (positions []uint64, from uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	segments := append(slices.Clone(a.sealed), a.segment)
	for _, g := range segments {
		positions = g.find(key, positions)
	}
	return positions, segments[0].firstVoucher
}

// searchSegment returns the positions in a segment on disk whose keys may
// equal key. Entries are sorted, chunks have fences: one chunk is read, more
// only while they begin with the same key.
func (r *Run) searchSegment(c *cursor, number uint32, h *segmentHead, key uint64) ([]uint64, error) {
	low := key &^ positionMask
	var positions []uint64
	// The last chunk that begins below the key may end with it.
	n := max(0, sort.Search(len(h.Fences), func(i int) bool { return h.Fences[i] >= low })-1)
	for ; n < len(h.Fences) && h.Fences[n]&^positionMask <= low; n++ {
		entries, err := c.chunk(r, number, n)
		if err == nil && entries.at(0) != h.Fences[n] {
			err = fmt.Errorf("chunk %d does not begin as its head says", n)
		}
		if err != nil {
			return nil, &DamageError{Run: r.name, Part: "index segment", Number: uint64(number), Err: err}
		}
		i := sort.Search(entries.len(), func(i int) bool { return entries.at(i) >= low })
		for ; i < entries.len() && entries.at(i)&^positionMask == low; i++ {
			positions = append(positions, h.FirstVoucher+entries.at(i)&positionMask)
		}
	}
	return positions, nil
}

// chunk reads a chunk; it is valid until the next.
func (c *cursor) chunk(r *Run, segment uint32, number int) (chunk, error) {
	var err error
	if c.entries, err = r.s.get(chunkKey(r.id, segment, number), c.entries[:0]); err != nil {
		return nil, err
	}
	return parseChunk(c.entries)
}

// A tail is the index of the vouchers behind the durable segments of a run
// nobody appends to, built from their pages.
type tail struct {
	segments []*segment
	tree     merkle.Range
}

// loadTail builds the tail once.
func (r *Run) loadTail(heads []*segmentHead) (*tail, error) {
	count, err := r.pageCount()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail != nil {
		return r.tail, nil
	}
	t := new(tail)
	var number uint32
	var vouchers uint64
	if n := len(heads); n > 0 {
		number, vouchers = heads[n-1].FirstPage+heads[n-1].Pages, heads[n-1].end()
		t.tree = heads[n-1].tree()
	}
	g := newSegment(uint32(len(heads)), number, vouchers, nil)
	var v page.View
	var buf []byte
	var keys []uint64
	var rng merkle.Range
	for ; number < count; number++ {
		if buf, err = r.s.get(pageKey(r.id, number), buf[:0]); err == nil {
			err = v.Parse(buf)
		}
		if err == nil && v.First() != t.tree.End {
			err = errors.New("it does not continue the page before")
		}
		if err != nil {
			return nil, &DamageError{Run: r.name, Part: "page", Number: uint64(number), Err: err}
		}
		v.Range(&rng)
		if err := t.tree.Merge(&rng, nil); err != nil {
			return nil, err
		}
		keys = r.appendKeys(keys[:0], &v)
		if g.add(keys) {
			t.segments = append(t.segments, g)
			g = newSegment(g.number+1, number+1, t.tree.End, nil)
		}
	}
	t.segments = append(t.segments, g)
	r.tail = t
	return t, nil
}
