package list

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
)

// testCertificate makes an IDevID certificate with the given subject serialNumber
// attributes; issuer is its authority key identifier, none when nil.
func testCertificate(t testing.TB, issuer []byte, serials ...string) (*x509.Certificate, []byte) {
	t.Helper()
	return testCertificateWith(t, issuer, nil, serials...)
}

func testCertificateWith(t testing.TB, issuer []byte, extensions []pkix.Extension, serials ...string) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "device"}
	for _, s := range serials {
		subject.ExtraNames = append(subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: s})
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(4e9, 0), ExtraExtensions: extensions}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: issuer}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, der
}

// testAuthority makes a CA certificate that has a subject serialNumber, as a
// chain in a bundle may.
func testAuthority(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA", SerialNumber: "CA1"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(4e9, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemBlock(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

var testKeyID = []byte("0123456789abcdefghij")

func TestCertificatesSayTheirSerialAndIssuer(t *testing.T) {
	_, a := testCertificate(t, testKeyID, "A1")
	cert, b := testCertificate(t, nil, "B2")
	spki := cert.RawSubjectPublicKeyInfo
	sum := sha1.Sum(spki[len(spki)-65:]) // the uncompressed point ends it
	wantA := "\x04\x18\x30\x16\x80\x14" + string(testKeyID)
	wantB := "\x04\x18\x30\x16\x80\x14" + string(sum[:])
	for name, in := range map[string]string{
		"PEM":      pemBlock(a) + pemBlock(b),
		"PEM text": "Certificate:\n  -----BEGIN is indented\n" + pemBlock(a) + "\r\n\r\nsubject=B\r\n" + strings.ReplaceAll(pemBlock(b), "\n", "\r\n"),
		"DER":      string(a) + string(b),
	} {
		r, err := NewReader(strings.NewReader(in), Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		var rec Record
		if err := r.Read(&rec); err != nil || string(rec.Serial) != "A1" || string(rec.Issuer) != wantA || rec.Line != 1 {
			t.Fatalf("%s: %+v, %v", name, rec, err)
		}
		if err := r.Read(&rec); err != nil || string(rec.Serial) != "B2" || string(rec.Issuer) != wantB || rec.Line != 2 {
			t.Fatalf("%s: %+v, %v", name, rec, err)
		}
		if err := r.Read(&rec); err != io.EOF {
			t.Fatal(name, err)
		}
	}
}

func TestCertificatesThatSayNoOneSerialAreRowErrors(t *testing.T) {
	_, good := testCertificate(t, testKeyID, "GOOD")
	_, two := testCertificate(t, testKeyID, "A1", "A2")
	_, none := testCertificate(t, testKeyID)
	ca := testAuthority(t)
	// AuthorityKeyIdentifier with an authorityCertSerialNumber alone
	_, keyless := testCertificateWith(t, nil, []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: []byte{0x30, 0x03, 0x82, 0x01, 0x07}}}, "A1")
	damaged := bytes.Clone(good)
	damaged[7] ^= 0xFF
	for name, c := range map[string]struct {
		pem   string
		der   []byte
		cause error
		says  string
	}{
		"two serialNumber attributes": {der: two, cause: ErrCertificate, says: "2 serialNumber"},
		"no serialNumber":             {der: none, cause: ErrCertificate, says: "serialNumber"},
		"AKI without a key":           {der: keyless, cause: ErrCertificate, says: "names no key"},
		"a CA":                        {der: ca, cause: ErrCertificate, says: "no device"},
		"damaged":                     {der: damaged, cause: ErrCertificate},
		"private key":                 {pem: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", cause: ErrSyntax, says: "PRIVATE KEY"},
		"no END line":                 {pem: "-----BEGIN CERTIFICATE-----\nAAAA\n", cause: ErrSyntax, says: "no END"},
		"no base64":                   {pem: "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", cause: ErrSyntax, says: "damaged"},
		"over the limit":              {pem: "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("AAAA\n", 20_000) + "-----END CERTIFICATE-----\n", cause: ErrRowTooLong},
	} {
		forms := []string{c.pem}
		if c.der != nil {
			forms = []string{pemBlock(c.der), string(c.der)}
		}
		for i, bad := range forms {
			in := pemBlock(good) + bad + pemBlock(good)
			if i == 1 {
				in = string(good) + bad + string(good)
			}
			got, rows, end := read(t, in, Options{})
			if end != nil || strings.Join(got, " ") != "GOOD GOOD" || len(rows) != 1 {
				t.Errorf("%s: got %q, end %v, bad %v", name, got, end, rows)
				continue
			}
			if e := rows[0]; !errors.Is(e, c.cause) || e.Line != 2 || e.Unit != "certificate" || !strings.Contains(e.Error(), c.says) || e.Remedy == "" {
				t.Errorf("%s: %v", name, e)
			}
		}
	}
}

func TestCertificatesTruncatedAtEveryOctet(t *testing.T) {
	_, a := testCertificate(t, testKeyID, "A1")
	for n := 1; n < len(a); n++ {
		if got, _, end := read(t, string(a)+string(a[:n]), Options{}); len(got) != 1 || end == nil {
			t.Fatalf("DER, %d octets: %q, %v", n, got, end)
		}
	}
	block := strings.TrimSpace(pemBlock(a))
	for n := range len(block) {
		got, bad, end := read(t, block+"\n"+block[:n], Options{Format: FormatPEM})
		if end != nil || len(got) != 1 || n >= len(pemBegin) && len(bad) != 1 {
			t.Fatalf("PEM, %d octets: %q, %v, %v", n, got, bad, end)
		}
	}
}

func TestADirectoryIsReadInTheOrderOfNames(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	der := func(serial string) []byte { _, d := testCertificate(t, testKeyID, serial); return d }
	put("20.der", string(der("C")))
	put("10.pem", pemBlock(der("A"))+pemBlock(der("B")))
	put("30.CRT", pemBlock(der("D")))
	put("40.cer", "")
	put("50.cer", "neither")
	put("60.der", string(der("X")[:100]))
	put("70.cer", string(der("E")))
	put("README", "not a certificate")
	if err := os.Mkdir(filepath.Join(dir, "80.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got, files []string
	var rec Record
	for {
		err := r.Read(&rec)
		var bad *RowError
		if errors.As(err, &bad) {
			got, files = append(got, "!"), append(files, bad.File)
		} else if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		} else {
			got, files = append(got, string(rec.Serial)), append(files, rec.File)
		}
	}
	if s := strings.Join(got, " "); s != "A B C D ! ! ! E !" {
		t.Fatalf("got %s", s)
	}
	if s := strings.Join(files, " "); s != "10.pem 10.pem 20.der 30.CRT 40.cer 50.cer 60.der 70.cer 80.pem" {
		t.Fatalf("from %s", s)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.TempDir(), Options{}); !errors.Is(err, ErrEmpty) {
		t.Fatalf("empty directory: %v", err)
	}
	if _, err := Open(dir, Options{Format: FormatCSV}); err == nil {
		t.Fatal("a directory is read as CSV")
	}
	if _, err := Open(filepath.Join(dir, "nowhere"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
}

func TestTheSerialIsTakenFromWhereTheCallerSays(t *testing.T) {
	_, der := testCertificate(t, testKeyID, "A1", "A2")
	if got, bad, end := read(t, string(der), Options{SerialFrom: codec.SerialFromCommonName}); strings.Join(got, " ") != "device" || end != nil {
		t.Fatalf("%q, %v, %v", got, bad, end)
	}
	_, bad, _ := read(t, string(der), Options{SerialFrom: codec.SerialFromHWModuleName})
	var serial *codec.SerialError
	if len(bad) != 1 || !errors.As(bad[0], &serial) {
		t.Fatalf("no hardwareModuleName: %v", bad)
	}
	_, bad, _ = read(t, string(der), Options{})
	if len(bad) != 1 || !errors.As(bad[0], &serial) || !errors.Is(bad[0], ErrCertificate) {
		t.Fatalf("two serialNumber attributes: %v", bad)
	}
}
