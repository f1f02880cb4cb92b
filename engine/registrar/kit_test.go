package registrar_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

var epoch = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func newRoot(t testing.TB, name string) *ca.Authority {
	t.Helper()
	return must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: name, Key: newKey(t), NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0), PathLen: -1}, ca.Options{}))
}

func signerOf(t testing.TB, key crypto.Signer) artefact.Signer {
	t.Helper()
	alg := must[*sign.Algorithm](t)(sign.ForKey(key.Public()))
	s := must[sign.Signer](t)(sign.NewSigner(alg, key, sign.Options{}))
	t.Cleanup(func() { s.Close() })
	return artefact.Signing(s)
}

var verifier = sync.OnceValue(func() artefact.Verifier {
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		panic(err)
	}
	return artefact.Verifying(v)
})

// A site is a registrar with a manufacturer, its MASA and a clock.
type site struct {
	t         testing.TB
	db        *state.Memory
	maker     *ca.Authority // issues IDevIDs
	vouchers  *ca.Authority // issued the MASA's voucher signer
	domain    *ca.Authority
	chain     []*x509.Certificate
	registrar *registrar.Service
	cfg       registrar.Config
	masa      *masa

	mu     sync.Mutex
	now    time.Time
	events []registrar.Event
}

// newSite makes a site whose settings change has had its way with.
func newSite(t testing.TB, change ...func(*registrar.Config)) *site {
	t.Helper()
	w := &site{t: t, db: state.NewMemory(), now: epoch, maker: newRoot(t, "Maker IDevID CA"), vouchers: newRoot(t, "Maker Voucher CA"), domain: newRoot(t, "Site CA")}
	w.masa = newMASA(w)
	key := newKey(t)
	leaf := must[*x509.Certificate](t)(w.domain.Registrar(ca.EntityParams{CommonName: "registrar.example.com", PublicKey: key.Public(),
		NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(2, 0, 0), Names: ca.ServerNames{DNS: []string{"registrar.example.com"}}}))
	w.chain = []*x509.Certificate{leaf, w.domain.Certificate()}
	w.cfg = registrar.Config{DB: w.db, Verifier: verifier(), Signer: signerOf(t, key), Chain: w.chain, Authority: w.domain, Network: w.masa,
		Clock: w.clock, Observe: w.observe, Admit: registrar.AdmitManufacturer}
	for _, f := range change {
		f(&w.cfg)
	}
	w.start()
	w.addMaker(w.manufacturer("maker"))
	return w
}

func (w *site) start() {
	w.t.Helper()
	s, err := registrar.New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.registrar = s
	w.t.Cleanup(s.Close)
}

// restart ends the process and begins another on what is durable.
func (w *site) restart(change ...func(*registrar.Config)) {
	w.t.Helper()
	w.registrar.Close()
	w.db = w.db.Reopen()
	w.cfg.DB = w.db
	for _, f := range change {
		f(&w.cfg)
	}
	w.start()
}

func (w *site) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *site) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *site) observe(e registrar.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// alarmed reports whether an alarm of the name was raised.
func (w *site) alarmed(name string) bool { return w.observed(registrar.Alarm, name) }

func (w *site) observed(level registrar.Level, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, func(e registrar.Event) bool { return e.Level == level && e.Name == name })
}

func (w *site) manufacturer(name string) registrar.Manufacturer {
	return registrar.Manufacturer{Name: name, Anchors: []*x509.Certificate{w.maker.Certificate()}, VoucherTrust: []*x509.Certificate{w.vouchers.Certificate()}}
}

func (w *site) addMaker(m registrar.Manufacturer) {
	w.t.Helper()
	if err := w.registrar.AddManufacturer(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

// A pledge is a device and what it would say.
type pledge struct {
	w      *site
	serial string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	format codec.Format
	signer artefact.Signer
}

func (w *site) pledge(serial string, change ...func(*ca.IDevIDParams)) *pledge {
	w.t.Helper()
	p := &pledge{w: w, serial: serial, key: newKey(w.t), format: codec.FormatCMS}
	params := ca.IDevIDParams{SerialNumber: serial, CommonName: "Device", PublicKey: p.key.Public(), NotBefore: epoch.AddDate(0, -2, 0), MASAURL: "masa.example.com:9443"}
	for _, f := range change {
		f(&params)
	}
	p.cert = must[*x509.Certificate](w.t)(w.maker.IDevID(params))
	p.signer = signerOf(w.t, p.key)
	return p
}

func (p *pledge) peer() []*x509.Certificate { return []*x509.Certificate{p.cert} }

// pvr is a pledge's voucher-request, changed before it is signed.
func (p *pledge) pvr(change ...func(*codec.VoucherRequest)) []byte {
	p.w.t.Helper()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	q := &codec.VoucherRequest{Voucher: codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: p.w.clock(), SerialNumber: []byte(p.serial), Nonce: nonce},
		ProximityRegistrarCert: p.w.chain[0].Raw}
	for _, f := range change {
		f(q)
	}
	payload := must[[]byte](p.w.t)(codec.AppendRequestJSON(nil, q))
	return seal(p.w.t, p.signer, p.peer(), p.format, payload)
}

// seal signs any payload.
func seal(t testing.TB, signer artefact.Signer, chain []*x509.Certificate, format codec.Format, payload []byte) []byte {
	t.Helper()
	var ders [][]byte
	for _, c := range chain {
		ders = append(ders, c.Raw)
	}
	alg := signer.Algorithm()
	e := must[*codec.EnvelopeEncoder](t)(codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: format, Algorithm: artefact.AlgorithmID(alg), Chain: ders}))
	input := e.AppendSigned1(nil, payload)
	var content []byte
	if format == codec.FormatCMS {
		content = alg.Hash.Append(nil, input)
		input = append(slices.Clone(e.AttributesPrefix()), content...)
	}
	signature := must[[]byte](t)(signer.Sign(context.Background(), alg.Hash.Append(nil, input)))
	return must[[]byte](t)(e.AppendEnvelope(nil, payload, content, signature))
}

var requests struct {
	sync.Mutex
	n int
}

// request is what a transport makes of a body sent by a client.
func (w *site) request(peer []*x509.Certificate, contentType string, body []byte) *exchange.Request {
	requests.Lock()
	defer requests.Unlock()
	requests.n++
	return &exchange.Request{ID: fmt.Sprintf("r%d", requests.n), Now: w.clock(), Remote: "192.0.2.7:4711", Peer: peer, ContentType: contentType, Body: body}
}

func (p *pledge) request(body []byte) *exchange.Request {
	return p.w.request(p.peer(), p.format.MediaType(), body)
}

// ask sends a voucher-request.
func (p *pledge) ask(body []byte) (*exchange.Answer, error) {
	return p.w.registrar.RequestVoucher(p.w.t.Context(), p.request(body))
}

// voucher gets the pledge its voucher.
func (p *pledge) voucher() []byte {
	p.w.t.Helper()
	answer, err := p.ask(p.pvr())
	if err != nil {
		p.w.t.Fatal(err)
	}
	return answer.Body
}

// enroll sends a certificate request of key over a connection with a client's
// certificate.
func (w *site) enroll(peer []*x509.Certificate, body []byte) (*x509.Certificate, error) {
	w.t.Helper()
	return w.issued(w.registrar.SimpleEnroll(w.t.Context(), w.request(peer, exchange.TypePKCS10, body)))
}

func (w *site) reenroll(peer []*x509.Certificate, body []byte) (*x509.Certificate, error) {
	w.t.Helper()
	return w.issued(w.registrar.SimpleReenroll(w.t.Context(), w.request(peer, exchange.TypePKCS10, body)))
}

// issued reads the certificate out of an answer of EST.
func (w *site) issued(answer *exchange.Answer, err error) (*x509.Certificate, error) {
	w.t.Helper()
	if err != nil {
		return nil, err
	}
	if answer.ContentType != exchange.TypeCertsOnly {
		w.t.Errorf("Content-Type %q", answer.ContentType)
	}
	message := must[[]byte](w.t)(est.DecodeBody(nil, answer.Body))
	certs := must[[][]byte](w.t)(est.ParseCertsOnly(message, est.Limits{}))
	if len(certs) != 1 {
		w.t.Fatalf("%d certificates in the answer, want the issued one alone", len(certs))
	}
	return must[*x509.Certificate](w.t)(x509.ParseCertificate(certs[0])), nil
}

func text(id, value string) est.NameAttribute {
	return est.NameAttribute{ID: id, Tag: est.TagUTF8String, Value: []byte(value)}
}

// name is a subject with one attribute in each RDN.
func name(t testing.TB, attributes ...est.NameAttribute) []byte {
	t.Helper()
	for i := range attributes {
		attributes[i].RDN = i
	}
	return must[[]byte](t)(est.AppendName(nil, attributes))
}

func (p *pledge) subject() []byte {
	return name(p.w.t, text(est.OIDCommonName, "pump 7"), est.NameAttribute{ID: est.OIDSerialNumber, Tag: est.TagPrintableString, Value: []byte(p.serial)})
}

var ecdsaSHA256 = []byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}

// csr is the body of a certificate request.
func csr(t testing.TB, key *ecdsa.PrivateKey, p est.CSRParams) []byte {
	t.Helper()
	if p.PublicKey == nil {
		p.PublicKey = must[[]byte](t)(x509.MarshalPKIXPublicKey(key.Public()))
	}
	info := must[[]byte](t)(est.AppendCSRInfo(nil, p))
	sum := sha256.Sum256(info)
	signature := must[[]byte](t)(key.Sign(rand.Reader, sum[:], crypto.SHA256))
	return est.AppendBody(nil, must[[]byte](t)(est.AppendCSR(nil, info, ecdsaSHA256, signature)))
}

// A masa is a manufacturer's service that does what its hooks say, else what a
// service should. It is a registrar.Network.
type masa struct {
	w      *site
	signer artefact.Signer
	chain  []*x509.Certificate

	mu       sync.Mutex
	calls    []*registrar.Call
	answers  map[[32]byte][]byte // by the digest of the request: a repetition gets the same
	log      map[string][]map[string]any
	voucher  func(*codec.Voucher)                                                // changes what is issued
	reply    func(c *registrar.Call) (*registrar.Reply, error)                   // replaces the answer where it returns one
	answer   func(c *registrar.Call, r *registrar.Reply)                         // changes the answer
	blocking func(ctx context.Context, c *registrar.Call)                        // delays the answer
	sealing  func(codec.Format, []byte) (artefact.Signer, []*x509.Certificate)   // another signer
	events   func(serial string, events []map[string]any) (out []map[string]any) // changes the log
}

func newMASA(w *site) *masa {
	key := newKey(w.t)
	cert := must[*x509.Certificate](w.t)(w.vouchers.VoucherSigner(ca.EntityParams{CommonName: "Maker MASA", PublicKey: key.Public(),
		NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(10, 0, 0)}))
	return &masa{w: w, signer: signerOf(w.t, key), chain: []*x509.Certificate{cert, w.vouchers.Certificate()}, answers: map[[32]byte][]byte{}, log: map[string][]map[string]any{}}
}

// made returns the calls so far.
func (m *masa) made(suffix string) []*registrar.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.calls), func(c *registrar.Call) bool { return !bytes.HasSuffix([]byte(c.URL), []byte(suffix)) })
}

// Do implements registrar.Network.
func (m *masa) Do(ctx context.Context, c *registrar.Call) (*registrar.Reply, error) {
	m.mu.Lock()
	copied := *c
	m.calls = append(m.calls, &copied)
	blocking := m.blocking
	m.mu.Unlock()
	if blocking != nil {
		blocking(ctx, c)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reply != nil {
		if r, err := m.reply(c); r != nil || err != nil {
			return r, err
		}
	}
	r, err := m.serve(c)
	if err == nil && m.answer != nil {
		m.answer(c, r)
	}
	return r, err
}

func (m *masa) serve(c *registrar.Call) (*registrar.Reply, error) {
	format := codec.FormatCMS
	if c.ContentType == codec.FormatJWS.MediaType() {
		format = codec.FormatJWS
	}
	opener := artefact.Opener{Verifier: verifier()}
	q, err := opener.Request(context.Background(), format, c.Body)
	if err != nil {
		return &registrar.Reply{Status: 400, ContentType: "text/plain; charset=utf-8", Body: []byte(err.Error())}, nil
	}
	path, err := artefact.Path(q.Signer, q.Certificates, m.w.clock())
	if err != nil {
		return &registrar.Reply{Status: 403, Body: []byte(err.Error())}, nil
	}
	serial := string(q.Leaves.SerialNumber)
	if bytes.HasSuffix([]byte(c.URL), []byte("/requestauditlog")) {
		events := m.log[serial]
		if m.events != nil {
			events = m.events(serial, events)
		}
		body, err := json.Marshal(map[string]any{"version": 1, "events": events, "truncation": map[string]any{"nonced duplicates": 0, "nonceless duplicates": 0, "arbitrary": 0}})
		return &registrar.Reply{Status: 200, ContentType: "application/json", Body: body}, err
	}
	if bytes, again := m.answers[q.Digest]; again {
		return &registrar.Reply{Status: 200, ContentType: format.MediaType(), Body: bytes}, nil
	}
	pinned := path[len(path)-1]
	v := &codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: m.w.clock(), SerialNumber: q.Leaves.SerialNumber, Nonce: q.Leaves.Nonce, NonceText: q.Leaves.NonceText,
		PinnedDomainCert: pinned.Raw, DomainCertRevocationChecks: codec.BoolFalse}
	if m.voucher != nil {
		m.voucher(v)
	}
	payload, err := codec.AppendVoucherJSON(nil, v)
	if err != nil {
		return nil, err
	}
	signer, chain := m.signer, m.chain
	if m.sealing != nil {
		signer, chain = m.sealing(format, payload)
	}
	body := seal(m.w.t, signer, chain, format, payload)
	m.answers[q.Digest] = body
	m.log[serial] = append(m.log[serial], map[string]any{"date": m.w.clock().Format(time.RFC3339), "domainID": base64.StdEncoding.EncodeToString(audit.DomainID(pinned)),
		"nonce": string(v.NonceText), "assertion": "proximity"})
	return &registrar.Reply{Status: 200, ContentType: format.MediaType(), Body: body}, nil
}

// events that the default service logged for a device.
func (m *masa) logged(serial string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.log[serial])
}

func (m *masa) set(f func(*masa)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func wantKind(t testing.TB, err error, kind decision.Kind) *decision.Refusal {
	t.Helper()
	var r *decision.Refusal
	if !errors.As(err, &r) || r.Kind != kind {
		t.Fatalf("error %v, want a refusal of kind %s", err, kind)
	}
	if r.Operator == "" || r.Public != kind.Public() {
		t.Errorf("%s: operator %q, public %q", kind, r.Operator, r.Public)
	}
	return r
}
