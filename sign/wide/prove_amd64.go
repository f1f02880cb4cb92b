//go:build amd64 && !purego

package wide

// A proof covers every signature of a chunk at a fraction of the cost of
// verifying it: the equations of r and s for each, and in each lane one
// multiplication of G that must give the weighted sum of all points. See the
// generator.
//
// It does not need the public key, and so says nothing about the private key
// itself, of which it uses another copy than signing does.
type proof struct {
	sums, fresh [2]item
	nonces      [Lanes]words4
	failed      [Lanes]bool // an equation of this lane does not hold
	started     int
}

// add takes the next 16 signatures. Items marked bad were signed by other code
// and prove nothing.
func (p *proof) add(w *signScratch, first int, d *element, sigs *[16][64]byte) {
	it := (*[2]item)(w.items[first/8:])
	k := (*[16]words4)(w.k[first:])
	checkScalars(&w.work, it, (*[16][32]byte)(w.digests[first:]), sigs, k, d)
	sumPoints(&w.work, it, sigs, k, p.started)
	p.started++
	for lane := range p.failed {
		if it[lane/8].ok[lane%8] == 0 && it[lane/8].bad[lane%8] == 0 {
			p.failed[lane] = true
		}
	}
}

// holds reports whether all signatures are proved. A lane in which a point could
// not be computed at all, because Z was zero somewhere, has only bad items, and
// passes; see redo.
func (p *proof) holds(w *signScratch) bool {
	for g := range p.sums {
		p.sums[g].x, p.sums[g].z = w.work[g].x, w.work[g].z
		for lane := range 8 {
			p.nonces[8*g+lane] = w.work[g].sum.get(lane)
		}
	}
	combSign(&w.work, &p.fresh, &p.nonces, generatorTable())
	comparePoints(&w.work, &p.sums, &p.fresh)
	for lane, failed := range p.failed {
		if failed || p.sums[lane/8].ok[lane%8] == 0 && !w.allBad(lane, p.started) {
			return false
		}
	}
	return true
}

// allBad reports that no item of the lane in the first units was signed wide.
func (w *signScratch) allBad(lane, units int) bool {
	for u := range units {
		if w.items[2*u+lane/8].bad[lane%8] == 0 {
			return false
		}
	}
	return true
}
