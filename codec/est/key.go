package est

import (
	"fmt"
	"math/bits"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// Key is the kind of a public key: what a request has, or what CSR attributes
// ask for. Keys are comparable; the zero Key asks for nothing.
type Key struct {
	Algorithm string // of the key, dotted: OIDECPublicKey, OIDRSAPublicKey, OIDEd25519 or another
	Curve     string // named curve of an EC key, dotted; "" asks for no certain one
	Bits      int    // bits of an RSA modulus; 0 asks for no certain size
	Params    string // other algorithms' parameters, the octets of their DER; mostly ""
}

// The kinds of key met most.
var (
	P256    = Key{Algorithm: OIDECPublicKey, Curve: OIDP256}
	P384    = Key{Algorithm: OIDECPublicKey, Curve: OIDP384}
	P521    = Key{Algorithm: OIDECPublicKey, Curve: OIDP521}
	Ed25519 = Key{Algorithm: OIDEd25519}
)

// RSA is the kind of an RSA key with a modulus of the given bits.
func RSA(bits int) Key { return Key{Algorithm: OIDRSAPublicKey, Bits: bits} }

// String returns a name for people, such as "EC P-256" or "RSA 2048".
func (k Key) String() string {
	switch k.Algorithm {
	case "":
		return "any key"
	case OIDECPublicKey:
		switch k.Curve {
		case "":
			return "EC"
		case OIDP256:
			return "EC P-256"
		case OIDP384:
			return "EC P-384"
		case OIDP521:
			return "EC P-521"
		}
		return "EC curve " + k.Curve
	case OIDRSAPublicKey:
		if k.Bits == 0 {
			return "RSA"
		}
		return fmt.Sprintf("RSA %d", k.Bits)
	case OIDEd25519:
		return "Ed25519"
	case OIDEd448:
		return "Ed448"
	}
	return "key algorithm " + k.Algorithm
}

// Satisfies reports whether a key of this kind is one that want asks for.
func (k Key) Satisfies(want Key) bool {
	return want.Algorithm == "" || k.Algorithm == want.Algorithm &&
		(want.Curve == "" || k.Curve == want.Curve) &&
		(want.Bits == 0 || k.Bits == want.Bits) &&
		(want.Params == "" || k.Params == want.Params)
}

// ParseKey returns the kind of the key in a DER SubjectPublicKeyInfo (RFC 5280
// §4.1.2.7). It does not check the key itself. The error is a *DecodeError.
func ParseKey(spki []byte) (Key, error) {
	k, err := parseKey(spki)
	if err != nil {
		return Key{}, fault(objKey, "", err)
	}
	return k, nil
}

func parseKey(spki []byte) (Key, error) {
	outer := der.Cursor{Rest: spki}
	c, err := outer.Enter(der.TagSequence)
	if err != nil {
		return Key{}, err
	}
	if err = outer.End(); err != nil {
		return Key{}, err
	}
	k, err := readKeyAlgorithm(&c)
	if err != nil {
		return Key{}, err
	}
	key, err := readBitString(&c)
	if err != nil {
		return Key{}, err
	}
	if err = c.End(); err != nil {
		return Key{}, err
	}
	if k.Algorithm == OIDRSAPublicKey {
		k.Bits, err = modulusBits(key)
	}
	return k, err
}

// readKeyAlgorithm reads the AlgorithmIdentifier of a key.
func readKeyAlgorithm(c *der.Cursor) (Key, error) {
	alg, err := c.Enter(der.TagSequence)
	if err != nil {
		return Key{}, err
	}
	var k Key
	if _, k.Algorithm, err = readOID(&alg); err != nil || alg.Empty() {
		return k, err
	}
	params, err := alg.Any()
	if err != nil {
		return k, err
	}
	switch {
	case k.Algorithm == OIDECPublicKey && params.Tag == der.TagOID:
		if k.Curve, err = dottedOID(params.Body); err != nil {
			return k, err
		}
	case k.Algorithm == OIDRSAPublicKey && params.Tag == der.TagNull && len(params.Body) == 0:
	default:
		k.Params = string(params.Raw)
	}
	return k, alg.End()
}

// readBitString reads a BIT STRING of whole octets, as keys and signatures are.
func readBitString(c *der.Cursor) ([]byte, error) {
	e, err := c.Read(der.TagBitString)
	if err != nil {
		return nil, err
	}
	if len(e.Body) == 0 || e.Body[0] != 0 {
		return nil, der.ErrValue
	}
	return e.Body[1:], nil
}

// modulusBits returns the size of the modulus of an RSAPublicKey (RFC 8017 A.1.1).
func modulusBits(key []byte) (int, error) {
	outer := der.Cursor{Rest: key}
	c, err := outer.Enter(der.TagSequence)
	if err != nil {
		return 0, err
	}
	n, err := c.Read(der.TagInteger)
	if err != nil {
		return 0, err
	}
	if err = der.CheckInteger(n.Body); err != nil {
		return 0, err
	}
	if n.Body[0] >= 0x80 {
		return 0, der.ErrValue // negative
	}
	magnitude := n.Body
	if magnitude[0] == 0 {
		magnitude = magnitude[1:]
	}
	if len(magnitude) == 0 {
		return 0, der.ErrValue
	}
	return 8*len(magnitude) - bits.LeadingZeros8(magnitude[0]), nil
}
