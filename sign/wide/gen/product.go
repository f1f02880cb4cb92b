package main

// Products. Montgomery multiplication in radix 2^52: ten accumulators take the
// low and high halves of 25 limb products, and each of five steps of reduction
// clears the lowest one left. VPMADD52 reads the low 52 bits of its factors, so
// factors must be carried; sums in the accumulators need not be.

func (g group) madd(half, x, y string, acc int) {
	g.I("VPMADD52%sUQ %s, %s, %s", half, x, y, g.z(acc))
}

// maddLow is madd of an accumulator of which the low 52 bits are meant.
func (g group) maddLow(half, x, y string, acc int) {
	g.I("VPMADD52%sUQ %s, %s, %s // low", half, y, x, g.z(acc))
}

func (g group) zero(from, to int) {
	for i := from; i < to; i++ {
		g.I("VPXORQ %s, %s, %s", g.z(i), g.z(i), g.z(i))
	}
}

// reduceP clears accumulator i modulo p. As p = -1 modulo 2^96, the quotient is
// the accumulator itself, and adding q·p costs three constants: 2^44, 2^36 and
// limb 4 of p.
func (g group) reduceP(i int) {
	q := g.z(i)
	g.maddLow("L", q, rP1, i+1)
	g.I("VPSRLQ $52, %s, %s", q, g.t(2))
	g.maddLow("H", q, rP1, i+2)
	g.maddLow("L", q, rP3, i+3)
	g.I("VPADDQ %s, %s, %s", g.t(2), g.z(i+1), g.z(i+1))
	g.maddLow("H", q, rP3, i+4)
	g.maddLow("H", q, rP4, i+5)
	g.maddLow("L", q, rP4, i+4)
}

// reduceN clears accumulator i modulo n, whose limbs come from memory.
func (g group) reduceN(i int) {
	q := g.t(2)
	g.I("VPXORQ %s, %s, %s", q, q, q)
	g.I("VPMADD52LUQ.BCST %s, %s, %s // low", pool.ref("-1/n", 0), g.z(i), q)
	for j := range 5 {
		g.I("VPMADD52LUQ.BCST %s, %s, %s", pool.ref("n", j), q, g.z(i+j))
	}
	g.I("VPSRLQ $52, %s, %s", g.z(i), g.z(i))
	for j := range 5 {
		g.I("VPMADD52HUQ.BCST %s, %s, %s", pool.ref("n", j), q, g.z(i+j+1))
	}
	g.I("VPADDQ %s, %s, %s", g.z(i), g.z(i+1), g.z(i+1))
}

// row adds a·(limb i of b).
func (g group) row(a func(j int) string, b operand, i int) {
	limb := g.t(i & 1)
	g.I("VMOVDQU64 %s, %s", b.limb(i), limb)
	for j := range 5 {
		g.madd("L", a(j), limb, i+j)
	}
	for j := range 5 {
		g.madd("H", a(j), limb, i+j+1)
	}
}

// rows adds a·b to the accumulators, reducing on the way if reduce is given.
func (g group) rows(a, b operand, reduce func(i int)) {
	for i := range 5 {
		g.row(a.limb, b, i)
		if reduce != nil {
			reduce(i)
		}
	}
}

// productP is a·b modulo p from empty accumulators. Those that are not yet live
// and those already cleared hold limbs 0..3 of a.
func (g group) productP(a, b operand) {
	g.zero(0, 6)
	held := [4]int{6, 7, 8, 9}
	for j, r := range held {
		g.I("VMOVDQU64 %s, %s", a.limb(j), g.z(r))
	}
	limb := func(j int) string {
		if j < len(held) {
			return g.z(held[j])
		}
		return a.limb(j)
	}
	for i := range 5 {
		if i > 0 {
			held[i-1] = i - 1
			g.I("VMOVDQU64 %s, %s", a.limb(i-1), g.z(i-1))
			g.zero(i+5, i+6)
		}
		g.row(limb, b, i)
		g.reduceP(i)
	}
}

func (g group) productN(a, b operand) {
	g.zero(0, 10)
	g.rows(a, b, g.reduceN)
}

// squareP doubles the cross products, in the accumulators, because a doubled
// limb would not fit a factor's 52 bits.
func (g group) squareP(a operand) {
	g.zero(0, 10)
	for i := range 4 {
		limb := g.t(i & 1)
		g.I("VMOVDQU64 %s, %s", a.limb(i), limb)
		for j := i + 1; j < 5; j++ {
			g.madd("L", a.limb(j), limb, i+j)
		}
		for j := i + 1; j < 5; j++ {
			g.madd("H", a.limb(j), limb, i+j+1)
		}
	}
	for i := 1; i < 9; i++ {
		g.I("VPADDQ %s, %s, %s", g.z(i), g.z(i), g.z(i))
	}
	for i := range 5 {
		limb := g.t(i & 1)
		g.I("VMOVDQU64 %s, %s", a.limb(i), limb)
		g.madd("L", limb, limb, 2*i)
		g.madd("H", limb, limb, 2*i+1)
	}
	for i := range 5 {
		g.reduceP(i)
	}
}

// A core is a product that all code shares as a subroutine of both streams: the
// decoded-instruction cache of the processor is the limit of unrolled code.
type core string

const (
	mulP    core = "mulP"    // a·b
	sqrP    core = "sqrP"    // a²
	sumP    core = "sumP"    // a·b + c·d with one reduction, as the next two
	rowsP   core = "rowsP"   // a·b without reduction
	rowsRed core = "rowsRed" // accumulators + a·b, reduced
	mulN    core = "mulN"    // a·b modulo n
	mulPN   core = "mulPN"   // stream 0: a·b modulo p, stream 1: a·b modulo n
)

// Registers that point to the operands of a core, for each stream.
var (
	coreA = [2]string{"R10", "AX"}
	coreB = [2]string{"R14", "SI"}
)

// lag is how far the second stream runs behind the first within a core.
const lag = 20

func (f *file) cores() {
	define := func(c core, doc string, body func(g group, a, b operand)) {
		f.Sub(string(c), doc)
		f.Zip(lag, func(s *stream) {
			body(group{s}, operand{coreA[s.ID], 0}, operand{coreB[s.ID], 0})
		})
		f.I("RET")
	}
	const where = "Operands at R10 and R14 for stream 0, AX and SI for stream 1; result, not\ncarried, in accumulators 5..9. Constant time: no branch, no computed address."
	define(mulP, "mulP is a·b modulo p. "+where, group.productP)
	define(sqrP, "sqrP is a² modulo p, a at R10 and AX.", func(g group, a, _ operand) { g.squareP(a) })
	define(rowsP, "rowsP is a·b, ten accumulators, not reduced.", func(g group, a, b operand) {
		g.zero(0, 10)
		g.rows(a, b, nil)
	})
	define(rowsRed, "rowsRed adds a·b to the accumulators and reduces modulo p.", func(g group, a, b operand) { g.rows(a, b, g.reduceP) })
	define(mulN, "mulN is a·b modulo n. "+where, group.productN)
	define(mulPN, "mulPN is a·b modulo p in stream 0 and modulo n in stream 1.", func(g group, a, b operand) {
		if g.ID == 0 {
			g.productP(a, b)
		} else {
			g.productN(a, b)
		}
	})
}

// A step is one product and what follows it in each group.
type step struct {
	core       core // "" for none
	a, b, c, d operand
	then       func(g group)
}

// steps writes the steps of both groups: products by call, the rest zipped.
func (f *file) steps(of func(g group) []step) {
	s0, s1 := of(group{&stream{ID: 0}}), of(group{&stream{ID: 1}})
	for i := range s0 {
		switch s0[i].core {
		case "":
		case sumP:
			f.call(rowsP, s0[i].a, s0[i].b, s1[i].a, s1[i].b)
			f.call(rowsRed, s0[i].c, s0[i].d, s1[i].c, s1[i].d)
		default:
			f.call(s0[i].core, s0[i].a, s0[i].b, s1[i].a, s1[i].b)
		}
		then := [2]func(g group){s0[i].then, s1[i].then}
		f.Zip(0, func(s *stream) { then[s.ID](group{s}) })
	}
}

func (f *file) call(c core, a0, b0, a1, b1 operand) {
	f.I("LEAQ %s, %s", a0.limb(0), coreA[0])
	f.I("LEAQ %s, %s", a1.limb(0), coreA[1])
	if c != sqrP {
		f.I("LEAQ %s, %s", b0.limb(0), coreB[0])
		f.I("LEAQ %s, %s", b1.limb(0), coreB[1])
	}
	f.I("CALL %s<>(SB)", c)
	for range min(prefetchBurst, f.prefetch) {
		f.I("PREFETCHT0 %d(R13)", f.prefetchAt)
		f.prefetchAt += 64
		f.prefetch--
	}
}
