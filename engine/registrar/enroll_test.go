package registrar_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func facts(t testing.TB, c *x509.Certificate) *codec.IDevID {
	t.Helper()
	return must[*codec.IDevID](t)(codec.ParseIDevID(c.Raw))
}

// withoutAKI is an IDevID as those in RFC 8995 appendix C.
func withoutAKI(t testing.TB, p *pledge) *x509.Certificate {
	t.Helper()
	key := newKey(t)
	parent := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old Maker CA"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root := must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, parent, parent, key.Public(), key))))
	root.SubjectKeyId = nil // so that what it issues has no AKI
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{SerialNumber: p.serial}, NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(10, 0, 0),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}, Value: append([]byte{0x16, 16}, "masa.example.com"...)}}}
	cert := must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, root, p.key.Public(), key))))
	if len(cert.AuthorityKeyId) != 0 {
		t.Fatal("the certificate has an AKI")
	}
	m := p.w.manufacturer("old")
	m.Anchors = []*x509.Certificate{root}
	p.w.addMaker(m)
	return cert
}

func extensions(list ...est.Extension) est.CSRParams { return est.CSRParams{Extensions: list} }

func TestCSRsThatAreRefused(t *testing.T) {
	dns := []byte{0x30, 0x0d, 0x82, 0x0b, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm'}
	serial := func(value string) est.NameAttribute { return text(est.OIDSerialNumber, value) }
	for name, c := range map[string]struct {
		kind decision.Kind
		body func(w *site, p *pledge, key *ecdsa.PrivateKey) []byte
	}{
		"empty":         {decision.Empty, func(*site, *pledge, *ecdsa.PrivateKey) []byte { return nil }},
		"no base64":     {decision.CSRMalformed, func(*site, *pledge, *ecdsa.PrivateKey) []byte { return []byte("!!!") }},
		"no CSR":        {decision.CSRMalformed, func(*site, *pledge, *ecdsa.PrivateKey) []byte { return []byte("MAA=") }},
		"PEM":           {decision.Wrapped, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte { return armoured(w, p, k) }},
		"body too long": {decision.TooLarge, func(*site, *pledge, *ecdsa.PrivateKey) []byte { return bytes.Repeat([]byte("A"), exchange.MaxEST+1) }},
		"CSR too long": {decision.TooLarge, func(*site, *pledge, *ecdsa.PrivateKey) []byte {
			return est.AppendBody(nil, append([]byte{0x30, 0x82, 0x40, 0x01}, make([]byte, 0x4001)...))
		}},
		"signed by another key": {decision.CSRSignature, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			other := must[[]byte](w.t)(x509.MarshalPKIXPublicKey(newKey(w.t).Public()))
			return csr(w.t, k, est.CSRParams{Subject: p.subject(), PublicKey: other})
		}},
		"another device": {decision.CSRPolicy, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			return csr(w.t, k, est.CSRParams{Subject: name(w.t, serial("SN-0002"))})
		}},
		"no serialNumber": {decision.CSRPolicy, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			return csr(w.t, k, est.CSRParams{Subject: name(w.t, text(est.OIDCommonName, p.serial))})
		}},
		"empty subject": {decision.CSRPolicy, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte { return csr(w.t, k, est.CSRParams{}) }},
		"two serialNumbers": {decision.CSRPolicy, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			return csr(w.t, k, est.CSRParams{Subject: name(w.t, serial(p.serial), serial(p.serial))})
		}},
		"two serialNumbers in one RDN": {decision.CSRPolicy, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			return csr(w.t, k, est.CSRParams{Subject: must[[]byte](w.t)(est.AppendName(nil, []est.NameAttribute{serial(p.serial), serial("SN-0002")}))})
		}},
		"SAN":            {decision.CSRPolicy, with(est.Extension{ID: est.OIDSubjectAltName, Value: dns})},
		"clientAuth":     {decision.CSRPolicy, with(est.Extension{ID: est.OIDExtendedKeyUsage, Value: extended(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2})})},
		"cmcRA":          {decision.CSRPolicy, with(est.Extension{ID: est.OIDExtendedKeyUsage, Value: extended(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28})})},
		"CA":             {decision.CSRPolicy, with(est.Extension{ID: est.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}})},
		"keyCertSign":    {decision.CSRPolicy, with(est.Extension{ID: est.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 2, 0x84}})},
		"cRLSign":        {decision.CSRPolicy, with(est.Extension{ID: est.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 1, 0x82}})},
		"something else": {decision.CSRPolicy, with(est.Extension{ID: "2.5.29.30", Value: []byte{0x30, 0}})},
		"P-521": {decision.CSRPolicy, func(w *site, p *pledge, _ *ecdsa.PrivateKey) []byte {
			return csr(w.t, must[*ecdsa.PrivateKey](w.t)(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), est.CSRParams{Subject: p.subject()})
		}},
		"IDevID key": {decision.KeyReused, func(w *site, p *pledge, _ *ecdsa.PrivateKey) []byte {
			return csr(w.t, p.key, est.CSRParams{Subject: p.subject()})
		}},
		"another device's IDevID key": {decision.KeyReused, func(w *site, p *pledge, _ *ecdsa.PrivateKey) []byte {
			other := w.pledge("SN-0002")
			other.voucher()
			return csr(w.t, other.key, est.CSRParams{Subject: p.subject()})
		}},
		"another device's LDevID key": {decision.KeyReused, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			other := w.pledge("SN-0002")
			other.voucher()
			if _, err := w.enroll(other.peer(), csr(w.t, k, est.CSRParams{Subject: other.subject()})); err != nil {
				w.t.Fatal(err)
			}
			return csr(w.t, k, est.CSRParams{Subject: p.subject()})
		}},
		"bound to another connection": {decision.ChannelBinding, func(w *site, p *pledge, k *ecdsa.PrivateKey) []byte {
			return csr(w.t, k, est.CSRParams{Subject: p.subject(), ChallengePassword: []byte("MTIzNDU2Nzg=")})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t)
			p := w.pledge("SN-0001")
			p.voucher()
			r := w.request(p.peer(), exchange.TypePKCS10, c.body(w, p, newKey(t)))
			_, err := w.registrar.SimpleEnroll(t.Context(), r)
			wantKind(t, err, c.kind)
			info, err := w.registrar.ShowDevice(t.Context(), "SN-0001")
			if err != nil || len(info.Certificates) != 0 {
				t.Errorf("%+v, %v", info, err)
			}
			x, err := w.registrar.Explain(t.Context(), "SN-0001")
			if err != nil {
				t.Fatal(err)
			}
			if last := x.Attempts[len(x.Attempts)-1]; last.Request != r.ID || last.Outcome != c.kind {
				t.Errorf("recorded as %+v", last)
			}
		})
	}
}

func armoured(w *site, p *pledge, key *ecdsa.PrivateKey) []byte {
	der := must[[]byte](w.t)(est.DecodeBody(nil, csr(w.t, key, est.CSRParams{Subject: p.subject()})))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func with(e ...est.Extension) func(*site, *pledge, *ecdsa.PrivateKey) []byte {
	return func(w *site, p *pledge, key *ecdsa.PrivateKey) []byte {
		params := extensions(e...)
		params.Subject = p.subject()
		return csr(w.t, key, params)
	}
}

func extended(t testing.TB, oid asn1.ObjectIdentifier) []byte {
	return must[[]byte](t)(asn1.Marshal([]asn1.ObjectIdentifier{oid}))
}

func TestOwnKeyIsNotCertified(t *testing.T) {
	key := newKey(t)
	w := newSite(t, func(c *registrar.Config) {
		former := must[*x509.Certificate](t)(c.Authority.Registrar(ca.EntityParams{CommonName: "former", PublicKey: key.Public(), NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0), Names: ca.ServerNames{DNS: []string{"old.example.com"}}}))
		c.Former = []*x509.Certificate{former}
	})
	p := w.pledge("SN-0001")
	p.voucher()
	_, err := w.enroll(p.peer(), csr(t, key, est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.KeyReused)
}

func TestEnrolmentNeedsMore(t *testing.T) {
	w := newSite(t)
	p, stranger := w.pledge("SN-0001"), w.pledge("SN-0002")
	p.voucher()
	body := csr(t, newKey(t), est.CSRParams{Subject: p.subject()})
	for name, c := range map[string]struct {
		kind decision.Kind
		r    *exchange.Request
	}{
		"no certificate": {decision.NoCertificate, w.request(nil, exchange.TypePKCS10, body)},
		"no voucher":     {decision.NoVoucher, w.request(stranger.peer(), exchange.TypePKCS10, body)},
		"no type":        {decision.ContentType, w.request(p.peer(), "", body)},
		"another type":   {decision.ContentType, w.request(p.peer(), "application/pkcs7-mime", body)},
		"registrar":      {decision.NotEnrolled, w.request(w.chain, exchange.TypePKCS10, body)},
	} {
		_, err := w.registrar.SimpleEnroll(t.Context(), c.r)
		t.Run(name, func(t *testing.T) { wantKind(t, err, c.kind) })
	}
	r := w.request(p.peer(), exchange.TypePKCS10, body)
	r.Accept = "text/html"
	_, err := w.registrar.SimpleEnroll(t.Context(), r)
	wantKind(t, err, decision.NotAcceptable)
	r.Accept, r.Label = "", "unknown"
	_, err = w.registrar.SimpleEnroll(t.Context(), r)
	wantKind(t, err, decision.UnknownPath)
	_, err = w.registrar.CACerts(t.Context(), r)
	wantKind(t, err, decision.UnknownPath)
	_, err = w.registrar.CSRAttrs(t.Context(), r)
	wantKind(t, err, decision.UnknownPath)
}

func TestTolerableRequests(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.EnrolmentsPerDay = 100 })
	p := w.pledge("SN-0001")
	p.voucher()
	p384 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	usual := csr(t, newKey(t), est.CSRParams{Subject: p.subject()})
	for name, body := range map[string][]byte{
		"P-384": csr(t, p384, est.CSRParams{Subject: p.subject()}),
		"RSA":   rsaCSR(t, p),
		"lines": bytes.ReplaceAll(usual, usual[40:41], append([]byte("\r\n "), usual[40])),
		"DER":   must[[]byte](t)(est.DecodeBody(nil, usual)),
		"extensions of openssl's v3_req": with(est.Extension{ID: est.OIDBasicConstraints, Value: []byte{0x30, 0}},
			est.Extension{ID: est.OIDKeyUsage, Value: []byte{3, 2, 5, 0xe0}})(w, p, newKey(t)),
	} {
		if _, err := w.enroll(p.peer(), body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := w.request(p.peer(), exchange.TypePKCS10, csr(t, newKey(t), est.CSRParams{Subject: p.subject(), ChallengePassword: []byte(base64.StdEncoding.EncodeToString([]byte("unique")))}))
	r.Binding.Unique = []byte("unique")
	if _, err := w.registrar.SimpleEnroll(t.Context(), r); err != nil {
		t.Errorf("tls-unique: %v", err)
	}
	r.Binding = exchange.Binding{Exporter: []byte("unique")}
	if _, err := w.registrar.SimpleEnroll(t.Context(), r); err != nil {
		t.Errorf("tls-exporter: %v", err)
	}
}

func rsaCSR(t testing.TB, p *pledge) []byte {
	key := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	info := must[[]byte](t)(est.AppendCSRInfo(nil, est.CSRParams{Subject: p.subject(), PublicKey: must[[]byte](t)(x509.MarshalPKIXPublicKey(key.Public()))}))
	sum := sha256.Sum256(info)
	alg := []byte{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00}
	return est.AppendBody(nil, must[[]byte](t)(est.AppendCSR(nil, info, alg, must[[]byte](t)(key.Sign(rand.Reader, sum[:], crypto.SHA256)))))
}

func TestLostAnswerIsRepeated(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.voucher()
	body := csr(t, newKey(t), est.CSRParams{Subject: p.subject()})
	first, err := w.enroll(p.peer(), body)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	w.restart()
	again, err := w.enroll(p.peer(), body)
	if err != nil || !again.Equal(first) {
		t.Errorf("another certificate: %v", err)
	}
	// A day later it is a new wish.
	w.pass(24 * time.Hour)
	later, err := w.enroll(p.peer(), body)
	if err != nil || later.Equal(first) {
		t.Errorf("the same certificate after a day: %v", err)
	}
	// A revoked one is not given again.
	if err := w.registrar.Revoke(t.Context(), later.SerialNumber, ca.Superseded); err != nil {
		t.Fatal(err)
	}
	if next, err := w.enroll(p.peer(), body); err != nil || next.Equal(later) {
		t.Errorf("a revoked certificate: %v", err)
	}
}

func TestQuota(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.EnrolmentsPerDay = 2 })
	p := w.pledge("SN-0001")
	p.voucher()
	for range 2 {
		if _, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err != nil {
			t.Fatal(err)
		}
	}
	body := csr(t, newKey(t), est.CSRParams{Subject: p.subject()})
	_, err := w.enroll(p.peer(), body)
	if r := wantKind(t, err, decision.RateLimited); r.RetryAfter != 14*time.Hour+30*time.Minute {
		t.Errorf("RetryAfter %s, want the rest of the day", r.RetryAfter)
	}
	w.pass(15 * time.Hour)
	if _, err := w.enroll(p.peer(), body); err != nil {
		t.Errorf("the next day: %v", err)
	}
}

// joined is a device with a certificate.
func (w *site) joined(serial string) (*pledge, *x509.Certificate, *ecdsa.PrivateKey) {
	w.t.Helper()
	p, key := w.pledge(serial), newKey(w.t)
	p.voucher()
	cert, err := w.enroll(p.peer(), csr(w.t, key, est.CSRParams{Subject: p.subject()}))
	if err != nil {
		w.t.Fatal(err)
	}
	return p, cert, key
}

func TestRenewal(t *testing.T) {
	w := newSite(t)
	p, cert, key := w.joined("SN-0001")
	_, other, otherKey := w.joined("SN-0002")
	ldevid := []*x509.Certificate{cert}
	printable := name(t, est.NameAttribute{ID: est.OIDCommonName, Tag: est.TagPrintableString, Value: []byte("pump 7")},
		est.NameAttribute{ID: est.OIDSerialNumber, Tag: est.TagUTF8String, Value: []byte("SN-0001")})
	if _, err := w.reenroll(ldevid, csr(t, key, est.CSRParams{Subject: p.subject()})); err != nil {
		t.Errorf("the same key: %v", err)
	}
	renewed, err := w.reenroll(ldevid, csr(t, newKey(t), est.CSRParams{Subject: printable}))
	if err != nil || !bytes.Equal(renewed.RawSubject, printable) {
		t.Errorf("other string types: %v", err)
	}
	san := est.Extension{ID: est.OIDSubjectAltName, Value: []byte{0x30, 3, 0x82, 1, 'x'}}
	for name, c := range map[string]struct {
		kind decision.Kind
		peer []*x509.Certificate
		body []byte
	}{
		"with the IDevID":       {decision.NotEnrolled, p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})},
		"without a certificate": {decision.NoCertificate, nil, csr(t, newKey(t), est.CSRParams{Subject: p.subject()})},
		"another subject":       {decision.SubjectChanged, ldevid, csr(t, newKey(t), est.CSRParams{Subject: name(t, text(est.OIDSerialNumber, "SN-0001"))})},
		"another device":        {decision.SubjectChanged, []*x509.Certificate{other}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()})},
		"a SAN":                 {decision.SubjectChanged, ldevid, csr(t, newKey(t), est.CSRParams{Subject: p.subject(), Extensions: []est.Extension{san}})},
		"cmcRA":                 {decision.CSRPolicy, ldevid, csr(t, newKey(t), est.CSRParams{Subject: p.subject(), Extensions: []est.Extension{{ID: est.OIDExtendedKeyUsage, Value: extended(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28})}}})},
		"another device's key":  {decision.KeyReused, ldevid, csr(t, otherKey, est.CSRParams{Subject: p.subject()})},
		"the IDevID's key":      {decision.KeyReused, ldevid, csr(t, p.key, est.CSRParams{Subject: p.subject()})},
		"the registrar's own":   {decision.NotEnrolled, w.chain, csr(t, newKey(t), est.CSRParams{Subject: p.subject()})},
		"signed by another key": {decision.CSRSignature, ldevid, csr(t, newKey(t), est.CSRParams{Subject: p.subject(), PublicKey: cert.RawSubjectPublicKeyInfo})},
	} {
		_, err := w.reenroll(c.peer, c.body)
		t.Run(name, func(t *testing.T) { wantKind(t, err, c.kind) })
	}
	if err := w.registrar.Revoke(t.Context(), cert.SerialNumber, ca.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	_, err = w.reenroll(ldevid, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.CertificateGone)
	_, err = w.enroll(p.peer(), csr(t, key, est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.KeyReused)
	w.pass(366 * 24 * time.Hour)
	_, err = w.reenroll([]*x509.Certificate{renewed}, csr(t, newKey(t), est.CSRParams{Subject: printable}))
	wantKind(t, err, decision.CertificateGone)
}

func TestDomainsHaveProfiles(t *testing.T) {
	san := []byte{0x30, 0x0d, 0x82, 0x0b, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm'}
	w := newSite(t, func(c *registrar.Config) {
		c.Domains = []registrar.Domain{{Label: "pumps", Organization: "Example", Key: est.P256, SubjectAltName: san, Lifetime: time.Hour, CRLURLs: []string{"http://crl.example.com/ca.crl"}}}
	})
	p, cert, _ := w.joined("SN-0001")
	subject := name(t, text(est.OIDOrganization, "Example"), text(est.OIDSerialNumber, "SN-0001"))
	asked := est.CSRParams{Subject: subject, Extensions: []est.Extension{{ID: est.OIDSubjectAltName, Value: san}}}
	at := func(peer []*x509.Certificate, body []byte) *exchange.Request {
		r := w.request(peer, exchange.TypePKCS10, body)
		r.Label = "pumps"
		return r
	}
	for _, peer := range [][]*x509.Certificate{p.peer(), {cert}} { // the IDevID, and an LDevID of another label
		got, err := w.issued(w.registrar.SimpleEnroll(t.Context(), at(peer, csr(t, newKey(t), asked))))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.DNSNames) != 1 || got.DNSNames[0] != "example.com" || len(got.CRLDistributionPoints) != 1 || got.NotAfter.Sub(w.clock()) > time.Hour {
			t.Errorf("%v %v %v", got.DNSNames, got.CRLDistributionPoints, got.NotAfter)
		}
		renewed, err := w.issued(w.registrar.SimpleReenroll(t.Context(), at([]*x509.Certificate{got}, csr(t, newKey(t), asked))))
		if err != nil || len(renewed.DNSNames) != 1 {
			t.Errorf("renewal: %v", err)
		}
		_, err = w.reenroll([]*x509.Certificate{got}, csr(t, newKey(t), asked))
		wantKind(t, err, decision.CSRPolicy)
	}
	for _, bad := range []est.CSRParams{{Subject: subject}, {Subject: p.subject(), Extensions: asked.Extensions}} {
		_, err := w.registrar.SimpleEnroll(t.Context(), at(p.peer(), csr(t, newKey(t), bad)))
		wantKind(t, err, decision.CSRPolicy)
	}
	for _, label := range []string{"simpleenroll", "a/b", "..", strings.Repeat("a", 65)} {
		cfg := w.cfg
		cfg.Domains = []registrar.Domain{{Label: label}}
		if _, err := registrar.New(cfg); err == nil {
			t.Errorf("label %q is taken", label)
		}
	}
}

func TestRevocationList(t *testing.T) {
	w := newSite(t)
	_, cert, _ := w.joined("SN-0001")
	fetch := func() *x509.RevocationList {
		t.Helper()
		answer, err := w.registrar.CRL(t.Context(), w.request(nil, "", nil))
		if err != nil {
			t.Fatal(err)
		}
		list := must[*x509.RevocationList](t)(x509.ParseRevocationList(answer.Body))
		if err := list.CheckSignatureFrom(w.domain.Certificate()); err != nil {
			t.Error(err)
		}
		return list
	}
	first := fetch()
	if len(first.RevokedCertificateEntries) != 0 || !first.NextUpdate.Equal(first.ThisUpdate.Add(7*24*time.Hour)) {
		t.Errorf("%+v", first)
	}
	w.pass(time.Minute)
	if same := fetch(); same.Number.Cmp(first.Number) != 0 {
		t.Error("made again for nothing")
	}
	if err := w.registrar.Revoke(t.Context(), cert.SerialNumber, ca.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	if err := w.registrar.Revoke(t.Context(), cert.SerialNumber, ca.Superseded); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := w.registrar.Revoke(t.Context(), big.NewInt(7), ca.Unspecified); err == nil {
		t.Error("a certificate that was not issued here is revoked")
	}
	w.restart()
	second := fetch()
	if second.Number.Cmp(first.Number) <= 0 || len(second.RevokedCertificateEntries) != 1 || second.RevokedCertificateEntries[0].SerialNumber.Cmp(cert.SerialNumber) != 0 || second.RevokedCertificateEntries[0].ReasonCode != int(ca.KeyCompromise) {
		t.Errorf("%+v", second)
	}
	w.checkWithOpenSSL(second.Raw)
	w.pass(4 * 24 * time.Hour)
	third := fetch()
	if third.Number.Cmp(second.Number) <= 0 {
		t.Error("half of its time has passed and it is not made again")
	}
	w.pass(2 * 366 * 24 * time.Hour)
	if last := fetch(); len(last.RevokedCertificateEntries) != 0 {
		t.Error("a certificate that expired long ago is still listed")
	}
}

func (w *site) checkWithOpenSSL(crl []byte) {
	w.t.Helper()
	o := openssl.New(w.t)
	o.Write("list.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}))
	o.Write("ca.pem", ca.ChainPEM(w.domain.Certificate()))
	if out := o.Run("crl", "-in", "list.pem", "-CAfile", "ca.pem", "-noout"); !strings.Contains(out, "verify OK") {
		w.t.Errorf("openssl says %s", out)
	}
}
