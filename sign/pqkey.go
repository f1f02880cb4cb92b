package sign

import (
	"bytes"
	"crypto"
	"fmt"
	"io"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// Post-quantum keys are circl's: *mldsa44.PrivateKey and its sisters, and
// *slhdsa.PrivateKey, each with its public key. circl trusts its callers, so
// whatever could make it panic is refused here first.

// mldsaPrivate is what the three ML-DSA private key types share.
type mldsaPrivate interface {
	crypto.Signer
	Seed() []byte // nil if the key was not made from one
	Bytes() []byte
}

// mldsaPrivateOf is the key as an ML-DSA private key; nil, false if it is none
// or a nil pointer.
func mldsaPrivateOf(key crypto.Signer) (mldsaPrivate, bool) {
	switch k := key.(type) {
	case *mldsa44.PrivateKey:
		return k, k != nil
	case *mldsa65.PrivateKey:
		return k, k != nil
	case *mldsa87.PrivateKey:
		return k, k != nil
	}
	return nil, false
}

// isPostQuantum reports whether a private key is one of circl's post-quantum
// types, valid or not.
func isPostQuantum(key crypto.Signer) bool {
	switch key.(type) {
	case *mldsa44.PrivateKey, *mldsa65.PrivateKey, *mldsa87.PrivateKey, *slhdsa.PrivateKey, slhdsa.PrivateKey:
		return true
	}
	return false
}

// slhPrivateOf is the key as an SLH-DSA private key of a set we know and with
// all its octets, else nil.
func slhPrivateOf(key crypto.Signer) *slhdsa.PrivateKey {
	var private *slhdsa.PrivateKey
	switch k := key.(type) {
	case *slhdsa.PrivateKey:
		private = k
	case slhdsa.PrivateKey:
		private = &k
	}
	if private == nil || slhKind(private.ID) == 0 {
		return nil
	}
	octets, err := private.MarshalBinary()
	defer clear(octets)
	if err != nil || len(octets) != 64 {
		return nil
	}
	return private
}

// slhKind is the kind of an SLH-DSA parameter set, 0 for sets we do not know.
func slhKind(id slhdsa.ID) keyKind {
	for _, set := range parameterSets {
		if set.slh == id && id != 0 {
			return set.kind
		}
	}
	return 0
}

// pqKind classifies post-quantum public keys, 0 for all others.
func pqKind(key crypto.PublicKey) keyKind {
	switch k := key.(type) {
	case *mldsa44.PublicKey:
		if k != nil {
			return keyMLDSA44
		}
	case *mldsa65.PublicKey:
		if k != nil {
			return keyMLDSA65
		}
	case *mldsa87.PublicKey:
		if k != nil {
			return keyMLDSA87
		}
	case slhdsa.PublicKey:
		return slhKind(k.ID)
	}
	return 0
}

// pqPublicOctets is the encoded form of a post-quantum public key.
func pqPublicOctets(key crypto.PublicKey) ([]byte, error) {
	k, ok := key.(interface{ MarshalBinary() ([]byte, error) })
	set := parameterSetOf(pqKind(key))
	if !ok || set == nil {
		return nil, &KeyError{Reason: fmt.Sprintf("keys of type %T are not supported", key)}
	}
	octets, err := k.MarshalBinary()
	if err != nil || len(octets) != set.scheme.PublicKeySize() {
		return nil, &KeyError{Reason: fmt.Sprintf("%v public keys have %d octets, this one %d", set.kind, set.scheme.PublicKeySize(), len(octets)), Err: err}
	}
	return octets, nil
}

// parsePublic reads the octets of a public key of this set.
func (p *parameterSet) parsePublic(octets []byte) (crypto.PublicKey, error) {
	if len(octets) != p.scheme.PublicKeySize() {
		return nil, &KeyError{Reason: fmt.Sprintf("%v public keys have %d octets, this one %d", p.kind, p.scheme.PublicKeySize(), len(octets))}
	}
	if p.slh != 0 {
		pub := slhdsa.PublicKey{ID: p.slh}
		if err := pub.UnmarshalBinary(octets); err != nil {
			return nil, &KeyError{Reason: "public key not understood", Err: err}
		}
		return pub, nil
	}
	pub, err := p.scheme.UnmarshalBinaryPublicKey(octets)
	if err != nil {
		return nil, &KeyError{Reason: "public key not understood", Err: err}
	}
	return pub, nil
}

// detachedPublic is a copy of a post-quantum public key that shares no memory
// with the private key it came from: circl's ML-DSA keys share their matrix,
// which goes when the private key is destroyed.
func detachedPublic(key crypto.PublicKey) (crypto.PublicKey, error) {
	octets, err := pqPublicOctets(key)
	if err != nil {
		return nil, err
	}
	return parameterSetOf(pqKind(key)).parsePublic(octets)
}

// pqPublicOf is the public key of a post-quantum private key.
func pqPublicOf(key crypto.Signer) (crypto.PublicKey, error) {
	if private, ok := mldsaPrivateOf(key); ok {
		return detachedPublic(private.Public())
	}
	if private := slhPrivateOf(key); private != nil {
		return private.PublicKey(), nil
	}
	return nil, &KeyError{Reason: fmt.Sprintf("the key of type %T is incomplete or of a parameter set that is not supported", key)}
}

// generate makes a key of this set.
func (p *parameterSet) generate(random io.Reader) (crypto.Signer, error) {
	switch p.kind {
	case keyMLDSA44:
		_, key, err := mldsa44.GenerateKey(random)
		return key, err
	case keyMLDSA65:
		_, key, err := mldsa65.GenerateKey(random)
		return key, err
	case keyMLDSA87:
		_, key, err := mldsa87.GenerateKey(random)
		return key, err
	}
	_, key, err := slhdsa.GenerateKey(random, p.slh)
	return &key, err
}

// checkPQPrivate refuses a private key that does not belong to its public key.
func checkPQPrivate(key crypto.Signer) error {
	pub, err := pqPublicOf(key)
	if err != nil {
		return err
	}
	set := parameterSetOf(pqKind(pub))
	if private := slhPrivateOf(key); private != nil {
		return set.checkSLH(private, pub)
	}
	private, _ := mldsaPrivateOf(key)
	if seed := private.Seed(); seed != nil {
		defer clear(seed)
		if again, _ := set.scheme.DeriveKey(seed); !samePublic(again, pub) {
			return &KeyError{Reason: "the private key does not belong to the public key beside it"}
		}
		return nil
	}
	public, err := pqPublicOctets(pub)
	if err != nil {
		return err
	}
	expanded := private.Bytes()
	defer clear(expanded)
	return set.checkExpanded(expanded, public)
}

// checkSLH computes the root of the hypertree anew (FIPS 205 §3.1).
func (p *parameterSet) checkSLH(private *slhdsa.PrivateKey, pub crypto.PublicKey) error {
	octets, err := private.MarshalBinary()
	defer clear(octets)
	if err != nil || len(octets) != 64 {
		return &KeyError{Reason: "an SLH-DSA private key of this set has 64 octets", Err: err}
	}
	// Key generation reads SK.seed, SK.prf and PK.seed, in this order.
	again, _, err := slhdsa.GenerateKey(bytes.NewReader(octets[:48]), p.slh)
	if err != nil || !again.Equal(pub) {
		return &KeyError{Reason: "the private key does not belong to the public key beside it", Err: err}
	}
	return nil
}

// destroyPQ makes a post-quantum key unusable. ML-DSA keys are overwritten;
// the octets of an SLH-DSA key are circl's own and only let go.
func destroyPQ(key crypto.Signer) {
	switch k := key.(type) {
	case *mldsa44.PrivateKey:
		if k != nil {
			*k = mldsa44.PrivateKey{}
		}
	case *mldsa65.PrivateKey:
		if k != nil {
			*k = mldsa65.PrivateKey{}
		}
	case *mldsa87.PrivateKey:
		if k != nil {
			*k = mldsa87.PrivateKey{}
		}
	case *slhdsa.PrivateKey:
		if k != nil {
			*k = slhdsa.PrivateKey{}
		}
	}
}
