package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/vouchmill/vouchmill/sign/wide"
)

// Verifier checks batches of signatures. It is safe for concurrent use, on
// distinct items.
type Verifier interface {
	// VerifyBatch checks each item by its key and sets its Err: nil, or an error
	// that wraps [ErrSignature] or says what is wrong with the item. It returns
	// nil when all verify, else a *[BatchError].
	VerifyBatch(items []VerifyItem) error
}

// VerifyItem is one signature to be checked.
type VerifyItem struct {
	// Key is the public key with the algorithm it is used for.
	Key *PublicKey
	// Input is the digest, or the whole message where the algorithm takes one.
	Input []byte
	// Signature is raw: r‖s of exactly the algorithm's size for ECDSA.
	Signature []byte
	// Err is the result, set by VerifyBatch.
	Err error
}

// PublicKey is a public key prepared for checking signatures by one algorithm.
// It is immutable, safe for concurrent use and worth keeping: its point and
// size were checked once.
type PublicKey struct {
	alg  *Algorithm
	key  crypto.PublicKey
	wide *wide.Key // for the wide verifier, else nil

	subgroup subgroup // for Ed25519Batch
}

// MinRSABits is the smallest RSA modulus accepted.
const MinRSABits = 2048

// MaxRSABits bounds the work one RSA key can ask of a verifier.
const MaxRSABits = 8192

// PreparePublicKey checks that the key is valid (on its curve, or of a sane RSA
// size) and that the algorithm is one for it. The error is an
// [*AlgorithmError] or a [*KeyError].
func PreparePublicKey(alg *Algorithm, pub crypto.PublicKey) (*PublicKey, error) {
	if alg == nil {
		return nil, &UsageError{Reason: "no algorithm was given; sign.ForKey finds one"}
	}
	if err := alg.Fits(pub); err != nil {
		return nil, err
	}
	if err := checkPublic(pub); err != nil {
		return nil, err
	}
	if pqKind(pub) != 0 {
		detached, err := detachedPublic(pub)
		if err != nil {
			return nil, err
		}
		pub = detached
	}
	return &PublicKey{alg: alg, key: pub, wide: wideKey(alg, pub)}, nil
}

// checkPublic checks what a key's type does not already say.
func checkPublic(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if _, err := k.Bytes(); err != nil {
			return &KeyError{Reason: "its point is not on its curve", Err: err}
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return &KeyError{Reason: fmt.Sprintf("an Ed25519 key has 32 octets, this one %d", len(k))}
		}
	case ed448.PublicKey:
		if len(k) != ed448.PublicKeySize {
			return &KeyError{Reason: fmt.Sprintf("an Ed448 key has 57 octets, this one %d", len(k))}
		}
	case *rsa.PublicKey:
		if k.N == nil || k.N.Sign() <= 0 || k.E < 3 || k.E%2 == 0 {
			return &KeyError{Reason: "its RSA modulus or exponent is not usable"}
		}
		if bits := k.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return &KeyError{Reason: fmt.Sprintf("RSA keys must have %d to %d bits, this one has %d", MinRSABits, MaxRSABits, bits)}
		}
	}
	return nil
}

// Algorithm is the algorithm the key was prepared for.
func (k *PublicKey) Algorithm() *Algorithm { return k.alg }

// Public is the key itself.
func (k *PublicKey) Public() crypto.PublicKey { return k.key }

// NewVerifier makes a verifier, by the best implementation here or the one
// named, as [Options.Impl] does. The error is a [*UsageError].
func NewVerifier(opts VerifierOptions) (Verifier, error) {
	return chooseVerifier(opts.Impl)
}

// VerifierOptions are the settings of a verifier. The zero value is the
// recommended setting.
type VerifierOptions struct {
	// Impl forces an implementation by name, "" takes the best one.
	Impl string
}

// stdVerifier checks one by one through the standard library and circl.
type stdVerifier struct{}

func (stdVerifier) VerifyBatch(items []VerifyItem) error {
	var failed failures
	for i := range items {
		item := &items[i]
		if item.Err = verifyOne(item); item.Err != nil {
			failed.add(i, item.Err)
		}
	}
	return failed.err()
}

// verifyOne checks the form of an item, then its signature.
func verifyOne(item *VerifyItem) error {
	if item.Key == nil {
		return &UsageError{Reason: "an item to be verified has no key"}
	}
	alg := item.Key.alg
	if err := checkInput(alg, item.Input); err != nil {
		return err
	}
	if alg.SignatureSize != 0 && len(item.Signature) != alg.SignatureSize {
		return fmt.Errorf("%w: %s signatures have %d octets, this one %d", ErrSignature, alg.Name, alg.SignatureSize, len(item.Signature))
	}
	if !item.Key.verify(item.Input, item.Signature) {
		return ErrSignature
	}
	return nil
}

// verify checks a signature of the right size. RSA sizes are checked by
// crypto/rsa.
func (k *PublicKey) verify(input, sig []byte) bool {
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		var der [141]byte // the largest Ecdsa-Sig-Value, of P-521, has 139
		return ecdsa.VerifyASN1(key, input, appendDER(der[:0], sig))
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, sig)
	case ed448.PublicKey:
		return ed448.Verify(key, input, sig, "")
	case *rsa.PublicKey:
		if k.alg == PS256 {
			return rsa.VerifyPSS(key, crypto.SHA256, input, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, input, sig) == nil
	}
	return verifyPQ(k.key, input, sig)
}
