package fuzz

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
)

// estRefusal holds that input was refused with a type that package est documents.
func estRefusal(t *testing.T, err error) {
	t.Helper()
	if !isA[*est.DecodeError](err) && !isA[*codec.LimitError](err) && !isA[*est.BodyError](err) || err.Error() == "" {
		t.Fatalf("error of type %T: %v", err, err)
	}
}

// requestSeeds adds requests of crypto/x509 to a target's corpus.
func requestSeeds(f *testing.F) {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f, err)
	for _, template := range []x509.CertificateRequest{
		{},
		{Subject: pkix.Name{Organization: []string{"Doors", "Größe"}, SerialNumber: "1"}, DNSNames: []string{"a.example.com"}},
		{Subject: pkix.Name{CommonName: "x"}, ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 7, 0x80}}}},
	} {
		b, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
		must(f, err)
		f.Add(b)
	}
}

func FuzzCSR(f *testing.F) {
	requestSeeds(f)
	vectorSeeds(f, "csr-not-a-template.der")
	f.Fuzz(func(t *testing.T, b []byte) {
		var r *est.CSR
		var err error
		frugal(t, len(b), func() { r, err = est.ParseCSR(b, est.Limits{}) })
		if err != nil {
			estRefusal(t, err)
			return
		}
		limits := est.DefaultLimits()
		if len(b) > limits.CSRBytes || len(r.Attributes) > limits.CSRAttributes || len(r.Extensions) > limits.Extensions || len(r.Name) > limits.RDNs {
			t.Fatalf("%d octets, %d attributes, %d extensions, %d of the subject", len(b), len(r.Attributes), len(r.Extensions), len(r.Name))
		}
		if same, err := est.SameName(r.Subject, r.Subject); err != nil || !same {
			t.Fatalf("the subject is another than itself: %v", err)
		}
		csrAgrees(t, r)
		csrWrittenAgain(t, r)
	})
}

// csrAgrees compares with crypto/x509 where that reads the request too.
func csrAgrees(t *testing.T, r *est.CSR) {
	t.Helper()
	theirs, err := x509.ParseCertificateRequest(r.Raw)
	if err != nil {
		return
	}
	if !bytes.Equal(theirs.RawTBSCertificateRequest, r.Info) || !bytes.Equal(theirs.RawSubject, r.Subject) ||
		!bytes.Equal(theirs.RawSubjectPublicKeyInfo, r.PublicKey) || !bytes.Equal(theirs.Signature, r.Signature) {
		t.Fatal("info, subject, key or signature are not those crypto/x509 finds")
	}
	if len(theirs.Extensions) != len(r.Extensions) {
		t.Fatalf("crypto/x509 finds %d extensions, est %d", len(theirs.Extensions), len(r.Extensions))
	}
	for i, ext := range theirs.Extensions {
		if got := &r.Extensions[i]; got.ID != ext.Id.String() || got.Critical != ext.Critical || !bytes.Equal(got.Value, ext.Value) {
			t.Fatalf("crypto/x509 finds extension %v, est %+v", ext, got)
		}
	}
	if len(theirs.Subject.Names) != len(r.Name) {
		t.Fatalf("crypto/x509 finds %d attributes of the subject, est %d", len(theirs.Subject.Names), len(r.Name))
	}
	for i, attr := range theirs.Subject.Names {
		text, ok := r.Name[i].Text()
		if r.Name[i].ID != attr.Type.String() {
			t.Fatalf("crypto/x509 finds %v, est %+v", attr, r.Name[i])
		}
		wide := r.Name[i].Tag == est.TagBMPString || r.Name[i].Tag == est.TagT61String // read with other rules there
		if want, is := attr.Value.(string); ok && is && !wide && text != want {
			t.Fatalf("crypto/x509 reads %q, est %q", want, text)
		}
	}
}

// csrWrittenAgain writes a request anew, which then reads the same. Only what
// was written in the order of DER to begin with comes out octet for octet.
func csrWrittenAgain(t *testing.T, r *est.CSR) {
	t.Helper()
	name, err := est.AppendName(nil, r.Name)
	must(t, err)
	if same, err := est.SameName(name, r.Subject); err != nil || !same {
		t.Fatalf("the subject %x is written as %x: %v", r.Subject, name, err)
	}
	p := est.CSRParams{Subject: r.Subject, PublicKey: r.PublicKey, Extensions: r.Extensions, ChallengePassword: r.ChallengePassword}
	info, err := est.AppendCSRInfo(nil, p)
	if err != nil {
		if !isA[*est.EncodeError](err) || r.ChallengePassword == nil {
			t.Fatalf("error of type %T: %v", err, err)
		}
		return // a challengePassword that is not UTF-8
	}
	if len(r.Signature) == 0 {
		return
	}
	algorithm := append([]byte{0x30, byte(2 + len(r.SignatureOID)), 6, byte(len(r.SignatureOID))}, r.SignatureOID...)
	if len(r.SignatureOID) > 100 {
		return
	}
	written, err := est.AppendCSR(nil, info, algorithm, r.Signature)
	must(t, err)
	back, err := est.ParseCSR(written, est.Limits{CSRBytes: len(written)})
	must(t, err)
	if !bytes.Equal(back.Info, info) || !bytes.Equal(back.Subject, r.Subject) || !bytes.Equal(back.PublicKey, r.PublicKey) || !bytes.Equal(back.Signature, r.Signature) ||
		!bytes.Equal(back.ChallengePassword, r.ChallengePassword) || back.SignatureID != r.SignatureID || back.Key != r.Key || len(back.Extensions) != len(r.Extensions) {
		t.Fatalf("%+v is written and read as %+v", r, back)
	}
}

// certificateOf makes a certificate for a target's corpus.
func certificateOf(f *testing.F, cn string) []byte {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(f, err)
	return cert
}

func FuzzCertsOnly(f *testing.F) {
	a, b := certificateOf(f, "a"), certificateOf(f, "b")
	both, err := est.AppendCertsOnly(nil, [][]byte{a, b})
	must(f, err)
	f.Add(both)
	one, err := est.AppendCertsOnly(nil, [][]byte{a})
	must(f, err)
	f.Add(one)
	f.Add(append(append([]byte{0x30, 0x80}, one[4:]...), 0, 0)) // BER around the same
	f.Fuzz(func(t *testing.T, message []byte) {
		var certs [][]byte
		var err error
		frugal(t, len(message), func() { certs, err = est.ParseCertsOnly(message, est.Limits{}) })
		if err != nil {
			estRefusal(t, err)
			return
		}
		if len(certs) == 0 || len(certs) > est.DefaultLimits().Certificates {
			t.Fatalf("%d certificates", len(certs))
		}
		written, err := est.AppendCertsOnly(nil, certs)
		if err != nil { // the same certificate twice
			if !isA[*est.EncodeError](err) || len(certs) < 2 {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		back, err := est.ParseCertsOnly(written, est.Limits{CertsBytes: len(written)})
		must(t, err)
		again, err := est.AppendCertsOnly(nil, back)
		must(t, err)
		if !bytes.Equal(again, written) || len(back) != len(certs) {
			t.Fatalf("written as %x and then %x", written, again)
		}
		// pkcs7 has no certificates and no error where crypto/x509 refuses one, and it
		// mends what is wrong inside them before it reads: their number is what counts.
		if theirs, err := pkcs7.Parse(message); err == nil && len(theirs.Certificates) > 0 && len(theirs.Certificates) != len(certs) {
			t.Fatalf("pkcs7 finds %d certificates, est %d", len(theirs.Certificates), len(certs))
		}
		for i, cert := range certs {
			if parsed, err := x509.ParseCertificate(cert); err == nil && !bytes.Equal(parsed.Raw, cert) {
				t.Fatalf("certificate %d is %x with something behind it", i, cert)
			}
		}
	})
}

func FuzzCSRAttrs(f *testing.F) {
	f.Add([]byte{0x30, 0})
	template := est.CSRAttrs{
		Template: &est.Template{
			Subject:    []est.NameAttribute{{RDN: 0, ID: est.OIDOrganization, Tag: est.TagUTF8String, Value: []byte("Doors")}, {RDN: 1, ID: est.OIDSerialNumber}},
			Key:        est.RSA(512),
			Extensions: []est.Extension{{ID: est.OIDSubjectAltName, Value: est.AppendSubjectAltName(nil, []string{""}, []netip.Addr{{}})}, {ID: est.OIDExtendedKeyUsage, Critical: true}},
		},
		ChallengePassword: true, Keys: []est.Key{est.P256, est.P384, est.RSA(2048)},
		Extensions: []est.Extension{{ID: est.OIDKeyUsage, Value: []byte{3, 2, 7, 0x80}}},
		Signatures: []string{est.OIDECDSAWithSHA256}, Items: []est.Attribute{{ID: est.OIDSerialNumber}},
	}
	b, err := template.Append(nil)
	must(f, err)
	f.Add(b)
	b, err = template.List().Append(nil)
	must(f, err)
	f.Add(b)
	vectorSeeds(f, ".csrattr.der")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		var a *est.CSRAttrs
		var err error
		frugal(t, len(b), func() { a, err = est.ParseCSRAttrs(b, est.Limits{}) })
		if err != nil {
			estRefusal(t, err)
			return
		}
		written, err := a.Append(nil)
		must(t, err)
		back, err := est.ParseCSRAttrs(written, est.Limits{CSRAttrsBytes: len(written)})
		must(t, err)
		again, err := back.Append(nil)
		must(t, err)
		if !bytes.Equal(again, written) || a.Empty() != back.Empty() {
			t.Fatalf("%x is written as %x and then %x", b, written, again)
		}
		filledIn(t, a, public)
		filledIn(t, a.List(), public)
	})
}

// filledIn holds that a request with what Fill says to ask for passes Check, but
// for the key and the signature algorithm, of which the target has one.
func filledIn(t *testing.T, a *est.CSRAttrs, public []byte) {
	t.Helper()
	d, err := a.Fill(&est.FillParams{SerialNumber: "1", CommonName: "x", DNSNames: []string{"a", "b"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}})
	if err != nil {
		if !isA[*est.PolicyError](err) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		return
	}
	p := est.CSRParams{Subject: d.Subject, PublicKey: public, Extensions: d.Extensions}
	if d.ChallengePassword {
		p.ChallengePassword = []byte("x")
	}
	info, err := est.AppendCSRInfo(nil, p)
	must(t, err)
	b, err := est.AppendCSR(nil, info, []byte{0x30, 3, 6, 1, 0x2a}, []byte{1})
	must(t, err)
	r, err := est.ParseCSR(b, est.Limits{CSRBytes: len(b)})
	must(t, err)
	r.Key = d.Key
	if len(d.Signatures) > 0 {
		r.SignatureID = d.Signatures[0]
	}
	if err := a.Check(r); err != nil {
		t.Fatalf("%+v does not pass: %v", d, err)
	}
	r.Extensions, r.Name, r.ChallengePassword = nil, nil, nil
	if err := a.Check(r); err != nil && !isA[*est.PolicyError](err) {
		t.Fatalf("error of type %T: %v", err, err)
	}
}

func FuzzESTBody(f *testing.F) {
	for _, s := range []string{"MAA=", "MAEx", "M\r\nAA =\t", "\x30\x00", "-----BEGIN CERTIFICATE-----", "M_A=", "MA=="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		der, err := est.DecodeBody([]byte("x"), body)
		if len(der) == 0 || der[0] != 'x' {
			t.Fatal("what stood in front is gone")
		}
		der = der[1:]
		if len(body) > 0 && body[0] == 0x30 {
			if err != nil || !bytes.Equal(der, body) {
				t.Fatalf("DER becomes %x, %v", der, err)
			}
			return
		}
		packed := bytes.Map(func(r rune) rune {
			if r == '\r' || r == '\n' || r == ' ' || r == '\t' {
				return -1
			}
			return r
		}, bytes.ToValidUTF8(body, []byte{0}))
		want, wantErr := base64.StdEncoding.Strict().DecodeString(string(packed))
		if len(packed) == 0 {
			wantErr = io.EOF
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(der, want) {
			t.Fatalf("%q becomes %x (%v), encoding/base64 says %x (%v)", body, der, err, want, wantErr)
		}
		if err != nil {
			estRefusal(t, err)
			return
		}
		if !bytes.Equal(est.AppendBody(nil, der), packed) {
			t.Fatalf("%x is written as another body", der)
		}
	})
}
