package sha256x16

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// words is a 256-bit integer, lowest quadword first.
type words = [4]uint64

// order is n, the number of points of P-256.
var order = words{0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}

func subtract(w, m *words) (d words, borrow uint64) {
	d[0], borrow = bits.Sub64(w[0], m[0], 0)
	d[1], borrow = bits.Sub64(w[1], m[1], borrow)
	d[2], borrow = bits.Sub64(w[2], m[2], borrow)
	d[3], borrow = bits.Sub64(w[3], m[3], borrow)
	return d, borrow
}

// inRange reports 0 < w < bound. The comparison takes constant time; what it
// reports shows only whether a candidate was thrown away.
func inRange(w, bound *words) bool {
	_, below := subtract(w, bound)
	any := w[0] | w[1] | w[2] | w[3]
	return below&((any|-any)>>63) == 1
}

func wordsOf(b *[32]byte) words {
	return words{
		binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[16:]),
		binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[0:]),
	}
}

// reduce takes a digest modulo n: bits2octets of RFC 6979 §2.3.4. The digest is
// not secret.
func reduce(b *[32]byte) {
	w := wordsOf(b)
	if d, borrow := subtract(&w, &order); borrow == 0 {
		for i := range d {
			binary.BigEndian.PutUint64(b[8*i:], d[3-i])
		}
	}
}

// A candidates is the generator of RFC 6979 §3.2 for one digest, one block of
// SHA-256 at a time: the twin of the wide code.
type candidates struct {
	k, v    [32]byte
	message [97]byte // V ‖ internal octet ‖ private key ‖ digest
	block   [64 + 97]byte
}

// start takes steps a to g of RFC 6979 §3.2.
func (c *candidates) start(d, digest *[32]byte) {
	h := *digest
	reduce(&h)
	c.k = [32]byte{}
	for i := range c.v {
		c.v[i] = 1
	}
	copy(c.message[33:], d[:])
	copy(c.message[65:], h[:])
	for internal := range byte(2) {
		copy(c.message[:], c.v[:])
		c.message[32] = internal
		c.hmac(&c.k, c.message[:])
		c.hmac(&c.v, c.v[:])
	}
}

// next is the first candidate below bound, step h.
func (c *candidates) next(bound *words) words {
	for {
		c.hmac(&c.v, c.v[:])
		w := wordsOf(&c.v)
		if inRange(&w, bound) {
			return w
		}
		copy(c.message[:], c.v[:])
		c.message[32] = 0
		c.hmac(&c.k, c.message[:33])
		c.hmac(&c.v, c.v[:])
	}
}

// hmac sets to to HMAC-SHA-256 of at most 97 octets under k.
func (c *candidates) hmac(to *[32]byte, message []byte) {
	b := &c.block
	for i := range 64 {
		b[i] = 0x36
	}
	for i := range c.k {
		b[i] ^= c.k[i]
	}
	n := copy(b[64:], message)
	inner := sha256.Sum256(b[:64+n])
	for i := range 64 {
		b[i] = 0x5c
	}
	for i := range c.k {
		b[i] ^= c.k[i]
	}
	copy(b[64:], inner[:])
	*to = sha256.Sum256(b[:96])
}

// derive is the nonce of one digest, below bound.
func derive(d, digest *[32]byte, bound *words) words {
	var c candidates
	c.start(d, digest)
	k := c.next(bound)
	c = candidates{}
	return k
}
