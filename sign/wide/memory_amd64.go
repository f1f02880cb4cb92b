//go:build amd64 && !purego

package wide

import (
	"math/big"
	"unsafe"
)

// aligned allocates a T without pointers on a multiple of 64 bytes. The heap
// aligns to less, and a load across two cache lines takes twice the time.
func aligned[T any]() *T {
	var t T
	b := make([]byte, unsafe.Sizeof(t)+63)
	p := unsafe.Pointer(unsafe.SliceData(b))
	return (*T)(unsafe.Add(p, -uintptr(p)&63))
}

const mask52 = 1<<52 - 1

// set puts an integer below 2^256 into a lane.
func (e *element) set(lane int, w *words4) {
	e[0][lane] = w[0] & mask52
	e[1][lane] = (w[0]>>52 | w[1]<<12) & mask52
	e[2][lane] = (w[1]>>40 | w[2]<<24) & mask52
	e[3][lane] = (w[2]>>28 | w[3]<<36) & mask52
	e[4][lane] = w[3] >> 16
}

// get is the value in a lane, which is carried and below 2^256.
func (e *element) get(lane int) words4 {
	return words4{
		e[0][lane] | e[1][lane]<<52,
		e[1][lane]>>12 | e[2][lane]<<40,
		e[2][lane]>>24 | e[3][lane]<<28,
		e[3][lane]>>36 | e[4][lane]<<16,
	}
}

// fill puts it into all lanes.
func (e *element) fill(w *words4) {
	for lane := range 8 {
		e.set(lane, w)
	}
}

// montgomery is b·2^260 mod m, for values that may be known.
func montgomery(b []byte, m *big.Int) (w words4) {
	v := new(big.Int).SetBytes(b)
	v.Lsh(v, 260).Mod(v, m)
	return bigWords(v)
}

func bigWords(v *big.Int) (w words4) {
	var b [32]byte
	v.FillBytes(b[:])
	return wordsFromBytes(b[:])
}
