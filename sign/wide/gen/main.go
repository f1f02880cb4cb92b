package main

import (
	"log"
	"os"

	"github.com/vouchmill/vouchmill/sign/internal/asm512"
)

type stream = asm512.Stream

// A file is the assembly being written.
type file struct {
	*asm512.Writer
	prefetch   int // lines of the next window still to be prefetched from R13 on
	prefetchAt int
}

// prefetchBurst is how many lines are prefetched after a product.
const prefetchBurst = 16

const tags = "amd64 && !purego"

// prologue sets R8, R9 and the registers that keep constants.
func (f *file) prologue() {
	f.I("LEAQ constants<>(SB), R8")
	f.I("LEAQ %d(DI), R9", work.size())
	f.I("VPXORQ %s, %s, %s", rZero, rZero, rZero)
	f.broadcast(1<<52-1, rMask52)
	f.broadcast(1<<48-1, rMask48)
	f.moduli()
}

func (f *file) moduli() {
	f.broadcast(1<<44, rP1)
	f.broadcast(1<<36, rP3)
	f.broadcast(1<<48-1<<16, rP4)
}

func (f *file) broadcast(v uint64, reg string) {
	f.I("MOVQ $0x%x, AX", v)
	f.I("VPBROADCASTQ AX, %s", reg)
}

// epilogue leaves nothing of the computation in vector registers.
func (f *file) epilogue() {
	f.I("VZEROALL")
	for i := 16; i < 32; i++ {
		f.I("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	f.I("RET")
}

// generate returns the assembly and the declarations.
func generate() (assembly, declarations []byte, err error) {
	f := &file{Writer: asm512.NewWriter(tags, "P-256 on 16 lanes, two groups of eight: radix 2^52, AVX-512 IFMA.\nThe generator in gen explains the formulas and the registers.")}
	f.Data("constants", pool.quads)
	reverse := []uint64{0x0001020304050607, 0x08090a0b0c0d0e0f}
	f.Data("reverse", append(append(append(reverse, reverse...), reverse...), reverse...))
	f.Data("exponents", append(exponentDigits(prime), exponentDigits(order)...))
	f.cores()
	f.combSign()
	f.invertItems()
	f.finishSign()
	f.oddMultiples()
	f.affineMultiples()
	f.pointSubs()
	f.checkScalars()
	f.sumPoints()
	f.comparePoints()
	f.loadInverses()
	f.splitScalars()
	f.multiplyDistinct()
	f.multiplyKey()
	f.checkPoints()
	declarations, err = goTypes(tags)
	return f.Bytes(), declarations, err
}

func main() {
	log.SetFlags(0)
	assembly, declarations, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range map[string][]byte{"kernel_amd64.s": assembly, "layout_amd64.go": declarations} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
