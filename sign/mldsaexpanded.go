package sign

import (
	"bytes"
	"crypto/sha3"
	"math/bits"
)

// Consistency of expanded ML-DSA keys, those whose seed is not known (RFC 9881
// §8.2). circl computes with whatever it unpacks, so this is checked here, on
// the octets: rho, K, tr, s1, s2, t0 (FIPS 204 §7.2, skEncode). Rare and cold:
// it is written to be read, not to be fast. It takes the same branches and
// addresses whatever the secrets are.

const (
	mldsaQ         = 8380417 // the prime of FIPS 204
	mldsaZeta      = 1753    // a 512th root of unity modulo q
	mldsaD         = 13      // bits dropped from t
	expandedHeader = 32 + 32 + 64
	polyDegree     = 256
)

// poly is a polynomial with coefficients modulo q, or its NTT.
type poly [polyDegree]uint64

// checkExpanded checks that the secret coefficients are in range, that tr is
// the hash of the public key, and that A·s1 + s2 = t1·2^d + t0, A and t1 being
// the public key's.
func (p *parameterSet) checkExpanded(expanded, public []byte) error {
	if len(expanded) != p.scheme.PrivateKeySize() || len(public) != p.scheme.PublicKeySize() {
		return &KeyError{Reason: "the expanded private key or its public key has a wrong size"}
	}
	if !p.shortCoefficients(expanded) {
		return &KeyError{Reason: "a coefficient of the expanded private key is out of range"}
	}
	if !bytes.Equal(expanded[:32], public[:32]) || !bytes.Equal(sha3.SumSHAKE256(public, 64), expanded[64:128]) {
		return &KeyError{Reason: "the expanded private key does not belong to the public key that follows from it"}
	}
	if !p.sumHolds(expanded, public) {
		return &KeyError{Reason: "the parts of the expanded private key do not belong together"}
	}
	return nil
}

// etaWidth is the bits of a coefficient of s1 and s2: 3 for eta = 2, 4 for 4.
func (p *parameterSet) etaWidth() int { return 2 + p.eta/2 }

// secret is the part of an expanded key that holds s1 and s2.
func (p *parameterSet) secret(expanded []byte) []byte {
	return expanded[expandedHeader : expandedHeader+(p.l+p.k)*polyDegree*p.etaWidth()/8]
}

// shortCoefficients reports whether all coefficients of s1 and s2 are in
// [-eta, eta]; each is stored as eta minus itself. All are looked at whatever
// the first ones are.
func (p *parameterSet) shortCoefficients(expanded []byte) bool {
	secret, width := p.secret(expanded), p.etaWidth()
	good := uint64(1)
	for i := range len(secret) * 8 / width {
		value := packed(secret, i, width)
		good &= 1 ^ (uint64(2*p.eta)-value)>>63
	}
	return good == 1
}

// sumHolds compares NTT(t1·2^d + t0 - s2) with A·NTT(s1), row by row.
func (p *parameterSet) sumHolds(expanded, public []byte) bool {
	secret := p.secret(expanded)
	t0 := expanded[expandedHeader+len(secret):]
	s1 := make([]poly, p.l)
	for i := range s1 {
		s1[i] = p.secretPoly(secret, i)
		s1[i].ntt()
	}
	defer clear(s1)
	good := uint64(0)
	for row := range p.k {
		s2 := p.secretPoly(secret, p.l+row)
		var left, right poly
		for i := range left {
			high := packed(public[32:], row*polyDegree+i, 10) << mldsaD
			low := 1<<(mldsaD-1) - packed(t0, row*polyDegree+i, mldsaD)
			left[i] = (high + low + 2*mldsaQ - s2[i]) % mldsaQ
		}
		left.ntt()
		for column := range s1 {
			right.addProduct(matrixPoly(public[:32], row, column), &s1[column])
		}
		for i := range left {
			good |= left[i] ^ right[i]
		}
		clear(s2[:])
		clear(left[:])
	}
	return good == 0
}

// secretPoly is polynomial n of s1 and s2, modulo q.
func (p *parameterSet) secretPoly(secret []byte, n int) (out poly) {
	for i := range out {
		out[i] = (mldsaQ + uint64(p.eta) - packed(secret, n*polyDegree+i, p.etaWidth())) % mldsaQ
	}
	return out
}

// packed is value number i of width bits, at most 13, lowest bits first
// (FIPS 204 §7.1, BitPack).
func packed(octets []byte, i, width int) uint64 {
	first := i * width
	var window uint64
	for n := range 3 {
		if at := first/8 + n; at < len(octets) {
			window |= uint64(octets[at]) << (8 * n)
		}
	}
	return window >> (first % 8) & (1<<width - 1)
}

// matrixPoly is an entry of A in NTT form (FIPS 204 §7.3, ExpandA).
func matrixPoly(rho []byte, row, column int) *poly {
	xof := sha3.NewSHAKE128()
	xof.Write(rho)
	xof.Write([]byte{byte(column), byte(row)})
	var out poly
	var b [3]byte
	for n := 0; n < polyDegree; {
		xof.Read(b[:])
		if value := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2]&0x7f)<<16; value < mldsaQ {
			out[n] = value
			n++
		}
	}
	return &out
}

// addProduct adds the product of two polynomials in NTT form.
func (a *poly) addProduct(x, y *poly) {
	for i := range a {
		a[i] = (a[i] + x[i]*y[i]) % mldsaQ
	}
}

// ntt is the number-theoretic transform (FIPS 204 §7.5).
func (a *poly) ntt() {
	for m, length := 0, polyDegree/2; length >= 1; length /= 2 {
		for start := 0; start < polyDegree; start += 2 * length {
			m++
			zeta := power(mldsaZeta, bits.Reverse8(uint8(m)))
			for j := start; j < start+length; j++ {
				t := zeta * a[j+length] % mldsaQ
				a[j+length] = (a[j] + mldsaQ - t) % mldsaQ
				a[j] = (a[j] + t) % mldsaQ
			}
		}
	}
}

// power is base to the power n, modulo q. Neither is secret.
func power(base uint64, n uint8) uint64 {
	result := uint64(1)
	for bit := 7; bit >= 0; bit-- {
		result = result * result % mldsaQ
		if n>>bit&1 == 1 {
			result = result * base % mldsaQ
		}
	}
	return result
}
