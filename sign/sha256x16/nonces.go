package sha256x16

// Nonces derives the nonces of one private key on P-256 by RFC 6979 §3.2 with
// SHA-256. It is safe for concurrent use until Close.
type Nonces struct {
	d     [32]byte
	bound words // nonces lie below: n, but for tests of rejection
	wide  wideNonces
}

// minDerive is the least number of digests for which the wide chain is faster
// than one digest after the other.
const minDerive = 2

// NewNonces prepares the derivation for the private key d, big-endian, which
// must be in [1, n-1].
func NewNonces(d *[32]byte) *Nonces { return newNonces(d, Available()) }

func newNonces(d *[32]byte, wide bool) *Nonces {
	n := &Nonces{d: *d, bound: order}
	if wide {
		n.wide.init(d)
	}
	return n
}

// Derive sets k[i], lowest quadword first, to the nonce of digests[i]; a
// [*ShapeError] says that their numbers differ. Apart from rejections, which
// happen with probability 2^-32 and say nothing about the nonce that is taken,
// it takes constant time.
func (n *Nonces) Derive(k [][4]uint64, digests [][32]byte) error {
	if len(k) != len(digests) {
		return &ShapeError{"nonces", len(k), len(digests)}
	}
	if n.wide.ready() && len(digests) >= minDerive {
		n.deriveWide(k, digests)
		return nil
	}
	for i := range digests {
		k[i] = derive(&n.d, &digests[i], &n.bound)
	}
	return nil
}

// Close overwrites the key. No Derive may be running.
func (n *Nonces) Close() {
	clear(n.d[:])
	if n.wide.ready() {
		n.wide.wipe()
	}
}
