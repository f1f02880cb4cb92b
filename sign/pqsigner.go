package sign

import (
	"crypto"
	"crypto/rand"
	"io"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// pqSigner signs by ML-DSA and SLH-DSA with keys of this process, one by one,
// through circl.
type pqSigner struct {
	heldKey
	hedged bool
	random io.Reader
}

func newPQSigner(alg *Algorithm, key crypto.Signer, opts Options) (Signer, error) {
	public, err := pqPublicOf(key)
	if err != nil {
		return nil, err
	}
	if private := slhPrivateOf(key); private != nil {
		key = private
	}
	s := &pqSigner{heldKey: heldKey{alg: alg, public: public, key: key}, hedged: opts.Hedged, random: rand.Reader}
	if opts.Rand != nil {
		s.random = &lockedReader{r: opts.Rand}
	}
	return s, nil
}

func (s *pqSigner) Deterministic() bool { return !s.hedged }

func (s *pqSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	return s.each(sigs, inputs, func(dst, input []byte) error {
		return signPQ(s.key, dst, input, s.hedged, s.random)
	})
}

// signPQ makes one signature, in pure mode and with an empty context; dst has
// its exact size. circl hedges ML-DSA from the operating system's randomness
// and SLH-DSA from random.
func signPQ(key crypto.Signer, dst, message []byte, hedged bool, random io.Reader) error {
	var err error
	switch k := key.(type) {
	case *mldsa44.PrivateKey:
		err = mldsa44.SignTo(k, message, nil, hedged, dst)
	case *mldsa65.PrivateKey:
		err = mldsa65.SignTo(k, message, nil, hedged, dst)
	case *mldsa87.PrivateKey:
		err = mldsa87.SignTo(k, message, nil, hedged, dst)
	case *slhdsa.PrivateKey:
		return signSLH(k, dst, message, hedged, random)
	}
	if err != nil {
		return &KeyError{Reason: "signing failed", Err: err}
	}
	return nil
}

func signSLH(key *slhdsa.PrivateKey, dst, message []byte, hedged bool, random io.Reader) error {
	var sig []byte
	var err error
	if hedged {
		sig, err = slhdsa.SignRandomized(key, random, slhdsa.NewMessage(message), nil)
	} else {
		sig, err = slhdsa.SignDeterministic(key, slhdsa.NewMessage(message), nil)
	}
	if err != nil {
		return &KeyError{Reason: "signing failed", Err: err}
	}
	if len(sig) != len(dst) {
		return &KeyError{Reason: "the key gave a signature of a wrong length"}
	}
	copy(dst, sig)
	return nil
}

// verifyPQ checks a signature by a post-quantum key.
func verifyPQ(key crypto.PublicKey, message, sig []byte) bool {
	switch k := key.(type) {
	case *mldsa44.PublicKey:
		return mldsa44.Verify(k, message, nil, sig)
	case *mldsa65.PublicKey:
		return mldsa65.Verify(k, message, nil, sig)
	case *mldsa87.PublicKey:
		return mldsa87.Verify(k, message, nil, sig)
	case slhdsa.PublicKey:
		return slhdsa.Verify(&k, slhdsa.NewMessage(message), sig, nil)
	}
	return false
}
