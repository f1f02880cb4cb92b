package main

import "fmt"

// Formulas on y² = x³ - 3x + b in Jacobian coordinates, without branches and
// without exceptions: scalars are recoded so that no digit is zero, and where
// two points to be added are equal or opposite, Z becomes zero and stays zero,
// which the caller sees at the end.
//
// Bounds: coordinates and table entries are carried and below about 1.1 p, a
// product of carried values below 3p is below 1.6 p, and every difference adds
// the multiple of p that keeps it positive. The proof is the test's, which runs
// the assembly on intervals.

// addMixed adds ±(x2, y2) to (x, y, z): 8 products, 3 squares. The sign is bit 7
// of the lanes at signMem; without signMem it is plus.
//
//	H = X2·Z1² - X1, R = ±Y2·Z1³ - Y1, V = X1·H²
//	X3 = R² - H³ - 2V, Y3 = R·(V - X3) - Y1·H³, Z3 = Z1·H
func addMixed(g group, signMem string) []step {
	at := g.at
	return []step{
		{core: sqrP, a: at("z"), then: keepStore(at("t0"))},
		{core: mulP, a: at("x2"), b: at("t0"), then: func(g group) { // H
			g.sub(out, at("x"))
			g.addMultiple(out, 2)
			g.carry(out)
			g.store(out, at("t2"))
		}},
		{core: mulP, a: at("z"), b: at("t0"), then: keepStore(at("t1"))},
		{core: sqrP, a: at("t2"), then: keepStore(at("t3"))},
		{core: mulP, a: at("y2"), b: at("t1"), then: func(g group) { // R
			if signMem != "" {
				g.negative(signMem, g.k(0))
				g.negateMasked(out, g.k(0))
			}
			g.sub(out, at("y"))
			g.addMultiple(out, 4)
			g.carry(out)
			g.store(out, at("t4"))
		}},
		{core: mulP, a: at("x"), b: at("t3"), then: func(g group) { g.store(out, at("t6")) }}, // V
		{core: mulP, a: at("t3"), b: at("t2"), then: func(g group) { // H³ and 2p - H³
			g.store(out, at("t5"))
			g.negate(out)
			g.addMultiple(out, 2)
			g.carry(out)
			g.store(out, at("t3"))
		}},
		{core: sqrP, a: at("t4"), then: func(g group) { // X3, and V - X3
			g.sub(out, at("t5"))
			g.sub(out, at("t6"))
			g.sub(out, at("t6"))
			g.addMultiple(out, 4)
			g.fold(out)
			g.store(out, at("x"))
			g.minusOut(at("t6"))
		}},
		{core: mulP, a: at("z"), b: at("t2"), then: keepStore(at("z"))},
		{core: sumP, a: at("t4"), b: at("t6"), c: at("y"), d: at("t3"), then: keepStore(at("y"))},
	}
}

// minusOut replaces o by o - (the value just made) + 2p, carried.
func (g group) minusOut(o operand) {
	g.negate(out)
	g.add(out, o)
	g.addMultiple(out, 2)
	g.carry(out)
	g.store(out, o)
}

// doubling doubles (x, y, z): 4 products, 4 squares and a sum of two products.
//
//	δ = Z², γ = Y², β = X·γ, α = 3(X - δ)(X + δ)
//	X3 = α² - 8β, Z3 = 2YZ, Y3 = α·(4β - X3) - 8γ²
func doubling(g group) []step {
	at := g.at
	return []step{
		{core: sqrP, a: at("z"), then: func(g group) { // X + δ, X - δ
			for i := range 5 {
				g.I("VPADDQ %s, %s, %s", at("x").limb(i), g.z(out+i), g.z(i))
			}
			g.carry(0)
			g.store(0, at("t1"))
			g.negate(out)
			g.add(out, at("x"))
			g.addMultiple(out, 2)
			g.carry(out)
			g.store(out, at("t0"))
		}},
		{core: sqrP, a: at("y"), then: func(g group) { // γ, 2γ, -4γ
			for i := range 5 {
				g.I("VPADDQ %s, %s, %s", g.z(out+i), g.z(out+i), g.z(i))
			}
			g.carry(out)
			g.store(out, at("t2"))
			g.carry(0)
			g.store(0, at("t3"))
			g.double(0)
			g.negate(0)
			g.addMultiple(0, 6)
			g.carry(0)
			g.store(0, at("t4"))
		}},
		{core: mulP, a: at("t0"), b: at("t1"), then: func(g group) { // α
			for i := range 5 {
				g.I("VPADDQ %s, %s, %s", g.z(out+i), g.z(out+i), g.z(i))
				g.I("VPADDQ %s, %s, %s", g.z(i), g.z(out+i), g.z(out+i))
			}
			g.carry(out)
			g.store(out, at("t5"))
		}},
		{core: mulP, a: at("x"), b: at("t2"), then: func(g group) { // 4β, not carried
			g.double(out)
			g.double(out)
			g.store(out, at("t6"))
		}},
		{core: sqrP, a: at("t5"), then: func(g group) { // X3, and 4β - X3
			g.sub(out, at("t6"))
			g.sub(out, at("t6"))
			g.addMultiple(out, 9)
			g.fold(out)
			g.store(out, at("x"))
			g.minusOut(at("t6"))
		}},
		{core: mulP, a: at("y"), b: at("z"), then: func(g group) { // Z3
			g.double(out)
			g.carry(out)
			g.store(out, at("z"))
		}},
		{core: sumP, a: at("t5"), b: at("t6"), c: at("t3"), d: at("t4"), then: func(g group) { // Y3
			g.fold(out)
			g.store(out, at("y"))
		}},
	}
}

// Scalars are odd and recoded to k = Σ d_i·2^(wi) with odd digits: for
// k' = (k - 1)/2 + 2^255 and b_i its bits from wi on, d_i = 2·b_i - (2^w - 1).
// So a digit is negative if the top bit of b_i is clear, and its multiple is
// entry (|d_i| - 1)/2: the lower bits of b_i, complemented if negative. k' is
// kept as words, word j of lane l at 64j + 8l; a load at 64j + i shows byte i
// of word j in the low bits of every lane.

// negative sets mask k for the lanes whose bit 7 at mem is clear.
func (g group) negative(mem, k string) {
	g.I("VMOVDQU64 %s, %s", mem, g.t(0))
	g.I("VPTESTNMQ.BCST %s, %s, %s", pool.ref("bit 7", 0), g.t(0), k)
}

func (g group) negateMasked(r int, k string) {
	for i := range 5 {
		g.I("VPSUBQ %s, %s, %s, %s", g.z(r+i), rZero, k, g.z(r+i))
	}
}

// A window of the fixed-base table: combEntries affine multiples, limb by limb,
// so that one limb of all entries is 16 vectors.
const (
	combBits    = 8
	combWindows = 256 / combBits
	combEntries = 1 << (combBits - 1)
	combVectors = combEntries / 8
	combBlock   = 10 * combEntries * 8
)

// lookup loads entry |digit| of the window at tab into (x, y). It reads every
// entry, at the same addresses whatever the digit: a permutation takes 8 of 16
// by the low four bits of the index, masks select among the results by the rest.
func lookup(g group, tab, digitMem string, x, y operand) {
	index := g.t(0)
	g.negative(digitMem, g.k(0))
	g.I("VPTERNLOGQ $0x55, %s, %s, %s, %s", index, index, g.k(0), index)
	for b := 4; b < combBits-1; b++ {
		g.I("VPTESTMQ.BCST %s, %s, %s", pool.ref(fmt.Sprintf("bit %d", b), 0), index, g.k(b-4))
	}
	pairs := combVectors / 2
	for l := range 10 {
		dst := x.limb(l)
		if l >= 5 {
			dst = y.limb(l - 5)
		}
		for j := range pairs {
			g.I("VMOVDQU64 %d(%s), %s", (l*combVectors+2*j)*64, tab, g.z(j))
			g.I("VPERMT2Q %d(%s), %s, %s", (l*combVectors+2*j+1)*64, tab, index, g.z(j))
		}
		for step, level := 1, 0; step < pairs; step, level = 2*step, level+1 {
			for j := 0; j < pairs; j += 2 * step {
				g.I("VMOVDQA64 %s, %s, %s", g.z(j+step), g.k(level), g.z(j))
			}
		}
		g.I("VMOVDQU64 %s, %s", g.z(0), dst)
	}
}

// first makes the looked-up (x, y) with the digit's sign the accumulated point.
func first(g group, digitMem string) {
	g.load(0, g.at("y"))
	for i := range 5 {
		g.I("VPBROADCASTQ %s, %s", pool.ref("2p", i), g.z(5+i))
		g.I("VPSUBQ %s, %s, %s", g.z(i), g.z(5+i), g.z(5+i))
	}
	g.carry(5)
	g.negative(digitMem, g.k(0))
	for i := range 5 {
		g.I("VMOVDQA64 %s, %s, %s", g.z(5+i), g.k(0), g.z(i))
	}
	g.store(0, g.at("y"))
	g.constant(g.at("z"), "R mod p")
}
