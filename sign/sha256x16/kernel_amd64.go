//go:build amd64 && !purego

package sha256x16

import "unsafe"

// A piece says where one block of one message comes from: the octets under mask
// from the 64 octets at data+off, to which those at pad are added. data points
// into the message even if data+off lies before it; off can be negative.
type piece struct {
	data unsafe.Pointer
	off  int
	mask uint64
	pad  *[blockSize]byte
}

//go:noescape
func hash16(dst *[16][32]byte, a, b *rows, w *hashWork, pieces *piece, n int)

//go:noescape
func hash32(dst *[32][32]byte, a, b *rows, w *hashWork, pieces *piece, n int)

//go:noescape
func chain16(key *chainKey, w *chainWork, digests *[16][32]byte, k *[16][4]uint64)

//go:noescape
func chain32(key *chainKey, w *chainWork, digests *[32][32]byte, k *[32][4]uint64)

// aligned allocates a T without pointers on a multiple of 64 bytes, so that no
// load crosses a cache line.
func aligned[T any]() *T {
	var t T
	b := make([]byte, unsafe.Sizeof(t)+63)
	p := unsafe.Pointer(unsafe.SliceData(b))
	return (*T)(unsafe.Add(p, -uintptr(p)&63))
}

// fill puts a word into all lanes of each row.
func (r *rows) fill(w *[8]uint32) {
	for i := range r {
		for lane := range r[i] {
			r[i][lane] = w[i]
		}
	}
}

// put puts a state into one lane.
func (r *rows) put(lane int, w *[8]uint32) {
	for i := range r {
		r[i][lane] = w[i]
	}
}
