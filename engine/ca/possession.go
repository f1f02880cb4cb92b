package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/sign"
)

// requestAlgorithms are the signatures accepted on certification requests, by
// dotted OID, with the DER parameters they may have; nil stands for none. Tools
// sign with SHA-256 whatever the curve, so more pairs of key and hash are met
// here than the registry of package sign has for vouchers. SHA-1 and MD5 are
// not among them.
var requestAlgorithms = map[string]struct {
	alg    x509.SignatureAlgorithm
	params [][]byte
}{
	"1.2.840.10045.4.3.2":   {x509.ECDSAWithSHA256, absent},
	"1.2.840.10045.4.3.3":   {x509.ECDSAWithSHA384, absent},
	"1.2.840.10045.4.3.4":   {x509.ECDSAWithSHA512, absent},
	"1.3.101.112":           {x509.PureEd25519, absent},
	"1.2.840.113549.1.1.11": {x509.SHA256WithRSA, absentOrNull},
	"1.2.840.113549.1.1.12": {x509.SHA384WithRSA, absentOrNull},
	"1.2.840.113549.1.1.13": {x509.SHA512WithRSA, absentOrNull},
	"1.2.840.113549.1.1.10": {x509.SHA256WithRSAPSS, pssParameters},
}

var (
	absent       = [][]byte{nil}               // RFC 5758 §3.2, RFC 8410 §3
	absentOrNull = [][]byte{nil, {0x05, 0x00}} // RFC 4055 §5 wants both accepted
	// pssParameters are RSASSA-PSS-params for SHA-256, MGF1 with SHA-256 and a
	// salt of 32 octets, both hashes without parameters or both with NULL
	// (RFC 4055 §2.1).
	pssParameters = [][]byte{
		[]byte("\x30\x30\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01" +
			"\xa1\x1a\x30\x18\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\xa2\x03\x02\x01\x20"),
		[]byte("\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00" +
			"\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20"),
	}
)

// CheckPossession checks that a certification request is signed by the private
// key of the public key in it (RFC 2986 §4.2), which it returns: ECDSA and RSA
// with SHA-256, SHA-384 or SHA-512, RSASSA-PSS as PS256 has it, Ed25519. Which of
// these keys are wanted is [AcceptableKey]'s to say. The error is an [*Error]:
// [ErrKey] when the key cannot be used at all, else [ErrPossession].
func CheckPossession(csr *est.CSR) (crypto.PublicKey, error) {
	const subject = "certification request"
	pub, err := sign.ParsePublicKey(csr.PublicKey)
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrKey, Err: err}
	}
	if err := checkKey(subject, pub); err != nil {
		return nil, err
	}
	known, ok := requestAlgorithms[csr.SignatureID]
	if !ok || !slices.ContainsFunc(known.params, func(p []byte) bool { return bytes.Equal(p, csr.SignatureParams) }) {
		return nil, &Error{Subject: subject, Kind: ErrPossession, Detail: "signature algorithm " + csr.SignatureID + " or its parameters are not accepted",
			Remedy: "sign with ECDSA or RSA and SHA-256, SHA-384 or SHA-512, or with Ed25519"}
	}
	holder := x509.Certificate{PublicKey: pub}
	if err := holder.CheckSignature(known.alg, csr.Info, csr.Signature); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrPossession, Err: err, Remedy: "sign the request with the private key of the public key in it"}
	}
	return pub, nil
}
