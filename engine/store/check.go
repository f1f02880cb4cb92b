package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// Checked counts what Check has read.
type Checked struct {
	Runs     int
	Pages    uint64
	Vouchers uint64
	Octets   uint64 // of the pages
	Damaged  int    // calls of report
}

// Check reads the whole store and calls report for each thing that is not as
// it was written: damaged pages by number ([*DamageError]), index segments
// that do not match their pages, Merkle states, variants and run records. It
// goes on after damage; the error it returns itself is the context's. What it
// cannot check is whether signatures are right: verify does that.
func (s *Store) Check(ctx context.Context, report func(error)) (Checked, error) {
	c := &checker{ctx: ctx, report: report}
	if err := s.db.VerifyChecksum(); err != nil {
		c.damaged(&DamageError{Part: "tree", Err: err})
	}
	names, err := s.runNames()
	if err != nil {
		return c.Checked, err
	}
	for _, name := range names {
		r, err := s.Run(name)
		if err != nil {
			c.damaged(err)
			continue
		}
		c.Runs++
		if err := c.run(r); err != nil {
			return c.Checked, err
		}
	}
	return c.Checked, nil
}

// checker walks one run after the other.
type checker struct {
	Checked
	ctx    context.Context
	report func(error)

	r       *Run
	tree    merkle.Range // from the last place where it was known
	roots   []merkle.Hash
	entries []uint64 // of the segment being read
	whole   bool     // no page of it was damaged
}

func (c *checker) damaged(err error) {
	c.Damaged++
	c.report(err)
}

func (c *checker) damage(part string, number uint64, err error) {
	c.damaged(&DamageError{Run: c.r.name, Part: part, Number: number, Err: err})
}

func (c *checker) run(r *Run) error {
	c.r, c.tree, c.roots = r, merkle.Range{}, nil
	info, err := r.Info()
	if err != nil {
		c.damaged(err)
		return nil
	}
	ids, err := r.Variants()
	if err != nil {
		c.damage("variant", 0, err)
	}
	for _, id := range ids {
		if _, err := r.Variant(id); err != nil {
			c.damaged(err)
		}
	}
	heads, err := r.loadSegments()
	if err != nil {
		c.damaged(err)
	}
	var next uint32
	for i, h := range heads {
		if err := c.pages(h.FirstPage, h.FirstPage+h.Pages, h.FirstVoucher); err != nil {
			return err
		}
		c.segment(uint32(i), h)
		next = h.FirstPage + h.Pages
	}
	if err := c.pages(next, info.Pages, c.tree.End); err != nil {
		return err
	}
	if c.whole && c.tree.End != info.Vouchers {
		c.damage("run record", 0, fmt.Errorf("it counts %d vouchers, the pages hold %d", info.Vouchers, c.tree.End))
	}
	return nil
}

// pages reads pages [first, end), which begin at a voucher.
func (c *checker) pages(first, end uint32, voucher uint64) error {
	c.entries, c.whole = c.entries[:0], true
	var v page.View
	var buf []byte
	var rng merkle.Range
	for n := first; n < end; n++ {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		c.Pages++
		var err error
		buf, err = c.r.readPage(n, buf[:0], &v)
		if err != nil {
			c.damaged(err)
			c.whole = false
			continue
		}
		if c.whole && v.First() != voucher {
			c.damage("page", uint64(n), fmt.Errorf("it begins at voucher %d, not %d", v.First(), voucher))
			c.whole = false
		}
		c.Vouchers += uint64(v.Count())
		c.Octets += uint64(len(buf))
		if !c.whole {
			continue
		}
		for i := range v.Count() {
			c.entries = append(c.entries, c.r.Key(v.Serial(i))&^positionMask|uint64(len(c.entries)))
		}
		voucher += uint64(v.Count())
		v.Range(&rng)
		if err := c.tree.Merge(&rng, c.keepSubtree); err != nil {
			c.damage("page", uint64(n), err)
			c.whole = false
		}
	}
	c.dropResident(first, end)
	return nil
}

func (c *checker) dropResident(first, end uint32) {
	if first < end {
		c.r.dropResident([]uint32{first, end - 1})
	}
}

func (c *checker) keepSubtree(level uint8, _ uint64, h merkle.Hash) {
	if level == SubtreeLevel {
		c.roots = append(c.roots, h)
	}
}

// segment compares a segment with the pages just read, if they are whole, and
// takes its Merkle state over otherwise.
func (c *checker) segment(number uint32, h *segmentHead) {
	want := h.tree()
	var roots []byte
	for _, root := range c.roots {
		roots = append(roots, root[:]...)
	}
	switch {
	case !c.whole:
	case len(c.entries) != int(h.Vouchers):
		c.damage("index segment", uint64(number), fmt.Errorf("it counts %d vouchers, the pages hold %d", h.Vouchers, len(c.entries)))
	case !slices.Equal(c.tree.Nodes, want.Nodes) || !bytes.Equal(roots, h.Subtrees):
		c.damage("index segment", uint64(number), errors.New("its Merkle state is not that of its pages"))
	}
	c.chunks(number, h)
	c.tree, c.roots = want, nil
}

// chunks reads the entries of a segment and compares them with the pages'.
func (c *checker) chunks(number uint32, h *segmentHead) {
	slices.Sort(c.entries)
	rest := c.entries
	var cur cursor
	for i := range h.Fences {
		entries, err := cur.chunk(c.r, number, i)
		if err == nil && c.whole {
			for k := range entries.len() {
				if k >= len(rest) || entries.at(k) != rest[k] {
					err = errors.New("it is not the index of its pages")
					break
				}
			}
			rest = rest[min(entries.len(), len(rest)):]
		}
		if err != nil {
			c.damage("index segment", uint64(number), fmt.Errorf("chunk %d: %w", i, err))
			return
		}
	}
}
