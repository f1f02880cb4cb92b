package codec

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/smallstep/pkcs7"
	cose "github.com/veraison/go-cose"
)

// oracleSerials are serial numbers that show what escaping, alignment and
// lengths do.
var oracleSerials = []string{"1", "AB", "ABC", "JADA123456789", `a"b\c`, "Größe 7", strings.Repeat("x", 23), strings.Repeat("y", 24), strings.Repeat("z", 64)}

func TestPKCS7LibraryVerifiesCMSVouchers(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, data := range []bool{false, true} {
		for _, signingTime := range []time.Time{{}, time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), time.Date(2055, 1, 2, 3, 4, 5, 0, time.UTC)} {
			tmpl := s.compile(t, FormatCMS, func(p *TemplateParams) {
				p.Envelope.DataContentType, p.Envelope.SigningTime = data, signingTime
			})
			for _, serial := range oracleSerials {
				p7, err := pkcs7.Parse(s.issue(t, tmpl, serial))
				if err != nil {
					t.Fatalf("%q: %v", serial, err)
				}
				if err := p7.VerifyWithChain(s.roots); err != nil {
					t.Errorf("%q, id-data %v: %v", serial, data, err)
				}
				payload, err := tmpl.AppendPayload(nil, []byte(serial))
				if err != nil || !bytes.Equal(p7.Content, payload) {
					t.Errorf("%q: content %q, want %q (%v)", serial, p7.Content, payload, err)
				}
				if p7.GetOnlySigner() == nil || !bytes.Equal(p7.Certificates[0].Raw, s.chain[0]) || len(p7.Certificates) != 2 {
					t.Errorf("%q: certificates are not signer first, then its CA", serial)
				}
			}
		}
	}
}

func TestOpenSSLVerifiesCMSVouchers(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is missing")
		}
		t.Skip("openssl is not installed")
	}
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		for _, data := range []bool{false, true} {
			s := newTestSigner(t, alg)
			tmpl := s.compile(t, FormatCMS, func(p *TemplateParams) { p.Envelope.DataContentType = data })
			dir := t.TempDir()
			ca, voucher := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "v.vcj")
			writeFile(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.chain[1]}))
			writeFile(t, voucher, s.issue(t, tmpl, "JADA123456789"))
			out, err := exec.Command(program, "cms", "-verify", "-binary", "-inform", "DER", "-in", voucher, "-CAfile", ca, "-purpose", "any").Output()
			if err != nil {
				t.Fatalf("%s: openssl cms -verify: %v", alg, err)
			}
			payload, err := tmpl.AppendPayload(nil, []byte("JADA123456789"))
			if err != nil || !bytes.Equal(out, payload) {
				t.Errorf("%s: openssl returned %q, want %q", alg, out, payload)
			}
		}
	}
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestJOSELibraryVerifiesJWSVouchers(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA} {
		s := newTestSigner(t, string(alg))
		tmpl := s.compile(t, FormatJWS, nil)
		for _, serial := range oracleSerials {
			signed, err := jose.ParseSignedJSON(string(s.issue(t, tmpl, serial)), []jose.SignatureAlgorithm{alg})
			if err != nil {
				t.Fatalf("%s %q: %v", alg, serial, err)
			}
			_, _, payload, err := signed.VerifyMulti(s.key.Public())
			if err != nil {
				t.Fatalf("%s %q: %v", alg, serial, err)
			}
			want, err := tmpl.AppendPayload(nil, []byte(serial))
			if err != nil || !bytes.Equal(payload, want) {
				t.Errorf("%s %q: payload %q, want %q", alg, serial, payload, want)
			}
			header := signed.Signatures[0].Protected
			if header.ExtraHeaders["typ"] != jwsType {
				t.Errorf("typ is %v", header.ExtraHeaders["typ"])
			}
			chains, err := header.Certificates(x509.VerifyOptions{Roots: s.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			if err != nil || len(chains[0]) != 2 {
				t.Errorf("x5c: %v", err)
			}
		}
	}
}

func TestCOSELibraryVerifiesCOSEVouchers(t *testing.T) {
	for name, alg := range map[string]cose.Algorithm{"ES256": cose.AlgorithmES256, "ES384": cose.AlgorithmES384, "ES512": cose.AlgorithmES512, "EdDSA": cose.AlgorithmEdDSA} {
		s := newTestSigner(t, name)
		verifier, err := cose.NewVerifier(alg, s.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for _, chain := range [][][]byte{s.chain, s.chain[:1], nil} {
			tmpl := s.compile(t, FormatCOSE, func(p *TemplateParams) { p.Envelope.Chain = chain })
			for _, serial := range oracleSerials {
				var m cose.Sign1Message
				if err := m.UnmarshalCBOR(s.issue(t, tmpl, serial)); err != nil {
					t.Fatalf("%s %q: %v", name, serial, err)
				}
				if err := m.Verify(nil, verifier); err != nil {
					t.Errorf("%s %q: %v", name, serial, err)
				}
				want, err := tmpl.AppendPayload(nil, []byte(serial))
				if err != nil || !bytes.Equal(m.Payload, want) {
					t.Errorf("%s %q: payload %x, want %x", name, serial, m.Payload, want)
				}
				checkX5Bag(t, m.Headers.Unprotected[int64(coseX5Bag)], chain)
			}
		}
	}
}

// checkX5Bag compares the value of an x5bag with the certificates it should hold.
func checkX5Bag(t *testing.T, bag any, chain [][]byte) {
	t.Helper()
	var got [][]byte
	switch bag := bag.(type) {
	case []byte:
		got = [][]byte{bag}
	case []any:
		if len(bag) < 2 {
			t.Errorf("x5bag is an array of %d", len(bag))
		}
		for _, c := range bag {
			got = append(got, c.([]byte))
		}
	}
	if len(got) != len(chain) {
		t.Fatalf("x5bag holds %d certificates, want %d", len(got), len(chain))
	}
	for i := range chain {
		if !bytes.Equal(got[i], chain[i]) {
			t.Errorf("certificate %d differs", i)
		}
	}
}

// A P-384 key may sign with SHA-256; then the signature is longer than the digest tells.
func TestFieldSizeComesFromTheSignersKey(t *testing.T) {
	s := newTestSigner(t, "ES384")
	if _, ok := s.key.Public().(*ecdsa.PublicKey); !ok {
		t.Fatal("not an ECDSA key")
	}
	leaf, err := x509.ParseCertificate(s.chain[0])
	if err != nil {
		t.Fatal(err)
	}
	voucher := s.issue(t, s.compile(t, FormatCMS, nil), "A1")
	var d EnvelopeDecoder
	var e Envelope
	if err := d.Decode(voucher, &e); err != nil {
		t.Fatal(err)
	}
	if got := len(e.Signers[0].Signature); got != 96 || leaf.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("raw signature of %d octets, want 96", got)
	}
}
