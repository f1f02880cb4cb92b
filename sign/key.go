package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"

	"github.com/cloudflare/circl/sign/ed448"
)

// publicOf is the public key of a signer, or an error where asking for it
// would not end well.
func publicOf(key crypto.Signer) (crypto.PublicKey, error) {
	if isPostQuantum(key) {
		return pqPublicOf(key)
	}
	switch k := key.(type) {
	case nil:
		return nil, &KeyError{Reason: "there is none"}
	case *ecdsa.PrivateKey:
		//lint:ignore SA1019 a key made field by field may lack one
		if k == nil || k.Curve == nil || k.X == nil || k.Y == nil || k.D == nil {
			return nil, &KeyError{Reason: "the ECDSA key is incomplete"}
		}
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return nil, &KeyError{Reason: fmt.Sprintf("an Ed25519 private key has %d octets, this one %d", ed25519.PrivateKeySize, len(k))}
		}
	case ed448.PrivateKey:
		if len(k) != ed448.PrivateKeySize {
			return nil, &KeyError{Reason: fmt.Sprintf("an Ed448 private key has %d octets, this one %d", ed448.PrivateKeySize, len(k))}
		}
	}
	return key.Public(), nil
}

// privateOctets returns the private number of an ECDSA key in memory that is the
// caller's to overwrite. What [ecdsa.PrivateKey.Bytes] returns is not: it is the
// very memory that crypto/ecdsa keeps of the key and signs from, on other
// goroutines too. The error is a *KeyError.
func privateOctets(key *ecdsa.PrivateKey) ([]byte, error) {
	octets, err := key.Bytes()
	if err != nil {
		return nil, &KeyError{Reason: "the private key is not in [1, n-1]", Err: err}
	}
	return bytes.Clone(octets), nil
}

// checkPrivate refuses a software key whose halves do not belong together.
// EdDSA in particular gives its private key away when it signs beside another
// public key. Keys that live elsewhere are taken at their word.
func checkPrivate(key crypto.Signer) error {
	if isPostQuantum(key) {
		return checkPQPrivate(key)
	}
	var derived crypto.PublicKey
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		octets, err := privateOctets(k)
		if err != nil {
			return err
		}
		defer clear(octets)
		again, err := ecdsa.ParseRawPrivateKey(k.Curve, octets)
		if err != nil {
			return &KeyError{Reason: "the private key is not in [1, n-1]", Err: err}
		}
		defer DestroyKey(again)
		derived = again.Public()
	case ed25519.PrivateKey:
		derived = ed25519.NewKeyFromSeed(k.Seed()).Public()
	case ed448.PrivateKey:
		derived = ed448.NewKeyFromSeed(k.Seed()).Public()
	default:
		return nil
	}
	if !samePublic(derived, key.Public()) {
		return &KeyError{Reason: "the private key does not belong to the public key beside it"}
	}
	return nil
}

// samePublic compares public keys of any types.
func samePublic(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}
