package merkle

import "crypto/sha256"

// Hash is a SHA-256 value: a leaf, an inner node or a root.
type Hash = [sha256.Size]byte

// The domain separators of RFC 9162 §2.1.1: a leaf can never be taken for an
// inner node, so a proof cannot be forged by presenting one as the other.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
)

// shortLeaf is the longest leaf hashed from the stack: the prefix, a 64-octet
// digest and a 132-octet ES512 signature fit with room to spare.
const shortLeaf = 256

// LeafHash returns SHA-256(0x00 ‖ parts), the leaf hash of RFC 9162 §2.1.1
// with the entry given in parts. Parts of at most 255 octets together cost no
// allocation.
func LeafHash(parts ...[]byte) Hash {
	total := 1
	for _, p := range parts {
		total += len(p)
	}
	if total <= shortLeaf {
		var buf [shortLeaf]byte
		buf[0] = leafPrefix
		n := 1
		for _, p := range parts {
			n += copy(buf[n:], p)
		}
		return sha256.Sum256(buf[:n])
	}
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	for _, p := range parts {
		h.Write(p)
	}
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

// NodeHash returns SHA-256(0x01 ‖ left ‖ right), the inner node of RFC 9162
// §2.1.1.
func NodeHash(left, right Hash) Hash {
	var buf [1 + 2*sha256.Size]byte
	buf[0] = nodePrefix
	copy(buf[1:], left[:])
	copy(buf[1+sha256.Size:], right[:])
	return sha256.Sum256(buf[:])
}

// EmptyRoot returns the root of a tree without leaves, SHA-256 of nothing.
func EmptyRoot() Hash { return sha256.Sum256(nil) }
