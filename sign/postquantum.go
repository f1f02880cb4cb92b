package sign

import (
	"encoding/asn1"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// The post-quantum rows of the registry: ML-DSA (FIPS 204) and SLH-DSA
// (FIPS 205), both in pure mode with an empty context, which is what all of
// the documents below ask for. Signatures are deterministic unless hedged.
//
// Where the identifiers come from:
//
//   - JOSE names and COSE labels of ML-DSA: RFC 9964.
//   - ML-DSA in CMS: RFC 9882; keys and certificates: RFC 9881.
//   - SLH-DSA in CMS: RFC 9814; keys and certificates: RFC 9909.
//   - SLH-DSA in JOSE and COSE: none. draft-ietf-cose-sphincs-plus asks for
//     the labels -51 and -52, which RFC 9864 has since given to ESP384 and
//     ESP512, and leaves the "f" sets out. Until IANA assigns some, SLH-DSA
//     is refused in JWS and COSE.

// DER contents octets of the object identifiers: sigAlgs 17 to 21 of NIST.
var (
	oidMLDSA44    = nistSignature(17)
	oidMLDSA65    = nistSignature(18)
	oidMLDSA87    = nistSignature(19)
	oidSLHDSA128s = nistSignature(20)
	oidSLHDSA128f = nistSignature(21)
)

// nistSignature is 2.16.840.1.101.3.4.3.n.
func nistSignature(n byte) []byte {
	return []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, n}
}

var (
	// MLDSA44 and its sisters take SHA-512 for the message digest in CMS, the
	// one digest every implementation must have and that suits all three
	// (RFC 9882 §3.3).
	MLDSA44 = &Algorithm{
		Name: "ML-DSA-44", JOSE: "ML-DSA-44", COSE: -48,
		SignatureOID: identifier(oidMLDSA44), DigestOID: identifier(oidSHA512),
		Hash: SHA512, Message: true, DigestSize: 64, SignatureSize: mldsa44.SignatureSize,
		key: keyMLDSA44, signatureOIDs: [][]byte{oidMLDSA44}, digestOIDs: [][]byte{oidSHA512},
	}
	// MLDSA65 is ML-DSA-65, of NIST category 3 (FIPS 204 §4); see [MLDSA44].
	MLDSA65 = &Algorithm{
		Name: "ML-DSA-65", JOSE: "ML-DSA-65", COSE: -49,
		SignatureOID: identifier(oidMLDSA65), DigestOID: identifier(oidSHA512),
		Hash: SHA512, Message: true, DigestSize: 64, SignatureSize: mldsa65.SignatureSize,
		key: keyMLDSA65, signatureOIDs: [][]byte{oidMLDSA65}, digestOIDs: [][]byte{oidSHA512},
	}
	// MLDSA87 is ML-DSA-87, of NIST category 5 (FIPS 204 §4); see [MLDSA44].
	MLDSA87 = &Algorithm{
		Name: "ML-DSA-87", JOSE: "ML-DSA-87", COSE: -50,
		SignatureOID: identifier(oidMLDSA87), DigestOID: identifier(oidSHA512),
		Hash: SHA512, Message: true, DigestSize: 64, SignatureSize: mldsa87.SignatureSize,
		key: keyMLDSA87, signatureOIDs: [][]byte{oidMLDSA87}, digestOIDs: [][]byte{oidSHA512},
	}
	// SLHDSA128s takes SHA-256 for the message digest in CMS (RFC 9814 §4). Its
	// signatures are small for its kind, and slow to make: some a second.
	SLHDSA128s = &Algorithm{
		Name:         "SLH-DSA-SHA2-128s",
		SignatureOID: identifier(oidSLHDSA128s), DigestOID: identifier(oidSHA256),
		Hash: SHA256, Message: true, DigestSize: 32, SignatureSize: 7856,
		key: keySLHDSA128s, signatureOIDs: [][]byte{oidSLHDSA128s}, digestOIDs: [][]byte{oidSHA256},
	}
	// SLHDSA128f is made some twenty times faster than SLHDSA128s, in more than
	// twice the octets.
	SLHDSA128f = &Algorithm{
		Name:         "SLH-DSA-SHA2-128f",
		SignatureOID: identifier(oidSLHDSA128f), DigestOID: identifier(oidSHA256),
		Hash: SHA256, Message: true, DigestSize: 32, SignatureSize: 17088,
		key: keySLHDSA128f, signatureOIDs: [][]byte{oidSLHDSA128f}, digestOIDs: [][]byte{oidSHA256},
	}
)

// parameterSet is what the key formats need to know of a post-quantum kind.
type parameterSet struct {
	kind   keyKind
	oid    []byte // contents octets; of keys and of signatures alike
	scheme sign.Scheme
	slh    slhdsa.ID // 0 for ML-DSA
	// eta bounds the secret coefficients of an ML-DSA key, its matrix has k rows
	// and l columns (FIPS 204 §4, table 1).
	eta, k, l int
}

var parameterSets = []parameterSet{
	{kind: keyMLDSA44, oid: oidMLDSA44, scheme: mldsa44.Scheme(), eta: 2, k: 4, l: 4},
	{kind: keyMLDSA65, oid: oidMLDSA65, scheme: mldsa65.Scheme(), eta: 4, k: 6, l: 5},
	{kind: keyMLDSA87, oid: oidMLDSA87, scheme: mldsa87.Scheme(), eta: 2, k: 8, l: 7},
	{kind: keySLHDSA128s, oid: oidSLHDSA128s, scheme: slhdsa.SHA2_128s.Scheme(), slh: slhdsa.SHA2_128s},
	{kind: keySLHDSA128f, oid: oidSLHDSA128f, scheme: slhdsa.SHA2_128f.Scheme(), slh: slhdsa.SHA2_128f},
}

// parameterSetOf finds the set of a kind, nil for kinds that are not
// post-quantum.
func parameterSetOf(kind keyKind) *parameterSet {
	for i := range parameterSets {
		if parameterSets[i].kind == kind {
			return &parameterSets[i]
		}
	}
	return nil
}

// parameterSetByOID finds the set an AlgorithmIdentifier names, nil for others.
func parameterSetByOID(oid asn1.ObjectIdentifier) *parameterSet {
	for i := range parameterSets {
		if oid.Equal(parameterSets[i].dotted()) {
			return &parameterSets[i]
		}
	}
	return nil
}

// dotted is the object identifier as encoding/asn1 has it.
func (p *parameterSet) dotted() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, int(p.oid[len(p.oid)-1])}
}
