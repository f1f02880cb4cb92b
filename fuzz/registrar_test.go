package fuzz

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

var registrarEpoch = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

// A registrarSite is a registrar that admits one device, whose MASA answers with
// what the target says.
type registrarSite struct {
	service *registrar.Service
	chain   []*x509.Certificate // the registrar's
	device  []*x509.Certificate // the IDevID
	key     *ecdsa.PrivateKey   // its key
	signer  artefact.Signer     // the same
	voucher artefact.Signer     // the MASA's
	vouched []*x509.Certificate // the MASA's chain
	reply   func(*registrar.Call) *registrar.Reply
}

// Do is the network.
func (r *registrarSite) Do(_ context.Context, c *registrar.Call) (*registrar.Reply, error) {
	return r.reply(c), nil
}

func newRegistrarSite(t testing.TB, policy registrar.AuditPolicy) *registrarSite {
	t.Helper()
	r := &registrarSite{}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return k
	}
	signer := func(k *ecdsa.PrivateKey) artefact.Signer {
		s, err := sign.NewSigner(sign.ES256, k, sign.Options{})
		must(t, err)
		return artefact.Signing(s)
	}
	root := func(name string) *ca.Authority {
		a, err := ca.NewRoot(ca.RootParams{CommonName: name, Key: key(), NotBefore: registrarEpoch.AddDate(-1, 0, 0), NotAfter: registrarEpoch.AddDate(9, 0, 0), PathLen: -1}, ca.Options{})
		must(t, err)
		return a
	}
	maker, domain := root("Maker"), root("Site")
	entity := func(name string, k *ecdsa.PrivateKey) ca.EntityParams {
		return ca.EntityParams{CommonName: name, PublicKey: k.Public(), NotBefore: registrarEpoch.AddDate(0, -1, 0), NotAfter: registrarEpoch.AddDate(1, 0, 0)}
	}
	own, voucher := key(), key()
	params := entity("registrar", own)
	params.Names = ca.ServerNames{DNS: []string{"registrar.example.com"}}
	leaf, err := domain.Registrar(params)
	must(t, err)
	r.chain = []*x509.Certificate{leaf, domain.Certificate()}
	r.key = key()
	idevid, err := maker.IDevID(ca.IDevIDParams{SerialNumber: "SN-1", PublicKey: r.key.Public(), NotBefore: registrarEpoch.AddDate(0, -1, 0), MASAURL: "masa.example.com"})
	must(t, err)
	r.device, r.signer = []*x509.Certificate{idevid}, signer(r.key)
	cert, err := maker.VoucherSigner(entity("masa", voucher))
	must(t, err)
	r.vouched, r.voucher = []*x509.Certificate{cert, maker.Certificate()}, signer(voucher)
	r.service, err = registrar.New(registrar.Config{DB: state.NewMemory(), Verifier: artefact.Verifying(registrarVerifier(t)), Signer: signer(own), Chain: r.chain, Authority: domain,
		Network: r, Clock: func() time.Time { return registrarEpoch }, Admit: registrar.AdmitManufacturer, Audit: policy, Burst: 1 << 30, EnrolmentsPerDay: 1 << 30})
	must(t, err)
	t.Cleanup(r.service.Close)
	must(t, r.service.AddManufacturer(t.Context(), registrar.Manufacturer{Name: "maker", Anchors: []*x509.Certificate{maker.Certificate()}, VoucherTrust: []*x509.Certificate{maker.Certificate()}}))
	return r
}

func registrarVerifier(t testing.TB) sign.Verifier {
	t.Helper()
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	must(t, err)
	return v
}

func (r *registrarSite) request(contentType string, body []byte) *exchange.Request {
	return &exchange.Request{ID: "r", Now: registrarEpoch, Peer: r.device, ContentType: contentType, Body: body}
}

// pledgeRequest is a request of the device.
func (r *registrarSite) pledgeRequest(t testing.TB, format codec.Format, nonce byte) []byte {
	t.Helper()
	s, err := artefact.NewSealer(artefact.SealerParams{Format: format, Signer: r.signer, Chain: r.device})
	must(t, err)
	body, err := s.Request(t.Context(), &codec.VoucherRequest{Voucher: codec.Voucher{Assertion: codec.AssertionProximity, SerialNumber: []byte("SN-1"), Nonce: bytes.Repeat([]byte{nonce}, 16)},
		ProximityRegistrarCert: r.chain[0].Raw})
	must(t, err)
	return body
}

// goodVoucher is what a MASA answers to pledgeRequest.
func (r *registrarSite) goodVoucher(t testing.TB, format codec.Format, nonce byte) []byte {
	t.Helper()
	s, err := artefact.NewSealer(artefact.SealerParams{Format: format, Signer: r.voucher, Chain: r.vouched})
	must(t, err)
	body, err := s.Voucher(t.Context(), &codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: registrarEpoch, SerialNumber: []byte("SN-1"),
		Nonce: bytes.Repeat([]byte{nonce}, 16), PinnedDomainCert: r.chain[1].Raw}, false)
	must(t, err)
	return body
}

// decided holds that a role answers or refuses, and refuses for a reason that is
// not a fault of its own.
func decided(t *testing.T, answer *exchange.Answer, err error) bool {
	t.Helper()
	if err == nil {
		if answer == nil {
			t.Fatal("neither an answer nor a refusal")
		}
		return true
	}
	if !isA[*decision.Refusal](err) || answer != nil || decision.Is(err, decision.Internal) {
		t.Fatalf("answer %v, error of type %T: %v", answer, err, err)
	}
	return false
}

// Whatever a pledge sends, the MASA is asked for the device that the TLS client
// is, and with what was sent inside.
func FuzzRegistrarPledgeRequest(f *testing.F) {
	r := newRegistrarSite(f, registrar.AuditRequire)
	f.Add(r.pledgeRequest(f, codec.FormatCMS, 1), false)
	f.Add(r.pledgeRequest(f, codec.FormatJWS, 2), true)
	f.Add([]byte{}, false)
	var sent []byte
	r.reply = func(c *registrar.Call) *registrar.Reply {
		sent = c.Body
		return &registrar.Reply{Status: 404}
	}
	opener := artefact.Opener{Verifier: artefact.Verifying(registrarVerifier(f))}
	f.Fuzz(func(t *testing.T, body []byte, jws bool) {
		format := codec.FormatCMS
		if jws {
			format = codec.FormatJWS
		}
		sent = nil
		var answer *exchange.Answer
		var err error
		frugal(t, len(body), func() { answer, err = r.service.RequestVoucher(t.Context(), r.request(format.MediaType(), body)) })
		if decided(t, answer, err) {
			t.Fatal("a voucher, and there is none")
		}
		if sent == nil {
			return
		}
		q, err := opener.Request(t.Context(), format, sent)
		must(t, err)
		same(t, "the device", string(q.Leaves.SerialNumber), "SN-1")
		same(t, "the prior request", q.Leaves.PriorSignedVoucherRequest, body)
	})
}

// Whatever a MASA answers, nothing but its own voucher for this device, nonce
// and domain is passed on.
func FuzzRegistrarMASAReply(f *testing.F) {
	r := newRegistrarSite(f, registrar.AuditRequire)
	good := r.goodVoucher(f, codec.FormatCMS, 1)
	f.Add(200, codec.FormatCMS.MediaType(), good, []byte(`{"version":1,"events":[]}`))
	f.Add(200, codec.FormatCMS.MediaType(), r.goodVoucher(f, codec.FormatCMS, 2), []byte(`{}`))
	f.Add(202, "", []byte{}, []byte{})
	f.Add(503, "text/plain", []byte("\xff"), []byte{})
	request := r.pledgeRequest(f, codec.FormatCMS, 1)
	f.Fuzz(func(t *testing.T, status int, contentType string, body, log []byte) {
		if status >= 500 {
			status = 500 + status%2*3 // failures in a row would keep the next call back
		}
		r := r
		if status >= 500 {
			r = newRegistrarSite(t, registrar.AuditRequire)
		}
		r.reply = func(c *registrar.Call) *registrar.Reply {
			if bytes.HasSuffix([]byte(c.URL), []byte("/requestauditlog")) {
				return &registrar.Reply{Status: 200, ContentType: exchange.TypeJSON, Body: log}
			}
			return &registrar.Reply{Status: status, ContentType: contentType, Body: body}
		}
		answer, err := r.service.RequestVoucher(t.Context(), r.request(codec.FormatCMS.MediaType(), request))
		if decided(t, answer, err) && !bytes.Equal(answer.Body, good) {
			v, err := (&artefact.Opener{Verifier: artefact.Verifying(registrarVerifier(t))}).Voucher(t.Context(), codec.FormatCMS, answer.Body, artefact.Trust{Anchors: r.vouched[1:], At: registrarEpoch})
			must(t, err)
			same(t, "the device", string(v.Leaves.SerialNumber), "SN-1")
			same(t, "the pin", v.Leaves.PinnedDomainCert, r.chain[1].Raw)
		}
	})
}

func FuzzRegistrarStatus(f *testing.F) {
	r := newRegistrarSite(f, registrar.AuditRequire)
	r.reply = func(*registrar.Call) *registrar.Reply { return &registrar.Reply{Status: 404} }
	_, err := r.service.RequestVoucher(f.Context(), r.request(codec.FormatCMS.MediaType(), r.pledgeRequest(f, codec.FormatCMS, 1)))
	if !decision.Is(err, decision.MASAUnknownDevice) {
		f.Fatal(err)
	}
	for _, seed := range []string{`{"version":1,"status":true}`, `{"Version":"1","Status":false,"reason":"x","reason-context":{"a":[]}}`, `{"version":2,"status":true,"x":[[]]}`, `[`} {
		f.Add([]byte(seed))
	}
	vectorSeeds(f, "status.json")
	f.Fuzz(func(t *testing.T, body []byte) {
		var answer *exchange.Answer
		var err error
		frugal(t, len(body), func() { answer, err = r.service.VoucherStatus(t.Context(), r.request(exchange.TypeJSON, body)) })
		if decided(t, answer, err) {
			info, err := r.service.ShowDevice(t.Context(), "SN-1")
			must(t, err)
			if n := len(info.Reports); n == 0 || n > 8 || len(info.Reports[n-1].Text) > 1024 {
				t.Fatalf("%d reports, the last of %d octets", n, len(info.Reports[n-1].Text))
			}
			same(t, "certificates after a status", len(info.Certificates), 0)
		}
	})
}

// Whatever request for a certificate a device sends: what it gets is its own
// name and nothing that makes it more than a client.
func FuzzRegistrarEnroll(f *testing.F) {
	r := newRegistrarSite(f, registrar.AuditOff)
	r.reply = func(c *registrar.Call) *registrar.Reply {
		return &registrar.Reply{Status: 200, ContentType: codec.FormatCMS.MediaType(), Body: r.goodVoucher(f, codec.FormatCMS, 1)}
	}
	_, err := r.service.RequestVoucher(f.Context(), r.request(codec.FormatCMS.MediaType(), r.pledgeRequest(f, codec.FormatCMS, 1)))
	must(f, err)
	info := func(subject []byte, key *ecdsa.PrivateKey, e ...est.Extension) []byte {
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		must(f, err)
		text, err := est.AppendCSRInfo(nil, est.CSRParams{Subject: subject, PublicKey: spki, Extensions: e})
		must(f, err)
		return text
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f, err)
	subject, err := est.AppendName(nil, []est.NameAttribute{{ID: est.OIDSerialNumber, Tag: est.TagPrintableString, Value: []byte("SN-1")}})
	must(f, err)
	f.Add(info(subject, key), true)
	f.Add(info(subject, r.key), true)
	f.Add(info(subject, key, est.Extension{ID: est.OIDExtendedKeyUsage, Value: []byte{0x30, 0}}), true)
	f.Add([]byte("MIIB"), false)
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		if signed { // the target is the request inside: sign whatever it is
			sum := sha256.Sum256(body)
			signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
			must(t, err)
			request, err := est.AppendCSR(nil, body, []byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}, signature)
			if err != nil {
				return
			}
			body = est.AppendBody(nil, request)
		}
		answer, err := r.service.SimpleEnroll(t.Context(), r.request(exchange.TypePKCS10, body))
		if !decided(t, answer, err) {
			return
		}
		message, err := est.DecodeBody(nil, answer.Body)
		must(t, err)
		certs, err := est.ParseCertsOnly(message, est.Limits{})
		must(t, err)
		cert, err := x509.ParseCertificate(certs[0])
		must(t, err)
		name, err := est.ParseName(cert.RawSubject, est.Limits{})
		must(t, err)
		same(t, "the serialNumbers", est.SerialNumbers(name), []string{"SN-1"})
		if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth ||
			len(cert.UnknownExtKeyUsage) != 0 || cert.PublicKey.(*ecdsa.PublicKey).Equal(r.key.Public()) {
			t.Fatalf("%+v", cert)
		}
	})
}
