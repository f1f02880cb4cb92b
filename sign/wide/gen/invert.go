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

// invertItems: z and k of n groups to their inverses. The powers lie in the
// memory of a table, 16 elements modulo p, then 16 modulo n.
func (f *file) invertItems() {
	f.Func("invertItems", "powers *[2][16]element, w *work, items *item, n int", 32,
		"invertItems replaces z modulo p and k modulo n of n items by their inverses, all\nin Montgomery form. If a value is zero, all of that lane's inverses are zero.\n\nConstant time: the exponents p-2 and n-2 and n are public, the values are not\nlooked at. Vector registers are wiped.")
	const powersN = 16 * elementSize
	f.I("MOVQ powers+0(FP), R13")
	f.I("MOVQ w+8(FP), DI")
	f.prologue()
	f.I("MOVQ items+16(FP), DX")
	f.I("MOVQ n+24(FP), CX")
	value := func(g group) operand { return operand{"DX", item.at([]string{"z", "k"}[g.ID])} }
	product := func(g group) operand { return operand{"DX", item.at([]string{"pz", "pk"}[g.ID])} }
	before := func(g group) operand { return operand{"DX", product(g).off - item.size()} }

	// products of all groups up to each
	f.Zip(0, func(s *stream) { g := group{s}; g.copy(product(g), value(g)) })
	f.I("DECQ CX")
	f.I("JZ multiplied")
	f.Label("multiply")
	f.I("ADDQ $%d, DX", item.size())
	f.steps(func(g group) []step {
		return []step{{core: mulPN, a: before(g), b: value(g), then: keepStore(product(g))}}
	})
	f.I("DECQ CX")
	f.I("JNZ multiply")
	f.Label("multiplied")

	// powers 0..15 of the last product
	power := func(g group, i int) operand { return operand{"R13", g.ID*powersN + i*elementSize} }
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.constant(power(g, 0), []string{"R mod p", "R mod n"}[g.ID])
		g.copy(power(g, 1), product(g))
	})
	f.I("MOVQ R13, BX")
	f.I("MOVQ $14, CX")
	f.Label("power")
	f.steps(func(g group) []step {
		at := func(i int) operand { return operand{"BX", g.ID*powersN + i*elementSize} }
		return []step{{core: mulPN, a: at(1), b: power(g, 1), then: keepStore(at(2))}}
	})
	f.I("ADDQ $%d, BX", elementSize)
	f.I("DECQ CX")
	f.I("JNZ power")

	// the power, four bits at a time; the result in t0 of stream 0 and t1 of 1
	acc := func(g group) operand { return operand{"DI", work.at([]string{"t0", "t1"}[g.ID])} }
	f.I("LEAQ exponents<>(SB), BX")
	f.powerAt(powersN)
	f.Zip(0, func(s *stream) { g := group{s}; g.copy(acc(g), operand{[]string{"R12", "R11"}[g.ID], 0}) })
	f.I("MOVQ $63, CX")
	f.Label("digit")
	square := func(g group) []step {
		return []step{{core: mulPN, a: acc(g), b: acc(g), then: keepStore(acc(g))}}
	}
	for range 4 {
		f.steps(square)
	}
	f.I("ADDQ $8, BX")
	f.powerAt(powersN)
	f.steps(func(g group) []step {
		return []step{{core: mulPN, a: acc(g), b: operand{[]string{"R12", "R11"}[g.ID], 0}, then: keepStore(acc(g))}}
	})
	f.I("DECQ CX")
	f.I("JNZ digit")

	// back: the inverse of each value, and of the product before it
	f.I("MOVQ n+24(FP), CX")
	f.I("DECQ CX")
	f.I("JZ inverted")
	f.Label("invert")
	f.steps(func(g group) []step {
		keep := operand{"DI", work.at([]string{"t2", "t3"}[g.ID])}
		return []step{
			{core: mulPN, a: acc(g), b: before(g), then: keepStore(keep)},
			{core: mulPN, a: acc(g), b: value(g), then: func(g group) {
				g.carry(out)
				g.store(out, acc(g))
				g.copy(value(g), keep)
			}},
		}
	})
	f.I("SUBQ $%d, DX", item.size())
	f.I("DECQ CX")
	f.I("JNZ invert")
	f.Label("inverted")
	f.Zip(0, func(s *stream) { g := group{s}; g.copy(value(g), acc(g)) })
	f.epilogue()
}

// powerAt points R12 and R11 to the powers for the digits at BX.
func (f *file) powerAt(powersN int) {
	f.I("MOVQ (BX), R12")
	f.I("ADDQ R13, R12")
	f.I("MOVQ %d(BX), R11", 64*8)
	f.I("LEAQ %d(R13)(R11*1), R11", powersN)
}
