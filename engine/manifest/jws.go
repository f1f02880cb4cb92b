package manifest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/sign"
)

// envelope is the general JSON serialisation of RFC 7515 §7.2.1.
type envelope struct {
	Payload    string      `json:"payload"`
	Signatures []signature `json:"signatures"`
}

type signature struct {
	Protected string `json:"protected"`
	Signature string `json:"signature"`
}

// header is the protected header, members in this order.
type header struct {
	Alg string   `json:"alg"`
	Typ string   `json:"typ"`
	X5C [][]byte `json:"x5c"` // standard base64, RFC 7515 §4.1.6, as encoding/json writes octets
}

// Signed is a manifest as read from its JWS: understood, not yet believed.
type Signed struct {
	// Manifest is the statement.
	Manifest *Manifest
	// Chain is the signer's certificate and those after it, as the header has them.
	Chain []*x509.Certificate
	// Algorithm is that of the manifest's own signature.
	Algorithm *sign.Algorithm

	input, signature []byte
}

// CanSign reports whether manifests can be signed by an algorithm: it needs a
// JOSE identifier. The error is an [*Error].
func CanSign(alg *sign.Algorithm) error {
	if alg.JOSE == "" {
		return &Error{Document: "manifest", Place: "alg", Kind: ErrContent, Detail: alg.Name + " has no JOSE identifier yet, and a run is stated in a JWS",
			Remedy: "sign with an algorithm that has one, as ES256 or ML-DSA-44"}
	}
	return nil
}

// Sign states m in a JWS signed by s. chain is the certificate of s's key and
// what leads to its trust anchor, as it goes into vouchers. The result ends in
// a line feed. The error is an [*Error], or what s returned.
func Sign(m *Manifest, s sign.Signer, chain []*x509.Certificate) ([]byte, error) {
	payload, err := m.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 || len(chain) > sign.MaxChain {
		return nil, fail("x5c", ErrContent, "a chain has 1 to %d certificates, this one %d", sign.MaxChain, len(chain))
	}
	if err := fitsKey(s.Public(), chain[0]); err != nil {
		return nil, err
	}
	alg := s.Algorithm()
	if err := CanSign(alg); err != nil {
		return nil, err
	}
	h := header{Alg: alg.JOSE, Typ: Type}
	for _, cert := range chain {
		h.X5C = append(h.X5C, cert.Raw)
	}
	protected, err := marshal(&h)
	if err != nil {
		return nil, &Error{Document: "manifest", Place: "protected", Kind: ErrContent, Err: err}
	}
	e := envelope{Payload: b64.EncodeToString(payload), Signatures: []signature{{Protected: b64.EncodeToString(protected)}}}
	sig := make([]byte, alg.SignatureSize)
	if err := s.SignBatch(sig, [][]byte{signedInput(alg, e.input())}); err != nil {
		return nil, fmt.Errorf("manifest: signing it: %w", err)
	}
	e.Signatures[0].Signature = b64.EncodeToString(sig)
	body, err := marshal(&e)
	if err != nil {
		return nil, &Error{Document: "manifest", Kind: ErrContent, Err: err}
	}
	return append(body, '\n'), nil
}

var b64 = base64.RawURLEncoding.Strict()

// input is the JWS signing input, RFC 7515 §5.1.
func (e *envelope) input() []byte {
	return []byte(e.Signatures[0].Protected + "." + e.Payload)
}

// signedInput is what the batch interfaces of sign take for a message.
func signedInput(alg *sign.Algorithm, message []byte) []byte {
	if alg.Message {
		return message
	}
	return alg.Hash.Append(nil, message)
}

// fitsKey checks that cert certifies key.
func fitsKey(key crypto.PublicKey, cert *x509.Certificate) error {
	certified, err := sign.CertificateKey(cert)
	if err != nil {
		return &Error{Document: "manifest", Place: "x5c", Kind: ErrContent, Err: err}
	}
	if k, ok := key.(interface{ Equal(crypto.PublicKey) bool }); ok && k.Equal(certified) {
		return nil
	}
	return fail("x5c", ErrContent, "the first certificate (%v) is not of the signing key", cert.Subject)
}

// Parse reads a manifest without believing it: follow it by [Signed.Verify].
// White space around and within the outermost JSON is accepted, anything else
// that differs from what [Sign] writes is not. The error is an [*Error].
func Parse(text []byte) (*Signed, error) {
	if len(text) > MaxBytes {
		return nil, fail("", ErrTooLarge, "%d octets, the limit is %d", len(text), MaxBytes)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, &Error{Document: "manifest", Kind: ErrSyntax, Detail: "not a JWS in general JSON", Err: err, Remedy: "check that this is the right file"}
	}
	if len(e.Signatures) != 1 {
		return nil, fail("signatures", ErrSyntax, "there is one signature, this has %d", len(e.Signatures))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, &Error{Document: "manifest", Kind: ErrSyntax, Err: err}
	}
	if canonical, err := marshal(&e); err != nil || !bytes.Equal(canonical, compact.Bytes()) {
		return nil, fail("", ErrSyntax, "it has more, fewer or other members than payload and signatures with protected and signature")
	}
	s := &Signed{input: e.input()}
	if err := s.parseHeader(e.Signatures[0].Protected); err != nil {
		return nil, err
	}
	var err error
	if s.signature, err = b64.DecodeString(e.Signatures[0].Signature); err != nil {
		return nil, &Error{Document: "manifest", Place: "signature", Kind: ErrSyntax, Err: err}
	}
	payload, err := b64.DecodeString(e.Payload)
	if err != nil {
		return nil, &Error{Document: "manifest", Place: "payload", Kind: ErrSyntax, Err: err}
	}
	if s.Manifest, err = ParseJSON(payload); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Signed) parseHeader(protected string) error {
	raw, err := b64.DecodeString(protected)
	if err != nil {
		return &Error{Document: "manifest", Place: "protected", Kind: ErrSyntax, Err: err}
	}
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return &Error{Document: "manifest", Place: "protected", Kind: ErrSyntax, Err: err}
	}
	if canonical, err := marshal(&h); err != nil || !bytes.Equal(canonical, raw) {
		return fail("protected", ErrSyntax, "the header has exactly alg, typ and x5c, in this order and without white space")
	}
	if h.Typ != Type {
		return fail("typ", ErrSyntax, "%.60q, a manifest has %q", h.Typ, Type)
	}
	if len(h.X5C) == 0 || len(h.X5C) > sign.MaxChain {
		return fail("x5c", ErrTooLarge, "a chain has 1 to %d certificates, this one %d", sign.MaxChain, len(h.X5C))
	}
	for i, der := range h.X5C {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return &Error{Document: "manifest", Place: fmt.Sprintf("x5c, certificate %d", i+1), Kind: ErrSyntax, Err: err}
		}
		s.Chain = append(s.Chain, cert)
	}
	key, err := sign.CertificateKey(s.Chain[0])
	if err != nil {
		return &Error{Document: "manifest", Place: "x5c, certificate 1", Kind: ErrContent, Err: err}
	}
	if s.Algorithm, err = sign.ByJOSE(h.Alg, key); err != nil {
		return &Error{Document: "manifest", Place: "alg", Kind: ErrContent, Err: err}
	}
	return nil
}

// VerifySignature checks that the manifest is signed by the key of its first
// certificate, and says nothing about who that is: for callers with their own
// rules for chains. The error is an [*Error] of kind ErrSignature.
func (s *Signed) VerifySignature(v sign.Verifier) error {
	key, err := sign.CertificateKey(s.Chain[0])
	if err != nil {
		return &Error{Document: "manifest", Place: "x5c, certificate 1", Kind: ErrContent, Err: err}
	}
	prepared, err := sign.PreparePublicKey(s.Algorithm, key)
	if err != nil {
		return &Error{Document: "manifest", Place: "x5c, certificate 1", Kind: ErrContent, Err: err}
	}
	items := []sign.VerifyItem{{Key: prepared, Input: signedInput(s.Algorithm, s.input), Signature: s.signature}}
	if err := v.VerifyBatch(items); err != nil {
		return &Error{Document: "manifest", Place: "signature", Kind: ErrSignature, Err: err,
			Remedy: "the file was altered or damaged: take it from where it was issued"}
	}
	return nil
}

// Verify checks the signature and that its certificate leads to one of roots
// at the time given; the zero time is the run's own created-on. Extended key
// usages are not looked at, as they are not for vouchers. The error is an
// [*Error] of kind ErrSignature or ErrUntrusted.
func (s *Signed) Verify(v sign.Verifier, roots []*x509.Certificate, at time.Time) error {
	if err := s.VerifySignature(v); err != nil {
		return err
	}
	if at.IsZero() {
		at = s.Manifest.CreatedOn
	}
	_, err := sign.VerifyChain(s.Chain[0], sign.ChainOptions{Roots: roots, Intermediates: s.Chain[1:], At: at})
	if err != nil {
		return &Error{Document: "manifest", Place: "x5c", Kind: ErrUntrusted, Err: err,
			Remedy: "name the certificate authority of the voucher signer as trust anchor, and the time to check at"}
	}
	return nil
}
