package registrar_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// A badRequest is a way for a voucher-request to be wrong.
type badRequest struct {
	name string
	kind decision.Kind
	// check is the name of the check in the trail that fails.
	check   string
	config  func(*registrar.Config)
	request func(w *site, p *pledge) *exchange.Request
}

// payload makes a request of a signed text.
func payload(format string, args ...any) func(*site, *pledge) *exchange.Request {
	return func(w *site, p *pledge) *exchange.Request {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), "PROXIMITY", base64.StdEncoding.EncodeToString(w.chain[0].Raw))
		return p.request(seal(w.t, p.signer, p.peer(), p.format, []byte(text)))
	}
}

func changed(change func(*codec.VoucherRequest)) func(*site, *pledge) *exchange.Request {
	return func(w *site, p *pledge) *exchange.Request { return p.request(p.pvr(change)) }
}

// badRequests are the rows of the registrar's table of bad inputs that are about
// requestvoucher and can be told without the MASA.
var badRequests = []badRequest{
	{"no client certificate", decision.NoCertificate, "client-certificate", nil, func(w *site, p *pledge) *exchange.Request {
		return w.request(nil, p.format.MediaType(), p.pvr())
	}},
	{"unknown manufacturer", decision.UnknownManufacturer, "client-certificate", nil, func(w *site, p *pledge) *exchange.Request {
		w.maker = newRoot(w.t, "Another CA")
		other := w.pledge(p.serial)
		return other.request(other.pvr())
	}},
	{"another CA of the manufacturer's name", decision.UnknownManufacturer, "client-certificate", nil, func(w *site, p *pledge) *exchange.Request {
		w.maker = newRoot(w.t, "Maker IDevID CA")
		other := w.pledge(p.serial)
		return other.request(other.pvr())
	}},
	{"expired IDevID", decision.BadCertificate, "client-certificate", nil, func(w *site, p *pledge) *exchange.Request {
		old := w.pledge(p.serial, func(i *ca.IDevIDParams) { i.NotAfter = epoch.AddDate(0, -1, 0) })
		return old.request(old.pvr())
	}},
	{"serial number that no database key can hold", decision.NoSerialNumber, "client-certificate", nil, func(w *site, p *pledge) *exchange.Request {
		return w.request([]*x509.Certificate{longSerial(w)}, p.format.MediaType(), p.pvr())
	}},
	{"registrar's own certificate", decision.OwnCertificate, "client-certificate", nil, func(w *site, p *pledge) *exchange.Request {
		return w.request(w.chain, p.format.MediaType(), p.pvr())
	}},
	{"no Content-Type", decision.ContentType, "content-type", nil, func(w *site, p *pledge) *exchange.Request { return w.request(p.peer(), "", p.pvr()) }},
	{"Content-Type of demo stacks", decision.ContentType, "content-type", nil, func(w *site, p *pledge) *exchange.Request {
		return w.request(p.peer(), "application/json", p.pvr())
	}},
	{"COSE over HTTP", decision.ContentType, "content-type", nil, func(w *site, p *pledge) *exchange.Request {
		return w.request(p.peer(), codec.FormatCOSE.MediaType(), p.pvr())
	}},
	{"Accept of something else", decision.NotAcceptable, "accept", nil, func(w *site, p *pledge) *exchange.Request {
		r := p.request(p.pvr())
		r.Accept = "application/pkcs7-mime"
		return r
	}},
	{"Accept that excludes", decision.NotAcceptable, "accept", nil, func(w *site, p *pledge) *exchange.Request {
		r := p.request(p.pvr())
		r.Accept = "application/voucher-cms+json;q=0, application/voucher-jws+json;q=0"
		return r
	}},
	{"empty body", decision.Empty, "envelope", nil, func(w *site, p *pledge) *exchange.Request { return p.request(nil) }},
	{"too large", decision.TooLarge, "size", nil, func(w *site, p *pledge) *exchange.Request {
		return p.request(make([]byte, exchange.MaxPledgeRequest+1))
	}},
	{"base64", decision.Wrapped, "envelope", nil, func(w *site, p *pledge) *exchange.Request {
		return p.request([]byte(base64.StdEncoding.EncodeToString(p.pvr())))
	}},
	{"PEM", decision.Wrapped, "envelope", nil, func(w *site, p *pledge) *exchange.Request {
		return p.request(pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: p.pvr()}))
	}},
	{"garbage", decision.Malformed, "envelope", nil, func(w *site, p *pledge) *exchange.Request { return p.request([]byte{0x30, 0x03, 1, 2, 3}) }},
	{"trailing octets", decision.Malformed, "envelope", nil, func(w *site, p *pledge) *exchange.Request { return p.request(append(p.pvr(), 0)) }},
	{"JWS of one signature flattened", decision.Malformed, "envelope", nil, func(w *site, p *pledge) *exchange.Request {
		return w.request(p.peer(), codec.FormatJWS.MediaType(), []byte(`{"payload":"e30","protected":"e30","signature":"AA"}`))
	}},
	{"signature altered", decision.BadSignature, "signature", nil, func(w *site, p *pledge) *exchange.Request {
		body := p.pvr()
		body[len(body)-1] ^= 1
		return p.request(body)
	}},
	{"content altered", decision.BadSignature, "signature", nil, func(w *site, p *pledge) *exchange.Request {
		return p.request(bytes.Replace(p.pvr(), []byte(p.serial), []byte("SN-9999"), 1))
	}},
	{"signed by another device", decision.SignerNotPeer, "signer", nil, func(w *site, p *pledge) *exchange.Request {
		other := w.pledge(p.serial)
		return p.request(other.pvr())
	}},
	{"signed by another device, and nonsense", decision.SignerNotPeer, "signer", nil, func(w *site, p *pledge) *exchange.Request {
		other := w.pledge(p.serial)
		return p.request(seal(w.t, other.signer, other.peer(), other.format, []byte("nonsense")))
	}},
	{"self-signed with the right serial number", decision.SignerNotPeer, "signer", nil, func(w *site, p *pledge) *exchange.Request {
		w.maker = newRoot(w.t, "Maker IDevID CA")
		forged := w.pledge(p.serial)
		return p.request(forged.pvr())
	}},
	{"no JSON", decision.BadPayload, "content", nil, payload("nonsense")},
	{"a voucher in place of a request", decision.BadPayload, "content", nil, payload(`{"ietf-voucher:voucher":{"serial-number":"SN-0001"}}`)},
	{"requests under another top member", decision.BadPayload, "content", nil, payload(`{"ietf-voucher-request:voucher-request":{"serial-number":"SN-0001"}}`)},
	{"member twice", decision.BadPayload, "content", nil, payload(`{"ietf-voucher-request:voucher":{"serial-number":"SN-0001","serial-number":"SN-0001"}}`)},
	{"no serial-number", decision.BadPayload, "content", nil, payload(`{"ietf-voucher-request:voucher":{"assertion":"proximity","nonce":"MTIzNDU2Nzg=","proximity-registrar-cert":"PROXIMITY"}}`)},
	{"serial-number no string", decision.BadPayload, "content", nil, payload(`{"ietf-voucher-request:voucher":{"serial-number":7}}`)},
	{"no nonce", decision.BadNonce, "nonce", nil, changed(func(q *codec.VoucherRequest) { q.Nonce = nil })},
	{"nonce of 7 octets", decision.BadNonce, "content", nil, payload(`{"ietf-voucher-request:voucher":{"serial-number":"SN-0001","assertion":"proximity","nonce":"MTIzNDU2Nw==","proximity-registrar-cert":"PROXIMITY"}}`)},
	{"nonce of 33 octets", decision.BadNonce, "content", nil, payload(`{"ietf-voucher-request:voucher":{"serial-number":"SN-0001","assertion":"proximity","nonce":%q,"proximity-registrar-cert":"PROXIMITY"}}`, base64.StdEncoding.EncodeToString(make([]byte, 33)))},
	{"another serial number", decision.SerialMismatch, "serial-number", nil, changed(func(q *codec.VoucherRequest) { q.SerialNumber = []byte("SN-0002") })},
	{"assertion logged", decision.WrongProximity, "proximity", nil, changed(func(q *codec.VoucherRequest) { q.Assertion = codec.AssertionLogged })},
	{"no proximity-registrar-cert", decision.WrongProximity, "proximity", nil, changed(func(q *codec.VoucherRequest) { q.ProximityRegistrarCert = nil })},
	{"another registrar", decision.WrongProximity, "proximity", nil, changed(func(q *codec.VoucherRequest) { q.ProximityRegistrarCert = q.SerialNumber })},
	{"the domain CA in place of the TLS certificate", decision.WrongProximity, "proximity", nil, func(w *site, p *pledge) *exchange.Request {
		return p.request(p.pvr(func(q *codec.VoucherRequest) { q.ProximityRegistrarCert = w.chain[1].Raw }))
	}},
	{"another key by its digest, beside the right certificate", decision.WrongProximity, "proximity", nil, changed(func(q *codec.VoucherRequest) { q.ProximityRegistrarPubkSHA256 = make([]byte, 32) })},
	{"no assertion, strictly", decision.WrongProximity, "proximity", func(c *registrar.Config) { c.StrictProximity = true }, changed(func(q *codec.VoucherRequest) { q.Assertion = codec.AssertionUnset })},
	{"not on the list", decision.DeviceNotListed, "admission", func(c *registrar.Config) { c.Admit = registrar.AdmitListed }, changed(func(*codec.VoucherRequest) {})},
	{"waiting for an operator", decision.Pending, "admission", func(c *registrar.Config) { c.Admit = registrar.AdmitAsk }, changed(func(*codec.VoucherRequest) {})},
	{"no MASA URL", decision.NoMASA, "masa-url", nil, func(w *site, p *pledge) *exchange.Request {
		silent := w.pledge(p.serial, func(i *ca.IDevIDParams) { i.MASAURL = "" })
		return silent.request(silent.pvr())
	}},
}

// longSerial is an IDevID of the manufacturer whose serial number is longer than
// X.520 allows and crypto/x509 minds.
func longSerial(w *site) *x509.Certificate {
	root, key := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Long Maker"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1, 2, 3, 4}}, newKey(w.t)
	root = must[*x509.Certificate](w.t)(x509.ParseCertificate(must[[]byte](w.t)(x509.CreateCertificate(rand.Reader, root, root, key.Public(), key))))
	w.addMaker(registrar.Manufacturer{Name: "long", Anchors: []*x509.Certificate{root}})
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{SerialNumber: strings.Repeat("9", 600)}, NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(9, 0, 0)}
	return must[*x509.Certificate](w.t)(x509.ParseCertificate(must[[]byte](w.t)(x509.CreateCertificate(rand.Reader, leaf, root, newKey(w.t).Public(), key))))
}

// What was verified once holds no longer than what it was verified by.
func TestIdentitiesAreNotRememberedTooLong(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001", func(i *ca.IDevIDParams) { i.NotAfter = epoch.Add(time.Hour) })
	p.voucher()
	p.voucher()
	w.pass(2 * time.Hour)
	_, err := p.ask(p.pvr())
	wantKind(t, err, decision.BadCertificate)
	w.pass(-2 * time.Hour)
	p.voucher()
	m := w.manufacturer("maker")
	m.Anchors = []*x509.Certificate{newRoot(t, "Another CA").Certificate()}
	w.addMaker(m)
	_, err = p.ask(p.pvr())
	wantKind(t, err, decision.UnknownManufacturer)
}

func TestBadVoucherRequests(t *testing.T) {
	for _, c := range badRequests {
		t.Run(c.name, func(t *testing.T) {
			w := newSite(t, func(cfg *registrar.Config) {
				if c.config != nil {
					c.config(cfg)
				}
			})
			p := w.pledge("SN-0001")
			r := c.request(w, p)
			_, err := w.registrar.RequestVoucher(t.Context(), r)
			refusal := wantKind(t, err, c.kind)
			if refusal.Close != (c.kind == decision.WrongProximity) {
				t.Errorf("closes the connection: %v", refusal.Close)
			}
			if n := len(w.masa.made("")); n != 0 {
				t.Errorf("the MASA was called %d times", n)
			}
			if alarm := c.kind == decision.NoMASA || c.kind == decision.WrongProximity; w.alarmed("refused") != alarm {
				t.Errorf("alarm %v, want %v", !alarm, alarm)
			}
			w.checkTrail(r, c.kind, c.check)
			if _, err := w.enroll(r.Peer, csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err == nil {
				t.Error("a certificate after a refusal")
			}
		})
	}
}

// checkTrail looks for a failed attempt, in the records of its device or of the
// unidentified: all checks passed but the last, which is of the given name.
func (w *site) checkTrail(r *exchange.Request, kind decision.Kind, check string) {
	w.t.Helper()
	x, err := w.registrar.Explain(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	attempts := x.Unidentified
	if of, err := w.registrar.Explain(w.t.Context(), "SN-0001"); err == nil {
		attempts = append(attempts, of.Attempts...)
	}
	for _, a := range attempts {
		if a.Request != r.ID {
			continue
		}
		if len(a.Checks) == 0 || a.Outcome != kind {
			w.t.Errorf("recorded as %+v", a)
			return
		}
		for i, c := range a.Checks {
			if last := i == len(a.Checks)-1; c.OK == last || last && (c.Name != check || c.Kind != kind || c.Detail == "") {
				w.t.Errorf("check %d of %d is %+v, want the last alone to fail, as %q", i+1, len(a.Checks), c, check)
			}
		}
		return
	}
	w.t.Errorf("the attempt is not recorded among %d", len(attempts))
}

func TestPublishedBadEnvelopes(t *testing.T) {
	for name, kind := range map[string]decision.Kind{
		"http/derived/voucher-no-signedattrs.cms.der": decision.Malformed,
		"http/derived/vr-tampered-serial.cms.der":     decision.BadSignature,
	} {
		w := newSite(t)
		p := w.pledge("SN-0001")
		_, err := p.ask(vectors.File(t, strings.Split(name, "/")...))
		wantKind(t, err, kind)
	}
}

func TestSeveralSigners(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.format = codec.FormatJWS
	one := string(p.pvr())
	entry := one[strings.Index(one, `"signatures":[`)+len(`"signatures":[`) : strings.LastIndex(one, "]")]
	_, err := p.ask([]byte(strings.Replace(one, entry, entry+","+entry, 1)))
	wantKind(t, err, decision.SeveralSigners)
}

func TestNonceInAnotherRequestIsStale(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	nonce := bytes.Repeat([]byte{7}, 16)
	with := func(q *codec.VoucherRequest) { q.Nonce = nonce }
	first := p.pvr(with)
	if _, err := p.ask(first); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	w.restart()
	second := p.pvr(with)
	_, err := p.ask(second)
	wantKind(t, err, decision.StaleRequest)
	if _, err := p.ask(first); err != nil {
		t.Errorf("the identical request is refused: %v", err)
	}
	if other := w.pledge("SN-0002"); other.voucher() == nil {
		t.Error("no voucher")
	}
}

func TestLDevIDGetsNoVoucher(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.voucher()
	key := newKey(t)
	cert, err := w.enroll(p.peer(), csr(t, key, est.CSRParams{Subject: p.subject()}))
	if err != nil {
		t.Fatal(err)
	}
	ldevid := &pledge{w: w, serial: p.serial, key: key, cert: cert, format: p.format, signer: signerOf(t, key)}
	r := ldevid.request(ldevid.pvr())
	_, err = w.registrar.RequestVoucher(t.Context(), r)
	wantKind(t, err, decision.OwnCertificate)
	w.checkTrail(r, decision.OwnCertificate, "client-certificate")
}

func TestProximityOfAFormerCertificate(t *testing.T) {
	w := newSite(t)
	former := w.chain[0]
	key := newKey(t)
	leaf := must[*x509.Certificate](t)(w.domain.Registrar(ca.EntityParams{CommonName: "registrar.example.com", PublicKey: key.Public(),
		NotBefore: epoch, NotAfter: epoch.AddDate(2, 0, 0), Names: ca.ServerNames{DNS: []string{"registrar.example.com"}}}))
	p := w.pledge("SN-0001")
	old := p.pvr(func(q *codec.VoucherRequest) { q.ProximityRegistrarCert = former.Raw })
	w.restart(func(c *registrar.Config) {
		c.Chain, c.Signer = []*x509.Certificate{leaf, w.domain.Certificate()}, signerOf(t, key)
	})
	_, err := p.ask(old)
	wantKind(t, err, decision.WrongProximity)
	w.restart(func(c *registrar.Config) { c.Former = []*x509.Certificate{former} })
	if _, err := p.ask(old); err != nil {
		t.Errorf("a former certificate is refused: %v", err)
	}
}

func TestLeniencyHasSwitches(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.AcceptBase64 = true })
	p := w.pledge("SN-0001")
	if _, err := p.ask([]byte(base64.StdEncoding.EncodeToString(p.pvr()))); err != nil {
		t.Errorf("base64: %v", err)
	}
	if _, err := p.ask(p.pvr(func(q *codec.VoucherRequest) { q.Assertion = codec.AssertionUnset })); err != nil {
		t.Errorf("no assertion: %v", err)
	}
	digest := w.pledge("SN-0002")
	if _, err := digest.ask(digest.pvr(func(q *codec.VoucherRequest) {
		q.ProximityRegistrarPubk, q.ProximityRegistrarCert = w.chain[0].RawSubjectPublicKeyInfo, nil
	})); err != nil {
		t.Errorf("proximity-registrar-pubk: %v", err)
	}
	w.addMaker(func() registrar.Manufacturer {
		m := w.manufacturer("maker")
		m.IgnoreLifetime = true
		return m
	}())
	old := w.pledge("SN-0003", func(i *ca.IDevIDParams) { i.NotAfter = epoch.AddDate(0, -1, 0) })
	if _, err := old.ask(old.pvr()); err != nil {
		t.Errorf("expired IDevID with lifetime ignored: %v", err)
	}
}

func TestClientsHaveABudget(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.Burst, c.Refill = 3, time.Minute })
	p := w.pledge("SN-0001")
	body := p.pvr()
	for range 3 {
		if _, err := p.ask(body); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.ask(body)
	if r := wantKind(t, err, decision.RateLimited); r.RetryAfter != time.Minute {
		t.Errorf("RetryAfter %s", r.RetryAfter)
	}
	if other := w.pledge("SN-0002"); other.voucher() == nil {
		t.Error("another client is held back too")
	}
	w.pass(time.Minute)
	if _, err := p.ask(body); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	w.db.SetFull(true)
	_, err := p.ask(p.pvr())
	if r := wantKind(t, err, decision.StorageFull); r.RetryAfter == 0 || len(w.masa.made("")) != 0 {
		t.Errorf("%+v", r)
	}
	w.db.SetFull(false)
	p.voucher()
}
