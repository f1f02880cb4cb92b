package main

import "fmt"

// Between messages, which lie one after the other in memory, and rows, in which
// word i of all lanes lies together.

// quad transposes the 4×4 words within each 128 bits of four registers, through
// four others.
func (f *file) quad(r, t [4]int) {
	f.I("VPUNPCKLDQ %s, %s, %s", z(r[1]), z(r[0]), z(t[0]))
	f.I("VPUNPCKHDQ %s, %s, %s", z(r[1]), z(r[0]), z(t[1]))
	f.I("VPUNPCKLDQ %s, %s, %s", z(r[3]), z(r[2]), z(t[2]))
	f.I("VPUNPCKHDQ %s, %s, %s", z(r[3]), z(r[2]), z(t[3]))
	f.I("VPUNPCKLQDQ %s, %s, %s", z(t[2]), z(t[0]), z(r[0]))
	f.I("VPUNPCKHQDQ %s, %s, %s", z(t[2]), z(t[0]), z(r[1]))
	f.I("VPUNPCKLQDQ %s, %s, %s", z(t[3]), z(t[1]), z(r[2]))
	f.I("VPUNPCKHQDQ %s, %s, %s", z(t[3]), z(t[1]), z(r[3]))
}

// loadDigests loads 16 times 32 bytes that lie together as rows in Z0..Z7.
func (f *file) loadDigests(base string, off int) {
	for half := range 2 {
		for j := range 4 {
			r := 4*half + j
			for q := range 4 { // lane 4q+j
				at := fmt.Sprintf("%d(%s)", off+32*(4*q+j)+16*half, base)
				if q == 0 {
					f.I("VMOVDQU32 %s, X%d", at, r)
				} else {
					f.I("VINSERTI32X4 $%d, %s, %s, %s", q, at, z(r), z(r))
				}
			}
		}
	}
	for i := range 8 {
		f.I("VPSHUFB swap<>(SB), %s, %s", z(i), z(i))
	}
	for half := range 2 {
		f.quad([4]int{4 * half, 4*half + 1, 4*half + 2, 4*half + 3}, [4]int{8, 9, 10, 11})
	}
}

// storeRows stores rows r..r+7 as 16 times 32 bytes through four registers from
// t on: as digests or, integers, as four quadwords each, lowest first.
func (f *file) storeRows(r, t int, base string, off int, integers bool) {
	for half := range 2 {
		q := [4]int{r + 4*half, r + 4*half + 1, r + 4*half + 2, r + 4*half + 3}
		if integers {
			q = [4]int{r + 7 - 4*half, r + 6 - 4*half, r + 5 - 4*half, r + 4 - 4*half}
		} else {
			for _, i := range q {
				f.I("VPSHUFB swap<>(SB), %s, %s", z(i), z(i))
			}
		}
		f.quad(q, [4]int{t, t + 1, t + 2, t + 3})
		for j := range 4 {
			for lane := range 4 {
				at := fmt.Sprintf("%d(%s)", off+32*(4*lane+j)+16*half, base)
				if lane == 0 {
					f.I("VMOVDQU32 X%d, %s", q[j], at)
				} else {
					f.I("VEXTRACTI32X4 $%d, %s, %s", lane, z(q[j]), at)
				}
			}
		}
	}
}

// A piece says where one block of one message lies: see type piece in Go.
const (
	pieceData  = 0
	pieceOff   = 8
	pieceMask  = 16
	piecePad   = 24
	pieceBytes = 32
)

// gather loads one block of each of 16 messages as 16 rows at dst. The bytes
// under the mask come from the message, and no other byte of it is read; the
// padding is added to them.
func (f *file) gather(pieces string, off int, dst string, dstOff int) {
	for i := range 16 {
		at := func(field int) string { return fmt.Sprintf("%d(%s)", off+pieceBytes*i+field, pieces) }
		r := z(16 + i)
		f.I("MOVQ %s, AX", at(pieceData))
		f.I("ADDQ %s, AX", at(pieceOff))
		f.I("KMOVQ %s, K1", at(pieceMask))
		f.I("MOVQ %s, R11", at(piecePad))
		f.I("VMOVDQU8.Z (AX), K1, %s", r)
		f.I("VPORD (R11), %s, %s", r, r)
		f.I("VPSHUFB swap<>(SB), %s, %s", r, r)
	}
	f.transpose16()
	for i := range 16 {
		f.I("VMOVDQU32 %s, %d(%s)", z(16+i), dstOff+64*i, dst)
	}
}

// transpose16 turns the 16×16 words of Z16..Z31 through Z0..Z3: first 128 bits at
// a time, so that register 4a+b holds quarter a of lanes b, b+4, b+8, b+12.
func (f *file) transpose16() {
	for b := range 4 {
		w := func(i int) string { return z(16 + b + 4*i) }
		f.I("VSHUFI32X4 $0x44, %s, %s, Z0", w(1), w(0))
		f.I("VSHUFI32X4 $0xee, %s, %s, Z1", w(1), w(0))
		f.I("VSHUFI32X4 $0x44, %s, %s, Z2", w(3), w(2))
		f.I("VSHUFI32X4 $0xee, %s, %s, Z3", w(3), w(2))
		f.I("VSHUFI32X4 $0x88, Z2, Z0, %s", w(0))
		f.I("VSHUFI32X4 $0xdd, Z2, Z0, %s", w(1))
		f.I("VSHUFI32X4 $0x88, Z3, Z1, %s", w(2))
		f.I("VSHUFI32X4 $0xdd, Z3, Z1, %s", w(3))
	}
	for a := range 4 {
		f.quad([4]int{16 + 4*a, 17 + 4*a, 18 + 4*a, 19 + 4*a}, [4]int{0, 1, 2, 3})
	}
}

// hash: n blocks of 16 messages a group, from given states, to digests.
func (f *file) hash(groups int) {
	lanes := 16 * groups
	f.Func(fmt.Sprintf("hash%d", lanes),
		fmt.Sprintf("dst *[%d][32]byte, a, b *rows, w *hashWork, pieces *piece, n int", lanes), 48,
		fmt.Sprintf("hash%d continues the states a and, second group, b with n blocks a lane;\npieces[%d·block+lane] says where each lies. States are not changed.", lanes, lanes))
	const (
		messages = 0
		ring     = 2048
		states   = 4096
	)
	f.I("MOVQ a+8(FP), DI")
	f.I("MOVQ b+16(FP), R8")
	f.I("MOVQ w+24(FP), R13")
	f.I("MOVQ pieces+32(FP), CX")
	f.I("MOVQ n+40(FP), R14")
	f.I("LEAQ %d(R13), SI", messages)
	f.I("LEAQ %d(R13), BX", messages+512)
	f.I("LEAQ %d(R13), R9", messages+1024)
	f.I("LEAQ %d(R13), R10", messages+1536)
	f.I("LEAQ %d(R13), R15", ring)
	f.I("LEAQ %d(R13), DX", states)
	f.I("LEAQ %d(R13), R12", states+512)
	f.Label("block")
	for g := range groups {
		f.gather("CX", 16*pieceBytes*g, "R13", messages+1024*g)
	}
	f.I("CALL core%d<>(SB)", groups)
	f.I("ADDQ $%d, CX", pieceBytes*lanes)
	f.I("MOVQ DX, DI")
	f.I("MOVQ R12, R8")
	f.I("DECQ R14")
	f.I("JNZ block")
	f.I("MOVQ dst+0(FP), CX")
	for g := range groups {
		f.storeRows(16*g, 16*g+8, "CX", 512*g, false)
	}
	f.I("VZEROUPPER")
	f.I("RET")
}
