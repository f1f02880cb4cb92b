package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"

	"github.com/cloudflare/circl/sign/ed448"
)

// publicOf is the public key of a signer, or an error where asking for it
// would not end well.
func publicOf(key crypto.Signer) (crypto.PublicKey, error) {
	switch k := key.(type) {
	case nil:
		return nil, &KeyError{Reason: "there is none"}
	case *ecdsa.PrivateKey:
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
