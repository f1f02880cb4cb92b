package sha256x16

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// Size is the length of a digest in octets, blockSize that of a block.
const (
	Size      = sha256.Size
	blockSize = sha256.BlockSize
)

// A Prefix is the constant beginning of many messages, hashed once: the state
// after its whole blocks, and what is left of it. It is immutable and safe for
// concurrent use.
type Prefix struct {
	length int
	rest   []byte    // the last length%64 octets
	saved  []byte    // the state of crypto/sha256 after the prefix
	state  [8]uint32 // the state after the whole blocks
	wide   prefixRows
}

// NewPrefix hashes a constant prefix, which may be empty.
func NewPrefix(prefix []byte) *Prefix { return newPrefix(prefix, Available()) }

func newPrefix(prefix []byte, wide bool) *Prefix {
	whole := len(prefix) - len(prefix)%blockSize
	p := &Prefix{length: len(prefix), rest: append([]byte(nil), prefix[whole:]...)}
	p.saved = save(prefix)
	p.state = stateOf(prefix[:whole])
	if wide {
		p.wide.fill(p)
	}
	return p
}

// Len is the length of the prefix in octets.
func (p *Prefix) Len() int { return p.length }

// resumable is what crypto/sha256 offers of its states.
type resumable interface {
	hash.Hash
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// save is the state after b in the form of crypto/sha256.
func save(b []byte) []byte {
	h := sha256.New().(resumable)
	h.Write(b)
	state, err := h.MarshalBinary()
	if err != nil {
		panic("sha256x16: crypto/sha256 cannot keep its state: " + err.Error()) // it always can
	}
	return state
}

// stateOf is the chaining value after whole blocks, taken from the state that
// crypto/sha256 gives out: four octets of magic, then eight words.
func stateOf(blocks []byte) (w [8]uint32) {
	saved := save(blocks)
	for i := range w {
		w[i] = binary.BigEndian.Uint32(saved[4+4*i:])
	}
	clear(saved)
	return w
}
