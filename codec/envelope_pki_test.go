package codec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// testSigner is a key with its chain and how the envelopes name its algorithm.
type testSigner struct {
	id    AlgorithmID
	hash  crypto.Hash
	key   crypto.Signer
	chain [][]byte
	roots *x509.CertPool
}

// algorithmIdentifierDER encodes an AlgorithmIdentifier without parameters.
func algorithmIdentifierDER(t testing.TB, oid ...int) []byte {
	t.Helper()
	body, err := asn1.Marshal(asn1.ObjectIdentifier(oid))
	if err != nil {
		t.Fatal(err)
	}
	return der.Append(nil, der.TagSequence, body)
}

// newTestSigner makes a key for JOSE name jose, a CA and a signer certificate.
func newTestSigner(t testing.TB, jose string) *testSigner {
	t.Helper()
	sha2 := func(n int) []byte { return algorithmIdentifierDER(t, 2, 16, 840, 1, 101, 3, 4, 2, n) }
	ecdsaOID := func(n int) []byte { return algorithmIdentifierDER(t, 1, 2, 840, 10045, 4, 3, n) }
	s := &testSigner{}
	var err error
	switch jose {
	case "ES256":
		s.id = AlgorithmID{"ES256", -7, ecdsaOID(2), sha2(1), 32, 64, true}
		s.hash = crypto.SHA256
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		s.id = AlgorithmID{"ES384", -35, ecdsaOID(3), sha2(2), 48, 96, true}
		s.hash = crypto.SHA384
		s.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		s.id = AlgorithmID{"ES512", -36, ecdsaOID(4), sha2(3), 64, 132, true}
		s.hash = crypto.SHA512
		s.key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		s.id = AlgorithmID{"EdDSA", -8, algorithmIdentifierDER(t, 1, 3, 101, 112), sha2(3), 64, 64, false}
		_, s.key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no test key for %s", jose)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.chain, s.roots = testChain(t, s.key)
	return s
}

// testChain returns a certificate for key and its CA's, and a pool of the latter.
func testChain(t testing.TB, key crypto.Signer) ([][]byte, *x509.CertPool) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Manufacturer CA"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	serial := make([]byte, 8)
	if _, err := rand.Read(serial); err != nil {
		t.Fatal(err)
	}
	serial[0] |= 0x80 // so that DER needs a sign octet
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: "Test MASA", Country: []string{"FI"}},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		SubjectKeyId: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return [][]byte{leafDER, caDER}, pool
}

// digest is the content digest of CMS; EdDSA takes SHA-512 (RFC 8419 §3).
func (s *testSigner) digest(message []byte) []byte {
	switch s.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return sum[:]
	default:
		sum := sha512.Sum512(message)
		return sum[:]
	}
}

// sign returns a raw signature over message.
func (s *testSigner) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	if !s.id.ECDSA {
		sig, err := s.key.Sign(rand.Reader, message, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	r, v, err := ecdsa.Sign(rand.Reader, s.key.(*ecdsa.PrivateKey), s.digest(message))
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, s.id.SignatureSize)
	r.FillBytes(sig[:len(sig)/2])
	v.FillBytes(sig[len(sig)/2:])
	return sig
}

// verifies reports whether raw is this signer's signature over message.
func (s *testSigner) verifies(message, raw []byte) bool {
	return verifyRaw(s.key.Public(), s.digest, message, raw)
}

func verifyRaw(pub crypto.PublicKey, digest func([]byte) []byte, message, raw []byte) bool {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		half := len(raw) / 2
		r, v := new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])
		return ecdsa.Verify(pub, digest(message), r, v)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message, raw)
	default:
		return false
	}
}

// testVoucher is a voucher of this day without its serial number.
func testVoucher(pin []byte) Voucher {
	return Voucher{
		Assertion:        AssertionLogged,
		CreatedOn:        time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		ExpiresOn:        time.Date(2027, 11, 24, 10, 0, 0, 0, time.UTC),
		PinnedDomainCert: pin,
	}
}

// compile makes a template for s, changed by with when that is not nil.
func (s *testSigner) compile(t testing.TB, f Format, with func(*TemplateParams)) *Template {
	t.Helper()
	p := TemplateParams{
		Envelope: EnvelopeParams{Format: f, Algorithm: s.id, Chain: s.chain},
		Voucher:  testVoucher(s.chain[1]),
	}
	if with != nil {
		with(&p)
	}
	tmpl, err := CompileTemplate(p)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// issue makes one voucher the way an engine does: prefix and tail hashed, the
// digest or the message signed, the envelope appended.
func (s *testSigner) issue(t testing.TB, tmpl *Template, serial string) []byte {
	t.Helper()
	m := tmpl.AppendPrefix(nil, tmpl.Class([]byte(serial)))
	m, err := tmpl.AppendTail(m, []byte(serial))
	if err != nil {
		t.Fatal(err)
	}
	var content []byte
	if prefix := tmpl.AttributesPrefix(); prefix != nil {
		content = s.digest(m)
		m = append(append([]byte{}, prefix...), content...)
	}
	voucher, err := tmpl.AppendEnvelope(nil, []byte(serial), content, s.sign(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return voucher
}
