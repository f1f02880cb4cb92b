package sign

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding"
	"io"
)

// HashID names a hash function. The zero value names none.
type HashID uint8

// The hash functions. SHAKE256 is used with 64 octets of output, as Ed448 in
// CMS has it (RFC 8419 §2.3).
const (
	SHA256 HashID = iota + 1
	SHA384
	SHA512
	SHAKE256
)

// Size is the length of a digest in octets, 0 for an unknown hash.
func (h HashID) Size() int {
	switch h {
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512, SHAKE256:
		return sha512.Size
	}
	return 0
}

// String is the name as NIST writes it.
func (h HashID) String() string {
	switch h {
	case SHA256:
		return "SHA-256"
	case SHA384:
		return "SHA-384"
	case SHA512:
		return "SHA-512"
	case SHAKE256:
		return "SHAKE256"
	}
	return "unknown hash"
}

// Crypto is the standard library's name for it, 0 where there is none.
func (h HashID) Crypto() crypto.Hash {
	switch h {
	case SHA256:
		return crypto.SHA256
	case SHA384:
		return crypto.SHA384
	case SHA512:
		return crypto.SHA512
	}
	return 0
}

// Append appends the digest of message to dst. An unknown hash appends nothing.
func (h HashID) Append(dst, message []byte) []byte {
	switch h {
	case SHA256:
		d := sha256.Sum256(message)
		return append(dst, d[:]...)
	case SHA384:
		d := sha512.Sum384(message)
		return append(dst, d[:]...)
	case SHA512:
		d := sha512.Sum512(message)
		return append(dst, d[:]...)
	case SHAKE256:
		return append(dst, sha3.SumSHAKE256(message, h.Size())...)
	}
	return dst
}

// hashState is a running hash whose state can be kept and taken up again.
type hashState interface {
	io.Writer
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
	// finish writes the digest to dst, which has the digest's length. The state
	// is spent afterwards.
	finish(dst []byte)
}

// newState starts a hash; nil for an unknown one.
func (h HashID) newState() hashState {
	switch h {
	case SHA256:
		return &sha2State{sha2: sha256.New().(sha2)}
	case SHA384:
		return &sha2State{sha2: sha512.New384().(sha2)}
	case SHA512:
		return &sha2State{sha2: sha512.New().(sha2)}
	case SHAKE256:
		return shakeState{sha3.NewSHAKE256()}
	}
	return nil
}

// sha2 is what the standard library's SHA-2 hashes offer beyond hash.Hash.
type sha2 interface {
	io.Writer
	Sum([]byte) []byte
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

type sha2State struct{ sha2 }

func (s *sha2State) finish(dst []byte) { s.Sum(dst[:0]) }

type shakeState struct{ *sha3.SHAKE }

func (s shakeState) finish(dst []byte) { s.Read(dst) }
