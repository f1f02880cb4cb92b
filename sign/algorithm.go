package sign

import (
	"bytes"
	"crypto"
	"slices"
	"strings"
)

// Algorithm is one row of the registry: a signature algorithm with its key
// type fixed, under all the names that CMS, JOSE and COSE have for it. Rows
// are shared and must not be changed; two rows are the same algorithm exactly
// when their pointers are equal.
type Algorithm struct {
	// Name is ours, unique and what configuration uses: "ES256", "Ed25519".
	Name string
	// JOSE is the "alg" value emitted in JWS (RFC 7518, 8037, 9964);
	// JOSEAliases are accepted too (RFC 9864, which renames only EdDSA there).
	// Empty where none is registered: the algorithm is not for JWS then.
	JOSE        string
	JOSEAliases []string
	// COSE is the "alg" label emitted in COSE (RFC 9053, 9964); COSEAliases are
	// the fully specified ones of RFC 9864: accepted, never emitted. Zero where
	// none is registered: the algorithm is not for COSE then.
	COSE        int64
	COSEAliases []int64
	// SignatureOID and DigestOID are complete DER AlgorithmIdentifiers, as
	// emitted in CMS (RFC 5754, 8419, 9882, 9814).
	SignatureOID []byte
	DigestOID    []byte
	// Hash is the digest of the algorithm. In CMS it is also the hash behind
	// the message-digest attribute.
	Hash HashID
	// Message is true for algorithms that sign whole messages (EdDSA, ML-DSA,
	// SLH-DSA), false for those that sign a digest of DigestSize octets.
	Message bool
	// DigestSize is the size of Hash in octets.
	DigestSize int
	// SignatureSize is the size of a raw signature in octets; r‖s for ECDSA.
	// Zero for RSA, where it is the size of the modulus.
	SignatureSize int
	// ECDSA is true where CMS carries an Ecdsa-Sig-Value instead of r‖s.
	ECDSA bool
	// VerifyOnly marks algorithms that are read and never produced.
	VerifyOnly bool

	key           keyKind
	signatureOIDs [][]byte // OID contents that mean this algorithm, given the key
	digestOIDs    [][]byte // OID contents of the digest accepted with it in CMS
}

// DER contents octets of the object identifiers in the table.
var (
	oidECDSAWithSHA256 = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}
	oidECDSAWithSHA384 = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}
	oidECDSAWithSHA512 = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}
	oidEd25519         = []byte{0x2b, 0x65, 0x70}
	oidEd448           = []byte{0x2b, 0x65, 0x71}
	oidRSAEncryption   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}
	oidRSAPSS          = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}
	oidRSAWithSHA256   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}
	oidMGF1            = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08}
	oidSHA256          = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}
	oidSHA384          = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02}
	oidSHA512          = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03}
	oidSHAKE256        = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x0c}
	oidSHAKE256Len     = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x12}
)

// The registry. ECDSA curves are bound to their hashes as JOSE does it; the
// COSE aliases of RFC 9864 mean the same.
var (
	ES256 = &Algorithm{
		Name: "ES256", JOSE: "ES256", COSE: -7, COSEAliases: []int64{-9},
		SignatureOID: identifier(oidECDSAWithSHA256), DigestOID: identifier(oidSHA256),
		Hash: SHA256, DigestSize: 32, SignatureSize: 64, ECDSA: true,
		key: keyP256, signatureOIDs: [][]byte{oidECDSAWithSHA256}, digestOIDs: [][]byte{oidSHA256},
	}
	ES384 = &Algorithm{
		Name: "ES384", JOSE: "ES384", COSE: -35, COSEAliases: []int64{-51},
		SignatureOID: identifier(oidECDSAWithSHA384), DigestOID: identifier(oidSHA384),
		Hash: SHA384, DigestSize: 48, SignatureSize: 96, ECDSA: true,
		key: keyP384, signatureOIDs: [][]byte{oidECDSAWithSHA384}, digestOIDs: [][]byte{oidSHA384},
	}
	ES512 = &Algorithm{
		Name: "ES512", JOSE: "ES512", COSE: -36, COSEAliases: []int64{-52},
		SignatureOID: identifier(oidECDSAWithSHA512), DigestOID: identifier(oidSHA512),
		Hash: SHA512, DigestSize: 64, SignatureSize: 132, ECDSA: true,
		key: keyP521, signatureOIDs: [][]byte{oidECDSAWithSHA512}, digestOIDs: [][]byte{oidSHA512},
	}
	// Ed25519 in CMS takes SHA-512 for the message digest (RFC 8419 §2.3).
	Ed25519 = &Algorithm{
		Name: "Ed25519", JOSE: "EdDSA", COSE: -8, JOSEAliases: []string{"Ed25519"}, COSEAliases: []int64{-19},
		SignatureOID: identifier(oidEd25519), DigestOID: identifier(oidSHA512),
		Hash: SHA512, Message: true, DigestSize: 64, SignatureSize: 64,
		key: keyEd25519, signatureOIDs: [][]byte{oidEd25519}, digestOIDs: [][]byte{oidSHA512},
	}
	// Ed448 in CMS takes SHAKE256 with 512 bits of output (RFC 8419 §2.3);
	// id-shake256, which means the same 512 bits in CMS (RFC 8702 §3.1), is
	// accepted as well.
	Ed448 = &Algorithm{
		Name: "Ed448", JOSE: "EdDSA", COSE: -8, JOSEAliases: []string{"Ed448"}, COSEAliases: []int64{-53},
		SignatureOID: identifier(oidEd448), DigestOID: identifier(oidSHAKE256Len, []byte{0x02, 0x02, 0x02, 0x00}),
		Hash: SHAKE256, Message: true, DigestSize: 64, SignatureSize: 114,
		key: keyEd448, signatureOIDs: [][]byte{oidEd448}, digestOIDs: [][]byte{oidSHAKE256Len, oidSHAKE256},
	}
	// RS256 is RSASSA-PKCS1-v1_5 with SHA-256, read only. CMS producers name
	// the key's algorithm as often as the signature's (RFC 3370 §3.2).
	RS256 = &Algorithm{
		Name: "RS256", JOSE: "RS256", COSE: -257,
		SignatureOID: identifier(oidRSAWithSHA256, derNull), DigestOID: identifier(oidSHA256),
		Hash: SHA256, DigestSize: 32, VerifyOnly: true,
		key: keyRSA, signatureOIDs: [][]byte{oidRSAWithSHA256, oidRSAEncryption}, digestOIDs: [][]byte{oidSHA256},
	}
	// PS256 is RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32
	// octets, read only. Signatures made with other PSS parameters do not verify.
	PS256 = &Algorithm{
		Name: "PS256", JOSE: "PS256", COSE: -37,
		SignatureOID: identifier(oidRSAPSS, pssParameters), DigestOID: identifier(oidSHA256),
		Hash: SHA256, DigestSize: 32, VerifyOnly: true,
		key: keyRSA, signatureOIDs: [][]byte{oidRSAPSS}, digestOIDs: [][]byte{oidSHA256},
	}
)

// algorithms is the table in order of preference: [ForKey] takes the first
// that fits.
var algorithms = []*Algorithm{ES256, ES384, ES512, Ed25519, Ed448, MLDSA44, MLDSA65, MLDSA87, SLHDSA128s, SLHDSA128f, RS256, PS256}

var derNull = []byte{0x05, 0x00}

// pssParameters is RSASSA-PSS-params (RFC 4055 §3.1) for SHA-256, MGF1 with
// SHA-256 and a salt of 32 octets.
var pssParameters = tlv(0x30,
	tlv(0xa0, identifier(oidSHA256)),
	tlv(0xa1, identifier(oidMGF1, identifier(oidSHA256))),
	tlv(0xa2, []byte{0x02, 0x01, 0x20}))

// identifier builds a DER AlgorithmIdentifier from the contents octets of an
// OID and its complete DER parameters, if any.
func identifier(oid []byte, parameters ...[]byte) []byte {
	return tlv(0x30, append([][]byte{tlv(0x06, oid)}, parameters...)...)
}

// tlv wraps contents shorter than 128 octets.
func tlv(tag byte, contents ...[]byte) []byte {
	body := bytes.Join(contents, nil)
	return append([]byte{tag, byte(len(body))}, body...)
}

// Algorithms lists the registry in order of preference.
func Algorithms() []*Algorithm { return slices.Clone(algorithms) }

// String is the algorithm's Name.
func (a *Algorithm) String() string { return a.Name }

// Fits reports whether the algorithm is one for this public key: the right
// type, the right curve. The error is an [*AlgorithmError].
func (a *Algorithm) Fits(key crypto.PublicKey) error {
	kind, err := kindOf(key)
	if err != nil {
		return err
	}
	if kind != a.key {
		return &AlgorithmError{Identifier: a.Name, Key: kind.String(), Reason: "it is for " + a.key.String() + " keys"}
	}
	return nil
}

// ByName finds an algorithm by its Name, letter case ignored; "EdDSA" means
// Ed25519 here, where no key is at hand. The error is an [*AlgorithmError]
// that lists the names.
func ByName(name string) (*Algorithm, error) {
	names := make([]string, 0, len(algorithms))
	for _, a := range algorithms {
		if strings.EqualFold(name, a.Name) || a.JOSE != "" && strings.EqualFold(name, a.JOSE) {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return nil, &AlgorithmError{Identifier: name, Reason: "known are " + strings.Join(names, ", ")}
}

// ByJOSE finds the algorithm a JWS "alg" value names for this key (RFC 7515
// §4.1.1). A name that does not fit the key is refused with an
// [*AlgorithmError], "none" and the MAC algorithms with it.
func ByJOSE(alg string, key crypto.PublicKey) (*Algorithm, error) {
	return find(alg, key, func(a *Algorithm) bool {
		return alg != "" && a.JOSE == alg || slices.Contains(a.JOSEAliases, alg)
	})
}

// ByCOSE finds the algorithm a COSE "alg" label names for this key (RFC 9053
// §2, RFC 9864). A label that does not fit the key is refused with an
// [*AlgorithmError].
func ByCOSE(alg int64, key crypto.PublicKey) (*Algorithm, error) {
	return find("COSE "+decimal(alg), key, func(a *Algorithm) bool {
		return alg != 0 && a.COSE == alg || slices.Contains(a.COSEAliases, alg)
	})
}

// ByOID finds the algorithm a CMS SignerInfo names for this key by the contents
// octets of its signatureAlgorithm and digestAlgorithm OIDs (RFC 5652 §5.3).
// All three must fit each other, else the error is an [*AlgorithmError]; so
// SHA-1 and MD5 are refused, whatever names them. Parameters are not looked at:
// under RSASSA-PSS parameters other than PS256's a signature does not verify.
func ByOID(signatureOID, digestOID []byte, key crypto.PublicKey) (*Algorithm, error) {
	return find("OID "+oidText(signatureOID)+" with digest "+oidText(digestOID), key, func(a *Algorithm) bool {
		return containsBytes(a.signatureOIDs, signatureOID) && containsBytes(a.digestOIDs, digestOID)
	})
}

// ForKey finds the preferred algorithm for a key.
func ForKey(key crypto.PublicKey) (*Algorithm, error) {
	return find("default", key, func(*Algorithm) bool { return true })
}

// find takes the first row that has the identifier and fits the key, and tells
// an identifier nobody knows from one that belongs to other keys.
func find(identifier string, key crypto.PublicKey, named func(*Algorithm) bool) (*Algorithm, error) {
	kind, err := kindOf(key)
	if err != nil {
		return nil, err
	}
	reason := "it is not supported"
	if set := parameterSetOf(kind); set != nil && set.slh != 0 {
		reason = "SLH-DSA has identifiers in CMS (RFC 9814) and none yet in JOSE and COSE"
	}
	for _, a := range algorithms {
		if !named(a) {
			continue
		}
		if a.key == kind {
			return a, nil
		}
		reason = "it is for " + a.key.String() + " keys"
	}
	return nil, &AlgorithmError{Identifier: identifier, Key: kind.String(), Reason: reason}
}

func containsBytes(list [][]byte, b []byte) bool {
	return slices.ContainsFunc(list, func(x []byte) bool { return bytes.Equal(x, b) })
}
