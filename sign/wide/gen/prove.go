package main

// The proof of a batch before it leaves: for every signature s·k = z + r·d modulo
// n and r = x(R) modulo n, and in each lane Σ 2^i·R_i = (Σ 2^i·k_i)·G over the
// lane's signatures, with a fresh multiplication of G. A fault in one signature of
// a lane cannot pass, nor can an exchange of two; several faults pass only if they
// cancel with these weights.

// checkScalars: s·k = z + r·d.
func (f *file) checkScalars() {
	f.Func("checkScalars", "w *[2]work, it *[2]item, digests *[16][32]byte, sigs *[16][64]byte, k *[16]words4, d *element", 48,
		"checkScalars sets it[i].ok where s·k is the digest plus r·d modulo n, d being the\nprivate key times 2^260 mod n.\n\nConstant time; vector registers are wiped.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.prologue()
	f.I("MOVQ digests+16(FP), BX")
	f.I("MOVQ sigs+24(FP), CX")
	f.I("MOVQ k+32(FP), R13")
	f.I("MOVQ d+40(FP), R12")
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.loadBig("CX", 512*g.ID, 64, 0, 5)
		g.store(5, g.at("t0"))
		g.loadBig("CX", 512*g.ID+32, 64, 0, 5)
		g.store(5, g.at("t1"))
		g.loadBig("BX", 256*g.ID, 32, 0, 5)
		g.store(5, g.at("t2"))
		g.loadLittle("R13", 256*g.ID, 0, 5)
		g.store(5, g.at("t3"))
		g.copy(g.at("t4"), operand{"R12", 0})
		g.constant(g.at("t5"), "1")
	})
	f.moduli()
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: mulN, a: at("t0"), b: at("t4"), then: func(g group) { // z + r·d
				g.add(out, at("t2"))
				g.carry(out)
				g.store(out, at("t2"))
			}},
			{core: mulN, a: at("t2"), b: at("t5"), then: keepStore(at("t2"))},
			{core: mulN, a: at("t1"), b: at("t3"), then: func(g group) { // both are divided by 2^260
				g.sub(out, at("t2"))
				for i := range 5 {
					g.I("VPADDQ.BCST %s, %s, %s", pool.ref("2n", i), g.z(out+i), g.z(out+i))
				}
				g.carry(out)
				g.store(out, at("t1"))
			}},
			{core: mulN, a: at("t1"), b: at("t5"), then: func(g group) { // in [0, n]
				g.carry(out)
				g.subtractOnce(out, 0, "n")
				g.zeroLanes(out, g.k(1))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "ok").limb(0))
			}},
		}
	})
	f.epilogue()
}

// loadLittle loads eight integers of four quadwords, lowest first, as limbs in
// registers to..to+4 through r..r+3.
func (g group) loadLittle(base string, off, r, to int) {
	for j := range 4 {
		g.gatherWords(base, off+8*j, 32, r+j)
	}
	g.limbsFromWords(r, to)
}

// sumPoints: the weighted sums of points and nonces.
func (f *file) sumPoints() {
	f.Func("sumPoints", "w *[2]work, it *[2]item, sigs *[16][64]byte, k *[16]words4, more int", 40,
		"sumPoints doubles the point (x, y, z) and w[i].sum, and adds it[i]'s point, made\naffine by its inverse, and the nonce as it was used for it. If more is zero it\nstarts with these instead. it[i].ok is cleared where r is not the point's x modulo\nn.\n\nConstant time; vector registers are wiped.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.I("MOVQ sigs+16(FP), BX")
	f.I("MOVQ k+24(FP), R13")
	f.prologue()
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: sqrP, a: itemAt(g, "z"), then: keepStore(at("t0"))},
			{core: mulP, a: itemAt(g, "x"), b: at("t0"), then: func(g group) {
				g.carry(out)
				g.store(out, at("x2"))
				g.constant(at("t5"), "1")
			}},
			{core: mulP, a: at("x2"), b: at("t5"), then: func(g group) { // r of this point
				g.carry(out)
				g.subtractOnce(out, 0, "1p")
				g.subtractOnce(out, 0, "n")
				g.store(out, at("t3"))
			}},
			{core: mulP, a: itemAt(g, "z"), b: at("t0"), then: keepStore(at("t1"))},
			{core: mulP, a: itemAt(g, "y"), b: at("t1"), then: keepStore(at("y2"))},
		}
	})
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.loadBig("BX", 512*g.ID, 64, 0, 5)
		g.sub(5, g.at("t3"))
		g.zeroLanes(5, g.k(1))
		g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
		g.I("VPANDQ %s, %s, %s", itemAt(g, "ok").limb(0), g.t(0), g.t(0))
		g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "ok").limb(0))
		// the nonce, negated where it was
		g.loadLittle("R13", 256*g.ID, 0, 5)
		g.I("VMOVDQU64 %s, %s", itemAt(g, "neg").limb(0), g.t(0))
		g.I("VPMOVQ2M %s, %s", g.t(0), g.k(1))
		g.negateOrder(5, 0, g.k(1))
		g.store(5, g.at("t2"))
		g.I("VPTERNLOGQ $0xff, %s, %s, %s", g.t(0), g.t(0), g.t(0))
		g.I("VMOVDQU64 %s, %s", g.t(0), g.at("sign").limb(0))
	})
	f.moduli()
	f.I("MOVQ more+32(FP), CX")
	f.I("TESTQ CX, CX")
	f.I("JNE more")
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.copy(g.at("x"), g.at("x2"))
		g.copy(g.at("y"), g.at("y2"))
		g.constant(g.at("z"), "R mod p")
		g.copy(g.at("sum"), g.at("t2"))
	})
	f.I("JMP done")
	f.Label("more")
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.load(5, g.at("sum"))
		g.double(5)
		g.carry(5)
		g.subtractOnce(5, 0, "n")
		g.add(5, g.at("t2"))
		g.carry(5)
		g.subtractOnce(5, 0, "n")
		g.store(5, g.at("sum"))
	})
	f.I("CALL double<>(SB)")
	f.I("CALL add<>(SB)")
	f.Label("done")
	f.epilogue()
}

// comparePoints: whether two points have the same x.
func (f *file) comparePoints() {
	f.Func("comparePoints", "w *[2]work, it, other *[2]item", 24,
		"comparePoints sets it[i].ok where it[i]'s x/z² is the other's and neither z is\nzero.\n\nConstant time; vector registers are wiped.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.I("MOVQ other+16(FP), BX")
	f.prologue()
	other := func(g group, field string) operand {
		return operand{"BX", g.ID*item.size() + item.at(field)}
	}
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: sqrP, a: itemAt(g, "z"), then: func(g group) {
				g.carry(out)
				g.store(out, at("t0"))
				g.constant(at("t5"), "1")
			}},
			{core: sqrP, a: other(g, "z"), then: keepStore(at("t1"))},
			{core: mulP, a: itemAt(g, "x"), b: at("t1"), then: keepStore(at("t2"))},
			{core: mulP, a: other(g, "x"), b: at("t0"), then: func(g group) {
				g.sub(out, at("t2"))
				g.addMultiple(out, 2)
				g.carry(out)
				g.store(out, at("t3"))
			}},
			{core: mulP, a: at("t3"), b: at("t5"), then: func(g group) {
				g.carry(out)
				g.subtractOnce(out, 0, "1p")
				g.zeroLanes(out, g.k(1))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "ok").limb(0))
			}},
			{core: mulP, a: at("t0"), b: at("t1"), then: keepStore(at("t2"))},
			{core: mulP, a: at("t2"), b: at("t5"), then: func(g group) {
				g.carry(out)
				g.subtractOnce(out, 0, "1p")
				g.zeroLanes(out, g.k(1))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VPANDNQ %s, %s, %s", itemAt(g, "ok").limb(0), g.t(0), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "ok").limb(0))
			}},
		}
	})
	f.epilogue()
}
