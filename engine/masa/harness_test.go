package masa_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

var epoch = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

var cmcRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// An entity is a key with its certificate.
type entity struct {
	cert   *x509.Certificate
	key    crypto.Signer
	signer artefact.Signer
}

type certOption func(*x509.Certificate)

func until(t time.Time) certOption { return func(c *x509.Certificate) { c.NotAfter = t } }
func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}
func asRegistrar(c *x509.Certificate) {
	c.UnknownExtKeyUsage, c.KeyUsage = []asn1.ObjectIdentifier{cmcRA}, x509.KeyUsageDigitalSignature
}
func asDevice(serial string) certOption {
	return func(c *x509.Certificate) { c.Subject.SerialNumber = serial }
}

var certSerial atomic.Int64

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// issue makes a certificate for key, by issuer or self-signed where that is nil.
func issue(t testing.TB, name string, key crypto.Signer, issuer *entity, options ...certOption) *entity {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(certSerial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(10, 0, 0)}
	for _, o := range options {
		o(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	s, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	must(t, err)
	return &entity{cert, key, artefact.Signing(s)}
}

func newEntity(t testing.TB, name string, issuer *entity, options ...certOption) *entity {
	t.Helper()
	return issue(t, name, newKey(t), issuer, options...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is a MASA with its manufacturer, some devices on record, and a domain.
type world struct {
	t        testing.TB
	db       *state.Memory
	cfg      masa.Config
	masa     *masa.Service
	attempts []*masa.Attempt

	maker, voucherCA  *entity
	devices           []*entity
	domain, registrar *entity
	now               time.Time
}

func newWorld(t testing.TB, change ...func(*masa.Config)) *world {
	t.Helper()
	w := &world{t: t, now: epoch, db: state.NewMemory()}
	w.maker = newEntity(t, "Maker CA", nil, asCA)
	w.voucherCA = newEntity(t, "Voucher CA", nil, asCA)
	signer := newEntity(t, "Voucher Signer", w.voucherCA)
	w.domain = newEntity(t, "Domain CA", nil, asCA)
	w.registrar = newEntity(t, "Registrar", w.domain, asRegistrar)
	for _, serial := range []string{"SN-1", "SN-2", "SN-3"} {
		w.devices = append(w.devices, newEntity(t, "Device", w.maker, asDevice(serial)))
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	must(t, err)
	w.cfg = masa.Config{DB: w.db, Log: newLog(t), Verifier: artefact.Verifying(verifier), Signer: signer.signer,
		Chain:         []*x509.Certificate{signer.cert, w.voucherCA.cert},
		Manufacturers: []device.Manufacturer{{Name: "maker", Anchors: []*x509.Certificate{w.maker.cert}}},
		Observe:       func(a *masa.Attempt) { w.attempts = append(w.attempts, a) }}
	for _, c := range change {
		c(&w.cfg)
	}
	w.start()
	w.importDevices(masa.ImportOptions{}, w.devices...)
	return w
}

func newLog(t testing.TB) *audit.Log {
	t.Helper()
	key, _, err := audit.GenerateKey(rand.Reader, "masa.example.com/log")
	must(t, err)
	signer, err := audit.NewSigner(key)
	must(t, err)
	log, err := audit.New(signer, rand.Reader)
	must(t, err)
	return log
}

// start starts the service, or starts it again.
func (w *world) start() {
	w.t.Helper()
	var err error
	w.masa, err = masa.New(w.cfg)
	must(w.t, err)
}

// restart kills the process and starts it on what was durable.
func (w *world) restart() {
	w.t.Helper()
	w.db = w.db.Reopen()
	w.cfg.DB = w.db
	w.start()
}

func (w *world) importDevices(opts masa.ImportOptions, devices ...*entity) *masa.Imported {
	w.t.Helper()
	var der strings.Builder
	for _, d := range devices {
		der.Write(d.cert.Raw)
	}
	return w.importList(opts, der.String())
}

func (w *world) importList(opts masa.ImportOptions, text string) *masa.Imported {
	w.t.Helper()
	opts.Now = w.now
	r, err := list.NewReader(strings.NewReader(text), list.Options{Name: "devices"})
	must(w.t, err)
	done, err := w.masa.ImportDevices(context.Background(), r, opts)
	must(w.t, err)
	return done
}

func (w *world) own(customer string, serials ...string) *masa.Imported {
	w.t.Helper()
	r, err := list.NewReader(strings.NewReader("serial-number\n"+strings.Join(serials, "\n")+"\n"), list.Options{Name: "owned"})
	must(w.t, err)
	done, err := w.masa.Own(context.Background(), customer, r, masa.ImportOptions{Now: w.now})
	must(w.t, err)
	return done
}

func (w *world) customer(c masa.Customer) {
	w.t.Helper()
	must(w.t, w.masa.AddCustomer(context.Background(), c, w.now))
}

// seal signs a payload, whatever it says, with the certificates given in the
// envelope, the signer's first.
func seal(t testing.TB, format codec.Format, payload []byte, by *entity, more ...*entity) []byte {
	t.Helper()
	alg := by.signer.Algorithm()
	chain := [][]byte{by.cert.Raw}
	for _, c := range more {
		chain = append(chain, c.cert.Raw)
	}
	encoder, err := codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: format, Algorithm: artefact.AlgorithmID(alg), Chain: chain})
	must(t, err)
	message := encoder.AppendSigned1(nil, payload)
	var content []byte
	if format == codec.FormatCMS {
		content = alg.Hash.Append(nil, message)
		message = append(append([]byte{}, encoder.AttributesPrefix()...), content...)
	}
	signature, err := by.signer.Sign(context.Background(), alg.Hash.Append(nil, message))
	must(t, err)
	out, err := encoder.AppendEnvelope(nil, payload, content, signature)
	must(t, err)
	return out
}

func sealRequest(t testing.TB, format codec.Format, q *codec.VoucherRequest, by *entity, more ...*entity) []byte {
	t.Helper()
	payload, err := codec.AppendRequestJSON(nil, q)
	must(t, err)
	return seal(t, format, payload, by, more...)
}

// A joining is a device that asks a registrar, which asks the MASA. What it
// holds may be changed before it is sent.
type joining struct {
	w              *world
	format         codec.Format
	device         *entity
	pledge         codec.VoucherRequest
	pledgeSigner   *entity
	pledgeChain    []*entity
	request        codec.VoucherRequest
	requestSigner  *entity
	requestChain   []*entity
	without, fixed bool // without: no prior request; fixed: prior is set already
	peer           []*x509.Certificate
	accept         string
}

func (w *world) join(i int) *joining {
	w.t.Helper()
	d := w.devices[i]
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	facts, err := codec.ParseIDevID(d.cert.Raw)
	must(w.t, err)
	serial := []byte(d.cert.Subject.SerialNumber)
	return &joining{w: w, format: codec.FormatCMS, device: d, pledgeSigner: d, requestSigner: w.registrar, requestChain: []*entity{w.domain},
		pledge: codec.VoucherRequest{Voucher: codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: w.now, SerialNumber: serial, Nonce: nonce},
			ProximityRegistrarCert: w.registrar.cert.Raw},
		request: codec.VoucherRequest{Voucher: codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: w.now, SerialNumber: serial, Nonce: nonce,
			IDevIDIssuer: artefact.IssuerLeaf(facts)}}}
}

// nonceless makes it a request out of the registrar's own records.
func (j *joining) nonceless() *joining {
	j.request.Nonce, j.request.Assertion, j.without = nil, codec.AssertionUnset, true
	return j
}

func (j *joining) body() []byte {
	t := j.w.t
	t.Helper()
	if !j.without && !j.fixed {
		j.request.PriorSignedVoucherRequest = sealRequest(t, j.format, &j.pledge, j.pledgeSigner, j.pledgeChain...)
	}
	return sealRequest(t, j.format, &j.request, j.requestSigner, j.requestChain...)
}

func (j *joining) exchange() *exchange.Request {
	return &exchange.Request{ID: "test", Now: j.w.now, Peer: j.peer, ContentType: j.format.MediaType(), Accept: j.accept, Body: j.body()}
}

// voucher sends the request and opens the voucher.
func (j *joining) voucher() *artefact.Voucher {
	j.w.t.Helper()
	return j.w.voucher(j.exchange())
}

func (w *world) voucher(r *exchange.Request) *artefact.Voucher {
	w.t.Helper()
	answer, err := w.masa.RequestVoucher(context.Background(), r)
	must(w.t, err)
	return w.read(answer)
}

// read opens a voucher as its device would.
func (w *world) read(answer *exchange.Answer) *artefact.Voucher {
	w.t.Helper()
	format, err := artefact.FormatOf(answer.ContentType, codec.FormatCMS, codec.FormatJWS)
	must(w.t, err)
	opener := artefact.Opener{Verifier: w.cfg.Verifier}
	v, err := opener.Voucher(context.Background(), format, answer.Body, artefact.Trust{Anchors: []*x509.Certificate{w.voucherCA.cert}, At: w.now})
	must(w.t, err)
	return v
}

// refused sends a request that must be refused, for a reason.
func (w *world) refused(r *exchange.Request, kind decision.Kind) *decision.Refusal {
	w.t.Helper()
	answer, err := w.masa.RequestVoucher(context.Background(), r)
	if answer != nil || !decision.Is(err, kind) {
		w.t.Fatalf("got %v, %v, want a refusal of kind %s", answer, err, kind)
	}
	return decision.Of(err)
}

// events counts the vouchers in a device's part of the audit log.
func (w *world) events(i int) int {
	w.t.Helper()
	n := 0
	must(w.t, w.db.View(context.Background(), func(r state.Reader) error {
		return audit.DeviceEntries(r, w.id(i), func(*audit.Entry) error { n++; return nil })
	}))
	return n
}

func (w *world) id(i int) device.ID {
	w.t.Helper()
	identity, err := device.Identify([]*x509.Certificate{w.devices[i].cert}, w.cfg.Manufacturers, w.now)
	must(w.t, err)
	return identity.ID
}
