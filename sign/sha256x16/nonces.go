package sha256x16

// Nonces derives the nonces of one private key on P-256 by RFC 6979 §3.2 with
// SHA-256. It is safe for concurrent use until Close.
type Nonces struct {
	d     [32]byte
	bound words // nonces lie below: n, but for tests of rejection
}

// NewNonces prepares the derivation for the private key d, big-endian, which
// must be in [1, n-1].
func NewNonces(d *[32]byte) *Nonces { return &Nonces{d: *d, bound: order} }

// Derive sets k[i], lowest quadword first, to the nonce of digests[i]; k must
// be as long as digests. Apart from rejections, which happen with probability
// 2^-32 and say nothing about the nonce that is taken, it takes constant time.
func (n *Nonces) Derive(k [][4]uint64, digests [][32]byte) {
	for i := range digests {
		k[i] = derive(&n.d, &digests[i], &n.bound)
	}
}

// Close overwrites the key.
func (n *Nonces) Close() { clear(n.d[:]) }
