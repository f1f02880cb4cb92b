package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"

	"github.com/vouchmill/vouchmill/sign"
)

// requestAlgorithms are the signatures accepted on certification requests by
// their complete DER AlgorithmIdentifier. PKCS#10 names no digest beside it,
// and tools sign with SHA-256 whatever the curve, so more pairs of key and hash
// are met than the registry of package sign has for vouchers. SHA-1 and MD5 are
// not among them.
var requestAlgorithms = []struct {
	identifier []byte
	alg        x509.SignatureAlgorithm
}{
	{sign.ES256.SignatureOID, x509.ECDSAWithSHA256},
	{sign.ES384.SignatureOID, x509.ECDSAWithSHA384},
	{sign.ES512.SignatureOID, x509.ECDSAWithSHA512},
	{sign.Ed25519.SignatureOID, x509.PureEd25519},
	{sign.RS256.SignatureOID, x509.SHA256WithRSA},
	{rsaIdentifier(12), x509.SHA384WithRSA},
	{rsaIdentifier(13), x509.SHA512WithRSA},
	{sign.PS256.SignatureOID, x509.SHA256WithRSAPSS},
}

// rsaIdentifier is the AlgorithmIdentifier of an RSASSA-PKCS1-v1_5 signature,
// number n of the arc pkcs-1 (RFC 8017 appendix A.2.4).
func rsaIdentifier(n byte) []byte {
	return []byte{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, n, 0x05, 0x00}
}

// provePossession checks the signature of a certification request (RFC 2986
// §4.2) by the key it is for, which it returns. info is what was signed, oid
// the contents octets of the signature's OID, params its parameters in DER or
// nil, signature the octets of the BIT STRING.
func provePossession(info, spki, oid, params, signature []byte) (crypto.PublicKey, error) {
	const subject = "certification request"
	pub, err := sign.ParsePublicKey(spki)
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrKey, Err: err}
	}
	if err := checkKey(subject, pub); err != nil {
		return nil, err
	}
	alg, err := requestAlgorithm(oid, params)
	if err != nil {
		return nil, err
	}
	holder := x509.Certificate{PublicKey: pub}
	if err := holder.CheckSignature(alg, info, signature); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrPossession, Err: err, Remedy: "sign the request with the private key of the public key in it"}
	}
	return pub, nil
}

// requestAlgorithm finds a signature algorithm. Absent parameters stand for
// NULL where RSA has NULL (RFC 4055 §5 wants both accepted).
func requestAlgorithm(oid, params []byte) (x509.SignatureAlgorithm, error) {
	if len(oid)+len(params) < 126 {
		body := append([]byte{0x06, byte(len(oid))}, oid...)
		for _, tail := range [][]byte{params, {0x05, 0x00}} {
			if len(params) != 0 && !bytes.Equal(tail, params) {
				continue
			}
			identifier := append([]byte{0x30, byte(len(body) + len(tail))}, append(body, tail...)...)
			for _, known := range requestAlgorithms {
				if bytes.Equal(known.identifier, identifier) {
					return known.alg, nil
				}
			}
		}
	}
	return 0, &Error{Subject: "certification request", Kind: ErrPossession, Detail: "its signature algorithm is not accepted",
		Remedy: "sign with ECDSA or RSA and SHA-256, SHA-384 or SHA-512, or with Ed25519"}
}
