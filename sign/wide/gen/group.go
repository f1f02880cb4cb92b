package main

import (
	"fmt"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

// Registers that hold the same in all code modulo p.
const (
	rMask52 = "Z31" // 2^52 - 1, the bits of a limb
	rP1     = "Z30" // 2^44, limb 1 of p + 1
	rP3     = "Z29" // 2^36, limb 3 of p
	rP4     = "Z28" // 2^48 - 2^16, limb 4 of p
	rZero   = "Z27"
	rMask48 = "Z26" // 2^48 - 1, the bits of limb 4 below 2^256
)

// A group is the stream of instructions for eight lanes. It has 13 vector
// registers: 0..9 are the accumulators of a product, 10..12 temporaries.
type group struct{ *asm512.Stream }

// out is where a product's upper half lies: the value after reduction.
const out = 5

func (g group) z(i int) string { return fmt.Sprintf("Z%d", 13*g.ID+i) }
func (g group) t(i int) string { return g.z(10 + i) }
func (g group) k(i int) string { return fmt.Sprintf("K%d", 3*g.ID+1+i) }

// bases of the working memory of the two groups.
var bases = [2]string{"DI", "R9"}

// at is a field of the group's working memory.
func (g group) at(field string) operand { return operand{bases[g.ID], work.at(field)} }

func (g group) load(r int, o operand) {
	for i := range 5 {
		g.I("VMOVDQU64 %s, %s", o.limb(i), g.z(r+i))
	}
}

func (g group) store(r int, o operand) {
	for i := range 5 {
		g.I("VMOVDQU64 %s, %s", g.z(r+i), o.limb(i))
	}
}

func (g group) copy(dst, src operand) {
	g.load(0, src)
	g.store(0, dst)
}

// constant stores a constant in all lanes.
func (g group) constant(dst operand, name string) {
	for i := range 5 {
		g.I("VPBROADCASTQ %s, %s", pool.ref(name, i), g.z(i))
	}
	g.store(0, dst)
}

// add adds an element in memory limb by limb.
func (g group) add(r int, o operand) {
	for i := range 5 {
		g.I("VPADDQ %s, %s, %s", o.limb(i), g.z(r+i), g.z(r+i))
	}
}

func (g group) sub(r int, o operand) {
	for i := range 5 {
		g.I("VPSUBQ %s, %s, %s", o.limb(i), g.z(r+i), g.z(r+i))
	}
}

func (g group) negate(r int) {
	for i := range 5 {
		g.I("VPSUBQ %s, %s, %s", g.z(r+i), rZero, g.z(r+i))
	}
}

func (g group) double(r int) {
	for i := range 5 {
		g.I("VPADDQ %s, %s, %s", g.z(r+i), g.z(r+i), g.z(r+i))
	}
}

// addMultiple adds k·p; limb 2 of p is zero.
func (g group) addMultiple(r, k int) {
	for _, i := range []int{0, 1, 3, 4} {
		g.I("VPADDQ.BCST %s, %s, %s", pool.ref(fmt.Sprintf("%dp", k), i), g.z(r+i), g.z(r+i))
	}
}

// carry brings limbs r..r+3 into [0, 2^52). Carries are signed; the value must
// not be negative.
func (g group) carry(r int) { g.carryNoted(r, "") }

// carryNoted puts a note for the proof at the last instruction.
func (g group) carryNoted(r int, note string) {
	for i := range 4 {
		t := g.t(2 * (i & 1))
		g.I("VPSRAQ $52, %s, %s", g.z(r+i), t)
		g.I("VPANDQ %s, %s, %s", rMask52, g.z(r+i), g.z(r+i))
		if i < 3 {
			g.I("VPADDQ %s, %s, %s", t, g.z(r+i+1), g.z(r+i+1))
		} else {
			g.I("VPADDQ %s, %s, %s%s", t, g.z(r+i+1), g.z(r+i+1), note)
		}
	}
}

// fold subtracts q·p, q the value's bits from 2^256 on, and carries; the result
// is below 1.01 p. It may come before the carries of a sum, which are far below
// 2^48, if the value has room to spare above zero.
//
// The notes are for the proof of bounds, see asm512.Machine: q is small, and what
// happens to the top limb is seen only if each value of q is followed for itself.
func (g group) fold(r int) {
	q := g.t(0)
	g.I("VPSRAQ $48, %s, %s // split %d", g.z(r+4), q, g.ID)
	g.I("VPANDQ %s, %s, %s", rMask48, g.z(r+4), g.z(r+4))
	g.I("VPADDQ %s, %s, %s", q, g.z(r), g.z(r))
	g.I("VPSLLQ $44, %s, %s", q, g.t(1))
	g.I("VPSUBQ %s, %s, %s", g.t(1), g.z(r+1), g.z(r+1))
	g.I("VPSLLQ $36, %s, %s", q, g.t(2))
	g.I("VPSUBQ %s, %s, %s", g.t(2), g.z(r+3), g.z(r+3))
	g.I("VPSLLQ $16, %s, %s", q, g.t(1))
	g.I("VPADDQ %s, %s, %s", g.t(1), g.z(r+4), g.z(r+4))
	g.carryNoted(r, fmt.Sprintf(" // join %d", g.ID))
}

// keepStore is what follows most products: carry and store.
func keepStore(dst operand) func(g group) {
	return func(g group) {
		g.carry(out)
		g.store(out, dst)
	}
}
