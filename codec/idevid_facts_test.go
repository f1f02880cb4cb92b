package codec

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

// deviceCertificate makes a self-signed certificate with the given subject
// attributes and extensions, valid until the end of year 9999.
func deviceCertificate(t testing.TB, names []pkix.AttributeTypeAndValue, extensions ...pkix.Extension) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{ExtraNames: names}, ExtraExtensions: extensions,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: bytes.Repeat([]byte{0xab}, 20)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestTwoSerialNumberAttributesAreAnError(t *testing.T) {
	attr := func(v string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oidSerialNumber, Value: v}
	}
	c, err := ParseIDevID(deviceCertificate(t, []pkix.AttributeTypeAndValue{attr("A1"), attr("B2")}))
	if err != nil {
		t.Fatal(err)
	}
	var several *SerialError
	if _, err := c.Serial(SerialFromSubject); !errors.As(err, &several) || len(several.Found) != 2 || !strings.Contains(err.Error(), "B2") {
		t.Errorf("got %v", err)
	}
	if !c.NeverExpires || c.NotAfter.Year() != 9999 {
		t.Errorf("notAfter %v, never expires %v", c.NotAfter, c.NeverExpires)
	}
	if want := IssuerFromKeyID(bytes.Repeat([]byte{0xab}, 20)); !bytes.Equal(c.Issuer(), want) {
		t.Errorf("issuer %x, want %x", c.Issuer(), want)
	}
}

func TestHardwareModuleNameIsReadFromTheAlternativeName(t *testing.T) {
	// otherName { id-on-hardwareModuleName, [0] SEQUENCE { 1.2.3, 'H-7' } }, then dNSName a.b
	name := fromHex(t, "a017"+"06082b06010505070804"+"a00b"+"3009"+"06022a03"+"0403482d37")
	san := append([]byte{0x30, byte(len(name) + 5)}, append(name, 0x82, 3, 'a', '.', 'b')...)
	ext := func(oid asn1.ObjectIdentifier, v []byte) pkix.Extension { return pkix.Extension{Id: oid, Value: v} }
	c, err := ParseIDevID(deviceCertificate(t, nil, ext(oidSAN, san), ext(oidMASAURL, []byte("\x16\x06masa.x"))))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Serial(SerialFromHWModuleName); err != nil || string(s) != "H-7" || c.HardwareModules[0].Type != "1.2.3" || c.MASAURL != "masa.x" {
		t.Errorf("serial %q, %v, modules %v, MASA %q", s, err, c.HardwareModules, c.MASAURL)
	}
	if _, err := c.Serial(SerialFromSubject); err == nil {
		t.Error("a subject serial is guessed")
	}
	for _, bad := range []pkix.Extension{ext(oidMASAURL, []byte("\x04\x01x")), ext(oidMASAURL, []byte("\x16\x02a ")), ext(oidMASAURL, []byte("\x16\x01aa")),
		ext(oidSAN, append([]byte{0x30, byte(len(name))}, bytes.Replace(name, []byte{0x04, 3}, []byte{0x0c, 3}, 1)...))} {
		if _, err := ParseIDevID(deviceCertificate(t, nil, bad)); err == nil {
			t.Errorf("extension %v with %x is accepted", bad.Id, bad.Value)
		}
	}
}

func TestCertificatesCutAnywhereAreRefused(t *testing.T) {
	der := deviceCertificate(t, nil)
	for i := range der {
		if _, err := ParseIDevID(der[:i]); err == nil {
			t.Fatalf("accepted when cut at %d", i)
		}
	}
}

func TestIssuerFormsShareOneKeyIdentifier(t *testing.T) {
	key := strings.Repeat("c7", 20)
	withName := "301b" + "8014" + key + "820300ff01" // authorityCertSerialNumber beside the key
	for _, c := range []struct{ in, canonical string }{
		{"041830168014" + key, "041830168014" + key},
		{"30168014" + key, "041830168014" + key},
		{key, "041830168014" + key},
		{withName, "041d" + withName},
		{"0418301680140102030405060708090a0b0c0d0e", "0418301680140418301680140102030405060708090a0b0c0d0e"},
	} {
		got, err := NormalizeIssuer(fromHex(t, c.in))
		if err != nil || hex.EncodeToString(got) != c.canonical {
			t.Errorf("%s: got %x, %v, want %s", c.in, got, err, c.canonical)
		}
		a, err1 := IssuerKeyID(fromHex(t, c.in))
		b, err2 := IssuerKeyID(got)
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: key identifiers %x, %v and %x, %v", c.in, a, err1, b, err2)
		}
	}
	for _, bad := range []string{"", "01", "041830168014" + key[2:], "30168014" + key + "00", strings.Repeat("aa", 65)} {
		if got, err := NormalizeIssuer(fromHex(t, bad)); !errors.Is(err, ErrIssuer) {
			t.Errorf("%s: %x, %v", bad, got, err)
		}
	}
	if _, err := IssuerKeyID(fromHex(t, "3000")); !errors.Is(err, ErrIssuer) {
		t.Errorf("no key identifier: %v", err)
	}
}

func TestExpiryBeyondThePinnedCertificateIsRefused(t *testing.T) {
	pin := payloadVector(t, "constrained", "cbrski", "domain_ca.crt.der")
	cert, err := x509.ParseCertificate(pin)
	if err != nil {
		t.Fatal(err)
	}
	v := Voucher{PinnedDomainCert: pin, ExpiresOn: cert.NotAfter}
	if err := v.CheckPinnedCertificate(); err != nil {
		t.Error(err)
	}
	v.ExpiresOn = cert.NotAfter.Add(time.Second)
	var rule *RuleError
	if err := v.CheckPinnedCertificate(); !errors.As(err, &rule) || rule.Leaf != "expires-on" || !strings.Contains(err.Error(), formatDate(cert.NotAfter)) {
		t.Errorf("got %v, want both dates", err)
	}
	v.PinnedDomainCert = pin[:10]
	if err := v.CheckPinnedCertificate(); !errors.As(err, &rule) || rule.Leaf != "pinned-domain-cert" {
		t.Errorf("cut certificate: %v", err)
	}
}
