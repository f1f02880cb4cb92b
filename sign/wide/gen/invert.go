package main

import "math/big"

// The common inversion of a batch: products of the groups' values, the power
// p-2 or n-2 of the last, and back. Stream 0 works on z modulo p, stream 1 on k
// modulo n; each works on eight lanes, that is on eight products.

// exponentDigits are the hexadecimal digits of m-2, highest first, each as the
// offset of that power in the table.
func exponentDigits(m *big.Int) []uint64 {
	e := new(big.Int).Sub(m, big.NewInt(2))
	var q []uint64
	for i := 252; i >= 0; i -= 4 {
		d := new(big.Int).Rsh(e, uint(i)).Uint64() & 15
		q = append(q, d*elementSize)
	}
	return q
}

// powersN is where the powers modulo n lie after those modulo p.
const powersN = 16 * elementSize

// byStream picks what stream 0 has modulo p and stream 1 modulo n.
func byStream(g group, p, n string) string { return [2]string{p, n}[g.ID] }

// Operands of the inversion: of the item at DX its value, the product of all up
// to it, and the product before it; in the working memory the accumulator.
func itemValue(g group) operand   { return operand{"DX", item.at(byStream(g, "z", "k"))} }
func itemProduct(g group) operand { return operand{"DX", item.at(byStream(g, "pz", "pk"))} }
func productBefore(g group) operand {
	return operand{"DX", itemProduct(g).off - item.size()}
}
func accumulator(g group) operand { return operand{"DI", work.at(byStream(g, "t0", "t1"))} }

// power is power i of the last product; chosen is the one powerAt points to.
func power(g group, i int) operand {
	return operand{"R13", g.ID*powersN + i*elementSize}
}
func chosen(g group) operand { return operand{byStream(g, "R12", "R11"), 0} }

// invertItems: z and k of n groups to their inverses. The powers lie in the
// memory of a table, 16 elements modulo p, then 16 modulo n.
func (f *file) invertItems() {
	f.Func("invertItems", "powers *[2][16]element, w *work, items *item, n int", 32,
		"invertItems replaces z modulo p and k modulo n of n items by their inverses, all\nin Montgomery form. If a value is zero, all of that lane's inverses are zero.\n\nConstant time: the exponents p-2 and n-2 and n are public, the values are not\nlooked at. Vector registers are wiped.")
	f.I("MOVQ powers+0(FP), R13")
	f.I("MOVQ w+8(FP), DI")
	f.prologue()
	f.I("MOVQ items+16(FP), DX")
	f.I("MOVQ n+24(FP), CX")
	f.multiplyItems()
	f.raise()
	f.I("MOVQ n+24(FP), CX")
	f.divideItems()
	f.epilogue()
}

// multiplyItems makes the products of all groups up to each; DX ends at the last.
func (f *file) multiplyItems() {
	f.Zip(0, func(s *stream) { g := group{s}; g.copy(itemProduct(g), itemValue(g)) })
	f.I("DECQ CX")
	f.I("JZ multiplied")
	f.Label("multiply")
	f.I("ADDQ $%d, DX", item.size())
	f.steps(func(g group) []step {
		return []step{{core: mulPN, a: productBefore(g), b: itemValue(g), then: keepStore(itemProduct(g))}}
	})
	f.I("DECQ CX")
	f.I("JNZ multiply")
	f.Label("multiplied")
}

// raise raises the last product to p-2 and n-2, four bits at a time, into the
// accumulators.
func (f *file) raise() {
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.constant(power(g, 0), byStream(g, "R mod p", "R mod n"))
		g.copy(power(g, 1), itemProduct(g))
	})
	f.I("MOVQ R13, BX")
	f.I("MOVQ $14, CX")
	f.Label("power")
	f.steps(func(g group) []step {
		next := func(i int) operand { return operand{"BX", power(g, i).off} }
		return []step{{core: mulPN, a: next(1), b: power(g, 1), then: keepStore(next(2))}}
	})
	f.I("ADDQ $%d, BX", elementSize)
	f.I("DECQ CX")
	f.I("JNZ power")

	f.I("LEAQ exponents<>(SB), BX")
	f.powerAt()
	f.Zip(0, func(s *stream) { g := group{s}; g.copy(accumulator(g), chosen(g)) })
	f.I("MOVQ $63, CX")
	f.Label("digit")
	for range 4 {
		f.steps(func(g group) []step {
			return []step{{core: mulPN, a: accumulator(g), b: accumulator(g), then: keepStore(accumulator(g))}}
		})
	}
	f.I("ADDQ $8, BX")
	f.powerAt()
	f.steps(func(g group) []step {
		return []step{{core: mulPN, a: accumulator(g), b: chosen(g), then: keepStore(accumulator(g))}}
	})
	f.I("DECQ CX")
	f.I("JNZ digit")
}

// divideItems goes back from the last group, the accumulator being the inverse of
// the product up to there.
func (f *file) divideItems() {
	f.I("DECQ CX")
	f.I("JZ inverted")
	f.Label("invert")
	f.steps(func(g group) []step {
		inverse := operand{"DI", work.at(byStream(g, "t2", "t3"))}
		return []step{
			{core: mulPN, a: accumulator(g), b: productBefore(g), then: keepStore(inverse)},
			{core: mulPN, a: accumulator(g), b: itemValue(g), then: func(g group) {
				g.carry(out)
				g.store(out, accumulator(g))
				g.copy(itemValue(g), inverse)
			}},
		}
	})
	f.I("SUBQ $%d, DX", item.size())
	f.I("DECQ CX")
	f.I("JNZ invert")
	f.Label("inverted")
	f.Zip(0, func(s *stream) { g := group{s}; g.copy(itemValue(g), accumulator(g)) })
}

// powerAt points R12 and R11 to the powers for the digits at BX.
func (f *file) powerAt() {
	f.I("MOVQ (BX), R12")
	f.I("ADDQ R13, R12")
	f.I("MOVQ %d(BX), R11", 64*8)
	f.I("LEAQ %d(R13)(R11*1), R11", powersN)
}
