package sign

import (
	"crypto"
	"fmt"
	"io"
)

// Signer signs batches with one key. It is safe for concurrent use.
type Signer interface {
	// Algorithm is the registry row of the signer's algorithm.
	Algorithm() *Algorithm
	// Public is the public key.
	Public() crypto.PublicKey
	// Deterministic reports whether the same input always gives the same
	// signature, across processes and implementations.
	Deterministic() bool
	// SignBatch signs each input, a digest of Algorithm().DigestSize octets or,
	// where Algorithm().Message is true, a whole message. Signature i goes, raw,
	// to sigs[i*size : (i+1)*size] with size = Algorithm().SignatureSize.
	// Items fail one by one: the error is then a *[BatchError], the failed
	// items' octets are zero and all others are signed. A *[UsageError] or
	// [ErrClosed] means that nothing was written.
	SignBatch(sigs []byte, inputs [][]byte) error
	// Close waits for running batches, overwrites the signer's copy of the
	// private key and makes every further batch fail with ErrClosed. It may be
	// called more than once. The key the signer was made from stays the
	// caller's; see [DestroyKey].
	Close() error
}

// Options are the settings of a signer. The zero value is the recommended
// setting.
type Options struct {
	// Hedged mixes randomness into ECDSA nonces and into what ML-DSA and SLH-DSA
	// have in their place. Signatures then differ from run to run, and a fault
	// attack on deterministic nonces has less to work with. EdDSA is
	// deterministic by definition and refuses it.
	Hedged bool
	// Rand is the source for Hedged, nil for the operating system's. The
	// standard library's ECDSA and circl's ML-DSA take only the operating
	// system's and ignore it.
	Rand io.Reader
	// Impl forces an implementation by name, "" takes the best one.
	Impl string
}

// NewSigner makes a signer for a key, which may live in software or behind any
// [crypto.Signer]; of the latter nothing is assumed to be deterministic.
// The error is an [*AlgorithmError] when the algorithm does not fit the key or
// is one we only read, a [*KeyError] when the key itself is broken, a
// [*UsageError] when the options ask for what cannot be had.
func NewSigner(alg *Algorithm, key crypto.Signer, opts Options) (Signer, error) {
	if alg == nil {
		return nil, &UsageError{Reason: "no algorithm was given; sign.ForKey finds one"}
	}
	pub, err := publicOf(key)
	if err != nil {
		return nil, err
	}
	if err := alg.Fits(pub); err != nil {
		return nil, err
	}
	if alg.VerifyOnly {
		return nil, &AlgorithmError{Identifier: alg.Name, Key: alg.key.String(), Reason: "it is read and never produced; use an ECDSA or Ed25519 key"}
	}
	if opts.Hedged && alg.key.eddsa() {
		return nil, &UsageError{Reason: alg.Name + " is deterministic by definition and cannot be hedged"}
	}
	if err := checkPrivate(key); err != nil {
		return nil, err
	}
	impl, err := chooseImplementation(opts.Impl, alg, key)
	if err != nil {
		return nil, err
	}
	return impl.newSigner(alg, key, opts)
}

// checkBatch checks what every implementation must before it writes: the room
// for the signatures, and in front of that nothing. Inputs are checked one by
// one, by [checkInput].
func checkBatch(alg *Algorithm, sigs []byte, inputs [][]byte) error {
	if need := len(inputs) * alg.SignatureSize; len(sigs) < need {
		return &UsageError{Reason: fmt.Sprintf("%d signatures of %s need %d octets, sigs has %d", len(inputs), alg.Name, need, len(sigs))}
	}
	return nil
}

// checkInput refuses digests of a wrong length, the mark of a message that was
// never hashed or was hashed by another function.
func checkInput(alg *Algorithm, input []byte) error {
	if !alg.Message && len(input) != alg.DigestSize {
		return &UsageError{Reason: fmt.Sprintf("%s signs digests of %d octets (%v), this one has %d", alg.Name, alg.DigestSize, alg.Hash, len(input))}
	}
	return nil
}
