package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

func TestCommittedFilesAreGenerated(t *testing.T) {
	assembly, declarations, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"../kernel_amd64.s": assembly, "../layout_amd64.go": declarations} {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes; run go generate", name)
		}
	}
}

// committed parses the assembly as it is in the repository.
func committed(t *testing.T) *asm512.Program {
	t.Helper()
	text, err := os.ReadFile("../kernel_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	p, err := asm512.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// All kernels are, though only those of the first line see secrets.
func TestKernelsTakeConstantTime(t *testing.T) {
	p := committed(t)
	for _, function := range kernels {
		if err := asm512.CheckConstantTime(p, function); err != nil {
			t.Error(err)
		}
	}
}

var kernels = []string{
	"combSign", "invertItems", "finishSign", "checkScalars", "sumPoints", "comparePoints",
	"oddMultiples", "affineMultiples", "loadInverses", "splitScalars", "multiplyDistinct", "multiplyKey", "checkPoints",
}

// What may leave a kernel, and so what every kernel must be safe for: limbs
// 0..3 below 2^52, and the top limb so that the value is below 3/2 of 2^256, or
// for Y, which is a sum of two products, below 5/2.
var (
	limb       = asm512.Between(0, 1<<52-1)
	topReduced = asm512.Between(0, 3<<47)
	topSum     = asm512.Between(0, 5<<47)
	topBelow   = asm512.Between(0, 1<<48-1) // canonical
)

// tops are the bounds of top limbs by the name of the field.
var tops = map[string]asm512.Interval{"x": topReduced, "y": topSum, "z": topReduced, "k": topReduced}

// A bench is a machine with the memory of a kernel.
type bench struct {
	*asm512.Machine
	t *testing.T
}

// Addresses of the arguments; each has its own range.
const (
	atWork = (iota + 1) << 28
	atItems
	atTable
	atMultiples
	atScalars
	atDigests
	atSigs
	atKey
	atPowers
)

func nothing(uint64) (asm512.Interval, bool)  { return asm512.Interval{}, false }
func anything(uint64) (asm512.Interval, bool) { return asm512.Unknown, true }

// combEntry is a limb of the table of a fixed point.
func combEntry(offset uint64) (asm512.Interval, bool) {
	if l := offset % combBlock / (combEntries * 8); l%5 == 4 {
		return topReduced, true
	}
	return limb, true
}

// maxItems is the number of groups in the longest batch.
const maxItems = 32

func newBench(t *testing.T) *bench { return benchOf(t, committed(t)) }

func benchOf(t *testing.T, p *asm512.Program) *bench {
	b := &bench{asm512.NewMachine(p), t}
	b.Region(atWork, uint64(2*work.size()), func(offset uint64) (asm512.Interval, bool) {
		// digits are loaded at odd addresses
		d := offset%uint64(work.size()) - uint64(work.at("digits"))
		return asm512.Unknown, d < 8*64
	})
	b.Region(atItems, uint64(maxItems*item.size()), nothing)
	b.Region(atTable, combWindows*combBlock, combEntry)
	b.Region(atMultiples, uint64(combEntries*multiple.size()), nothing)
	b.Region(atScalars, 16*32, anything)
	b.Region(atDigests, 16*32, anything)
	b.Region(atSigs, 16*64, anything)
	b.Region(atKey, elementSize, nothing)
	b.Region(atPowers, 2*16*elementSize, nothing)
	return b
}

func (b *bench) give(address uint64, top asm512.Interval) {
	for i := range uint64(4) {
		b.Set(address+64*i, limb)
	}
	b.Set(address+4*64, top)
}

// want requires bounds of an element, and shows the top limb there is.
func (b *bench) want(what string, address uint64, top asm512.Interval) {
	b.t.Helper()
	for i := range uint64(4) {
		if v := b.Get(address + 64*i); !v.Within(limb) {
			b.t.Errorf("%s: limb %d is %v", what, i, v)
		}
	}
	v := b.Get(address + 4*64)
	b.t.Logf("%s: top limb %v", what, v)
	if !v.Within(top) {
		b.t.Errorf("%s: top limb is %v, want %v", what, v, top)
	}
}

func (b *bench) run(function string, args ...uint64) {
	b.t.Helper()
	if err := b.Run(function, args...); err != nil {
		b.t.Fatal(err)
	}
}

func workField(g int, name string) uint64 { return uint64(atWork + g*work.size() + work.at(name)) }
func itemField(g int, name string) uint64 { return uint64(atItems + g*item.size() + item.at(name)) }

func TestBoundsOfCombSign(t *testing.T) {
	b := newBench(t)
	b.run("combSign", atWork, atItems, atScalars, atTable)
	for g := range 2 {
		for _, f := range []string{"x", "y", "z", "k"} {
			b.want(f, itemField(g, f), tops[f])
		}
	}
	b.wantAssumptions(1)
}

// wantAssumptions counts the instructions at which a bound was assumed, in both
// streams: each is a canonical value, see canonical.
func (b *bench) wantAssumptions(perStream int) {
	b.t.Helper()
	if len(b.Assumed) != 2*perStream {
		b.t.Errorf("bounds were assumed at %d places, want %d: %v", len(b.Assumed), 2*perStream, b.Assumed)
	}
}

func TestBoundsOfInvertItems(t *testing.T) {
	for _, n := range []int{1, 2, maxItems} {
		b := newBench(t)
		for g := range n {
			b.give(itemField(g, "z"), topReduced)
			b.give(itemField(g, "k"), topReduced)
		}
		b.run("invertItems", atPowers, atWork, atItems, uint64(n))
		for g := range n {
			b.want("z", itemField(g, "z"), topReduced)
			b.want("k", itemField(g, "k"), topReduced)
		}
		b.wantAssumptions(0)
	}
}

func TestBoundsOfFinishSign(t *testing.T) {
	b := newBench(t)
	for g := range 2 {
		for _, f := range []string{"x", "z", "k"} {
			b.give(itemField(g, f), topReduced)
		}
		b.Set(itemField(g, "neg"), asm512.Between(-1, 0))
	}
	b.give(atKey, topBelow)
	b.run("finishSign", atWork, atItems, atDigests, atKey, atSigs)
	b.wantAssumptions(4)
}

func TestBoundsOfTheProof(t *testing.T) {
	b := newBench(t)
	for g := range 2 {
		for _, f := range []string{"x", "y", "z", "k"} {
			b.give(itemField(g, f), tops[f])
		}
		b.Set(itemField(g, "neg"), asm512.Between(-1, 0))
	}
	b.give(atKey, topBelow)
	b.run("checkScalars", atWork, atItems, atDigests, atSigs, atScalars, atKey)
	for more := range uint64(maxItems / 2) {
		b.run("sumPoints", atWork, atItems, atSigs, atScalars, more)
	}
	b.wantPoint()
	for g := range 2 {
		b.want("sum", workField(g, "sum"), topBelow)
		for _, f := range []string{"x", "z"} {
			b.give(itemField(2+g, f), tops[f])
		}
	}
	b.run("comparePoints", atWork, atItems, itemField(2, "x"))
	b.wantAssumptions(8)
}

func TestBoundsOfTables(t *testing.T) {
	for _, n := range []int{keyTable, combEntries} {
		b := newBench(t)
		for g := range 2 {
			b.give(workField(g, "qx"), topBelow)
			b.give(workField(g, "qy"), topBelow)
		}
		b.run("oddMultiples", atWork, atMultiples, uint64(n))
		for g := range 2 {
			b.want("z", workField(g, "z"), topReduced)
		}
		b.run("affineMultiples", atWork, atMultiples, uint64(n))
		for j := range n {
			for _, f := range []string{"x", "y", "x1", "y1"} {
				b.want(f, uint64(atMultiples+j*multiple.size()+multiple.at(f)), topReduced)
			}
		}
		b.wantAssumptions(0)
	}
}

func TestBoundsOfVerification(t *testing.T) {
	b := newBench(t)
	b.run("loadInverses", atWork, atItems, atSigs)
	for g := range 2 {
		b.want("s", itemField(g, "k"), topReduced)
		b.give(itemField(g, "k"), topReduced)
	}
	b.run("splitScalars", atWork, atItems, atDigests, atSigs)
	b.wantAssumptions(4)
	for j := range keyTable {
		for _, f := range []string{"x", "y", "x1", "y1"} {
			b.give(uint64(atMultiples+j*multiple.size()+multiple.at(f)), topReduced)
		}
	}
	b.run("multiplyDistinct", atWork, atMultiples, atTable)
	b.wantPoint()
	b.run("multiplyKey", atWork, atTable, atTable)
	b.wantPoint()
	b.run("checkPoints", atWork, atItems, atSigs)
	b.wantAssumptions(6)
}

func (b *bench) wantPoint() {
	b.t.Helper()
	for g := range 2 {
		for _, f := range []string{"x", "y", "z"} {
			b.want(f, workField(g, f), tops[f])
		}
	}
}

// The proof must notice: each change of the assembly makes it fail.
func TestBoundsFailWhenAStepIsMissing(t *testing.T) {
	text, err := os.ReadFile("../kernel_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	start := strings.Index(string(text), "TEXT ·combSign(SB)")
	body := string(text)[start:]
	for _, mutation := range []struct{ what, old, new string }{
		{"a difference without its multiple of p", "VPADDQ.BCST " + pool.ref("4p", 4), "VPADDQ.BCST " + pool.ref("1p", 2)},
		{"limbs not masked", "VPANDQ Z31, Z7, Z7", "VPORQ Z7, Z7, Z7"},
		{"no fold", "VPANDQ Z26, Z9, Z9", "VPORQ Z9, Z9, Z9"},
	} {
		if !strings.Contains(body, mutation.old) {
			t.Fatalf("%s: %q is not in the assembly", mutation.what, mutation.old)
		}
		changed := string(text)[:start] + strings.ReplaceAll(body, mutation.old, mutation.new)
		p, err := asm512.Parse([]byte(changed))
		if err != nil {
			t.Fatal(err)
		}
		b := benchOf(t, p)
		if err := b.Run("combSign", atWork, atItems, atScalars, atTable); err == nil && b.bounded() {
			t.Errorf("%s: not noticed", mutation.what)
		}
	}
}

// bounded reports whether combSign left what it may.
func (b *bench) bounded() bool {
	ok := true
	for g := range 2 {
		for _, f := range []string{"x", "y", "z", "k"} {
			for i := range uint64(4) {
				ok = ok && b.Get(itemField(g, f)+64*i).Within(limb)
			}
			ok = ok && b.Get(itemField(g, f)+4*64).Within(tops[f])
		}
	}
	return ok
}
