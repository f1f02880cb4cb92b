package main

// Tables of the odd multiples of 16 points, for verification and for fixed
// points: entry j is (2j+1)·Q.

// tableEntry is an element of the entry that the pointer register shows.
func tableEntry(g group, field string) operand {
	if g.ID == 1 {
		field += "1"
	}
	return operand{"R11", multiple.at(field)}
}

// oddMultiples: Q to n multiples with their own Z.
func (f *file) oddMultiples() {
	f.Func("oddMultiples", "w *[2]work, tab *multiple, n int", 24,
		"oddMultiples fills tab with Q, 3Q, .. (2n-1)Q, Q being (qx, qy). The additions\nare mixed because they take place on the isomorphic curve on which 2Q is affine.\nThe Z of the last entry on the curve itself is left in w[i].z; each entry's h is\nthe quotient of its Z and the one before. If two points met that are equal or\nopposite, z is zero.\n\nFor public keys.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ tab+8(FP), R11")
	f.I("MOVQ n+16(FP), CX")
	f.prologue()
	f.Zip(0, func(s *stream) {
		g := group{s}
		for _, c := range [][2]string{{"x", "qx"}, {"y", "qy"}} {
			g.copy(g.at(c[0]), g.at(c[1]))
			g.store(0, tableEntry(g, c[0]))
		}
		g.constant(g.at("z"), "R mod p")
	})
	f.steps(doubling)
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.copy(g.at("x2"), g.at("x"))
		g.copy(g.at("y2"), g.at("y"))
		g.copy(g.at("zd"), g.at("z"))
	})
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: sqrP, a: at("z"), then: keepStore(at("t0"))},
			{core: mulP, a: at("t0"), b: at("z"), then: keepStore(at("t1"))},
			{core: mulP, a: at("qx"), b: at("t0"), then: keepStore(at("x"))},
			{core: mulP, a: at("qy"), b: at("t1"), then: func(g group) {
				g.carry(out)
				g.store(out, at("y"))
				g.constant(at("z"), "R mod p")
			}},
		}
	})
	f.I("DECQ CX")
	f.Label("next")
	f.I("ADDQ $%d, R11", multiple.size())
	f.steps(func(g group) []step { return addMixed(g, "") })
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.copy(tableEntry(g, "h"), g.at("t2"))
		g.copy(tableEntry(g, "x"), g.at("x"))
		g.copy(tableEntry(g, "y"), g.at("y"))
	})
	f.I("DECQ CX")
	f.I("JNZ next")
	f.steps(func(g group) []step {
		return []step{{core: mulP, a: g.at("z"), b: g.at("zd"), then: keepStore(g.at("z"))}}
	})
	f.epilogue()
}

// affineMultiples: the same entries with Z = 1.
func (f *file) affineMultiples() {
	f.Func("affineMultiples", "w *[2]work, tab *multiple, n int", 24,
		"affineMultiples makes the n entries of oddMultiples affine; w[i].z is the inverse\nof the Z that it left.\n\nFor public keys.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ tab+8(FP), R11")
	f.I("MOVQ n+16(FP), CX")
	f.prologue()
	f.I("DECQ CX")
	f.I("MOVQ $%d, AX", multiple.size())
	f.I("IMULQ CX, AX")
	f.I("ADDQ AX, R11")
	f.Label("next")
	f.steps(func(g group) []step {
		at := g.at
		x, y := tableEntry(g, "x"), tableEntry(g, "y")
		return []step{
			{core: sqrP, a: at("z"), then: keepStore(at("t0"))},
			{core: mulP, a: x, b: at("t0"), then: keepStore(x)},
			{core: mulP, a: at("t0"), b: at("z"), then: keepStore(at("t1"))},
			{core: mulP, a: at("z"), b: tableEntry(g, "h"), then: keepStore(at("z"))},
			{core: mulP, a: y, b: at("t1"), then: keepStore(y)},
		}
	})
	f.I("SUBQ $%d, R11", multiple.size())
	f.I("DECQ CX")
	f.I("JNZ next")
	f.epilogue()
}
