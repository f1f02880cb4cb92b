package pledge

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// keyKinds are the keys a device makes, best first. An RSA key that is asked for
// without a size has 2048 bits (IEEE 802.1AR-2018).
var keyKinds = []est.Key{est.P256, est.P384, est.P521, est.Ed25519, est.RSA(0)}

const (
	defaultRSABits = 2048
	maxRSABits     = 4096 // what a registrar can make a device compute
)

// newKey makes an LDevID key of a kind.
func newKey(kind est.Key, random io.Reader) (crypto.Signer, error) {
	switch kind {
	case est.P256:
		return sign.GenerateKey(sign.ES256, random)
	case est.P384:
		return sign.GenerateKey(sign.ES384, random)
	case est.P521:
		return sign.GenerateKey(sign.ES512, random)
	case est.Ed25519:
		return sign.GenerateKey(sign.Ed25519, random)
	}
	if kind.Algorithm != est.OIDRSAPublicKey {
		return nil, decision.Refuse(BadAttributes, "the registrar asks for a key of kind %v; this device makes P-256, P-384, P-521, Ed25519 and RSA", kind)
	}
	bits := kind.Bits
	if bits == 0 {
		bits = defaultRSABits
	}
	if bits < sign.MinRSABits || bits > maxRSABits || bits%8 != 0 {
		return nil, decision.Refuse(BadAttributes, "the registrar asks for an RSA key of %d bits; this device makes %d to %d", bits, sign.MinRSABits, maxRSABits)
	}
	return rsa.GenerateKey(random, bits)
}

// csrSignature is a way to sign a certification request.
type csrSignature struct {
	id, hashID string // dotted OIDs of the signature algorithm and of its hash alone
	key        string // key algorithm, dotted
	hash       crypto.Hash
}

var csrSignatures = []csrSignature{
	{est.OIDECDSAWithSHA256, est.OIDSHA256, est.OIDECPublicKey, crypto.SHA256},
	{est.OIDECDSAWithSHA384, est.OIDSHA384, est.OIDECPublicKey, crypto.SHA384},
	{est.OIDECDSAWithSHA512, est.OIDSHA512, est.OIDECPublicKey, crypto.SHA512},
	{est.OIDSHA256WithRSA, est.OIDSHA256, est.OIDRSAPublicKey, crypto.SHA256},
	{est.OIDSHA384WithRSA, est.OIDSHA384, est.OIDRSAPublicKey, crypto.SHA384},
	{est.OIDSHA512WithRSA, est.OIDSHA512, est.OIDRSAPublicKey, crypto.SHA512},
	{est.OIDEd25519, "", est.OIDEd25519, 0},
}

// signatureFor picks how to sign with a key: as wanted, if that goes with the
// key, else as the key has it (RFC 7030 §4.5.2: a client ignores what it does
// not understand).
func signatureFor(kind est.Key, wanted []string) csrSignature {
	var natural csrSignature
	for _, s := range csrSignatures {
		if s.key != kind.Algorithm {
			continue
		}
		if slices.Contains(wanted, s.id) || s.hashID != "" && slices.Contains(wanted, s.hashID) {
			return s
		}
		fits := s.hash == crypto.SHA256
		switch kind.Curve {
		case est.OIDP384:
			fits = s.hash == crypto.SHA384
		case est.OIDP521:
			fits = s.hash == crypto.SHA512
		}
		if natural.key == "" || fits {
			natural = s
		}
	}
	return natural
}

// identifier is the DER AlgorithmIdentifier: RSA has NULL parameters (RFC 4055
// §5), the others none (RFC 5758 §3.2, RFC 8410 §3).
func (s *csrSignature) identifier() ([]byte, error) {
	oid, err := x509.ParseOID(s.id)
	if err != nil {
		return nil, err
	}
	contents, err := oid.MarshalBinary()
	if err != nil {
		return nil, err
	}
	body := append([]byte{asn1.TagOID, byte(len(contents))}, contents...)
	if s.key == est.OIDRSAPublicKey {
		body = append(body, asn1.TagNull, 0)
	}
	return append([]byte{0x30, byte(len(body))}, body...), nil
}

// newCSR makes the certification request that a demand describes, signed by the
// key in it (RFC 7030 §4.2.1).
func newCSR(d *est.Demand, key crypto.Signer, binding []byte, random io.Reader) ([]byte, error) {
	spki, err := sign.MarshalPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	kind, err := est.ParseKey(spki)
	if err != nil {
		return nil, err
	}
	params := est.CSRParams{Subject: d.Subject, PublicKey: spki, Extensions: d.Extensions, ChallengePassword: binding}
	info, err := est.AppendCSRInfo(nil, params)
	if err != nil {
		return nil, decision.Refuse(BadAttributes, "the CSR attributes make no certification request: %w", err)
	}
	how := signatureFor(kind, d.Signatures)
	if how.key == "" {
		return nil, fmt.Errorf("no way is known to sign a certification request with a key of kind %v", kind)
	}
	input := info
	if how.hash != 0 {
		h := how.hash.New()
		h.Write(info)
		input = h.Sum(nil)
	}
	signature, err := key.Sign(random, input, how.hash)
	if err != nil {
		return nil, err
	}
	identifier, err := how.identifier()
	if err != nil {
		return nil, err
	}
	return est.AppendCSR(nil, info, identifier, signature)
}

// readAttributes reads the body of an answer to /csrattrs; nil says nothing.
func readAttributes(body []byte) (*est.CSRAttrs, error) {
	if body == nil {
		return &est.CSRAttrs{}, nil
	}
	der, err := est.DecodeBody(nil, body)
	if err != nil {
		return nil, decision.Refuse(BadAttributes, "the CSR attributes cannot be read: %w", err)
	}
	wanted, err := est.ParseCSRAttrs(der, est.Limits{})
	if err != nil {
		return nil, decision.Refuse(BadAttributes, "the CSR attributes cannot be read: %w", err)
	}
	return wanted, nil
}

// demand reads CSR attributes and fills them in with what the device has.
func (p *Pledge) demand(attributes []byte) (*est.Demand, error) {
	wanted, err := readAttributes(attributes)
	if err != nil {
		return nil, err
	}
	d, err := wanted.Fill(&est.FillParams{SerialNumber: p.own.serial, CommonName: p.cfg.CommonName, DNSNames: p.cfg.DNSNames, Keys: keyKinds})
	if err != nil {
		return nil, decision.Refuse(BadAttributes, "the CSR attributes cannot be followed: %w", err)
	}
	return d, nil
}

// renewalDemand asks for the same subject and the same subjectAltName as the
// certificate has (RFC 7030 §4.2.2), with a key of the kind the attributes want.
func renewalDemand(attributes []byte, old *x509.Certificate) (*est.Demand, error) {
	wanted, err := readAttributes(attributes)
	if err != nil {
		return nil, err
	}
	only := &est.CSRAttrs{Keys: wanted.Keys, Signatures: wanted.Signatures, ChallengePassword: wanted.ChallengePassword}
	if wanted.Template != nil {
		only = &est.CSRAttrs{}
		if wanted.Template.Key != (est.Key{}) {
			only.Keys = []est.Key{wanted.Template.Key}
		}
	}
	d, err := only.Fill(&est.FillParams{Keys: keyKinds})
	if err != nil {
		return nil, decision.Refuse(BadAttributes, "the CSR attributes cannot be followed: %w", err)
	}
	d.Subject = bytes.Clone(old.RawSubject)
	for _, ext := range old.Extensions {
		if id := ext.Id.String(); id == est.OIDSubjectAltName {
			d.Extensions = append(d.Extensions, est.Extension{ID: id, Critical: ext.Critical, Value: ext.Value})
		}
	}
	return d, nil
}
