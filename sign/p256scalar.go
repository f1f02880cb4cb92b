package sign

import (
	"encoding/binary"
	"math/bits"
)

// scalar is an integer modulo n, the order of P-256, in four 64-bit limbs,
// least significant first, always below n. Some hold a·R mod n with R = 2^256,
// the Montgomery form of a; names and comments say which.
//
// Everything here is straight-line code on fixed-size values: sums, products
// and masks, no branch and no address that depends on a limb.
// bits.Add64, Sub64 and Mul64 are constant time by their documentation.
type scalar [4]uint64

var (
	p256Order = scalar{0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}
	// p256One is 1 in Montgomery form, R mod n.
	p256One = scalar{0x0c46353d039cdaaf, 0x4319055258e8617b, 0x0000000000000000, 0x00000000ffffffff}
	// p256RR is R² mod n: a product with it takes a number into Montgomery form.
	p256RR = scalar{0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59, 0x66e12d94f3d95620}
)

// p256OrderInverse is -n⁻¹ mod 2^64.
const p256OrderInverse = 0xccd1c8aaee00bc4f

// setBytes sets z to the big-endian b modulo n, one subtraction at most being
// needed as 2^256 < 2n. It returns 1 if b was below n, else 0.
func (z *scalar) setBytes(b *[32]byte) (canonical uint64) {
	for i := range z {
		z[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return z.reduce(0)
}

// bytes writes z big-endian.
func (z *scalar) bytes(b []byte) {
	_ = b[31]
	for i, limb := range z {
		binary.BigEndian.PutUint64(b[24-8*i:], limb)
	}
}

// reduce subtracts n from carry·2^256 + z, which is below 2n, if it is not
// below n. It returns 1 if nothing was to be subtracted.
func (z *scalar) reduce(carry uint64) (below uint64) {
	n := &p256Order
	d0, b := bits.Sub64(z[0], n[0], 0)
	d1, b := bits.Sub64(z[1], n[1], b)
	d2, b := bits.Sub64(z[2], n[2], b)
	d3, b := bits.Sub64(z[3], n[3], b)
	_, below = bits.Sub64(carry, 0, b)
	keep := -below // all ones: z was below n
	z[0] = z[0]&keep | d0&^keep
	z[1] = z[1]&keep | d1&^keep
	z[2] = z[2]&keep | d2&^keep
	z[3] = z[3]&keep | d3&^keep
	return below
}

// isZero returns 1 for zero, else 0.
func (z *scalar) isZero() uint64 {
	_, borrow := bits.Sub64(0, z[0]|z[1]|z[2]|z[3], 0)
	return 1 - borrow
}

// add sets z = x + y mod n.
func (z *scalar) add(x, y *scalar) {
	var c uint64
	z[0], c = bits.Add64(x[0], y[0], 0)
	z[1], c = bits.Add64(x[1], y[1], c)
	z[2], c = bits.Add64(x[2], y[2], c)
	z[3], c = bits.Add64(x[3], y[3], c)
	z.reduce(c)
}

// mul sets z = x·y·R⁻¹ mod n: Montgomery multiplication, one row of y and one
// step of reduction at a time. After each round t is below 2n. z may be x or y.
func (z *scalar) mul(x, y *scalar) {
	n0, n1, n2, n3 := p256Order[0], p256Order[1], p256Order[2], p256Order[3]
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	var t0, t1, t2, t3, t4, t5, c uint64
	for i := range 4 {
		row := y[i]
		h0, l0 := bits.Mul64(x0, row)
		h1, l1 := bits.Mul64(x1, row)
		h2, l2 := bits.Mul64(x2, row)
		h3, l3 := bits.Mul64(x3, row)
		t0, c = bits.Add64(t0, l0, 0)
		t1, c = bits.Add64(t1, l1, c)
		t2, c = bits.Add64(t2, l2, c)
		t3, c = bits.Add64(t3, l3, c)
		t4, t5 = bits.Add64(t4, 0, c)
		t1, c = bits.Add64(t1, h0, 0)
		t2, c = bits.Add64(t2, h1, c)
		t3, c = bits.Add64(t3, h2, c)
		t4, c = bits.Add64(t4, h3, c)
		t5 += c

		m := t0 * p256OrderInverse
		h0, l0 = bits.Mul64(n0, m)
		h1, l1 = bits.Mul64(n1, m)
		h2, l2 = bits.Mul64(n2, m)
		h3, l3 = bits.Mul64(n3, m)
		_, c = bits.Add64(t0, l0, 0)
		t1, c = bits.Add64(t1, l1, c)
		t2, c = bits.Add64(t2, l2, c)
		t3, c = bits.Add64(t3, l3, c)
		t4, c = bits.Add64(t4, 0, c)
		t5 += c
		t0, c = bits.Add64(t1, h0, 0)
		t1, c = bits.Add64(t2, h1, c)
		t2, c = bits.Add64(t3, h2, c)
		t3, c = bits.Add64(t4, h3, c)
		t4 = t5 + c
	}
	*z = scalar{t0, t1, t2, t3}
	z.reduce(t4)
}

// square sets z = x^(2^times) in Montgomery form.
func (z *scalar) square(x *scalar, times int) {
	*z = *x
	for range times {
		z.mul(z, z)
	}
}

// invert sets z = x⁻¹, both in Montgomery form, as x^(n-2) (Fermat). Zero
// gives zero. The exponent is public: n - 2 is thirty-two ones, thirty-two
// zeros, sixty-four ones, then the 128 bits walked through four at a time.
func (z *scalar) invert(x *scalar) {
	var power [16]scalar // power[i] = x^i
	power[1] = *x
	for i := 2; i < 16; i++ {
		power[i].mul(&power[i-1], x)
	}
	ones8, ones16, ones32, t := scalar{}, scalar{}, scalar{}, scalar{}
	t.square(&power[15], 4)
	ones8.mul(&t, &power[15])
	t.square(&ones8, 8)
	ones16.mul(&t, &ones8)
	t.square(&ones16, 16)
	ones32.mul(&t, &ones16)

	t.square(&ones32, 64)
	t.mul(&t, &ones32)
	t.square(&t, 32)
	t.mul(&t, &ones32)
	for _, half := range [2]uint64{p256Order[1], p256Order[0] - 2} {
		for shift := 60; shift >= 0; shift -= 4 {
			t.square(&t, 4)
			if digit := half >> shift & 15; digit != 0 {
				t.mul(&t, &power[digit])
			}
		}
	}
	*z = t
	clear(power[:])
}
