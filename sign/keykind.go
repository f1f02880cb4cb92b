package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/cloudflare/circl/sign/ed448"
)

// keyKind is what must agree between an algorithm and a key: type and curve.
type keyKind uint8

const (
	keyP256 keyKind = iota + 1
	keyP384
	keyP521
	keyEd25519
	keyEd448
	keyRSA
	keyMLDSA44
	keyMLDSA65
	keyMLDSA87
	keySLHDSA128s
	keySLHDSA128f
)

// String names the kind for error texts.
func (k keyKind) String() string {
	names := [...]string{keyP256: "P-256", keyP384: "P-384", keyP521: "P-521", keyEd25519: "Ed25519", keyEd448: "Ed448", keyRSA: "RSA",
		keyMLDSA44: "ML-DSA-44", keyMLDSA65: "ML-DSA-65", keyMLDSA87: "ML-DSA-87", keySLHDSA128s: "SLH-DSA-SHA2-128s", keySLHDSA128f: "SLH-DSA-SHA2-128f"}
	if int(k) >= len(names) || k == 0 {
		return "unknown"
	}
	return names[k]
}

// curve is the curve of an ECDSA kind, nil for others.
func (k keyKind) curve() elliptic.Curve {
	switch k {
	case keyP256:
		return elliptic.P256()
	case keyP384:
		return elliptic.P384()
	case keyP521:
		return elliptic.P521()
	}
	return nil
}

// eddsa reports whether the kind's signatures are deterministic by definition.
func (k keyKind) eddsa() bool { return k == keyEd25519 || k == keyEd448 }

// kindOf classifies a public key.
func kindOf(key crypto.PublicKey) (keyKind, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k == nil {
			break
		}
		for _, kind := range []keyKind{keyP256, keyP384, keyP521} {
			if k.Curve == kind.curve() {
				return kind, nil
			}
		}
		return 0, &KeyError{Reason: "its curve is not P-256, P-384 or P-521"}
	case ed25519.PublicKey:
		return keyEd25519, nil
	case ed448.PublicKey:
		return keyEd448, nil
	case *rsa.PublicKey:
		if k != nil {
			return keyRSA, nil
		}
	default:
		if kind := pqKind(key); kind != 0 {
			return kind, nil
		}
	}
	return 0, &KeyError{Reason: fmt.Sprintf("keys of type %T are not supported", key)}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// oidText writes OID contents octets in dotted form, or in hex if they are not
// an OID at all.
func oidText(contents []byte) string {
	var oid asn1.ObjectIdentifier
	if len(contents) < 128 {
		if rest, err := asn1.Unmarshal(tlv(0x06, contents), &oid); err == nil && len(rest) == 0 {
			return oid.String()
		}
	}
	if len(contents) > 32 {
		contents = contents[:32]
	}
	return "0x" + hex.EncodeToString(contents)
}
