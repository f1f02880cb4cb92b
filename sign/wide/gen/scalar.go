package main

// Scalars: words to limbs and back, canonical residues, and the recoding of
// scalars for the tables.

// gatherWords loads quadword j of eight records at base+off, stride bytes apart,
// into register r. The addresses are those of the lanes.
func (g group) gatherWords(base string, off, stride, r int) {
	g.I("KXNORQ %s, %s, %s", g.k(0), g.k(0), g.k(0))
	g.I("VPXORQ %s, %s, %s", g.z(r), g.z(r), g.z(r))
	g.I("VPGATHERQQ %d(%s)(%s*1), %s, %s", off, base, laneIndex(stride), g.k(0), g.z(r))
}

// laneIndex is the register with stride·lane in each lane; see index.
func laneIndex(stride int) string {
	if stride == 64 {
		return rStride64
	}
	return rStride32
}

// Registers of the code that moves scalars; it leaves those of products alone.
const (
	rStride32 = rP3 // 0, 32, 64 .. as offsets of lanes
	rStride64 = rP4 // 0, 64, 128 ..
)

// strides fills the registers for gatherWords, and consts puts back what a
// product needs there.
func (f *file) strides() {
	f.I("VMOVDQU64 %s, %s", pool.ref("index 0", 0), rStride32)
	f.I("VPSLLQ $6, %s, %s", rStride32, rStride64)
	f.I("VPSLLQ $5, %s, %s", rStride32, rStride32)
}

// limbsFromWords turns the four words in registers r..r+3 into limbs in to..to+4.
func (g group) limbsFromWords(r, to int) {
	g.I("VPANDQ %s, %s, %s", rMask52, g.z(r), g.z(to))
	for i := 1; i < 4; i++ {
		g.I("VPSRLQ $%d, %s, %s", 64-12*i, g.z(r+i-1), g.z(to+i))
		g.I("VPSLLQ $%d, %s, %s", 12*i, g.z(r+i), g.t(0))
		g.I("VPORQ %s, %s, %s", g.t(0), g.z(to+i), g.z(to+i))
		g.I("VPANDQ %s, %s, %s", rMask52, g.z(to+i), g.z(to+i))
	}
	g.I("VPSRLQ $16, %s, %s", g.z(r+3), g.z(to+4))
}

// word packs the limbs in registers r..r+4, shifted right by shift bits, into
// word j of four, in register to.
func (g group) word(r, j, shift, to int) {
	low := 64*j + shift // bit of the value that becomes bit 0
	i, s := low/52, low%52
	g.I("VPSRLQ $%d, %s, %s", s, g.z(r+i), g.z(to))
	for bit := 52 - s; bit < 64 && i+1 < 5; bit += 52 {
		i++
		g.I("VPSLLQ $%d, %s, %s", bit, g.z(r+i), g.t(0))
		g.I("VPORQ %s, %s, %s", g.t(0), g.z(to), g.z(to))
	}
}

// subtractOnce subtracts the modulus from the carried value in r..r+4 if it is
// not below it, by a mask; to..to+4 are overwritten. The value must be below
// twice the modulus, which is a constant named so.
func (g group) subtractOnce(r, to int, modulus string) {
	for i := range 5 {
		g.I("VPSUBQ.BCST %s, %s, %s", pool.ref(modulus, i), g.z(r+i), g.z(to+i))
	}
	g.carry(to)
	g.I("VPMOVQ2M %s, %s", g.z(to+4), g.k(0)) // borrowed: keep the value
	for i := range 5 {
		g.I("VMOVDQA64 %s, %s, %s", g.z(r+i), g.k(0), g.z(to+i))
		g.I("VMOVDQA64 %s, %s%s", g.z(to+i), g.z(r+i), canonical(i))
	}
}

// canonical notes, for the proof of bounds, that the top limb is below 2^48: the
// value is not negative and below a modulus, hence below 2^256. Intervals do not
// see that because the choice was made by the sign of the same limb, or because
// the value was below n before it was subtracted from n.
func canonical(limb int) string {
	if limb == 4 {
		return " // bound 48"
	}
	return ""
}

// negateOrder replaces the canonical value in r..r+4 by n minus it in the lanes
// of mask k; to..to+4 are overwritten.
func (g group) negateOrder(r, to int, k string) {
	for i := range 5 {
		g.I("VPBROADCASTQ %s, %s", pool.ref("n", i), g.z(to+i))
		g.I("VPSUBQ %s, %s, %s", g.z(r+i), g.z(to+i), g.z(to+i))
	}
	g.carry(to)
	for i := range 5 {
		g.I("VMOVDQA64 %s, %s, %s%s", g.z(to+i), k, g.z(r+i), canonical(i))
	}
}

// recode makes the canonical scalar in registers 0..4 odd by subtracting it from
// n if it is even, and stores k' of it as words at dst. It leaves the lanes that
// were replaced in mask k(1).
func (g group) recode(dst operand) {
	g.I("VPTESTNMQ.BCST %s, %s, %s", pool.ref("bit 0", 0), g.z(0), g.k(1))
	g.negateOrder(0, 5, g.k(1))
	for j := range 4 {
		g.word(0, j, 1, 5)
		if j == 3 {
			g.I("VPORQ.BCST %s, %s, %s", pool.ref("bit 63", 0), g.z(5), g.z(5))
		}
		g.I("VMOVDQU64 %s, %d(%s)", g.z(5), dst.off+64*j, dst.base)
	}
}

// zeroLanes sets mask k for the lanes where registers r..r+4 are all zero.
func (g group) zeroLanes(r int, k string) {
	g.I("VPORQ %s, %s, %s", g.z(r), g.z(r+1), g.t(0))
	g.I("VPTERNLOGQ $0xfe, %s, %s, %s", g.z(r+2), g.z(r+3), g.t(0))
	g.I("VPORQ %s, %s, %s", g.z(r+4), g.t(0), g.t(0))
	g.I("VPTESTNMQ %s, %s, %s", g.t(0), g.t(0), k)
}

// loadBig loads eight 32-byte big-endian integers, stride bytes apart, as limbs
// in registers to..to+4 through r..r+3.
func (g group) loadBig(base string, off, stride, r, to int) {
	for j := range 4 {
		g.gatherWords(base, off+8*(3-j), stride, r+j)
		g.I("VPSHUFB reverse<>(SB), %s, %s", g.z(r+j), g.z(r+j))
	}
	g.limbsFromWords(r, to)
}
