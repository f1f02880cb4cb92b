package main

import (
	"fmt"
	"math/big"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

type stream = asm512.Stream

// A lanes16 is the compression of one block on 16 lanes: a state of 8 rows, a
// message of 16 rows, a row a vector of 32-bit words. A lone stream keeps the
// message words in registers. Of two streams each keeps them in a ring in
// memory, and the last three made in registers as well.
type lanes16 struct {
	*stream
	state, temp int    // first registers of the state and of the temporaries
	words       int    // first register of the message, -1 for a ring
	in, out     string // pointers to the states
	low, high   string // pointers to message rows 0..7 and 8..15
	ring        int    // offset of the ring from R15
}

func z(i int) string { return fmt.Sprintf("Z%d", i) }

func row(base string, i int) string { return fmt.Sprintf("%d(%s)", 64*i, base) }

// one and two are the register plans of a lone stream and of the pair.
func one(s *stream) lanes16 {
	return lanes16{stream: s, state: 0, temp: 8, words: 16, in: "DI", out: "DX", low: "SI", high: "BX"}
}

func two(s *stream) lanes16 {
	if s.ID == 0 {
		return lanes16{stream: s, state: 0, temp: 8, words: -1, in: "DI", out: "DX", low: "SI", high: "BX", ring: 0}
	}
	return lanes16{stream: s, state: 16, temp: 24, words: -1, in: "R8", out: "R12", low: "R9", high: "R10", ring: 1024}
}

// v is state variable i, 0 for a to 7 for h, in round t: the registers stay and
// the names turn.
func (c lanes16) v(i, t int) string { return z(c.state + (i-t%8+8)%8) }

func (c lanes16) t(i int) string { return z(c.temp + i) }

func (c lanes16) ringWord(t int) string { return fmt.Sprintf("%d(R15)", c.ring+64*(t%16)) }

// word is message word t as an operand.
func (c lanes16) word(t int) string {
	if c.words >= 0 {
		return z(c.words + t%16)
	}
	return c.ringWord(t)
}

// round is round t of FIPS 180-4 §6.2.2 step 3, its constant at R11 + 4·(t-t0).
// Ch and Maj are one three-input operation each.
func (c lanes16) round(t, t0 int) {
	a, b, cc, d := c.v(0, t), c.v(1, t), c.v(2, t), c.v(3, t)
	e, f, g, h := c.v(4, t), c.v(5, t), c.v(6, t), c.v(7, t)
	rotated := func(x string, r1, r2, r3 int) {
		c.I("VPRORD $%d, %s, %s", r1, x, c.t(0))
		c.I("VPRORD $%d, %s, %s", r2, x, c.t(1))
		c.I("VPRORD $%d, %s, %s", r3, x, c.t(2))
		c.I("VMOVDQA32 %s, %s", x, c.t(3))
	}
	c.I("VPADDD %s, %s, %s", c.word(t), h, h)
	c.I("VPADDD.BCST %d(R11), %s, %s", 4*(t-t0), h, h)
	rotated(e, 6, 11, 25)
	c.I("VPTERNLOGD $0xca, %s, %s, %s", g, f, c.t(3)) // Ch
	c.I("VPTERNLOGD $0x96, %s, %s, %s", c.t(2), c.t(1), c.t(0))
	c.I("VPADDD %s, %s, %s", c.t(3), h, h)
	if c.words >= 0 { // a lone stream waits for h: d takes the summands one by one
		c.I("VPADDD %s, %s, %s", h, d, d)
		c.I("VPADDD %s, %s, %s", c.t(0), d, d)
		c.I("VPADDD %s, %s, %s", c.t(0), h, h)
	} else {
		c.I("VPADDD %s, %s, %s", c.t(0), h, h)
		c.I("VPADDD %s, %s, %s", h, d, d)
	}
	rotated(a, 2, 13, 22)
	c.I("VPTERNLOGD $0xe8, %s, %s, %s", cc, b, c.t(3)) // Maj
	c.I("VPTERNLOGD $0x96, %s, %s, %s", c.t(2), c.t(1), c.t(0))
	c.I("VPADDD %s, %s, %s", c.t(3), h, h)
	c.I("VPADDD %s, %s, %s", c.t(0), h, h)
}

// sigma leaves a small sigma of x in t(0).
func (c lanes16) sigma(x string, r1, r2, shift int) {
	c.I("VPRORD $%d, %s, %s", r1, x, c.t(0))
	c.I("VPRORD $%d, %s, %s", r2, x, c.t(1))
	c.I("VPSRLD $%d, %s, %s", shift, x, c.t(2))
	c.I("VPTERNLOGD $0x96, %s, %s, %s", c.t(2), c.t(1), c.t(0))
}

// schedule makes message word t+16 in the place of word t.
func (c lanes16) schedule(t int) {
	if c.words >= 0 {
		w := c.word(t)
		c.sigma(c.word(t+1), 7, 18, 3)
		c.I("VPADDD %s, %s, %s", c.word(t+9), w, w)
		c.I("VPADDD %s, %s, %s", c.t(0), w, w)
		c.sigma(c.word(t+14), 17, 19, 10)
		c.I("VPADDD %s, %s, %s", c.t(0), w, w)
		return
	}
	made := c.t(4 + t%3)
	twoAgo := c.t(4 + (t+1)%3) // word t+14
	c.I("VMOVDQU32 %s, %s", c.word(t+1), c.t(3))
	c.sigma(c.t(3), 7, 18, 3)
	c.I("VPADDD %s, %s, %s", c.word(t), c.t(0), made)
	c.I("VPADDD %s, %s, %s", c.word(t+9), made, made)
	c.sigma(twoAgo, 17, 19, 10)
	c.I("VPADDD %s, %s, %s", c.t(0), made, made)
	c.I("VMOVDQU32 %s, %s", made, c.ringWord(t))
}

// begin loads the state, and the message to where the rounds want it.
func (c lanes16) begin() {
	for i := range 8 {
		c.I("VMOVDQU32 %s, %s", row(c.in, i), z(c.state+i))
	}
	source := func(t int) string {
		if t < 8 {
			return row(c.low, t)
		}
		return row(c.high, t-8)
	}
	if c.words >= 0 {
		for t := range 16 {
			c.I("VMOVDQU32 %s, %s", source(t), c.word(t))
		}
		return
	}
	for t := range 16 {
		c.I("VMOVDQU32 %s, %s", source(t), c.t(t%7))
		c.I("VMOVDQU32 %s, %s", c.t(t%7), c.ringWord(t))
	}
	c.I("VMOVDQA32 %s, %s", c.t(15%7), c.t(4)) // words 14 and 15 as schedule wants them
	c.I("VMOVDQA32 %s, %s", c.t(14%7), c.t(6))
}

// turn renames the last three words for the next 16 rounds, 16 being 1 modulo 3.
func (c lanes16) turn() {
	if c.words >= 0 {
		return
	}
	c.I("VMOVDQA32 %s, %s", c.t(4+63%3), c.t(3))
	c.I("VMOVDQA32 %s, %s", c.t(4+62%3), c.t(4+46%3))
	c.I("VMOVDQA32 %s, %s", c.t(3), c.t(4+47%3))
}

// end adds the state before; the new one stays in the registers, too.
func (c lanes16) end() {
	for i := range 8 {
		c.I("VPADDD %s, %s, %s", row(c.in, i), z(c.state+i), z(c.state+i))
		c.I("VMOVDQU32 %s, %s", z(c.state+i), row(c.out, i))
	}
}

// lag is how far the second stream runs behind the first.
const lag = 16

// core writes a subroutine that compresses one block of 16 or 32 lanes: three
// times 16 rounds with the schedule, 16 without. Unrolled it would not fit the
// cache of decoded instructions.
func (f *file) core(groups int) {
	f.Sub(fmt.Sprintf("core%d", groups), "One block a lane. States in at DI (R8), out at DX (R12), message rows 0..7 at SI\n(R9) and 8..15 at BX (R10); those in brackets of the second group, whose words\nlie in a ring at R15. Uses R11 and AX. Constant time.")
	zip := func(body func(c lanes16)) {
		if groups == 1 {
			s := &stream{}
			body(one(s))
			f.Place(s)
			return
		}
		f.Zip(lag, func(s *stream) { body(two(s)) })
	}
	f.I("LEAQ k256<>(SB), R11")
	zip(lanes16.begin)
	f.I("MOVQ $3, AX")
	f.I("PCALIGN $64")
	f.Label("rounds")
	zip(func(c lanes16) {
		c.turn()
		for t := 48; t < 64; t++ { // as a multiple of 16, of 8 and of 3, 48 names the registers
			c.round(t, 48)
			c.schedule(t)
		}
	})
	f.I("ADDQ $64, R11")
	f.I("DECQ AX")
	f.I("JNZ rounds")
	zip(func(c lanes16) {
		for t := 48; t < 64; t++ {
			c.round(t, 48)
		}
		c.end()
	})
	f.I("RET")
}

// roundConstants are the first 32 bits of the fractions of the cube roots of the
// first 64 primes (FIPS 180-4 §4.2.2), two to a quadword.
func roundConstants() []uint64 {
	var q []uint64
	for n, p := 0, int64(2); n < 64; p++ {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		k := uint64(uint32(cubeRoot(new(big.Int).Lsh(big.NewInt(p), 96)).Uint64()))
		if n%2 == 0 {
			q = append(q, k)
		} else {
			q[n/2] |= k << 32
		}
		n++
	}
	return q
}

// cubeRoot is the integer part of the cube root, by halving an interval.
func cubeRoot(x *big.Int) *big.Int {
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(x.BitLen()/3+1))
	for {
		mid := new(big.Int).Add(low, high)
		mid.Rsh(mid, 1)
		if mid.Cmp(low) == 0 {
			return low
		}
		cube := new(big.Int).Exp(mid, big.NewInt(3), nil)
		if cube.Cmp(x) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
}
