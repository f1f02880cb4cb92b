package asm512

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// program parses a function f of the given lines, preceded by constants.
func program(t *testing.T, lines ...string) *Program {
	t.Helper()
	w := NewWriter("amd64", "test")
	w.Data("constants", []uint64{7, 1 << 44})
	w.Func("f", "p *byte", 8, "f is a test.")
	for _, l := range lines {
		if label, ok := strings.CutSuffix(l, ":"); ok {
			w.Label(label)
			continue
		}
		w.I("%s", l)
	}
	w.I("RET")
	w.Sub("callee", "callee leaves Z1 changed.")
	w.I("VMOVDQU64 (DI), Z1")
	w.I("RET")
	p, err := Parse(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConstantTimeIsDecidedByWhereAddressesComeFrom(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string // "" for accepted
	}{
		{"a counted loop", []string{"MOVQ p+0(FP), DI", "MOVQ $3, CX", "loop:", "VPADDQ (DI), Z1, Z1", "ADDQ $64, DI", "DECQ CX", "JNZ loop"}, ""},
		{"a table of constants", []string{"LEAQ constants<>(SB), BX", "ADDQ $8, BX", "MOVQ (BX), AX", "VPBROADCASTQ AX, Z1"}, ""},
		{"a constant gather", []string{"LEAQ constants<>(SB), R8", "MOVQ p+0(FP), DI", "VMOVDQU64 (R8), Z1", "VPSLLQ $5, Z1, Z1", "VPGATHERQQ (DI)(Z1*1), K1, Z2"}, ""},
		{"an address from memory", []string{"MOVQ p+0(FP), DI", "MOVQ (DI), AX", "VMOVDQU64 (AX), Z1"}, "depends on data"},
		{"a mask as a number", []string{"VPMOVQ2M Z1, K1", "KMOVQ K1, AX"}, "not among"},
		{"a vector as a number", []string{"VMOVQ X1, AX"}, "not among"},
		{"a branch on a vector", []string{"VPTESTMQ Z1, Z1, K1", "KORTESTQ K1, K1", "JZ out", "out:"}, "not among"},
		{"a division", []string{"DIVQ CX"}, "not among"},
		{"a gather by data", []string{"MOVQ p+0(FP), DI", "VMOVDQU64 (DI), Z1", "VPGATHERQQ (DI)(Z1*1), K1, Z2"}, "addresses"},
		{"a gather by what a call leaves", []string{"LEAQ constants<>(SB), R8", "VMOVDQU64 (R8), Z1", "CALL callee<>(SB)", "VPGATHERQQ (DI)(Z1*1), K1, Z2"}, "addresses"},
		{"a table lost in a loop", []string{"LEAQ constants<>(SB), BX", "loop:", "MOVQ (BX), AX", "MOVQ p+0(FP), BX", "DECQ CX", "JNZ loop"}, "not here"},
		{"a table lost on one of two ways", []string{"MOVQ p+0(FP), BX", "JZ in", "LEAQ constants<>(SB), BX", "in:", "MOVQ (BX), AX"}, "depends on data"},
	} {
		err := CheckConstantTime(program(t, c.lines...), "f")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestMachineRefusesWhatCanLeaveItsBounds(t *testing.T) {
	const at = 1 << 20
	for _, c := range []struct {
		name  string
		start Interval
		lines []string
		want  string
	}{
		{"a factor of 52 bits", Between(0, limit52-1), []string{"VPMADD52LUQ Z1, Z1, Z2"}, ""},
		{"a factor of more", Between(0, limit52), []string{"VPMADD52LUQ Z1, Z1, Z2"}, "52 bits"},
		{"a factor below zero", Between(-1, 1), []string{"VPMADD52HUQ Z1, Z1, Z2"}, "52 bits"},
		{"low bits that are meant", Between(0, 1<<60), []string{"VPMADD52LUQ Z1, Z1, Z2 // low"}, ""},
		{"low bits below zero", Between(-1, 1<<60), []string{"VPMADD52LUQ Z1, Z1, Z2 // low"}, "52 bits"},
		{"a sum of 64 bits", Between(0, 1<<62), []string{"VPADDQ Z1, Z1, Z1"}, "63 bits"},
		{"a difference of 64 bits", Between(-1<<62, 1<<62), []string{"VPSUBQ Z1, Z2, Z2", "VPSUBQ Z1, Z2, Z2", "VPSUBQ Z1, Z2, Z2"}, "63 bits"},
		{"a logical shift below zero", Between(-1, 1), []string{"VPSRLQ $52, Z1, Z1"}, "negative"},
		{"arithmetic on unknown bits", Unknown, []string{"VPADDQ Z1, Z2, Z2"}, "unknown bits"},
		{"a split of many values", Between(0, 1<<60), []string{"VPSRAQ $48, Z1, Z3 // split 0"}, "too many"},
		{"a store to nowhere", Exactly(0), []string{"VMOVDQU64 Z1, 4096(DI)"}, "nothing"},
		{"a load from nowhere", Exactly(0), []string{"VMOVDQU64 64(DI), Z1"}, "nothing"},
		{"an operation it does not know", Exactly(0), []string{"VPMULLQ Z1, Z1, Z1"}, "unknown operation"},
		{"no end", Exactly(0), []string{"loop:", "JMP loop"}, "no end"},
	} {
		m := NewMachine(program(t, append([]string{"MOVQ p+0(FP), DI", "VPXORQ Z2, Z2, Z2", "VMOVDQU64 (DI), Z1"}, c.lines...)...))
		m.Region(at, 128, func(uint64) (Interval, bool) { return Interval{}, false })
		m.Set(at, c.start)
		err := m.Run("f", at)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestSplitSeesWhatIntervalsDoNot(t *testing.T) {
	const at = 1 << 20
	run := func(split, join string) Interval {
		// x - 2^48·(x>>48), then 1 for each 2^48
		m := NewMachine(program(t, "MOVQ p+0(FP), DI", "VMOVDQU64 (DI), Z1",
			"VPSRAQ $48, Z1, Z2"+split, "VPSLLQ $48, Z2, Z3", "VPSUBQ Z3, Z1, Z1", "VPADDQ Z2, Z1, Z1"+join, "VMOVDQU64 Z1, 64(DI)"))
		m.Region(at, 128, func(uint64) (Interval, bool) { return Interval{}, false })
		m.Set(at, Between(1<<47, 5<<48))
		if err := m.Run("f", at); err != nil {
			t.Fatal(err)
		}
		return m.Get(at + 64)
	}
	if got, want := run(" // split 0", " // join 0"), Between(1, 1<<48+3); got != want {
		t.Errorf("with the split: %v, want %v", got, want)
	}
	if got := run("", ""); got.Low >= 0 {
		t.Errorf("without it: %v; the example shows nothing", got)
	}
}

// Every operation on intervals must contain what the operation does to members.
func TestIntervalsContainTheirMembers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	interval := func() Interval {
		a, b := r.Int64()>>r.IntN(64), r.Int64()>>r.IntN(64)
		if r.IntN(2) == 0 {
			a = -a
		}
		return Between(min(a, b), max(a, b))
	}
	member := func(v Interval) int64 {
		if n := uint64(v.High) - uint64(v.Low); n != math.MaxUint64 {
			return v.Low + int64(r.Uint64N(n+1))
		}
		return int64(r.Uint64())
	}
	check := func(what string, v Interval, x int64) {
		if !v.Any && (x < v.Low || x > v.High) {
			t.Helper()
			t.Fatalf("%s: %d is not in %v", what, x, v)
		}
	}
	for range 200_000 {
		a, b, n := interval(), interval(), uint(r.IntN(64))
		x, y := member(a), member(b)
		if v, err := addInterval(a, b); err == nil {
			check("sum", v, x+y)
		}
		if v, err := subInterval(a, b); err == nil {
			check("difference", v, x-y)
		}
		check("left", shiftLeft(a, n), x<<n)
		check("arithmetic", shiftArithmetic(a, n), x>>n)
		check("arithmetic of unknown", shiftArithmetic(Unknown, n), x>>n)
		if v, err := shiftLogical(a, n); err == nil {
			check("logical", v, int64(uint64(x)>>n))
		}
		if n > 0 {
			v, _ := shiftLogical(Unknown, n)
			check("logical of unknown", v, int64(uint64(x)>>n))
		}
		check("and", andInterval(a, Exactly(1<<(n%63)-1)), x&(1<<(n%63)-1))
		check("or", orInterval(a, b), x|y)
		check("hull", hull(a, b), x)
		f, g := Between(0, max(1, a.High&(limit52-1))), Between(0, max(1, b.High&(limit52-1)))
		x, y = member(f), member(g)
		high, low := mul52(uint64(x), uint64(y))
		check("low half", product(f, g, false), low)
		check("high half", product(f, g, true), high)
	}
}

// mul52 multiplies by halves of 26 bits.
func mul52(x, y uint64) (high, low int64) {
	const m = 1<<26 - 1
	x0, x1, y0, y1 := x&m, x>>26, y&m, y>>26
	middle := x0*y1 + x1*y0 + x0*y0>>26
	return int64(x1*y1 + middle>>26), int64(x0*y0&m | middle&m<<26)
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{
		"\tVPADDQ Z1, Z2, Z3\n",
		"TEXT ·f(SB), NOSPLIT, $0-0\n\tMOVQ (AX)(BX*2), CX\n",
		"TEXT ·f(SB), NOSPLIT, $0-0\n\tMOVQ $0x, CX\n",
		"TEXT ·f(SB), NOSPLIT, $0-0\n\tMOVQ 8(XX), CX\n",
		"DATA constants<>+8(SB)/8, $0x01\n",
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
