//go:build amd64 && !purego

package sha256x16

import (
	"encoding/binary"
	"unsafe"
)

const (
	// minWide is the least number of messages that share a call of the wide code:
	// 16 lanes take as long as three messages of one block one at a time, or five
	// longer ones, which crypto/sha256 hashes at less than half the cost a block.
	minWide     = 3
	minWideLong = 5
	// maxBlocks bounds what a message may have after the whole blocks of its prefix
	// to be hashed wide; it keeps a call below 20 µs. Longer messages are hashed one
	// at a time.
	maxBlocks = 64
)

// prefixRows is a prefix as the wide code takes it: the state in all lanes, and
// what is to be added to the first and the last block of a message that has one
// or two.
type prefixRows struct {
	state *rows
	// heads[0] is the rest of the prefix; heads[i] has the 80 after octet 55+i, for
	// messages that end there, with the length in the next block.
	heads *[9][blockSize]byte
	// tails[n] is the padding of the last block for a tail of n octets, and the
	// rest of the prefix if that block is the only one.
	tails [][blockSize]byte
}

func (r *prefixRows) fill(p *Prefix) {
	r.state = aligned[rows]()
	r.state.fill(&p.state)
	r.heads = aligned[[9][blockSize]byte]()
	for i := range r.heads {
		copy(r.heads[i][:], p.rest)
		if at := 55 + i; i > 0 && at >= len(p.rest) {
			r.heads[i][at] = 0x80
		}
	}
	table := aligned[[120][blockSize]byte]()
	r.tails = table[:120-len(p.rest)]
	for n := range r.tails {
		last := &r.tails[n]
		end := len(p.rest) + n
		switch {
		case end < 56:
			copy(last[:], p.rest)
			last[end] = 0x80
		case end >= blockSize:
			last[end-blockSize] = 0x80
		}
		binary.BigEndian.PutUint64(last[56:], 8*uint64(p.length+n))
	}
}

// blocks is how many blocks a tail of n octets needs after the whole blocks of
// the prefix.
func (p *Prefix) blocks(n int) int { return (len(p.rest)+n+8)/blockSize + 1 }

// A wideHasher is the working memory of a Hasher.
type wideHasher struct {
	work   *hashWork
	states *[2]rows
	out    *[32][32]byte
	pads   *[32][2][blockSize]byte // of messages of more than two blocks
	pieces [maxBlocks][32]piece
	// waiting[n] are the messages of n blocks seen so far, count[n] their number
	waiting [maxBlocks + 1][32]int32
	count   [maxBlocks + 1]uint8
}

func (w *wideHasher) init() {
	w.work, w.states, w.out = aligned[hashWork](), aligned[[2]rows](), aligned[[32][32]byte]()
	w.pads = aligned[[32][2][blockSize]byte]()
}

func (w *wideHasher) ready() bool { return w.work != nil }

// zeroBlock is the padding of a block inside a message.
var zeroBlock [blockSize]byte

// sumWide brings messages of equal numbers of blocks together, 32 at a time,
// and hashes what is left at the end by 32, 16 or one.
func (h *Hasher) sumWide(b *batch) {
	w := &h.wide
	most := 2
	for i := 0; i < len(b.tails); {
		if w.straight(b, i) {
			i += 32
			continue
		}
		for end := min(i+32, len(b.tails)); i < end; i++ {
			n := b.prefix(i).blocks(len(b.tails[i]))
			if n > maxBlocks {
				h.sumOne(b, i)
				continue
			}
			most = max(most, n)
			w.wait(b, i, n)
		}
	}
	for n := range most + 1 {
		waiting := w.waiting[n][:w.count[n]]
		w.count[n] = 0
		if len(waiting) >= minWideLong || n == 1 && len(waiting) >= minWide {
			w.hash(b, waiting, n)
			continue
		}
		for _, i := range waiting {
			h.sumOne(b, int(i))
		}
	}
	for n := range most {
		clear(w.pieces[n][:])
	}
}

// straight hashes the next 32 messages to where they belong, if all have the
// same one or two blocks after the same prefix, as the tails and the leaves of
// vouchers do.
func (w *wideHasher) straight(b *batch, first int) bool {
	if first+32 > len(b.tails) {
		return false
	}
	p := b.prefix(first)
	n := p.blocks(len(b.tails[first]))
	if n > 2 {
		return false
	}
	pieces := unsafe.Slice(&w.pieces[0][0], 2*32)
	for lane, tail := range b.tails[first : first+32] {
		if b.prefix(first+lane) != p || p.blocks(len(tail)) != n {
			return false
		}
		w.cut(pieces[lane:], 32, p, tail, n, lane)
	}
	dst := (*[32][32]byte)(unsafe.Pointer(&b.dst[Size*first]))
	hash32(dst, p.wide.state, p.wide.state, w.work, &pieces[0], n)
	return true
}

// wait keeps message i of n blocks until there are 32.
func (w *wideHasher) wait(b *batch, i, n int) {
	w.waiting[n][w.count[n]] = int32(i)
	if w.count[n]++; w.count[n] == 32 {
		w.hash(b, w.waiting[n][:], n)
		w.count[n] = 0
	}
}

// hash hashes up to 32 messages of n blocks. Lanes without one hash the first
// again: a masked load from nowhere would be slow.
func (w *wideHasher) hash(b *batch, items []int32, n int) {
	lanes := 16
	if len(items) > 16 {
		lanes = 32
	}
	pieces := unsafe.Slice(&w.pieces[0][0], len(w.pieces)*32)
	same := true
	first := b.prefix(int(items[0]))
	for lane, i := range items {
		p := b.prefix(int(i))
		same = same && p == first
		w.cut(pieces[lane:], lanes, p, b.tails[i], n, lane)
	}
	for block := range n {
		for lane := len(items); lane < lanes; lane++ {
			pieces[lanes*block+lane] = pieces[lanes*block]
		}
	}
	s0, s1 := first.wide.state, first.wide.state
	if !same {
		s0, s1 = &w.states[0], &w.states[1]
		for lane := range lanes {
			p := first
			if lane < len(items) {
				p = b.prefix(int(items[lane]))
			}
			w.states[lane/16].put(lane%16, &p.state)
		}
	}
	if lanes == 16 {
		hash16((*[16][32]byte)(w.out[:16]), s0, s0, w.work, &pieces[0], n)
	} else {
		hash32(w.out, s0, s1, w.work, &pieces[0], n)
	}
	for lane, i := range items {
		copy(b.dst[Size*int(i):], w.out[lane][:])
	}
}

// cut says where the n blocks of a message come from: piece 0, stride and so on.
func (w *wideHasher) cut(pieces []piece, stride int, p *Prefix, tail []byte, n, lane int) {
	data, off := unsafe.Pointer(unsafe.SliceData(tail)), -len(p.rest)
	end := len(p.rest) + len(tail)
	if len(tail) == 0 {
		data, off = unsafe.Pointer(&zeroBlock), 0
	}
	head, last := &p.wide.heads[0], (*[blockSize]byte)(nil)
	switch {
	case n == 1:
		pieces[0] = piece{data, off, mask(len(tail)) << len(p.rest), &p.wide.tails[len(tail)]}
		return
	case n == 2:
		last = &p.wide.tails[len(tail)]
		if end < blockSize {
			head = &p.wide.heads[end-55]
		}
	default:
		last = &w.pads[lane][1]
		clear(w.pads[lane][0][:])
		clear(last[:])
		w.pads[lane][end/blockSize-(n-2)][end%blockSize] = 0x80
		binary.BigEndian.PutUint64(last[56:], 8*uint64(p.length+len(tail)))
	}
	pieces[0] = piece{data, off, mask(min(len(tail), blockSize-len(p.rest))) << len(p.rest), head}
	for i := 1; i < n; i++ {
		at := blockSize*i - len(p.rest) // of the block's first octet in the tail
		pad := &zeroBlock
		switch {
		case i == n-1:
			pad = last
		case i == n-2:
			pad = &w.pads[lane][0]
		}
		left := len(tail) - at
		if left <= 0 { // padding only
			pieces[stride*i] = piece{unsafe.Pointer(&zeroBlock), 0, 0, pad}
			continue
		}
		pieces[stride*i] = piece{data, at, mask(min(left, blockSize)), pad}
	}
}

// mask has the lowest n of 64 bits set.
func mask(n int) uint64 { return 1<<n - 1 }
