package main

import (
	"fmt"
	"strings"
)

// The HMAC chain of RFC 6979 §3.2. Because a digest's rows are the first half of
// the next block's, nothing is transposed between the digest that comes in and
// the nonce that goes out; the second half of every block is constant but for
// one octet. What depends on the key alone is kept as states and rows:
//
//	K = HMAC_0(V ‖ 00 ‖ x ‖ h)    2 blocks, two kept as states
//	V = HMAC_K(V)                 4, two for the pads of K
//	K = HMAC_K(V ‖ 01 ‖ x ‖ h)    3
//	V = HMAC_K(V), twice          6

// Units of eight rows, 512 bytes. Those of the key lie at R13, the others at R14.
var (
	keyUnits = []string{
		"firstInner", // state after ipad(0) and V ‖ 00 ‖ x[0:31]
		"firstOuter", // state after opad(0)
		"iv",         // state before any block
		"pad32",      // rows 8..15 of a block after 64 + 32 octets
		"internal1",  // rows 8..15: 01 ‖ x[0:31]
		"ones36",     // ipad
		"ones5c",     // opad
		"v0",         // V at the start
		"x31",        // row 0: x[31] in the top octet; row 1: 80 after an octet
	}
	laneUnits = []string{"v", "temp", "ipad", "opad", "inner", "outer", "digest", "digestEnd"}
)

const unitBytes = 512

// unit is the address of a unit of group g, as offset and base.
func unit(name string, g int) (off int, base string) {
	for i, u := range keyUnits {
		if u == name {
			return unitBytes * i, "R13"
		}
	}
	for i, u := range laneUnits {
		if u == name {
			return unitBytes * (g*len(laneUnits) + i), "R14"
		}
	}
	panic("no unit " + name)
}

func unitRow(name string, g, i int) string {
	off, base := unit(name, g)
	return fmt.Sprintf("%d(%s)", off+64*i, base)
}

// A block names the units of one compression.
type block struct{ out, in, low, high string }

var operands = [2][4]string{{"DX", "DI", "SI", "BX"}, {"R12", "R8", "R9", "R10"}}

func (f *file) point(stream int, b block, g int) {
	for i, name := range []string{b.out, b.in, b.low, b.high} {
		f.I("LEAQ %s, %s", unitRow(name, g, 0), operands[stream][i])
	}
}

// compress does one block in each group.
func (f *file) compress(groups int, b block) {
	for g := range groups {
		f.point(g, b, g)
	}
	f.I("CALL core%d<>(SB)", groups)
}

// rekey makes the states after the padded keys of K, which lies in the state
// registers. In a lone group the two are independent and run as a pair.
func (f *file) rekey(groups int) {
	for g := range groups {
		for i := range 8 {
			k, inner, outer := z(16*g+i), z(16*g+8), z(16*g+9)
			f.I("VPXORD %s, %s, %s", unitRow("ones36", 0, 0), k, inner)
			f.I("VPXORD %s, %s, %s", unitRow("ones5c", 0, 0), k, outer)
			f.I("VMOVDQU32 %s, %s", inner, unitRow("ipad", g, i))
			f.I("VMOVDQU32 %s, %s", outer, unitRow("opad", g, i))
		}
	}
	inner := block{"inner", "iv", "ipad", "ones36"}
	outer := block{"outer", "iv", "opad", "ones5c"}
	if groups == 1 {
		f.point(0, inner, 0)
		f.point(1, outer, 0)
		f.I("CALL core2<>(SB)")
		return
	}
	f.compress(groups, inner)
	f.compress(groups, outer)
}

// loadChain makes the last block of x ‖ h: x[31] ‖ h ‖ 80, h one octet later
// than its words.
func (f *file) loadChain(g int) {
	f.loadDigests("CX", 512*g)
	for i := range 9 {
		dst := unitRow("digestEnd", g, 0)
		if i < 8 {
			dst = unitRow("digest", g, i)
			f.I("VPSRLD $8, %s, Z8", z(i))
		} else {
			f.I("VMOVDQU32 %s, Z8", unitRow("x31", 0, 1))
		}
		if i == 0 {
			f.I("VMOVDQU32 %s, Z9", unitRow("x31", 0, 0))
		} else {
			f.I("VPSLLD $24, %s, Z9", z(i-1))
		}
		f.I("VPORD Z8, Z9, Z8")
		f.I("VMOVDQU32 Z8, %s", dst)
	}
}

// chain: digests to first candidates, 15 blocks a lane.
func (f *file) chain(groups int) {
	lanes := 16 * groups
	f.Func(fmt.Sprintf("chain%d", lanes),
		fmt.Sprintf("key *chainKey, w *chainWork, digests *[%d][32]byte, k *[%d][4]uint64", lanes, lanes), 32,
		fmt.Sprintf("chain%d sets k, lowest quadword first, to the first candidate of RFC 6979 §3.2\nstep h for each digest, which must be below n.\n\nConstant time: straight-line code. Vector registers are wiped; w is not.", lanes))
	f.I("MOVQ key+0(FP), R13")
	f.I("MOVQ w+8(FP), R14")
	f.I("MOVQ digests+16(FP), CX")
	f.I("LEAQ %d(R14), R15", 2*len(laneUnits)*unitBytes)
	for g := range groups {
		f.loadChain(g)
	}
	mac := func(message string) { // V = HMAC_K(message of 32 octets)
		f.compress(groups, block{"temp", "inner", message, "pad32"})
		f.compress(groups, block{"v", "outer", "temp", "pad32"})
	}
	f.compress(groups, block{"temp", "firstInner", "digest", "digestEnd"})
	f.compress(groups, block{"temp", "firstOuter", "temp", "pad32"})
	f.rekey(groups)
	mac("v0")
	f.compress(groups, block{"temp", "inner", "v", "internal1"})
	f.compress(groups, block{"temp", "temp", "digest", "digestEnd"})
	f.compress(groups, block{"temp", "outer", "temp", "pad32"})
	f.rekey(groups)
	mac("v")
	mac("v")
	f.I("MOVQ k+24(FP), CX")
	for g := range groups {
		f.storeRows(16*g, 16*g+8, "CX", 512*g, true)
	}
	f.I("VZEROALL")
	for i := 16; i < 32; i++ {
		f.I("VPXORD %s, %s, %s", z(i), z(i), z(i))
	}
	f.I("RET")
}

// goTypes declares the units as Go structures.
func goTypes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "// Code generated by go generate. DO NOT EDIT.\n\n//go:build %s\n\npackage sha256x16\n\n", tags)
	b.WriteString("// rows is eight words of 16 lanes: a state, or half a block.\ntype rows [8][16]uint32\n\n")
	b.WriteString("// chainKey is what the chain needs of a key, the same in all lanes; see the\n// generator.\ntype chainKey struct {\n")
	fmt.Fprintf(&b, "\t%s rows\n}\n\n", strings.Join(keyUnits, ", "))
	b.WriteString("// chainLanes is what the chain works on in 16 lanes.\ntype chainLanes struct {\n")
	fmt.Fprintf(&b, "\t%s rows\n}\n\n", strings.Join(laneUnits, ", "))
	b.WriteString("// chainWork is the working memory of a chain.\ntype chainWork struct {\n\tlanes [2]chainLanes\n\tring [2][16][16]uint32\n}\n\n")
	b.WriteString("// hashWork is the working memory of hash16 and hash32.\ntype hashWork struct {\n\tmessages [4]rows\n\tring [2][16][16]uint32\n\tstates [2]rows\n}\n")
	return b.String()
}
