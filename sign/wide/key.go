package wide

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"sync/atomic"
)

// A Key is a public key prepared for verification. It is safe for concurrent
// use; keep it as long as signatures under it come.
type Key struct {
	public *ecdsa.PublicKey
	point  [65]byte // uncompressed, on the curve
	wide   wideKeyPoint
	// seen counts the signatures given to VerifyMany, to see whether a table pays.
	seen atomic.Int64
}

// NewKey takes a public key on P-256; a [*KeyError] says why it is refused:
// another curve, or not a point of it.
func NewKey(public *ecdsa.PublicKey) (*Key, error) { return newKey(public, Available()) }

func newKey(public *ecdsa.PublicKey, wide bool) (*Key, error) {
	if public == nil || public.Curve != elliptic.P256() {
		return nil, &KeyError{"the public key is not on P-256"}
	}
	b, err := public.Bytes() // checks that the point is on the curve
	if err != nil || len(b) != 65 {
		return nil, &KeyError{"the public key is not a point of P-256"}
	}
	copied, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
	if err != nil {
		return nil, &KeyError{"the public key is not a point of P-256"}
	}
	k := &Key{public: copied, point: [65]byte(b)}
	if wide {
		k.wide.set(&k.point)
	}
	return k, nil
}

// Public is the key itself; it must not be changed.
func (k *Key) Public() *ecdsa.PublicKey { return k.public }

// verifyOne decides one signature by crypto/ecdsa, with all exceptional cases.
func (k *Key) verifyOne(digest, sig []byte) bool {
	if len(sig) != SignatureSize || len(digest) != DigestSize {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	return ecdsa.Verify(k.public, digest, r, s)
}
