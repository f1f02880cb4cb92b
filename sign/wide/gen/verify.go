package main

// Verification: u1·G + u2·Q with u1 = z/s and u2 = r/s, and whether its x is r
// modulo n. Nothing here is secret.

// loadInverses: s of 16 signatures to it.k, to be inverted.
func (f *file) loadInverses() {
	f.Func("loadInverses", "w *[2]work, it *[2]item, sigs *[16][64]byte", 24,
		"loadInverses sets it[i].k to s·2^260 mod n, to be inverted; s must be in [1, n-1].")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.I("MOVQ sigs+16(FP), BX")
	f.prologue()
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.loadBig("BX", 512*g.ID+32, 64, 0, 5)
		g.store(5, g.at("t0"))
		g.constant(g.at("t1"), "RR mod n")
	})
	f.moduli()
	f.steps(func(g group) []step {
		return []step{{core: mulN, a: g.at("t0"), b: g.at("t1"), then: keepStore(itemAt(g, "k"))}}
	})
	f.epilogue()
}

// splitScalars: u1 and u2 as the digits of odd scalars.
func (f *file) splitScalars() {
	f.Func("splitScalars", "w *[2]work, it *[2]item, digests *[16][32]byte, sigs *[16][64]byte", 32,
		"splitScalars sets w[i].digits and digits2 to u1 and u2, both odd and with signs\nsuch that u1·G + u2·Q is right but for its sign; it[i].k is the inverse of s.\nit[i].bad is all ones where u1 is zero.\n\nFor public values.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.I("MOVQ digests+16(FP), BX")
	f.I("MOVQ sigs+24(FP), R13")
	f.prologue()
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.loadBig("BX", 256*g.ID, 32, 0, 5)
		g.store(5, g.at("t0"))
		g.loadBig("R13", 512*g.ID, 64, 0, 5)
		g.store(5, g.at("t1"))
	})
	f.moduli()
	reduced := func(g group) { // in registers 0..4
		g.carry(out)
		g.subtractOnce(out, 0, "n")
		for i := range 5 {
			g.I("VMOVDQA64 %s, %s", g.z(out+i), g.z(i))
		}
	}
	f.steps(func(g group) []step {
		return []step{
			{core: mulN, a: g.at("t0"), b: itemAt(g, "k"), then: func(g group) {
				reduced(g)
				g.zeroLanes(0, g.k(1))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "bad").limb(0))
				g.recode(g.at("digits"))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "neg").limb(0))
			}},
			{core: mulN, a: g.at("t1"), b: itemAt(g, "k"), then: func(g group) {
				reduced(g)
				g.recode(g.at("digits2"))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VPXORQ %s, %s, %s", itemAt(g, "neg").limb(0), g.t(0), g.t(0))
				for j := range 4 { // complemented digits are negated digits
					word := operand{bases[g.ID], work.at("digits2") + 64*j}.limb(0)
					g.I("VPXORQ %s, %s, %s", word, g.t(0), g.t(1))
					g.I("VMOVDQU64 %s, %s", g.t(1), word)
				}
			}},
		}
	})
	f.epilogue()
}

// keyTable is the number of odd multiples of each key, for digits of 4 bits.
const keyTable = 8

// The middle of a key's table is at R11, to have all of it in reach of short
// offsets.
const keyTableMiddle = 4 * 6 * elementSize

// pointSubs writes the subroutines of the double-and-add loop.
func (f *file) pointSubs() {
	f.Sub("double", "double doubles the points of both groups.")
	f.steps(doubling)
	f.I("RET")
	f.Sub("add", "add adds ±(x2, y2), bit 7 of sign set for plus.")
	f.steps(func(g group) []step { return addMixed(g, g.at("sign").limb(0)) })
	f.I("RET")
	f.Sub("selectKey", "selectKey loads (x2, y2) from the key's table at R11 by bits 4 to 7 of sign: the\ndigit's sign and, complemented if negative, its entry. It reads all entries.")
	f.Zip(lag, func(s *stream) {
		g := group{s}
		index := g.t(0)
		g.negative(g.at("sign").limb(0), g.k(0))
		g.I("VPTERNLOGQ $0x55, %s, %s, %s, %s", index, index, g.k(0), index)
		g.I("VPSRLQ $4, %s, %s", index, index)
		g.I("VPANDQ.BCST %s, %s, %s", pool.ref("index 7", 0), index, index)
		for j := range keyTable {
			mask := ""
			if j > 0 {
				g.I("VPCMPEQQ.BCST %s, %s, %s", pool.ref("index "+string(rune('0'+j)), 0), index, g.k(1+j%2))
				mask = g.k(1+j%2) + ", "
			}
			for l := range 10 {
				field := []string{"x", "y"}[l/5]
				o := tableEntry(g, field)
				o.off += j*multiple.size() - keyTableMiddle
				g.I("VMOVDQU64 %s, %s%s", o.limb(l%5), mask, g.z(l))
			}
		}
		g.store(0, g.at("x2"))
		g.store(5, g.at("y2"))
	})
	f.I("RET")
}

// keyDigit puts the low or high half of the byte at 256(BX) where selectKey
// wants it.
func (f *file) keyDigit(high bool) {
	f.Zip(0, func(s *stream) {
		g := group{s}
		delta := work.at("digits2") - work.at("digits")
		g.I("VMOVDQU64 %d(BX), %s", delta+g.ID*work.size(), g.t(0))
		if !high {
			g.I("VPSLLQ $4, %s, %s", g.t(0), g.t(0))
		}
		g.I("VMOVDQU64 %s, %s", g.t(0), g.at("sign").limb(0))
	})
	f.I("CALL selectKey<>(SB)")
}

func (f *file) doubleFour(label string) {
	f.I("MOVQ $4, R12")
	f.Label(label)
	f.I("CALL double<>(SB)")
	f.I("DECQ R12")
	f.I("JNZ %s", label)
}

// multiplyDistinct: u1·G + u2·Q with a table of each Q.
func (f *file) multiplyDistinct() {
	f.Func("multiplyDistinct", "w *[2]work, keys *multiple, tab *byte", 24,
		"multiplyDistinct sets (x, y, z) to u1·G + u2·Q: 256 doublings, 64 additions from\nthe table of 8 multiples of each Q, 32 from the first window of the generator's.\nz is zero where an addition met equal or opposite points.\n\nFor public values. It takes about 70 µs.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ keys+8(FP), R11")
	f.I("MOVQ tab+16(FP), R13")
	f.prologue()
	f.I("ADDQ $%d, R11", keyTableMiddle)
	f.I("LEAQ %d(DI), BX", work.at("digits")+3*64+7)
	f.I("MOVQ $32, CX")
	f.keyDigit(true)
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.copy(g.at("x"), g.at("x2"))
		g.copy(g.at("y"), g.at("y2"))
		first(g, g.at("sign").limb(0))
	})
	f.I("JMP low")
	f.Label("byte")
	f.doubleFour("double_high")
	f.keyDigit(true)
	f.I("CALL add<>(SB)")
	f.Label("low")
	f.doubleFour("double_low")
	f.keyDigit(false)
	f.I("CALL add<>(SB)")
	f.Zip(lag, func(s *stream) {
		g := group{s}
		digit := operand{"BX", g.ID * work.size()}.limb(0)
		g.I("VMOVDQU64 %s, %s", digit, g.t(0))
		g.I("VMOVDQU64 %s, %s", g.t(0), g.at("sign").limb(0))
		lookup(g, "R13", digit, g.at("x2"), g.at("y2"))
	})
	f.I("CALL add<>(SB)")
	f.I("TESTQ $7, BX") // below byte 0 of a word is byte 7 of the word before
	f.I("JNE same")
	f.I("SUBQ $56, BX")
	f.Label("same")
	f.I("DECQ BX")
	f.I("DECQ CX")
	f.I("JNZ byte")
	f.epilogue()
}

// multiplyKey: u1·G + u2·Q with a full table of the one Q.
func (f *file) multiplyKey() {
	f.Func("multiplyKey", "w *[2]work, gtab, ktab *byte", 24,
		"multiplyKey sets (x, y, z) to u1·G + u2·Q by 64 additions from the tables of G\nand Q. z is zero where an addition met equal or opposite points.\n\nFor public values.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ gtab+8(FP), R13")
	f.prologue()
	f.comb("digits", true)
	f.I("MOVQ ktab+16(FP), R13")
	f.comb("digits2", false)
	f.epilogue()
}

// checkPoints: whether r·Z² = X.
func (f *file) checkPoints() {
	f.Func("checkPoints", "w *[2]work, it *[2]item, sigs *[16][64]byte", 24,
		"checkPoints sets it[i].ok where r·Z² is X modulo p, and it[i].bad, which keeps what\nit was, where Z is zero. That r+n may be x as well is left to the caller.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.I("MOVQ sigs+16(FP), BX")
	f.prologue()
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.loadBig("BX", 512*g.ID, 64, 0, 5)
		g.store(5, g.at("t3"))
		g.constant(g.at("t4"), "RR mod p")
		g.constant(g.at("t5"), "1")
	})
	f.moduli()
	flag := func(g group, field string, keep bool) { // from a value in [0, p]
		g.carry(out)
		g.subtractOnce(out, 0, "1p")
		g.zeroLanes(out, g.k(1))
		g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
		if keep {
			g.I("VPORQ %s, %s, %s", itemAt(g, field).limb(0), g.t(0), g.t(0))
		}
		g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, field).limb(0))
	}
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: sqrP, a: at("z"), then: keepStore(at("t0"))},
			{core: mulP, a: at("t0"), b: at("t5"), then: func(g group) { flag(g, "bad", true) }},
			{core: mulP, a: at("t3"), b: at("t4"), then: keepStore(at("t3"))},
			{core: mulP, a: at("t3"), b: at("t0"), then: func(g group) {
				g.sub(out, at("x"))
				g.addMultiple(out, 2)
				g.carry(out)
				g.store(out, at("t3"))
			}},
			{core: mulP, a: at("t3"), b: at("t5"), then: func(g group) { flag(g, "ok", false) }},
		}
	})
	f.epilogue()
}
