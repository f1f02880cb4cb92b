package sign

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"hash"
)

// Nonces for ECDSA P-256 with SHA-256 by RFC 6979 §3.2, hedged by §3.6: the
// HMAC_DRBG of SP 800-90A, 15 SHA-256 blocks a nonce. A kept state spares what
// is the same for all nonces of a key, and nothing is allocated.

// shaState is SHA-256 with states that can be kept.
type shaState interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// nonceKey is what all nonces of one private key share. It is secret.
type nonceKey struct {
	x     [32]byte // the private key, int2octets
	first []byte   // state after ipad(K0) ‖ V0 ‖ 00 ‖ x[:31], two blocks
	outer []byte   // state after opad(K0), one block
}

// newNonceKey prepares the states for a private key.
func newNonceKey(x *[32]byte) (*nonceKey, error) {
	h := sha256.New().(shaState)
	key := &nonceKey{x: *x}
	var err error
	h.Write(bytes.Repeat([]byte{0x5c}, sha256.BlockSize))
	if key.outer, err = h.AppendBinary(nil); err != nil {
		return nil, &KeyError{Reason: "SHA-256 cannot keep its state", Err: err}
	}
	h.Reset()
	h.Write(bytes.Repeat([]byte{0x36}, sha256.BlockSize))
	h.Write(bytes.Repeat([]byte{0x01}, sha256.Size))
	h.Write([]byte{0x00})
	h.Write(x[:31])
	if key.first, err = h.AppendBinary(nil); err != nil {
		return nil, &KeyError{Reason: "SHA-256 cannot keep its state", Err: err}
	}
	h.Reset()
	h.Write(make([]byte, sha256.BlockSize-1)) // x out of its buffer
	return key, nil
}

func (k *nonceKey) destroy() {
	clear(k.x[:])
	clear(k.first)
}

// nonceMaker is the working memory of one goroutine. It holds secrets while it
// works; wipe removes them.
type nonceMaker struct {
	h            shaState
	v            [32]byte // V of the DRBG
	k            [32]byte // K of the DRBG, or the inner hash on its way to the outer
	inner, outer []byte   // states after ipad(K) and opad(K), one block each
	blank        []byte   // state of an empty hash
	block        [160]byte
}

func newNonceMaker() *nonceMaker {
	h := sha256.New().(shaState)
	blank, _ := h.AppendBinary(nil) // never fails: newNonceKey has tried
	m := &nonceMaker{h: h, blank: blank}
	m.inner, m.outer = make([]byte, 0, len(blank)), make([]byte, 0, len(blank))
	return m
}

// nonce writes to out the nonce of a message with the given bits2octets(h1)
// and extra data (empty, or 32 octets when hedged), and to k its value.
//
// The loop ends at the first candidate in [1, n-1], nearly always the first.
// How often it runs tells an observer about rejected candidates only, and these
// are independent of the accepted one.
func (m *nonceMaker) nonce(key *nonceKey, out *[32]byte, k *scalar, digest *[32]byte, extra []byte) {
	for i := range m.v {
		m.v[i] = 0x01
	}
	// K = HMAC(K0, V0 ‖ 00 ‖ x ‖ h1 ‖ extra), from the kept state on
	tail := append(append(append(m.block[:0], key.x[31]), digest[:]...), extra...)
	m.mac(m.k[:], key.first, key.outer, tail)
	m.rekey()
	m.next()
	// K = HMAC(K, V ‖ 01 ‖ x ‖ h1 ‖ extra)
	tail = append(append(append(m.block[:0], m.v[:]...), 0x01), key.x[:]...)
	tail = append(append(tail, digest[:]...), extra...)
	m.mac(m.k[:], m.inner, m.outer, tail)
	m.rekey()
	m.next()
	for {
		m.next()
		*out = m.v
		if k.setBytes(out)&^k.isZero() == 1 {
			return
		}
		tail = append(append(m.block[:0], m.v[:]...), 0x00)
		m.mac(m.k[:], m.inner, m.outer, tail)
		m.rekey()
		m.next()
	}
}

// next steps the generator: V = HMAC(K, V).
func (m *nonceMaker) next() { m.mac(m.v[:], m.inner, m.outer, m.v[:]) }

// mac finishes an HMAC-SHA256 from its inner and outer states. UnmarshalBinary
// cannot fail here: the states come from the same implementation.
func (m *nonceMaker) mac(dst, inner, outer, tail []byte) {
	m.h.UnmarshalBinary(inner)
	m.h.Write(tail)
	m.h.Sum(m.k[:0])
	m.h.UnmarshalBinary(outer)
	m.h.Write(m.k[:])
	m.h.Sum(dst[:0])
}

// rekey makes m.k the HMAC key.
func (m *nonceMaker) rekey() {
	m.inner = m.padState(m.inner, 0x36)
	m.outer = m.padState(m.outer, 0x5c)
}

func (m *nonceMaker) padState(state []byte, pad byte) []byte {
	block := m.block[:sha256.BlockSize]
	for i, b := range m.k {
		block[i] = b ^ pad
	}
	for i := len(m.k); i < len(block); i++ {
		block[i] = pad
	}
	m.h.Reset()
	m.h.Write(block)
	state, _ = m.h.AppendBinary(state[:0])
	return state
}

// wipe overwrites all that depends on a key or a nonce, the buffer inside the
// hash included.
func (m *nonceMaker) wipe() {
	clear(m.v[:])
	clear(m.k[:])
	clear(m.inner[:cap(m.inner)])
	clear(m.outer[:cap(m.outer)])
	clear(m.block[:])
	m.h.UnmarshalBinary(m.blank)
}
