package asm512

import (
	"fmt"
	"math"
	"math/bits"
)

// An Interval is what is known of the lanes of a vector: each is a signed number
// in [Low, High], or, if Any, any pattern of 64 bits. All lanes share it.
type Interval struct {
	Low, High int64
	Any       bool
}

// Unknown is any 64 bits.
var Unknown = Interval{Any: true}

// Exactly is the interval of one number.
func Exactly(v int64) Interval { return Interval{Low: v, High: v} }

// Between is [low, high].
func Between(low, high int64) Interval { return Interval{Low: low, High: high} }

// String gives the bounds, the upper one as a power of two as well.
func (v Interval) String() string {
	if v.Any {
		return "any"
	}
	return fmt.Sprintf("[%d, %d = 2^%.3f]", v.Low, v.High, math.Log2(float64(v.High)))
}

// Within reports that v can take no value outside of w.
func (v Interval) Within(w Interval) bool {
	return w.Any || !v.Any && v.Low >= w.Low && v.High <= w.High
}

// hull is the least interval that holds both.
func hull(a, b Interval) Interval {
	if a.Any || b.Any {
		return Unknown
	}
	return Interval{Low: min(a.Low, b.Low), High: max(a.High, b.High)}
}

var errOverflow = fmt.Errorf("a sum can leave 63 bits")
var errNotNumber = fmt.Errorf("arithmetic on a value of unknown bits")

func addInterval(a, b Interval) (Interval, error) {
	if a.Any || b.Any {
		return Unknown, errNotNumber
	}
	low, high := a.Low+b.Low, a.High+b.High
	if (low < a.Low) != (b.Low < 0) || (high < a.High) != (b.High < 0) {
		return Unknown, errOverflow
	}
	return Interval{Low: low, High: high}, nil
}

func negInterval(a Interval) (Interval, error) {
	if a.Any {
		return Unknown, errNotNumber
	}
	if a.Low == math.MinInt64 {
		return Unknown, errOverflow
	}
	return Interval{Low: -a.High, High: -a.Low}, nil
}

func subInterval(a, b Interval) (Interval, error) {
	n, err := negInterval(b)
	if err != nil {
		return Unknown, err
	}
	return addInterval(a, n)
}

// shiftLeft may lose bits; then nothing is known of the rest.
func shiftLeft(a Interval, n uint) Interval {
	if a.Any {
		return Unknown
	}
	low, high := a.Low<<n, a.High<<n
	if low>>n != a.Low || high>>n != a.High {
		return Unknown
	}
	return Interval{Low: low, High: high}
}

func shiftLogical(a Interval, n uint) (Interval, error) {
	switch {
	case n == 0:
		return a, nil
	case a.Any:
		return Interval{High: math.MaxInt64 >> (n - 1)}, nil
	case a.Low < 0:
		return Unknown, fmt.Errorf("logical shift of a value that can be negative: %v", a)
	}
	return Interval{Low: a.Low >> n, High: a.High >> n}, nil
}

func shiftArithmetic(a Interval, n uint) Interval {
	if a.Any {
		return Interval{Low: math.MinInt64 >> n, High: math.MaxInt64 >> n}
	}
	return Interval{Low: a.Low >> n, High: a.High >> n}
}

// andInterval is exact where one is a mask of low bits and the bits above are
// the same in all of the other.
func andInterval(a, b Interval) Interval {
	if isLowMask(a) {
		a, b = b, a
	}
	if isLowMask(b) {
		k := uint(bits.Len64(uint64(b.Low)))
		if !a.Any && a.Low>>k == a.High>>k {
			return Interval{Low: a.Low & b.Low, High: a.High & b.Low}
		}
		return Interval{High: b.Low}
	}
	return Unknown
}

func isLowMask(a Interval) bool {
	return !a.Any && a.Low == a.High && a.Low >= 0 && a.Low&(a.Low+1) == 0
}

// orInterval knows the length of the result.
func orInterval(a, b Interval) Interval {
	if a.Any || b.Any || a.Low < 0 || b.Low < 0 {
		return Unknown
	}
	return Interval{High: 1<<bits.Len64(uint64(a.High|b.High)) - 1}
}

// limit52 is what a factor of VPMADD52 must be below.
const limit52 = 1 << 52

// factor is a factor of VPMADD52, which takes the low 52 bits. That more is cut
// off must be meant.
func factor(a Interval, low bool) (Interval, error) {
	if a.Within(Interval{High: limit52 - 1}) {
		return a, nil
	}
	if low && !a.Any && a.Low >= 0 {
		return Interval{High: limit52 - 1}, nil
	}
	return Unknown, fmt.Errorf("a factor can be beyond 52 bits: %v", a)
}

// product is the low or high 52 bits of a product of factors.
func product(x, y Interval, high bool) Interval {
	h0, l0 := bits.Mul64(uint64(x.Low), uint64(y.Low))
	h1, l1 := bits.Mul64(uint64(x.High), uint64(y.High))
	if high {
		return Interval{Low: int64(h0<<12 | l0>>52), High: int64(h1<<12 | l1>>52)}
	}
	if h1 == 0 && l1 < limit52 {
		return Interval{Low: int64(l0), High: int64(l1)}
	}
	return Interval{High: limit52 - 1}
}
