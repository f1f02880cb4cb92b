package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"io"

	"github.com/cloudflare/circl/sign/ed448"
)

// GenerateKey makes a private key for an algorithm. random nil means the
// operating system's source, which the standard library takes for ECDSA
// whatever it is given. Algorithms that are only read are refused with an
// [*AlgorithmError].
func GenerateKey(alg *Algorithm, random io.Reader) (crypto.Signer, error) {
	if alg == nil {
		return nil, &UsageError{Reason: "no algorithm was given for a new key"}
	}
	if random == nil {
		random = rand.Reader
	}
	var key crypto.Signer
	var err error
	switch alg.key {
	case keyP256, keyP384, keyP521:
		key, err = ecdsa.GenerateKey(alg.key.curve(), random)
	case keyEd25519:
		_, key, err = generated(ed25519.GenerateKey(random))
	case keyEd448:
		_, key, err = generated(ed448.GenerateKey(random))
	default:
		set := parameterSetOf(alg.key)
		if set == nil {
			return nil, &AlgorithmError{Identifier: alg.Name, Reason: "we read it and make no keys for it; use ES256 or Ed25519"}
		}
		key, err = set.generate(random)
	}
	if err != nil {
		return nil, &KeyError{Reason: "generation failed", Err: err}
	}
	return key, nil
}

// generated turns the results of an EdDSA key generation into interfaces.
func generated[P crypto.PublicKey, K crypto.Signer](pub P, key K, err error) (crypto.PublicKey, crypto.Signer, error) {
	return pub, key, err
}

// DestroyKey overwrites a private key that lives in this process, so that it
// can no longer be used. A key of a type it does not know is left alone. The
// standard library's cache of a used ECDSA key, the octets inside circl's
// SLH-DSA keys and copies made by the garbage collector are out of reach. An
// ML-DSA public key that was asked of the private key itself shares its matrix
// and goes with it; those of [Signer] and [PreparePublicKey] do not.
func DestroyKey(key crypto.Signer) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		//lint:ignore SA1019 only the number itself can be zeroed
		if k != nil && k.D != nil {
			//lint:ignore SA1019 likewise
			clear(k.D.Bits())
		}
	case ed25519.PrivateKey:
		clear(k)
	case ed448.PrivateKey:
		clear(k)
	default:
		destroyPQ(key)
	}
}
