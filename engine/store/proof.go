package store

import (
	"fmt"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// Leaves appends the leaf hashes of a page's vouchers to dst. The store cannot
// compute them: what was signed is rebuilt from the run's templates.
type Leaves func(v *page.View, dst []merkle.Hash) ([]merkle.Hash, error)

// InclusionProof returns the RFC 9162 proof that the voucher at position is in
// the run's tree over size vouchers, the size the manifest states. It reads
// the pages of one subtree of 4,096; leaves is called for the voucher's own
// page only.
func (r *Run) InclusionProof(position uint64, leaves Leaves) (proof []merkle.Hash, size uint64, err error) {
	info, err := r.Info()
	if err != nil {
		return nil, 0, err
	}
	if info.State != Complete {
		return nil, 0, &RunStateError{info.Name, info.State, "prove inclusion in"}
	}
	if position >= info.Vouchers {
		return nil, 0, r.noSuch(position)
	}
	p := &prover{run: r}
	if p.subtrees, err = r.subtreeRoots(); err != nil {
		return nil, 0, err
	}
	number, _, err := r.place(position)
	if err == nil {
		p.own = number
		_, err = r.readPage(number, nil, &p.view)
	}
	if err == nil {
		p.first = p.view.First()
		p.leaves, err = leaves(&p.view, nil)
	}
	if err == nil && len(p.leaves) != p.view.Count() {
		err = fmt.Errorf("store: %d leaf hashes for a page of %d vouchers", len(p.leaves), p.view.Count())
	}
	if err != nil {
		return nil, 0, err
	}
	proof, err = merkle.InclusionProof(position, info.Vouchers, p.node)
	return proof, info.Vouchers, err
}

// subtreeRoots returns the roots of the complete subtrees of SubtreeLevel.
func (r *Run) subtreeRoots() ([]merkle.Hash, error) {
	heads, err := r.loadSegments()
	if err != nil {
		return nil, err
	}
	var roots []merkle.Hash
	for i, h := range heads {
		if len(h.Subtrees) > 0 && h.FirstSubtree != uint64(len(roots)) {
			return nil, &DamageError{Run: r.name, Part: "index segment", Number: uint64(i), Err: fmt.Errorf("its subtrees begin at %d, not %d", h.FirstSubtree, len(roots))}
		}
		for at := 0; at < len(h.Subtrees); at += len(merkle.Hash{}) {
			roots = append(roots, merkle.Hash(h.Subtrees[at:]))
		}
	}
	return roots, nil
}

// prover finds the nodes of one proof.
type prover struct {
	run      *Run
	subtrees []merkle.Hash
	own      uint32        // the page the voucher is in
	first    uint64        // position of leaves[0]
	leaves   []merkle.Hash // of that page
	view     page.View
	buf      []byte
	rng      merkle.Range
}

// node is a [merkle.Node]. A node that is asked for is the sibling of a node
// on the voucher's path, so it lies inside no node of another page.
func (p *prover) node(level uint8, index uint64) (merkle.Hash, error) {
	begin, end := index<<level, (index+1)<<level
	if level >= SubtreeLevel {
		begin, end = begin>>SubtreeLevel, end>>SubtreeLevel
		if end > uint64(len(p.subtrees)) {
			return merkle.Hash{}, fmt.Errorf("run %s: the index has %d subtrees, %d are needed", p.run.name, len(p.subtrees), end)
		}
		var t merkle.Range
		t.Reset(begin)
		for _, h := range p.subtrees[begin:end] {
			t.Append(h)
		}
		return t.Root(), nil
	}
	var t merkle.Range
	t.Reset(begin)
	for t.End < end {
		if err := p.extend(&t, end); err != nil {
			return merkle.Hash{}, err
		}
	}
	return t.Root(), nil
}

// extend adds what the page at t.End holds of the leaves below end.
func (p *prover) extend(t *merkle.Range, end uint64) error {
	number, _, err := p.run.place(t.End)
	if err != nil {
		return err
	}
	if number == p.own {
		for _, leaf := range p.leaves[t.End-p.first : min(end-p.first, uint64(len(p.leaves)))] {
			t.Append(leaf)
		}
		return nil
	}
	if p.buf, err = p.run.readPage(number, p.buf[:0], &p.view); err != nil {
		return err
	}
	p.view.Range(&p.rng)
	part, ok := p.rng.Slice(t.End, min(end, p.rng.End))
	if !ok {
		return &DamageError{Run: p.run.name, Part: "page", Number: uint64(number), Err: fmt.Errorf("its Merkle nodes do not divide at voucher %d", t.End)}
	}
	return t.Merge(&part, nil)
}
