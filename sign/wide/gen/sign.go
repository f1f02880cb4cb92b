package main

// The two halves of signing: from nonces to points, from points to signatures.

// combSign: nonces k (words, lowest first) to k·G.
func (f *file) combSign() {
	f.Func("combSign", "w *[2]work, it *[2]item, k *[16]words4, tab *byte", 32,
		"combSign sets it[i].x and it[i].z to X and Z of k·G, tab being the table of G,\nit[i].k to k·2^260 mod n, and it[i].neg. k must be in [1, n-1]. An even k is\nreplaced by n-k, whose point has the same X.\n\nConstant time: table look-ups read every entry, no branch or address depends on\nk. Vector registers are wiped.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.I("MOVQ k+16(FP), BX")
	f.prologue()
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		for j := range 4 {
			g.gatherWords("BX", 256*g.ID+8*j, 32, j)
		}
		g.limbsFromWords(0, 5)
		for i := range 5 {
			g.I("VMOVDQA64 %s, %s", g.z(5+i), g.z(i))
		}
		g.recode(g.at("digits"))
		g.store(0, g.at("t0"))
		neg := itemAt(g, "neg")
		g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
		g.I("VMOVDQU64 %s, %s", g.t(0), neg.limb(0))
		g.constant(g.at("t1"), "RR mod n")
	})
	f.moduli()
	f.steps(func(g group) []step {
		return []step{{core: mulN, a: g.at("t0"), b: g.at("t1"), then: keepStore(itemAt(g, "k"))}}
	})
	f.I("MOVQ tab+24(FP), R13")
	f.comb("digits", true)
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.copy(itemAt(g, "x"), g.at("x"))
		g.copy(itemAt(g, "z"), g.at("z"))
		g.copy(itemAt(g, "y"), g.at("y"))
	})
	f.epilogue()
}

// itemAt is a field of the group's item; the items of both lie at DX.
func itemAt(g group, field string) operand {
	return operand{"DX", g.ID*item.size() + item.at(field)}
}

// comb adds the 32 table entries that the scalar in field chooses, table at R13;
// fresh starts with the first, otherwise all are added to the point there is.
func (f *file) comb(field string, fresh bool) {
	f.I("LEAQ %d(DI), BX", work.at(field))
	digit := func(g group) string { return operand{"BX", g.ID * work.size()}.limb(0) }
	windows := combWindows
	loop := "comb_" + field
	if fresh {
		f.Zip(lag, func(s *stream) {
			g := group{s}
			lookup(g, "R13", digit(g), g.at("x"), g.at("y"))
			first(g, digit(g))
		})
		f.I("ADDQ $%d, R13", combBlock)
		f.I("INCQ BX")
		windows--
		loop += "_first"
	}
	f.I("MOVQ $%d, CX", windows)
	f.Label(loop)
	f.prefetch, f.prefetchAt = combBlock/64, combBlock
	f.Zip(lag, func(s *stream) {
		g := group{s}
		lookup(g, "R13", digit(g), g.at("x2"), g.at("y2"))
	})
	f.steps(func(g group) []step { return addMixed(g, digit(g)) })
	f.prefetch = 0
	f.I("ADDQ $%d, R13", combBlock)
	f.I("INCQ BX")
	f.I("TESTQ $7, BX") // after eight bytes the next word is 64 bytes on
	f.I("JNE %s_same", loop)
	f.I("ADDQ $56, BX")
	f.Label(loop + "_same")
	f.I("DECQ CX")
	f.I("JNZ %s", loop)
}

// finishSign: inverses of Z and k, and the digests, to signatures.
func (f *file) finishSign() {
	f.Func("finishSign", "w *[2]work, it *[2]item, digests *[16][32]byte, d *element, sigs *[16][64]byte", 40,
		"finishSign writes r‖s for the points and inverses in it; d is the private key\ntimes 2^260 mod n. it[i].bad is all ones in the lanes where r or s is zero.\n\nConstant time; vector registers are wiped.")
	f.I("MOVQ w+0(FP), DI")
	f.I("MOVQ it+8(FP), DX")
	f.prologue()
	f.I("MOVQ digests+16(FP), BX")
	f.I("MOVQ d+24(FP), R13")
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: sqrP, a: itemAt(g, "z"), then: func(g group) {
				g.carry(out)
				g.store(out, at("t0"))
				g.constant(at("t6"), "1")
			}},
			{core: mulP, a: itemAt(g, "x"), b: at("t0"), then: keepStore(at("t1"))},
			{core: mulP, a: at("t1"), b: at("t6"), then: func(g group) { // x, then r
				g.carry(out)
				g.subtractOnce(out, 0, "1p")
				g.subtractOnce(out, 0, "n")
				g.store(out, at("t3"))
				g.zeroLanes(out, g.k(1))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "bad").limb(0))
				g.load(0, operand{"R13", 0})
				g.store(0, at("t4"))
			}},
		}
	})
	f.strides()
	f.Zip(0, func(s *stream) {
		g := group{s}
		g.loadBig("BX", 256*g.ID, 32, 0, 5)
		g.store(out, g.at("t5"))
	})
	f.moduli()
	f.steps(func(g group) []step {
		at := g.at
		return []step{
			{core: mulN, a: at("t3"), b: at("t4"), then: func(g group) { // r·d + digest
				g.add(out, at("t5"))
				g.carry(out)
				g.store(out, at("t5"))
			}},
			{core: mulN, a: at("t5"), b: itemAt(g, "k"), then: func(g group) { // s
				g.carry(out)
				g.subtractOnce(out, 0, "n")
				g.zeroLanes(out, g.k(1))
				g.I("VPMOVM2Q %s, %s", g.k(1), g.t(0))
				g.I("VPORQ %s, %s, %s", itemAt(g, "bad").limb(0), g.t(0), g.t(0))
				g.I("VMOVDQU64 %s, %s", g.t(0), itemAt(g, "bad").limb(0))
				g.I("VMOVDQU64 %s, %s", itemAt(g, "neg").limb(0), g.t(0))
				g.I("VPMOVQ2M %s, %s", g.t(0), g.k(1))
				g.negateOrder(out, 0, g.k(1))
				g.store(out, at("t4"))
			}},
		}
	})
	f.I("MOVQ sigs+32(FP), BX")
	f.Zip(lag, func(s *stream) { storeSignatures(group{s}) })
	f.epilogue()
}

// storeSignatures writes r (t3) and s (t4) of eight lanes as 64 bytes each.
func storeSignatures(g group) {
	for h, field := range []string{"t3", "t4"} {
		g.load(4, g.at(field))
		for j := range 4 {
			// words go to memory: too few registers for eight words and five limbs
			g.word(4, 3-j, 0, 0)
			g.I("VPSHUFB reverse<>(SB), %s, %s", g.z(0), g.z(0))
			g.I("VMOVDQU64 %s, %s", g.z(0), operand{bases[g.ID], work.at("t5") + 64*(4*h+j)}.limb(0))
		}
	}
	for i := range 8 {
		g.I("VMOVDQU64 %s, %s", operand{bases[g.ID], work.at("t5") + 64*i}.limb(0), g.z(i))
	}
	g.transpose8()
	for i := range 8 {
		g.I("VMOVDQU64 %s, %d(BX)", g.z(i), 512*g.ID+64*i)
	}
}

// transpose8 turns the 8×8 quadwords of registers 0..7, through t(0): neighbouring
// rows by quadword, then 4×4 transpositions by 128 bits among the even and among
// the odd results. Column j ends in register j.
func (g group) transpose8() {
	pair := func(low, high string, a, b int) {
		g.I("%s, %s, %s, %s", low, g.z(b), g.z(a), g.t(0))
		g.I("%s, %s, %s, %s", high, g.z(b), g.z(a), g.z(b))
		g.I("VMOVDQA64 %s, %s", g.t(0), g.z(a))
	}
	for i := 0; i < 8; i += 2 {
		g.I("VPUNPCKLQDQ %s, %s, %s", g.z(i+1), g.z(i), g.t(0))
		g.I("VPUNPCKHQDQ %s, %s, %s", g.z(i+1), g.z(i), g.z(i+1))
		g.I("VMOVDQA64 %s, %s", g.t(0), g.z(i))
	}
	for c := range 2 {
		for _, p := range [][2]int{{c, 2 + c}, {4 + c, 6 + c}, {c, 4 + c}, {2 + c, 6 + c}} {
			pair("VSHUFI64X2 $0x88", "VSHUFI64X2 $0xdd", p[0], p[1])
		}
	}
}
