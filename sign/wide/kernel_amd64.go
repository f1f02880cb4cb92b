//go:build amd64 && !purego

package wide

// Values of eight lanes as the assembly keeps them; all must lie at multiples of
// 64 bytes.
type (
	// element is an integer below 2^260 a lane: limb i of lane l, 52 bits.
	element [5][8]uint64
	// words is an integer below 2^256 a lane: quadword i of lane l.
	words [4][8]uint64
	lanes [8]uint64
	// words4 is a single integer below 2^256, lowest quadword first.
	words4 = [4]uint64
)

//go:noescape
func combSign(w *[2]work, it *[2]item, k *[16]words4, tab *byte)

//go:noescape
func invertItems(powers *[2][16]element, w *work, items *item, n int)

//go:noescape
func finishSign(w *[2]work, it *[2]item, digests *[16][32]byte, d *element, sigs *[16][64]byte)

//go:noescape
func oddMultiples(w *[2]work, tab *multiple, n int)

//go:noescape
func affineMultiples(w *[2]work, tab *multiple, n int)

//go:noescape
func loadInverses(w *[2]work, it *[2]item, sigs *[16][64]byte)

//go:noescape
func splitScalars(w *[2]work, it *[2]item, digests *[16][32]byte, sigs *[16][64]byte)

//go:noescape
func multiplyDistinct(w *[2]work, keys *multiple, tab *byte)

//go:noescape
func multiplyKey(w *[2]work, gtab, ktab *byte)

//go:noescape
func checkPoints(w *[2]work, it *[2]item, sigs *[16][64]byte)

//go:noescape
func checkScalars(w *[2]work, it *[2]item, digests *[16][32]byte, sigs *[16][64]byte, k *[16]words4, d *element)

//go:noescape
func sumPoints(w *[2]work, it *[2]item, sigs *[16][64]byte, k *[16]words4, more int)

//go:noescape
func comparePoints(w *[2]work, it, other *[2]item)
