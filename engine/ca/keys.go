package ca

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/sign"
)

// KeyKind is a kind of public key that can be certified, named as
// configuration does.
type KeyKind string

// The kinds, all that crypto/x509 certifies and package sign verifies.
const (
	P256    KeyKind = "P-256"
	P384    KeyKind = "P-384"
	P521    KeyKind = "P-521"
	RSA     KeyKind = "RSA"
	Ed25519 KeyKind = "Ed25519"
)

// keyKinds pairs each kind with an algorithm for such keys.
var keyKinds = []struct {
	kind KeyKind
	alg  *sign.Algorithm
}{{P256, sign.ES256}, {P384, sign.ES384}, {P521, sign.ES512}, {RSA, sign.RS256}, {Ed25519, sign.Ed25519}}

// ParseKeyKind reads the name of a kind, letter case ignored. The error is an
// [*Error] of kind [ErrKey] that lists the names.
func ParseKeyKind(name string) (KeyKind, error) {
	names := make([]string, len(keyKinds))
	for i, k := range keyKinds {
		if strings.EqualFold(name, string(k.kind)) {
			return k.kind, nil
		}
		names[i] = string(k.kind)
	}
	return "", fail("key policy", ErrKey, "no kind of key is called %q; known are %s", name, strings.Join(names, ", "))
}

// KindOf is the kind of a public key that is valid as such: a point on its
// curve, an RSA modulus of [sign.MinRSABits] to [sign.MaxRSABits]. The error
// is an [*Error] of kind [ErrKey].
func KindOf(pub crypto.PublicKey) (KeyKind, error) {
	const subject = "public key"
	for _, k := range keyKinds {
		if k.alg.Fits(pub) != nil {
			continue
		}
		if _, err := sign.PreparePublicKey(k.alg, pub); err != nil {
			return "", &Error{Subject: subject, Kind: ErrKey, Err: err}
		}
		return k.kind, nil
	}
	return "", fail(subject, ErrKey, "a key of type %T, or of its curve, cannot be certified; P-256 suits most", pub)
}

// checkKey says under the subject's name what KindOf says.
func checkKey(subject string, pub crypto.PublicKey) error {
	_, err := KindOf(pub)
	var e *Error
	if errors.As(err, &e) {
		e.Subject = subject
		return e
	}
	return err
}

// Policy says which keys of others are certified. The zero value is the
// default: P-256, P-384, and RSA of at least 2048 bits.
type Policy struct {
	// Kinds are the kinds accepted, nil for the default.
	Kinds []KeyKind
	// MinRSABits is the smallest RSA modulus accepted where RSA is; less than
	// [sign.MinRSABits] means that.
	MinRSABits int
}

// DefaultKinds are the kinds of the zero [Policy].
func DefaultKinds() []KeyKind { return []KeyKind{P256, P384, RSA} }

// AcceptableKey checks a key against a policy. The error is an [*Error] of kind
// [ErrKey] that says what would be accepted.
func AcceptableKey(pub crypto.PublicKey, p Policy) error {
	const subject = "key policy"
	kind, err := KindOf(pub)
	if err != nil {
		return err
	}
	kinds := p.Kinds
	if kinds == nil {
		kinds = DefaultKinds()
	}
	if !slices.Contains(kinds, kind) {
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = string(k)
		}
		return fail(subject, ErrKey, "a key of kind %s; accepted are %s", kind, strings.Join(names, ", "))
	}
	if k, ok := pub.(*rsa.PublicKey); ok && k.N.BitLen() < p.MinRSABits {
		return fail(subject, ErrKey, "an RSA key of %d bits; at least %d are wanted", k.N.BitLen(), p.MinRSABits)
	}
	return nil
}
