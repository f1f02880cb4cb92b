package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"sync"

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
	alg      *Algorithm
	public   crypto.PublicKey
	hedged   bool
	software bool // the key is in this process and of a type we know

	mu  sync.RWMutex  // held for reading by batches, for writing by Close
	key crypto.Signer // nil once closed
}

func newStdSigner(alg *Algorithm, key crypto.Signer, opts Options) (Signer, error) {
	if isPostQuantum(key) {
		return newPQSigner(alg, key, opts)
	}
	s := &stdSigner{alg: alg, public: key.Public(), key: key, hedged: opts.Hedged}
	switch key.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey, ed448.PrivateKey:
		s.software = true
	}
	return s, nil
}

func (s *stdSigner) Algorithm() *Algorithm    { return s.alg }
func (s *stdSigner) Public() crypto.PublicKey { return s.public }

// Deterministic: EdDSA is so by definition, wherever the key lives (RFC 8032).
func (s *stdSigner) Deterministic() bool {
	return s.alg.key.eddsa() || s.software && !s.hedged
}

func (s *stdSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.key == nil {
		return ErrClosed
	}
	if err := checkBatch(s.alg, sigs, inputs); err != nil {
		return err
	}
	var failed failures
	size := s.alg.SignatureSize
	for i, input := range inputs {
		dst := sigs[i*size : (i+1)*size]
		if err := s.signOne(dst, input); err != nil {
			clear(dst)
			failed.add(i, err)
		}
	}
	return failed.err()
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

func (s *stdSigner) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = nil
	return nil
}
