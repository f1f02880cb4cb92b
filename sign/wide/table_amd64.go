//go:build amd64 && !purego

package wide

import (
	"sync"
	"unsafe"

	"filippo.io/nistec"
)

// combTable is the table of a fixed point B: window i, limb l of x (0..4) and y
// (5..9), entry j, is that of (2j+1)·2^(8i)·B, times 2^260 modulo p. Its size is
// 320 KiB.
type combTable [combWindows]combWindow

type combWindow [10][combEntries]uint64

// generatorTable is the table of the generator, made when it is first needed.
var generatorTable = sync.OnceValue(func() *byte {
	t, ok := newCombTable(nistec.NewP256Point().SetGenerator())
	if !ok {
		panic("wide: the multiples of the generator met an exception") // depends on no input
	}
	return t.bytes()
})

func (t *combTable) bytes() *byte { return (*byte)(unsafe.Pointer(t)) }

// newCombTable makes the table of a point other than infinity: each lane of two
// runs makes one window. It cannot fail for a point of the curve, whose order is
// a prime, as no two different small odd multiples are equal or opposite; ok
// reports that the arithmetic agrees.
func newCombTable(p *nistec.P256Point) (t *combTable, ok bool) {
	t = aligned[combTable]()
	type scratch struct {
		work   [2]work
		powers [2][16]element
		items  [2]item
		table  [combEntries]multiple
	}
	w := aligned[scratch]()
	q := nistec.NewP256Point().Set(p)
	one := montgomery([]byte{1}, curve.N)
	for first := 0; first < combWindows; first += Lanes {
		for lane := range Lanes {
			b := q.Bytes()
			x, y := montgomery(b[1:33], curve.P), montgomery(b[33:65], curve.P)
			g := &w.work[lane/8]
			g.qx.set(lane%8, &x)
			g.qy.set(lane%8, &y)
			for range combBits {
				q.Double(q)
			}
		}
		oddMultiples(&w.work, &w.table[0], combEntries)
		for g := range w.items {
			w.items[g].z = w.work[g].z
			w.items[g].k.fill(&one)
		}
		invertItems(&w.powers, &w.work[0], &w.items[0], 2)
		for g := range w.items {
			if w.items[g].z[0] == (lanes{}) {
				return nil, false
			}
			w.work[g].z = w.items[g].z
		}
		affineMultiples(&w.work, &w.table[0], combEntries)
		for j := range w.table {
			for lane := range 8 {
				t[first+lane].put(j, &w.table[j].x, &w.table[j].y, lane)
				t[first+8+lane].put(j, &w.table[j].x1, &w.table[j].y1, lane)
			}
		}
	}
	return t, true
}

// put stores a point of one lane as entry j of a window.
func (w *combWindow) put(j int, x, y *element, lane int) {
	for l := range 5 {
		w[l][j], w[5+l][j] = x[l][lane], y[l][lane]
	}
}
