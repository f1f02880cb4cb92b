package registrar_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func TestDeviceJoins(t *testing.T) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		t.Run(format.String(), func(t *testing.T) {
			w := newSite(t)
			p := w.pledge("SN-0001")
			p.format = format
			pvr := p.pvr(func(q *codec.VoucherRequest) { q.NonceText = []byte("-_XE9zK9q8Ll1qylMtLKeg") })
			answer, err := p.ask(pvr)
			if err != nil {
				t.Fatal(err)
			}
			if answer.ContentType != format.MediaType() {
				t.Errorf("Content-Type %q", answer.ContentType)
			}
			w.checkRegistrarRequest(p, pvr)
			w.checkVoucher(answer.Body)
			if _, err := w.registrar.VoucherStatus(t.Context(), w.request(p.peer(), exchange.TypeJSON, []byte(`{"version":1,"status":true}`))); err != nil {
				t.Error(err)
			}
			key := newKey(t)
			cert, err := w.enroll(p.peer(), csr(t, key, est.CSRParams{Subject: p.subject()}))
			if err != nil {
				t.Fatal(err)
			}
			w.checkLDevID(cert, p.subject(), key.Public())
			ldevid := []*x509.Certificate{cert}
			if _, err := w.registrar.EnrollStatus(t.Context(), w.request(ldevid, exchange.TypeJSON, []byte(`{"version":1,"status":true}`))); err != nil {
				t.Error(err)
			}
			w.pass(time.Hour)
			next := newKey(t)
			renewed, err := w.reenroll(ldevid, csr(t, next, est.CSRParams{Subject: p.subject()}))
			if err != nil {
				t.Fatal(err)
			}
			w.checkLDevID(renewed, p.subject(), next.Public())
			info, err := w.registrar.ShowDevice(t.Context(), "SN-0001")
			if err != nil || len(info.Certificates) != 2 || info.Verdict != registrar.Good || len(info.Reports) != 2 {
				t.Errorf("%+v, %v", info, err)
			}
			if len(info.Reports) == 2 && info.Reports[1].Text != "sent with the new LDevID" {
				t.Errorf("report %+v", info.Reports[1])
			}
		})
	}
}

// What a registrar states on its own authority, and what it copies (RFC 8995
// §5.5).
func (w *site) checkRegistrarRequest(p *pledge, pvr []byte) {
	t := w.t
	t.Helper()
	calls := w.masa.made("")
	if len(calls) == 0 {
		t.Fatal("the MASA was not called")
	}
	c := calls[0]
	if c.Method != "POST" || c.URL != "https://masa.example.com:9443/.well-known/brski/requestvoucher" || c.ContentType != p.format.MediaType() || c.Accept != p.format.MediaType() || c.MaxBody != 64<<10 {
		t.Errorf("the call is %s %s, Content-Type %s, Accept %s", c.Method, c.URL, c.ContentType, c.Accept)
	}
	opener := artefact.Opener{Verifier: verifier()}
	q := must[*artefact.Request](t)(opener.Request(t.Context(), p.format, c.Body))
	l := &q.Leaves
	facts := must[*codec.IDevID](t)(codec.ParseIDevID(p.cert.Raw))
	switch {
	case !bytes.Equal(l.PriorSignedVoucherRequest, pvr):
		t.Error("the prior request is not what the pledge sent")
	case string(l.NonceText) != "-_XE9zK9q8Ll1qylMtLKeg":
		t.Errorf("the nonce is %q, not the pledge's text", l.NonceText)
	case string(l.SerialNumber) != p.serial || l.Assertion != codec.AssertionProximity || l.CreatedOn.IsZero():
		t.Errorf("%+v", l.Voucher)
	case !bytes.Equal(l.IDevIDIssuer, facts.Issuer()) || !artefact.IssuerMatches(l.IDevIDIssuer, facts, nil):
		t.Errorf("idevid-issuer is %x", l.IDevIDIssuer)
	case l.ProximityRegistrarCert != nil || l.ProximityRegistrarPubk != nil || l.PinnedDomainCert != nil:
		t.Error("leaves that a registrar does not state")
	case !q.Signer.Equal(w.chain[0]):
		t.Errorf("signed by %q, not by the TLS key", q.Signer.Subject)
	case len(q.Certificates) != len(w.chain) || !q.Certificates[len(q.Certificates)-1].Equal(w.domain.Certificate()) && !q.Certificates[0].Equal(w.domain.Certificate()):
		t.Error("the envelope does not hold the path to the domain CA and nothing else")
	}
}

// The voucher is the MASA's, octet for octet.
func (w *site) checkVoucher(body []byte) {
	w.t.Helper()
	w.masa.mu.Lock()
	defer w.masa.mu.Unlock()
	for _, issued := range w.masa.answers {
		if bytes.Equal(issued, body) {
			return
		}
	}
	w.t.Error("the voucher is not the MASA's")
}

func (w *site) checkLDevID(cert *x509.Certificate, subject []byte, public crypto.PublicKey) {
	t := w.t
	t.Helper()
	if err := cert.CheckSignatureFrom(w.domain.Certificate()); err != nil {
		t.Error(err)
	}
	want := must[[]byte](t)(x509.MarshalPKIXPublicKey(public))
	switch {
	case !bytes.Equal(cert.RawSubject, subject):
		t.Errorf("subject %x, want the octets of the request, %x", cert.RawSubject, subject)
	case !bytes.Equal(cert.RawSubjectPublicKeyInfo, want):
		t.Error("another key than that of the request")
	case cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(cert.UnknownExtKeyUsage) != 0:
		t.Errorf("CA %v, usage %v, extended %v %v", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
	case len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.URIs)+len(cert.EmailAddresses) != 0:
		t.Error("there is a subjectAltName")
	}
}

func TestCACertsAndAttributes(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) {
		c.Domains = []registrar.Domain{{Label: "pumps", Organization: "Example", Units: []string{"Pumps"}, Key: est.P256}}
	})
	for _, label := range []string{"", "pumps"} {
		r := w.request(nil, "", nil)
		r.Label = label
		answer, err := w.registrar.CACerts(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		message := must[[]byte](t)(base64.StdEncoding.DecodeString(string(answer.Body)))
		certs := must[[][]byte](t)(est.ParseCertsOnly(message, est.Limits{}))
		if len(certs) != 1 || !bytes.Equal(certs[0], w.domain.Certificate().Raw) {
			t.Errorf("label %q: %d certificates", label, len(certs))
		}
		answer, err = w.registrar.CSRAttrs(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		attrs := must[*est.CSRAttrs](t)(est.ParseCSRAttrs(must[[]byte](t)(est.DecodeBody(nil, answer.Body)), est.Limits{}))
		if attrs.Template == nil || attrs.ChallengePassword {
			t.Errorf("label %q: %+v", label, attrs)
			continue
		}
		last := attrs.Template.Subject[len(attrs.Template.Subject)-1]
		if last.ID != est.OIDSerialNumber || last.Tag != 0 {
			t.Errorf("label %q: the template's subject ends with %+v, want a serialNumber to fill in", label, last)
		}
		if label == "pumps" && (len(attrs.Template.Subject) != 3 || attrs.Template.Key != est.P256 || len(attrs.Keys) != 1) {
			t.Errorf("label %q: %+v", label, attrs)
		}
	}
}

// At a rollover of the domain's CA its certificates of before and after are
// answered with, each once as configured (RFC 7030 §4.1.3).
func TestCACertsAtARollover(t *testing.T) {
	var all []*x509.Certificate
	w := newSite(t, func(c *registrar.Config) {
		all = []*x509.Certificate{c.Authority.Certificate(), newRoot(t, "Site CA").Certificate(), newRoot(t, "Former Site CA").Certificate()}
		c.CACerts = all
	})
	answer, err := w.registrar.CACerts(t.Context(), w.request(nil, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	certs := must[[][]byte](t)(est.ParseCertsOnly(must[[]byte](t)(est.DecodeBody(nil, answer.Body)), est.Limits{}))
	if len(certs) != len(all) {
		t.Errorf("%d certificates, want %d", len(certs), len(all))
	}
	for _, c := range all {
		if !slices.ContainsFunc(certs, func(der []byte) bool { return bytes.Equal(der, c.Raw) }) {
			t.Errorf("%q is not among them", c.Subject)
		}
	}
}
