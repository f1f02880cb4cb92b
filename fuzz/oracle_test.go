package fuzz

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/smallstep/pkcs7"
	cose "github.com/veraison/go-cose"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

func b64url(b []byte) []byte { return base64.RawURLEncoding.AppendEncode(nil, b) }

var (
	errNoCertificate = errors.New("the envelope does not show the signer's certificate")
	errContentDigest = errors.New("the content is not what was signed")
	errCertificate   = errors.New("the signer's certificate cannot be read")
)

// algorithmOf finds the algorithm a signer states, for the key it must fit.
func algorithmOf(e *codec.Envelope, s *codec.EnvelopeSigner, cert *x509.Certificate) (*sign.PublicKey, error) {
	pub, err := sign.CertificateKey(cert)
	if err != nil {
		return nil, err
	}
	var alg *sign.Algorithm
	switch e.Format {
	case codec.FormatCMS:
		alg, err = sign.ByOID(s.SignatureOID, s.DigestOID, pub)
	case codec.FormatJWS:
		alg, err = sign.ByJOSE(string(s.JOSE), pub)
	default:
		alg, err = sign.ByCOSE(s.COSE, pub)
	}
	if err != nil {
		return nil, err
	}
	return sign.PreparePublicKey(alg, pub)
}

// verified checks one signature by the certificate the envelope names, or by
// cert where it names none.
func verified(e *codec.Envelope, s *codec.EnvelopeSigner, cert *x509.Certificate) error {
	if s.CertIndex >= 0 {
		var err error
		if cert, err = x509.ParseCertificate(e.Certificates[s.CertIndex]); err != nil {
			return fmt.Errorf("%w: %w", errCertificate, err)
		}
	}
	if cert == nil {
		return errNoCertificate
	}
	key, err := algorithmOf(e, s, cert)
	if err != nil {
		return err
	}
	alg := key.Algorithm()
	if e.Format == codec.FormatCMS && !bytes.Equal(alg.Hash.Append(nil, e.Payload), s.ContentDigest) {
		return errContentDigest
	}
	input := s.Signed
	if !alg.Message {
		input = alg.Hash.Append(nil, input)
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return err
	}
	return verifier.VerifyBatch([]sign.VerifyItem{{Key: key, Input: input, Signature: s.Signature}})
}

// pkcs7Agrees compares with smallstep/pkcs7 where that library reads b too.
func pkcs7Agrees(t *testing.T, b []byte, e *codec.Envelope) {
	t.Helper()
	p7, err := parsePKCS7(b)
	if err != nil || len(p7.Signers) == 0 {
		return // it passes over what it cannot read, and then has nothing in it
	}
	if !bytes.Equal(p7.Content, e.Payload) {
		t.Fatalf("pkcs7 reads the content %q, codec %q", p7.Content, e.Payload)
	}
	if len(p7.Signers) != len(e.Signers) {
		t.Fatalf("pkcs7 sees %d signers, codec %d", len(p7.Signers), len(e.Signers))
	}
	for i, s := range p7.Signers {
		if ours := e.Signers[i]; !bytes.Equal(s.EncryptedDigest, ours.Signature) && !bytes.Equal(s.EncryptedDigest, ours.SignatureDER) {
			t.Fatalf("signature %d differs", i)
		}
	}
	// It takes the first match of a certificate by serial number and issuer, so
	// do we; it knows no EdDSA. One that both know must be good or bad for both.
	theirs := p7.Verify()
	var ours error
	for i := range e.Signers {
		ours = errors.Join(ours, verified(e, &e.Signers[i], nil))
	}
	if theirs != nil && ours == nil && e.Signers[0].SigningTime.IsZero() && !unknownToPKCS7(e) {
		t.Fatalf("pkcs7 refuses what verifies here: %v", theirs)
	}
	// It mends BER within certificates too, which must be DER as they were signed.
	if theirs == nil && ours != nil && !errors.Is(ours, errCertificate) && !isA[*sign.AlgorithmError](ours) && !isA[*sign.KeyError](ours) {
		t.Fatalf("pkcs7 verifies what is refused here: %v", ours)
	}
}

// parsePKCS7 turns the library's panics on malformed input into errors.
func parsePKCS7(b []byte) (p7 *pkcs7.PKCS7, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pkcs7 panicked: %v", r)
		}
	}()
	return pkcs7.Parse(b)
}

// unknownToPKCS7 reports whether a signer has an algorithm the library lacks.
func unknownToPKCS7(e *codec.Envelope) bool {
	for i := range e.Signers {
		cert, err := x509.ParseCertificate(e.Certificates[e.Signers[i].CertIndex])
		if err != nil {
			return true
		}
		key, err := algorithmOf(e, &e.Signers[i], cert)
		if err != nil || key.Algorithm().Message || key.Algorithm() == sign.PS256 {
			return true
		}
	}
	return false
}

var joseAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.RS256, jose.PS256}

// joseAgrees compares with go-jose where that library reads b too.
func joseAgrees(t *testing.T, b []byte, e *codec.Envelope) {
	t.Helper()
	theirs, err := jose.ParseSignedJSON(string(b), joseAlgorithms)
	if err != nil {
		return
	}
	if !bytes.Equal(theirs.UnsafePayloadWithoutVerification(), e.Payload) {
		t.Fatalf("go-jose reads the payload %q, codec %q", theirs.UnsafePayloadWithoutVerification(), e.Payload)
	}
	if len(theirs.Signatures) != len(e.Signers) {
		t.Fatalf("go-jose sees %d signatures, codec %d", len(theirs.Signatures), len(e.Signers))
	}
	for i, s := range theirs.Signatures {
		ours := &e.Signers[i]
		if s.Protected.Algorithm != string(ours.JOSE) || !bytes.Equal(s.Signature, ours.Signature) {
			t.Fatalf("signature %d: go-jose reads %q %x, codec %q %x", i, s.Protected.Algorithm, s.Signature, ours.JOSE, ours.Signature)
		}
	}
	if len(e.Signers) != 1 || e.Signers[0].CertIndex < 0 {
		return
	}
	cert, err := x509.ParseCertificate(e.Certificates[e.Signers[0].CertIndex])
	if err != nil {
		return
	}
	_, err = theirs.Verify(cert.PublicKey)
	ours := verified(e, &e.Signers[0], nil)
	if err != nil && ours == nil && !sameKeyKind(t, e, sign.Ed448) {
		t.Fatalf("go-jose refuses what verifies here: %v", err)
	}
	if err == nil && ours != nil && !isA[*sign.AlgorithmError](ours) && !isA[*sign.KeyError](ours) {
		t.Fatalf("go-jose verifies what is refused here: %v", ours)
	}
}

// sameKeyKind reports whether the first signer's key is for alg.
func sameKeyKind(t *testing.T, e *codec.Envelope, alg *sign.Algorithm) bool {
	t.Helper()
	cert, err := x509.ParseCertificate(e.Certificates[e.Signers[0].CertIndex])
	must(t, err)
	pub, err := sign.CertificateKey(cert)
	return err == nil && alg.Fits(pub) == nil
}

// coseAgrees compares with veraison/go-cose where that library reads b too.
func coseAgrees(t *testing.T, b []byte, e *codec.Envelope) {
	t.Helper()
	var theirs cose.Sign1Message
	var err error
	if e.Tagged {
		err = theirs.UnmarshalCBOR(b)
	} else {
		err = (*cose.UntaggedSign1Message)(&theirs).UnmarshalCBOR(b)
	}
	if err != nil {
		return
	}
	s := &e.Signers[0]
	if !bytes.Equal(theirs.Payload, e.Payload) || !bytes.Equal(theirs.Signature, s.Signature) {
		t.Fatalf("go-cose reads the payload %x and signature %x, codec %x and %x", theirs.Payload, theirs.Signature, e.Payload, s.Signature)
	}
	alg, err := theirs.Headers.Protected.Algorithm()
	if err != nil {
		return
	}
	if int64(alg) != s.COSE {
		t.Fatalf("go-cose reads algorithm %d, codec %d", alg, s.COSE)
	}
	if s.CertIndex < 0 {
		return
	}
	cert, err := x509.ParseCertificate(e.Certificates[s.CertIndex])
	if err != nil {
		return
	}
	verifier, err := cose.NewVerifier(alg, cert.PublicKey)
	if err != nil {
		return
	}
	if err, ours := theirs.Verify(nil, verifier), verified(e, s, nil); (err == nil) != (ours == nil) && !isA[*sign.AlgorithmError](ours) && !isA[*sign.KeyError](ours) {
		t.Fatalf("go-cose says %v, sign says %v", err, ours)
	}
}
