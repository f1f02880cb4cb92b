//go:build amd64 && !purego

package sha256x16

import (
	"encoding/binary"
	"sync"
)

// wideNonces is the private key as the chain takes it.
type wideNonces struct{ key *chainKey }

func (w *wideNonces) ready() bool { return w.key != nil }

// init makes the units that the chain takes from the key.
func (w *wideNonces) init(d *[32]byte) {
	w.key = aligned[chainKey]()
	var b [2 * blockSize]byte
	for i := range blockSize {
		b[i] = 0x36
	}
	for i := blockSize; i < blockSize+32; i++ {
		b[i] = 0x01 // V
	}
	b[96] = 0x00 // the first internal octet
	copy(b[97:], d[:31])
	s := stateOf(b[:])
	w.key.firstInner.fill(&s)
	for i := range blockSize {
		b[i] = 0x5c
	}
	s = stateOf(b[:blockSize])
	w.key.firstOuter.fill(&s)
	s = stateOf(nil)
	w.key.iv.fill(&s)
	w.key.pad32.fill(&[8]uint32{0: 1 << 31, 7: 8 * 96})
	b[96] = 0x01 // the second
	var x [8]uint32
	for i := range x {
		x[i] = binary.BigEndian.Uint32(b[96+4*i:])
	}
	w.key.internal1.fill(&x)
	w.key.x31.fill(&[8]uint32{uint32(d[31]) << 24, 0x80 << 16})
	fill := func(r *rows, word uint32) { r.fill(&[8]uint32{word, word, word, word, word, word, word, word}) }
	fill(&w.key.ones36, 0x36363636)
	fill(&w.key.ones5c, 0x5c5c5c5c)
	fill(&w.key.v0, 0x01010101)
	clear(b[:])
	clear(x[:])
}

func (w *wideNonces) wipe() { *w.key = chainKey{} }

// deriveScratch is the working memory of one running derivation. It goes back to
// the pool overwritten.
type deriveScratch struct {
	work    chainWork
	digests [32][32]byte
	k       [32][4]uint64
}

var derivePool = sync.Pool{New: func() any { return aligned[deriveScratch]() }}

// deriveWide derives 32 or 16 nonces at a time.
func (n *Nonces) deriveWide(k [][4]uint64, digests [][32]byte) {
	w := derivePool.Get().(*deriveScratch)
	defer derivePool.Put(w)
	for g := range w.work.lanes { // the block ends after 64 + 97 octets
		w.work.lanes[g].digestEnd.fill(&[8]uint32{7: 8 * (blockSize + 97)})
	}
	for len(digests) > 0 {
		size := min(32, len(digests))
		w.derive(n, k[:size], digests[:size])
		k, digests = k[size:], digests[size:]
	}
	*w = deriveScratch{}
}

// derive does at most 32. Lanes without a digest do the last one again.
func (w *deriveScratch) derive(n *Nonces, k [][4]uint64, digests [][32]byte) {
	for i := range w.digests {
		w.digests[i] = digests[min(i, len(digests)-1)]
		if binary.BigEndian.Uint64(w.digests[i][:]) >= order[3] {
			reduce(&w.digests[i])
		}
	}
	if len(digests) <= 16 {
		chain16(n.wide.key, &w.work, (*[16][32]byte)(w.digests[:16]), (*[16][4]uint64)(w.k[:16]))
	} else {
		chain32(n.wide.key, &w.work, &w.digests, &w.k)
	}
	copy(k, w.k[:])
	for i := range k {
		if !inRange(&k[i], &n.bound) { // with probability 2^-32
			k[i] = derive(&n.d, &digests[i], &n.bound)
		}
	}
}
