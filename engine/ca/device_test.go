package ca_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/sign"
)

func TestIDevIDStatesItsFacts(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "IDevID CA", Key: newKey(t, kind), NotBefore: begin, NotAfter: ca.NoExpiry()}, ca.Options{}))
			p := ca.IDevIDParams{SerialNumber: "PID:X100 SN:0001", CommonName: "X100", Organization: "Example", NotBefore: noon, MASAURL: "masa.example.com:9443",
				PublicKey:      newKey(t, ca.P256).Public(),
				HardwareModule: &codec.HardwareModuleName{Type: "1.3.6.1.4.1.32473.1", SerialNumber: []byte{0, 1, 2}}}
			cert := must[*x509.Certificate](t)(root.IDevID(p))
			isEndEntity(t, root, cert)
			facts := must[*codec.IDevID](t)(codec.ParseIDevID(cert.Raw))
			if serial, err := facts.Serial(codec.SerialFromSubject); err != nil || string(serial) != p.SerialNumber {
				t.Errorf("serial number %q: %v", serial, err)
			}
			if facts.MASAURL != p.MASAURL || !facts.NeverExpires || facts.CertificateAuthority || !facts.NotBefore.Equal(noon) {
				t.Errorf("facts %+v", facts)
			}
			if !bytes.Equal(facts.KeyIdentifier, root.Certificate().SubjectKeyId) || string(facts.CommonNames[0]) != "X100" {
				t.Errorf("issuer %x, common names %q", facts.KeyIdentifier, facts.CommonNames)
			}
			if m := facts.HardwareModules; len(m) != 1 || m[0].Type != p.HardwareModule.Type || !bytes.Equal(m[0].SerialNumber, p.HardwareModule.SerialNumber) {
				t.Errorf("hardware modules %v", m)
			}
			if value, critical, _ := extension(cert, oidMASAURL); critical || !bytes.Equal(value, append([]byte{0x16, byte(len(p.MASAURL))}, p.MASAURL...)) {
				t.Errorf("MASA URL %x, critical %v", value, critical)
			}
			if !bytes.Contains(cert.RawTBSCertificate, append([]byte{0x18, 15}, "99991231235959Z"...)) {
				t.Error("notAfter is not GeneralizedTime 99991231235959Z")
			}
			if !bytes.Contains(cert.RawSubject, append([]byte{0x13, byte(len(p.SerialNumber))}, p.SerialNumber...)) {
				t.Error("the serial number is no PrintableString")
			}
			for _, oid := range []string{oidKeyUsage, oidExtKeyUsage} {
				if _, _, found := extension(cert, oid); found {
					t.Errorf("extension %s restricts the key", oid)
				}
			}
			if _, err := sign.VerifyChain(cert, sign.ChainOptions{Roots: []*x509.Certificate{root.Certificate()}, At: noon.AddDate(500, 0, 0)}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIDevIDByOpenssl(t *testing.T) {
	o := openssl.New(t)
	for _, kind := range allKinds {
		root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "IDevID CA", Key: newKey(t, kind), NotBefore: begin, NotAfter: ca.NoExpiry()}, ca.Options{}))
		cert := must[*x509.Certificate](t)(root.IDevID(ca.IDevIDParams{SerialNumber: "JADA123456789", PublicKey: newKey(t, ca.P256).Public(), NotBefore: noon, MASAURL: "https://masa.example.com/path"}))
		for _, purpose := range []string{"sslclient", "smimesign"} {
			if out, err := verify(o, root, cert, noon.AddDate(100, 0, 0), "-purpose", purpose); err != nil {
				t.Errorf("%s, %s: %s", kind, purpose, out)
			}
		}
		text := o.Run("x509", "-in", "cert.pem", "-noout", "-text")
		for _, want := range []string{"Not After : Dec 31 23:59:59 9999 GMT", "serialNumber = JADA123456789", "1.3.6.1.5.5.7.1.32: \n                ..https://masa.example.com/path"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", kind, want, text)
			}
		}
	}
}

func TestIDevIDSerialNumberBeyondPrintableString(t *testing.T) {
	root := newRoot(t, ca.P256)
	for _, serial := range []string{"A_1", "Ω-1", "a*b", "x@y", strings.Repeat("9", 64)} {
		cert := must[*x509.Certificate](t)(root.IDevID(ca.IDevIDParams{SerialNumber: serial, PublicKey: newKey(t, ca.P256).Public(), NotBefore: noon}))
		facts := must[*codec.IDevID](t)(codec.ParseIDevID(cert.Raw))
		if got, err := facts.Serial(codec.SerialFromSubject); err != nil || string(got) != serial || facts.MASAURL != "" {
			t.Errorf("%q reads as %q: %v", serial, got, err)
		}
	}
}

func TestIDevIDRefusals(t *testing.T) {
	root := newRoot(t, ca.P256)
	good := ca.IDevIDParams{SerialNumber: "1", PublicKey: newKey(t, ca.P256).Public(), NotBefore: noon}
	type change = func(*ca.IDevIDParams)
	module := func(kind string, serial []byte) change {
		return func(p *ca.IDevIDParams) {
			p.HardwareModule = &codec.HardwareModuleName{Type: kind, SerialNumber: serial}
		}
	}
	tests := []struct {
		name   string
		change change
		kind   error
	}{
		{"no serial number", func(p *ca.IDevIDParams) { p.SerialNumber = "" }, ca.ErrName},
		{"long serial number", func(p *ca.IDevIDParams) { p.SerialNumber = strings.Repeat("9", 65) }, ca.ErrName},
		{"control character", func(p *ca.IDevIDParams) { p.SerialNumber = "a\x00" }, ca.ErrName},
		{"long common name", func(p *ca.IDevIDParams) { p.CommonName = strings.Repeat("n", 65) }, ca.ErrName},
		{"no key", func(p *ca.IDevIDParams) { p.PublicKey = nil }, ca.ErrKey},
		{"module without type", module("", []byte{1}), ca.ErrName},
		{"module of another type", module("1.2.x", []byte{1}), ca.ErrName},
		{"module without serial number", module("1.2.3", nil), ca.ErrName},
		{"module with a long serial number", module("1.2.3", make([]byte, 65)), ca.ErrName},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := good
			test.change(&p)
			_, err := root.IDevID(p)
			wantKind(t, err, test.kind)
		})
	}
	urls := map[string]bool{
		"masa.example.com": true, "masa.example.com:9443": true, "[2001:db8::1]:443": true, "192.0.2.1": true,
		"https://masa.example.com": true, "https://masa.example.com/.well-known/brski": true, "masa.example.com/path/": true,
		"http://masa.example.com": false, "ldap://masa.example.com": false, "https://": false, "/path": false, "a b": false,
		"https://masa.example.com/?device=1": false, "masa.example.com?": false, "masa.example.com/#x": false, "https://user@masa.example.com": false,
		"masa.example.com:0": false, "masa.example.com:65536": false, "masa.example.com:https": false, "mäsa.example.com": false, "a\nb": false, "https://%zz/": false,
	}
	for url, ok := range urls {
		p := good
		p.MASAURL = url
		cert, err := root.IDevID(p)
		if !ok {
			wantKind(t, err, ca.ErrName)
			continue
		}
		if facts := must[*codec.IDevID](t)(codec.ParseIDevID(must[*x509.Certificate](t)(cert, err).Raw)); facts.MASAURL != url {
			t.Errorf("MASA URL %q, want %q", facts.MASAURL, url)
		}
	}
}

// The pieces of the names below, in DER.
func tlv(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	if len(body) > 127 {
		return slices.Concat([]byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}, body)
	}
	return slices.Concat([]byte{tag, byte(len(body))}, body)
}

func attribute(n, tag byte, value string) []byte {
	return tlv(0x30, []byte{0x06, 3, 0x55, 4, n}, tlv(tag, []byte(value)))
}

// namesToKeep are subjects that encoding/asn1 would write otherwise.
var namesToKeep = map[string][]byte{
	"PrintableString":     tlv(0x30, tlv(0x31, attribute(5, 0x13, "A-1"))),
	"UTF8String":          tlv(0x30, tlv(0x31, attribute(5, 0x0c, "A-1"))),
	"T61String":           tlv(0x30, tlv(0x31, attribute(10, 0x14, "M\xfcller")), tlv(0x31, attribute(5, 0x13, "A-1"))),
	"BMPString":           tlv(0x30, tlv(0x31, attribute(3, 0x1e, "\x00d\x00e\x00v")), tlv(0x31, attribute(5, 0x13, "A-1"))),
	"several in one RDN":  tlv(0x30, tlv(0x31, attribute(3, 0x0c, "dev"), attribute(5, 0x13, "A-1"))),
	"RDN not in order":    tlv(0x30, tlv(0x31, attribute(5, 0x13, "A-1"), attribute(3, 0x0c, "dev"))),
	"serial number first": tlv(0x30, tlv(0x31, attribute(5, 0x13, "A-1")), tlv(0x31, attribute(10, 0x0c, "Example"))),
}

func TestLDevIDKeepsTheSubject(t *testing.T) {
	o := openssl.New(t)
	root := newRoot(t, ca.P256)
	for name, subject := range namesToKeep {
		cert := must[*x509.Certificate](t)(root.LDevID(ldevid(t, subject)))
		if !bytes.Equal(cert.RawSubject, subject) || !bytes.Contains(cert.RawTBSCertificate, subject) {
			t.Errorf("%s: the subject became %x, want %x", name, cert.RawSubject, subject)
		}
		if facts := must[*codec.IDevID](t)(codec.ParseIDevID(cert.Raw)); len(facts.SerialNumbers) != 1 || string(facts.SerialNumbers[0]) != "A-1" {
			t.Errorf("%s: serial numbers %q", name, facts.SerialNumbers)
		}
		if out, err := verify(o, root, cert, noon, "-purpose", "sslclient"); err != nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func ldevid(t *testing.T, subject []byte) ca.LDevIDParams {
	t.Helper()
	return ca.LDevIDParams{RawSubject: subject, PublicKey: newKey(t, ca.P256).Public(), NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
}

// isLDevID checks that a certificate makes a TLS client of its holder and
// nothing else.
func isLDevID(t *testing.T, root *ca.Authority, cert *x509.Certificate) {
	t.Helper()
	isEndEntity(t, root, cert)
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || len(cert.UnknownExtKeyUsage) != 0 {
		t.Errorf("extended key usage %v %v", cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
	}
	if _, critical, _ := extension(cert, oidKeyUsage); cert.KeyUsage != x509.KeyUsageDigitalSignature || !critical {
		t.Errorf("key usage %b, critical %v", cert.KeyUsage, critical)
	}
	for _, ext := range cert.Extensions {
		switch ext.Id.String() {
		case oidKeyUsage, oidExtKeyUsage, oidBasicConstraints, oidSAN, "2.5.29.35", "2.5.29.31":
		default:
			t.Errorf("extension %v", ext.Id)
		}
	}
}

func TestLDevIDOfEveryKind(t *testing.T) {
	o := openssl.New(t)
	for _, kind := range allKinds {
		root, p := newRoot(t, kind), ldevid(t, namesToKeep["UTF8String"])
		p.CRLDistributionPoints = []string{"http://registrar.example.com/crl"}
		p.SubjectAltName = tlv(0x30, tlv(0x82, []byte("device.example.com")), tlv(0xa0, []byte{0x06, 3, 0x2a, 3, 4}, tlv(0xa0, tlv(0x0c, []byte("x")))))
		if kind != ca.RSA {
			p.PublicKey = newKey(t, kind).Public()
		}
		cert := must[*x509.Certificate](t)(root.LDevID(p))
		isLDevID(t, root, cert)
		if value, critical, _ := extension(cert, oidSAN); critical || !bytes.Equal(value, p.SubjectAltName) {
			t.Errorf("%s: subjectAltName %x, critical %v", kind, value, critical)
		}
		if !slices.Equal(cert.CRLDistributionPoints, p.CRLDistributionPoints) || len(cert.SubjectKeyId) != 0 {
			t.Errorf("%s: distribution points %q, subject key identifier %x", kind, cert.CRLDistributionPoints, cert.SubjectKeyId)
		}
		if out, err := verify(o, root, cert, noon, "-purpose", "sslclient"); err != nil {
			t.Errorf("%s is not for a TLS client: %s", kind, out)
		}
		for _, purpose := range []string{"sslserver", "smimesign"} {
			if out, err := verify(o, root, cert, noon, "-purpose", purpose); err == nil {
				t.Errorf("%s is for %s: %s", kind, purpose, out)
			}
		}
	}
}

func TestLDevIDCannotIssue(t *testing.T) {
	root, key := newRoot(t, ca.P256), newKey(t, ca.P256)
	p := ldevid(t, namesToKeep["UTF8String"])
	p.PublicKey = key.Public()
	device := must[*x509.Certificate](t)(root.LDevID(p))
	_, err := ca.New(device, key, ca.Options{})
	wantKind(t, err, ca.ErrAuthority)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: root.Certificate().Subject, NotBefore: noon, NotAfter: end}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, device, newKey(t, ca.P256).Public(), key))
	forged := must[*x509.Certificate](t)(x509.ParseCertificate(der))
	if _, err := sign.VerifyChain(forged, sign.ChainOptions{Roots: []*x509.Certificate{root.Certificate()}, Intermediates: []*x509.Certificate{device}, At: noon}); err == nil {
		t.Error("a certificate issued by a device verifies")
	}
}

func TestLDevIDRefusals(t *testing.T) {
	root := newRoot(t, ca.P256)
	good := ldevid(t, namesToKeep["UTF8String"])
	subject := func(der []byte) func(*ca.LDevIDParams) {
		return func(p *ca.LDevIDParams) { p.RawSubject = der }
	}
	san := func(der []byte) func(*ca.LDevIDParams) {
		return func(p *ca.LDevIDParams) { p.SubjectAltName = der }
	}
	crl := func(url string) func(*ca.LDevIDParams) {
		return func(p *ca.LDevIDParams) { p.CRLDistributionPoints = []string{url} }
	}
	tests := []struct {
		name   string
		change func(*ca.LDevIDParams)
		kind   error
	}{
		{"no subject", subject(nil), ca.ErrName},
		{"empty subject", subject([]byte{0x30, 0}), ca.ErrName},
		{"subject and more", subject(append(slices.Clone(good.RawSubject), 0)), ca.ErrName},
		{"not a sequence", subject(tlv(0x31, attribute(5, 0x13, "1"))), ca.ErrName},
		{"empty RDN", subject(tlv(0x30, tlv(0x31))), ca.ErrName},
		{"RDN is no set", subject(tlv(0x30, attribute(5, 0x13, "1"))), ca.ErrName},
		{"attribute without value", subject(tlv(0x30, tlv(0x31, tlv(0x30, []byte{0x06, 3, 0x55, 4, 5})))), ca.ErrName},
		{"large subject", subject(tlv(0x30, tlv(0x31, attribute(5, 0x13, strings.Repeat("1", 9<<10))))), ca.ErrName},
		{"not PrintableString", subject(tlv(0x30, tlv(0x31, attribute(5, 0x13, "\x01")))), ca.ErrName},
		{"UniversalString", subject(tlv(0x30, tlv(0x31, attribute(5, 0x1c, "\x00\x00\x00A")))), ca.ErrName},
		{"no key", func(p *ca.LDevIDParams) { p.PublicKey = nil }, ca.ErrKey},
		{"empty alternative name", san([]byte{}), ca.ErrName},
		{"no alternative name in it", san([]byte{0x30, 0}), ca.ErrName},
		{"no GeneralName", san(tlv(0x30, tlv(0x0c, []byte("x")))), ca.ErrName},
		{"GeneralName 9", san(tlv(0x30, tlv(0x89, []byte("x")))), ca.ErrName},
		{"GeneralNames and more", san(append(tlv(0x30, tlv(0x82, []byte("x"))), 0)), ca.ErrName},
		{"address of three octets", san(tlv(0x30, tlv(0x87, []byte{1, 2, 3}))), ca.ErrName},
		{"large alternative name", san(tlv(0x30, tlv(0x82, make([]byte, 9<<10)))), ca.ErrName},
		{"no list URL", crl(""), ca.ErrName},
		{"file URL", crl("file:///crl"), ca.ErrName},
		{"list URL of blanks", crl("http://a b/"), ca.ErrName},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := good
			test.change(&p)
			_, err := root.LDevID(p)
			wantKind(t, err, test.kind)
		})
	}
}

// A request for all that a device must not get, as openssl writes it.
func TestGreedyRequestGetsAPlainLDevID(t *testing.T) {
	o := openssl.New(t)
	root := newRoot(t, ca.P256)
	o.Write("key.pem", must[[]byte](t)(sign.MarshalKeyPEM(must[crypto.Signer](t)(sign.GenerateKey(sign.ES256, nil)), nil)))
	o.Run("req", "-new", "-key", "key.pem", "-subj", "/O=Example/serialNumber=A-1", "-outform", "DER", "-out", "csr.der",
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
		"-addext", "extendedKeyUsage=serverAuth,"+oidCMCRA, "-addext", "subjectAltName=DNS:registrar.example.com", "-addext", oidMASAURL+"=ASN1:IA5:masa.example.com")
	csr := must[*est.CSR](t)(est.ParseCSR(o.Read("csr.der"), est.Limits{}))
	if len(csr.Extensions) != 5 {
		t.Fatalf("the request asks for %d extensions", len(csr.Extensions))
	}
	cert := must[*x509.Certificate](t)(root.LDevID(ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: must[crypto.PublicKey](t)(ca.CheckPossession(csr)), NotBefore: noon, NotAfter: end}))
	isLDevID(t, root, cert)
	if _, _, found := extension(cert, oidSAN); found || len(cert.Extensions) != 4 {
		t.Errorf("%d extensions, subjectAltName %v", len(cert.Extensions), found)
	}
}

func TestErrorsNameTheirCause(t *testing.T) {
	_, err := newRoot(t, ca.P256).IDevID(ca.IDevIDParams{SerialNumber: " 1", PublicKey: newKey(t, ca.P256).Public(), NotBefore: noon})
	var rule *codec.RuleError
	if !errors.As(err, &rule) {
		t.Errorf("no *codec.RuleError in %v", err)
	}
	_, err = ca.NewRoot(ca.RootParams{CommonName: "CA", Key: must[crypto.Signer](t)(sign.GenerateKey(sign.MLDSA44, nil)), NotBefore: begin, NotAfter: end}, ca.Options{})
	if want := "CA certificate: the public key is refused"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
