package store

import (
	"errors"
	"fmt"
	"iter"
	"sort"
	"unsafe"

	"github.com/dgraph-io/badger/v4"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// Page appends page number to dst, appended pages of a run in progress
// included. The bytes are as they were stored: parse them with [page.View],
// which checks them.
func (r *Run) Page(number uint32, dst []byte) ([]byte, error) {
	if a := r.activeAppender(); a != nil {
		if b, ok := a.pending(number, dst); ok {
			return b, nil
		}
	}
	b, err := r.s.get(pageKey(r.id, number), dst)
	if err != nil {
		return dst, &DamageError{Run: r.name, Part: "page", Number: uint64(number), Err: err}
	}
	return b, nil
}

// pending copies a page that Badger does not have yet.
func (a *Appender) pending(number uint32, dst []byte) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.inFlight {
		if b, ok := g.find(number); ok {
			return append(dst, b...), true
		}
	}
	b, ok := a.open.find(number)
	return append(dst, b...), ok
}

// dropEvery pages, some 40 MiB, a long read gives back the memory it mapped.
const dropEvery = 2048

// pageCount returns how many pages can be read.
func (r *Run) pageCount() (uint32, error) {
	if a := r.activeAppender(); a != nil {
		n, _ := a.Appended()
		return n, nil
	}
	info, err := r.Info()
	return info.Pages, err
}

// Pages yields the pages of the run in order from page first on, as far as
// they were appended when it was called. The view is valid until the next
// step. A damaged page yields an error, a [*DamageError] naming it, and the
// iteration goes on with the next unless the caller stops.
func (r *Run) Pages(first uint32) iter.Seq2[*page.View, error] {
	return func(yield func(*page.View, error) bool) {
		count, err := r.pageCount()
		if err != nil {
			yield(nil, err)
			return
		}
		var v page.View
		var buf []byte
		var next uint64 // position the next page must have, when known
		known := first == 0
		for n := first; n < count; n++ {
			buf, err = r.readPage(n, buf[:0], &v)
			if err == nil && known && v.First() != next {
				err = &DamageError{Run: r.name, Part: "page", Number: uint64(n), Err: fmt.Errorf("it begins at voucher %d, not %d", v.First(), next)}
			}
			known = err == nil
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			next = v.First() + uint64(v.Count())
			if n%dropEvery == dropEvery-1 {
				r.dropResident([]uint32{n + 1 - dropEvery, n})
			}
			if !yield(&v, nil) {
				return
			}
		}
	}
}

// readPage reads and parses a page; the view points into the returned buffer.
func (r *Run) readPage(n uint32, buf []byte, v *page.View) ([]byte, error) {
	buf, err := r.Page(n, buf)
	if err == nil {
		if err = v.Parse(buf); err != nil {
			err = &DamageError{Run: r.name, Part: "page", Number: uint64(n), Err: err}
		}
	}
	return buf, err
}

// loadSegments returns the heads of the durable segments, as many as follow
// each other from the start. What is missing behind them is rebuilt from the
// pages by whoever needs it.
func (r *Run) loadSegments() ([]*segmentHead, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded {
		return r.segments, nil
	}
	var heads []*segmentHead
	var pages uint32
	var vouchers uint64
	for {
		b, err := r.s.get(dataKey(r.id, kindSegment, uint32(len(heads))), nil)
		if errors.Is(err, errMissing) {
			break
		}
		h := new(segmentHead)
		if err == nil {
			err = decodeRecord(fmt.Sprintf("index segment %d of run %s", len(heads), r.name), b, h)
		}
		if err == nil {
			err = h.check(pages, vouchers)
		}
		if err != nil {
			return nil, &DamageError{Run: r.name, Part: "index segment", Number: uint64(len(heads)), Err: err}
		}
		pages, vouchers = pages+h.Pages, vouchers+uint64(h.Vouchers)
		heads = append(heads, h)
	}
	r.segments, r.loaded = heads, true
	return heads, nil
}

// check holds a head against what must come before it and its own counts.
func (h *segmentHead) check(pages uint32, vouchers uint64) error {
	chunks := (int(h.Vouchers) + chunkEntries - 1) / chunkEntries
	uniform := (h.Vouchers + page.MaxVouchers - 1) / page.MaxVouchers
	end := h.FirstVoucher + uint64(h.Vouchers)
	switch {
	case h.FirstPage != pages || h.FirstVoucher != vouchers:
		return errors.New("it does not continue the one before")
	case h.Vouchers == 0 || h.Vouchers > SegmentVouchers || h.Pages == 0 || h.Pages > h.Vouchers:
		return errors.New("its counts are outside the allowed range")
	case len(h.Fences) != chunks:
		return errors.New("it has the wrong number of chunks")
	case h.Starts == nil && h.Pages != uniform || h.Starts != nil && len(h.Starts) != int(h.Pages):
		return errors.New("its pages do not add up")
	case len(h.Subtrees)%len(merkle.Hash{}) != 0 || len(h.Tree) != merkle.NodeCount(0, end)*len(merkle.Hash{}):
		return errors.New("its Merkle state has the wrong size")
	}
	return nil
}

// tree returns the Merkle range of the run at the end of the segment.
func (h *segmentHead) tree() merkle.Range {
	t := merkle.Range{End: h.FirstVoucher + uint64(h.Vouchers)}
	for at := 0; at < len(h.Tree); at += len(merkle.Hash{}) {
		t.Nodes = append(t.Nodes, merkle.Hash(h.Tree[at:]))
	}
	return t
}

// locate returns the page that holds a position of the run, and the index of
// the voucher in it.
func locate(starts []uint32, firstPage uint32, offset uint32) (number uint32, index int) {
	if starts == nil {
		return firstPage + offset/page.MaxVouchers, int(offset % page.MaxVouchers)
	}
	i := sort.Search(len(starts), func(i int) bool { return starts[i] > offset }) - 1
	return firstPage + uint32(i), int(offset - starts[i])
}

// dropResident takes the value log files that hold these pages out of this
// process's resident memory. Usually one file holds many of them.
func (r *Run) dropResident(pages []uint32) {
	var begin, end uintptr
	_ = r.s.db.View(func(txn *badger.Txn) error { // what cannot be read stays resident
		for _, n := range pages {
			item, err := txn.Get(pageKey(r.id, n))
			if err != nil {
				return err
			}
			if err := item.Value(func(v []byte) error {
				if at := uintptr(unsafe.Pointer(unsafe.SliceData(v))); at < begin || at >= end {
					begin, end = dropResident(v)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}
