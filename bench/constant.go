package bench

import (
	"crypto"

	"github.com/vouchmill/vouchmill/sign"
)

// NewConstantSigner returns a signer that signs nothing: each signature is the
// same octets, large enough for ECDSA values to have their usual length. What a
// job takes with it is what everything but the signature costs. No voucher made
// with it verifies.
func NewConstantSigner(alg *sign.Algorithm, public crypto.PublicKey) sign.Signer {
	one := make([]byte, alg.SignatureSize)
	for i := range one {
		one[i] = 0x5a
	}
	return &constantSigner{alg, public, one}
}

type constantSigner struct {
	alg    *sign.Algorithm
	public crypto.PublicKey
	one    []byte
}

func (s *constantSigner) Algorithm() *sign.Algorithm { return s.alg }
func (s *constantSigner) Public() crypto.PublicKey   { return s.public }
func (s *constantSigner) Deterministic() bool        { return true }
func (s *constantSigner) Close() error               { return nil }

func (s *constantSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	for range inputs {
		sigs = sigs[copy(sigs, s.one):]
	}
	return nil
}
