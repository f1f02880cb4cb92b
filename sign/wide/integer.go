package wide

import (
	"crypto/elliptic"
	"encoding/binary"
	"math/bits"
)

var curve = elliptic.P256().Params()

// words4FromBytes and below: a 256-bit integer as four quadwords, lowest first.
// Functions here take constant time unless they say otherwise.

// wordsFromBytes reads 32 octets, big-endian.
func wordsFromBytes(b []byte) [4]uint64 {
	_ = b[31]
	return [4]uint64{
		binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[16:]),
		binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[0:]),
	}
}

// order is n, the number of points of P-256.
var order = [4]uint64{0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}

// isScalar reports 0 < w < n.
func isScalar(w *[4]uint64) bool {
	_, b := bits.Sub64(w[0], order[0], 0)
	_, b = bits.Sub64(w[1], order[1], b)
	_, b = bits.Sub64(w[2], order[2], b)
	_, b = bits.Sub64(w[3], order[3], b)
	any := w[0] | w[1] | w[2] | w[3]
	return b&((any|-any)>>63) == 1
}
