package est_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

func TestRequestsAreWhatCryptoX509Reads(t *testing.T) {
	san := est.AppendSubjectAltName(nil, []string{"door.example.com"}, []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1")})
	for _, p := range []est.CSRParams{
		{},
		{Subject: name(t, est.OIDSerialNumber, "JADA123456789")},
		{Subject: name(t, est.OIDCommonName, "Tür 7", est.OIDSerialNumber, "7"), ChallengePassword: []byte("abc+/=")},
		{ChallengePassword: []byte("with_underscore"), Extensions: []est.Extension{{ID: est.OIDSubjectAltName, Value: san}}},
		{ChallengePassword: bytes.Repeat([]byte("x"), 255), Extensions: []est.Extension{{ID: est.OIDKeyUsage, Critical: true, Value: unhex("03020780")}, {ID: est.OIDSubjectAltName, Value: san}}},
	} {
		key := newKey(t, elliptic.P256())
		r := request(t, key, p)
		theirs, err := x509.ParseCertificateRequest(r.Raw)
		must(t, err)
		must(t, theirs.CheckSignature())
		if !bytes.Equal(theirs.RawTBSCertificateRequest, r.Info) || !bytes.Equal(theirs.RawSubject, r.Subject) || !bytes.Equal(theirs.RawSubjectPublicKeyInfo, r.PublicKey) || !bytes.Equal(theirs.Signature, r.Signature) {
			t.Error("parts differ from those crypto/x509 finds")
		}
		if r.Key != est.P256 || r.SignatureID != est.OIDECDSAWithSHA256 || r.SignatureParams != nil {
			t.Errorf("key %v, signature %s, params %x", r.Key, r.SignatureID, r.SignatureParams)
		}
		if !bytes.Equal(r.ChallengePassword, p.ChallengePassword) || len(r.Extensions) != len(p.Extensions) || len(theirs.Extensions) != len(p.Extensions) {
			t.Errorf("challengePassword %q, extensions %v", r.ChallengePassword, r.Extensions)
		}
		for i, ext := range theirs.Extensions {
			if got := r.Extension(ext.Id.String()); got == nil || !bytes.Equal(got.Value, ext.Value) || got.Critical != ext.Critical || !bytes.Equal(got.Value, p.Extensions[i].Value) {
				t.Errorf("extension %v is %+v", ext, got)
			}
		}
	}
}

// Go does not sort the attributes of a request, so readers must not ask for it.
func TestRequestsOfCryptoX509AreRead(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.CertificateRequest{
		Subject:  pkix.Name{Organization: []string{"Doors", "Windows"}, SerialNumber: "4711", CommonName: "door"},
		DNSNames: []string{"door.example.com"},
	}
	for want, key := range map[est.Key]any{est.RSA(2048): rsaKey, est.P384: newKey(t, elliptic.P384()), est.P521: newKey(t, elliptic.P521())} {
		b, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		must(t, err)
		r, err := est.ParseCSR(b, est.Limits{})
		must(t, err)
		if r.Key != want || !slices.Equal(r.SerialNumbers(), []string{"4711"}) || r.Extension(est.OIDSubjectAltName) == nil {
			t.Errorf("key %v, serial numbers %q, extensions %v", r.Key, r.SerialNumbers(), r.Extensions)
		}
		if want == est.RSA(2048) && !bytes.Equal(r.SignatureParams, []byte{5, 0}) {
			t.Errorf("parameters %x", r.SignatureParams)
		}
		if r.Name[0].RDN != 0 || r.Name[1].RDN != 0 || r.Name[2].RDN != 1 {
			t.Errorf("RDNs of %+v", r.Name)
		}
	}
}

func TestOpenSSLVerifiesOurRequests(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t, elliptic.P256())
	r := request(t, key, est.CSRParams{
		Subject:           name(t, est.OIDOrganization, "Türen", est.OIDSerialNumber, "JADA 1"),
		Extensions:        []est.Extension{{ID: est.OIDSubjectAltName, Value: est.AppendSubjectAltName(nil, []string{"door.example.com"}, nil)}},
		ChallengePassword: []byte("secret"),
	})
	write(t, dir, "csr.der", r.Raw)
	out := string(openssl(t, dir, "req", "-in", "csr.der", "-inform", "DER", "-verify", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus"))
	for _, want := range []string{"verify OK", "O=Türen,serialNumber=JADA 1", "DNS:door.example.com", "secret"} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not print %q:\n%s", want, out)
		}
	}
}

func TestOpenSSLRequestsAreRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "req.cnf", []byte(`[req]
distinguished_name = dn
attributes = attrs
req_extensions = exts
string_mask = default
prompt = no
[dn]
O = Doors
serialNumber = JADA123456789
CN = Tür
[attrs]
challengePassword = secret word
unstructuredName = kept
[exts]
subjectAltName = DNS:door.example.com, IP:192.0.2.7
keyUsage = critical, digitalSignature
`))
	for want, args := range map[est.Key][]string{
		est.P256:      {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
		est.P521:      {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"},
		est.RSA(3072): {"-newkey", "rsa:3072"},
		est.Ed25519:   {"-newkey", "ed25519"},
	} {
		args = append([]string{"req", "-new", "-config", "req.cnf", "-utf8", "-nodes", "-keyout", "key.pem", "-outform", "DER", "-out", "csr.der"}, args...)
		openssl(t, dir, args...)
		r, err := est.ParseCSR(read(t, dir, "csr.der"), est.Limits{})
		must(t, err)
		if r.Key != want || string(r.ChallengePassword) != "secret word" || len(r.Attributes) != 3 || !slices.Equal(r.SerialNumbers(), []string{"JADA123456789"}) {
			t.Errorf("%v: %+v", want, r)
		}
		if cn, ok := r.Name[2].Text(); !ok || cn != "Tür" {
			t.Errorf("commonName %q of tag %#x", r.Name[2].Value, r.Name[2].Tag)
		}
		if usage := r.Extension(est.OIDKeyUsage); usage == nil || !usage.Critical || !bytes.Equal(usage.Value, unhex("03020780")) {
			t.Errorf("keyUsage %+v", usage)
		}
		if other := r.Extension(est.OIDExtendedKeyUsage); other != nil {
			t.Errorf("an extension that is not there: %+v", other)
		}
	}
}

// part of a request, for the table of refusals.
type parts struct {
	version, subject, key, attributes, after []byte
	algorithm, signature, end, trailing      []byte
}

func (p *parts) bytes() []byte {
	info := seq(p.version, p.subject, p.key, p.attributes, p.after)
	return append(seq(info, p.algorithm, p.signature, p.end), p.trailing...)
}

func goodParts(t testing.TB) parts {
	return parts{
		version: unhex("020100"), subject: name(t, est.OIDCommonName, "x"), key: spki(t, newKey(t, elliptic.P256()).Public()),
		attributes: tlv(0xa0), algorithm: ecdsaWithSHA256, signature: unhex("0302 0001"),
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	good := goodParts(t)
	usage := seq(oid(t, est.OIDKeyUsage), tlv(4, unhex("03020780")))
	extensions := func(list ...[]byte) []byte {
		return tlv(0xa0, attribute(t, est.OIDExtensionRequest, seq(list...)))
	}
	challenge := attribute(t, est.OIDChallengePassword, tlv(0x13, []byte("a")))
	for _, c := range []struct {
		what, want string
		change     func(p *parts)
	}{
		{"version 1", "v1(0)", func(p *parts) { p.version = unhex("020101") }},
		{"version long", "v1(0)", func(p *parts) { p.version = unhex("02020000") }},
		{"no version", "version", func(p *parts) { p.version = nil }},
		{"subject no sequence", "subject", func(p *parts) { p.subject = tlv(0x31) }},
		{"empty RDN", "subject", func(p *parts) { p.subject = seq(set()) }},
		{"attribute without value", "subject", func(p *parts) { p.subject = seq(set(seq(oid(t, "2.5.4.3")))) }},
		{"attribute with two values", "subject", func(p *parts) { p.subject = seq(set(seq(oid(t, "2.5.4.3"), tlv(12), tlv(12)))) }},
		{"attribute type cut", "OBJECT IDENTIFIER", func(p *parts) { p.subject = seq(set(seq(unhex("0603550484"), tlv(12)))) }},
		{"attribute type padded", "OBJECT IDENTIFIER", func(p *parts) { p.subject = seq(set(seq(unhex("0604 55 80 04 03"), tlv(12)))) }},
		{"attribute type huge", "OBJECT IDENTIFIER", func(p *parts) { p.subject = seq(set(seq(unhex("060b 55 81808080808080808000"), tlv(12)))) }},
		{"key without bits", "subjectPKInfo", func(p *parts) { p.key = seq(ecdsaWithSHA256) }},
		{"key of odd bits", "subjectPKInfo", func(p *parts) { p.key = seq(ecdsaWithSHA256, unhex("03020180")) }},
		{"RSA key that is none", "subjectPKInfo", func(p *parts) { p.key = seq(seq(oid(t, est.OIDRSAPublicKey), unhex("0500")), unhex("03020001")) }},
		{"RSA modulus negative", "subjectPKInfo", func(p *parts) {
			p.key = seq(seq(oid(t, est.OIDRSAPublicKey)), tlv(3, []byte{0}, seq(unhex("020180"), unhex("020103"))))
		}},
		{"no attributes", "attributes", func(p *parts) { p.attributes = nil }},
		{"something behind the attributes", "attributes", func(p *parts) { p.after = unhex("0500") }},
		{"attribute without values", "has no value", func(p *parts) { p.attributes = tlv(0xa0, attribute(t, "1.2.3")) }},
		{"extensionRequest twice", "twice", func(p *parts) {
			one := attribute(t, est.OIDExtensionRequest, seq(usage))
			p.attributes = tlv(0xa0, one, one)
		}},
		{"extensionRequest with two values", "several values", func(p *parts) {
			p.attributes = tlv(0xa0, attribute(t, est.OIDExtensionRequest, seq(usage), seq(usage)))
		}},
		{"challengePassword twice", "twice", func(p *parts) { p.attributes = tlv(0xa0, challenge, challenge) }},
		{"challengePassword with two values", "several values", func(p *parts) {
			p.attributes = tlv(0xa0, attribute(t, est.OIDChallengePassword, tlv(0x13, []byte("a")), tlv(0x13, []byte("b"))))
		}},
		{"challengePassword no string", "255 characters", func(p *parts) {
			p.attributes = tlv(0xa0, attribute(t, est.OIDChallengePassword, unhex("020105")))
		}},
		{"challengePassword empty", "255 characters", func(p *parts) {
			p.attributes = tlv(0xa0, attribute(t, est.OIDChallengePassword, tlv(0x0c)))
		}},
		{"extension twice", "2.5.29.15 twice", func(p *parts) { p.attributes = extensions(usage, usage) }},
		{"no extension", "empty list", func(p *parts) { p.attributes = extensions() }},
		{"extension without value", est.OIDExtensionRequest, func(p *parts) { p.attributes = extensions(seq(oid(t, est.OIDKeyUsage))) }},
		{"critical false written out", "BER", func(p *parts) {
			p.attributes = extensions(seq(oid(t, est.OIDKeyUsage), unhex("010100"), tlv(4)))
		}},
		{"critical of another true", "BER", func(p *parts) {
			p.attributes = extensions(seq(oid(t, est.OIDKeyUsage), unhex("010101"), tlv(4)))
		}},
		{"signature algorithm without OID", "signatureAlgorithm", func(p *parts) { p.algorithm = seq() }},
		{"signature of odd bits", "signature", func(p *parts) { p.signature = unhex("03020180") }},
		{"signature twice", "signature", func(p *parts) { p.end = p.signature }},
		{"octets behind", "left over", func(p *parts) { p.trailing = []byte{0} }},
	} {
		p := good
		c.change(&p)
		_, err := est.ParseCSR(p.bytes(), est.Limits{})
		if err == nil {
			t.Errorf("%s is accepted", c.what)
			continue
		}
		refused(t, err, c.want)
	}
}

func TestRequestsAreWholeAndDER(t *testing.T) {
	good := goodParts(t)
	whole := good.bytes()
	_, err := est.ParseCSR(whole, est.Limits{})
	must(t, err)
	for n := range whole {
		if _, err := est.ParseCSR(whole[:n], est.Limits{}); err == nil {
			t.Errorf("accepted when cut to %d octets", n)
		}
	}
	indefinite := append([]byte{0x30, 0x80}, whole[3:]...) // the length was in two octets
	if _, err := est.ParseCSR(append(indefinite, 0, 0), est.Limits{}); err == nil {
		t.Error("BER is accepted")
	}
}

func TestTheOrderOfASetIsNotJudged(t *testing.T) {
	first := attribute(t, est.OIDExtensionRequest, seq(seq(oid(t, est.OIDKeyUsage), tlv(4, unhex("03020780")))))
	second := attribute(t, est.OIDChallengePassword, tlv(0x13, []byte("a")))
	for _, order := range [][]byte{tlv(0xa0, first, second), tlv(0xa0, second, first)} {
		p := goodParts(t)
		p.attributes = order
		r, err := est.ParseCSR(p.bytes(), est.Limits{})
		must(t, err)
		if len(r.Extensions) != 1 || string(r.ChallengePassword) != "a" {
			t.Errorf("%+v", r)
		}
	}
}

func TestRequestLimitsAreNamed(t *testing.T) {
	key := newKey(t, elliptic.P256())
	r := request(t, key, est.CSRParams{
		Subject: name(t, "2.5.4.3", "a", "2.5.4.10", "b"), ChallengePassword: []byte("c"),
		Extensions: []est.Extension{{ID: "1.2.3", Value: []byte{5, 0}}, {ID: "1.2.4", Value: []byte{5, 0}}},
	})
	for limit, c := range map[string]struct {
		limits est.Limits
		most   int
	}{
		"CSRBytes":      {est.Limits{CSRBytes: len(r.Raw) - 1}, len(r.Raw) - 1},
		"CSRAttributes": {est.Limits{CSRAttributes: 1}, 1},
		"Extensions":    {est.Limits{Extensions: 1}, 1},
		"RDNs":          {est.Limits{RDNs: 1}, 1},
	} {
		_, err := est.ParseCSR(r.Raw, c.limits)
		limited(t, err, limit, c.most)
	}
	_, err := est.ParseCSR(make([]byte, 16<<10+1), est.Limits{})
	limited(t, err, "CSRBytes", 16<<10)
}

func TestWhatCannotBeWrittenIsNamed(t *testing.T) {
	key := spki(t, newKey(t, elliptic.P256()).Public())
	null := []byte{5, 0}
	for part, p := range map[string]est.CSRParams{
		"subject":           {PublicKey: key, Subject: null},
		"public key":        {},
		"challengePassword": {PublicKey: key, ChallengePassword: bytes.Repeat([]byte("x"), 256)},
		"extension 2.5":     {PublicKey: key, Extensions: []est.Extension{{ID: "2.5"}}},
		"extension 02.5":    {PublicKey: key, Extensions: []est.Extension{{ID: "02.5", Value: null}}},
		"extension 1.2.3":   {PublicKey: key, Extensions: []est.Extension{{ID: "1.2.3", Value: null}, {ID: "1.2.3", Value: null}}},
	} {
		before := []byte("before")
		out, err := est.AppendCSRInfo(before, p)
		var e *est.EncodeError
		if !errors.As(err, &e) || e.Part != part || string(out) != "before" {
			t.Errorf("%s: %q, %v", part, out, err)
		}
	}
	for _, args := range [][3][]byte{{null, ecdsaWithSHA256, null}, {key, null, null}, {key, ecdsaWithSHA256, nil}, {append(key[:len(key):len(key)], 0), ecdsaWithSHA256, null}} {
		if _, err := est.AppendCSR(nil, args[0], args[1], args[2]); err == nil {
			t.Errorf("%x is written", args)
		}
	}
}

func TestSignatureCoversInfo(t *testing.T) {
	key := newKey(t, elliptic.P256())
	r := request(t, key, est.CSRParams{Subject: name(t, est.OIDSerialNumber, "1")})
	info, err := est.AppendCSRInfo(nil, est.CSRParams{Subject: name(t, est.OIDSerialNumber, "2"), PublicKey: r.PublicKey})
	must(t, err)
	forged, err := est.AppendCSR(nil, info, ecdsaWithSHA256, r.Signature)
	must(t, err)
	theirs, err := x509.ParseCertificateRequest(forged)
	must(t, err)
	if theirs.CheckSignature() == nil {
		t.Error("a signature over another request passes")
	}
	public, ok := theirs.PublicKey.(*ecdsa.PublicKey)
	if !ok || !public.Equal(key.Public()) {
		t.Error("the key is another")
	}
}

func TestKeyKindsHaveNames(t *testing.T) {
	for want, k := range map[string]est.Key{
		"any key": {}, "EC": {Algorithm: est.OIDECPublicKey}, "EC P-256": est.P256, "EC P-384": est.P384, "EC P-521": est.P521, "EC curve 1.3.132.0.10": {Algorithm: est.OIDECPublicKey, Curve: "1.3.132.0.10"},
		"RSA": est.RSA(0), "RSA 2048": est.RSA(2048), "Ed25519": est.Ed25519, "Ed448": {Algorithm: est.OIDEd448}, "key algorithm 1.2.3": {Algorithm: "1.2.3"},
	} {
		if k.String() != want {
			t.Errorf("%+v is called %q, want %q", k, k, want)
		}
	}
	if est.P256.Satisfies(est.P384) || est.RSA(2048).Satisfies(est.RSA(3072)) || !est.RSA(2048).Satisfies(est.RSA(0)) || !est.P256.Satisfies(est.Key{}) {
		t.Error("kinds of key are confused")
	}
	if _, err := est.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "X"})); err == nil {
		t.Error("PEM is taken for a key")
	}
}
