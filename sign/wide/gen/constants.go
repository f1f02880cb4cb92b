package main

import (
	"fmt"
	"math/big"
)

func fromHex(s string) *big.Int {
	v, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("bad constant " + s)
	}
	return v
}

var (
	prime = fromHex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
	order = fromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
	// radix is the base of Montgomery's form: five limbs of 52 bits.
	radix = new(big.Int).Lsh(big.NewInt(1), 260)
)

// limbOf is limb i of x.
func limbOf(x *big.Int, i int) uint64 {
	mask := new(big.Int).SetUint64(1<<52 - 1)
	return mask.And(mask, new(big.Int).Rsh(x, uint(52*i))).Uint64()
}

// The constants lie together at R8 as quadwords. pool remembers where.
type constantPool struct {
	quads []uint64
	where map[string]int
}

func (c *constantPool) add(name string, quads ...uint64) {
	c.where[name] = 8 * len(c.quads)
	c.quads = append(c.quads, quads...)
}

func (c *constantPool) addInt(name string, x *big.Int) {
	var q []uint64
	for i := range 5 {
		q = append(q, limbOf(x, i))
	}
	c.add(name, q...)
}

// ref is the memory operand of quadword i of a constant.
func (c *constantPool) ref(name string, i int) string {
	off, ok := c.where[name]
	if !ok {
		panic("no constant " + name)
	}
	return fmt.Sprintf("%d(R8)", off+8*i)
}

var pool = newConstantPool()

// newConstantPool lists what the code adds, compares and multiplies with.
// Multiples of p keep the limbs of p times k, which are not below 2^52.
func newConstantPool() *constantPool {
	c := &constantPool{where: map[string]int{}}
	for _, k := range []uint64{1, 2, 4, 6, 9} {
		var q []uint64
		for i := range 5 {
			q = append(q, k*limbOf(prime, i))
		}
		c.add(fmt.Sprintf("%dp", k), q...)
	}
	c.addInt("n", order)
	c.addInt("2n", new(big.Int).Lsh(order, 1))
	b52 := new(big.Int).Lsh(big.NewInt(1), 52)
	inverse := new(big.Int).ModInverse(order, b52)
	c.add("-1/n", inverse.Sub(b52, inverse).Uint64())
	c.addInt("R mod p", new(big.Int).Mod(radix, prime))
	c.addInt("R mod n", new(big.Int).Mod(radix, order))
	square := new(big.Int).Mul(radix, radix)
	c.addInt("RR mod p", new(big.Int).Mod(square, prime))
	c.addInt("RR mod n", square.Mod(square, order))
	c.addInt("1", big.NewInt(1))
	for i := range 8 {
		c.add(fmt.Sprintf("bit %d", i), 1<<i)
	}
	c.add("bit 63", 1<<63)
	for i := range uint64(8) {
		c.add(fmt.Sprintf("index %d", i), i)
	}
	return c
}
