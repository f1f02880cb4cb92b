package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"

	"github.com/cloudflare/circl/sign/ed448"
)

// stdImplementation signs one by one: through crypto.Signer with the standard
// library's keys, circl's Ed448 and keys that live elsewhere, through circl's
// own functions with its post-quantum keys.
var stdImplementation = implementation{
	name:        "std",
	available:   func() bool { return true },
	signs:       func(*Algorithm, crypto.Signer) bool { return true },
	newSigner:   newStdSigner,
	newVerifier: func() Verifier { return stdVerifier{} },
}

type stdSigner struct {
	heldKey
	hedged   bool
	software bool // the key is in this process and of a type we know
}

func newStdSigner(alg *Algorithm, key crypto.Signer, opts Options) (Signer, error) {
	if isPostQuantum(key) {
		return newPQSigner(alg, key, opts)
	}
	s := &stdSigner{heldKey: heldKey{alg: alg, public: key.Public(), key: key}, hedged: opts.Hedged}
	switch key.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey, ed448.PrivateKey:
		s.software = true
	}
	return s, nil
}

// Deterministic: EdDSA is so by definition, wherever the key lives (RFC 8032).
func (s *stdSigner) Deterministic() bool {
	return s.alg.key.eddsa() || s.software && !s.hedged
}

func (s *stdSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	return s.each(sigs, inputs, s.signOne)
}

func (s *stdSigner) signOne(dst, input []byte) error {
	if err := checkInput(s.alg, input); err != nil {
		return err
	}
	random := rand.Reader
	if s.alg.ECDSA && s.software && !s.hedged {
		random = nil // crypto/ecdsa then signs by RFC 6979
	}
	hash := crypto.Hash(0)
	if !s.alg.Message {
		hash = s.alg.Hash.Crypto()
	}
	sig, err := s.key.Sign(random, input, hash)
	if err != nil {
		return &KeyError{Reason: "signing failed", Err: err}
	}
	if s.alg.ECDSA {
		return rawFromDER(dst, sig)
	}
	if len(sig) != len(dst) {
		return &KeyError{Reason: "the key gave a signature of a wrong length"}
	}
	copy(dst, sig)
	return nil
}
