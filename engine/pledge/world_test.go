package pledge_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

var epoch = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A clock that moves only when somebody sleeps.
type clock struct {
	now   time.Time
	slept []time.Duration
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

// AfterFunc never calls f: calls over the network take no time.
func (c *clock) AfterFunc(time.Duration, func()) (stop func() bool) {
	return func() bool { return true }
}

var errPowerCut = errors.New("power cut")

// memory is a Storage whose power can be cut: after so many changes nothing
// works any more.
type memory struct {
	files map[string][]byte
	left  int // changes until the cut; negative: never
}

func newMemory() *memory { return &memory{files: map[string][]byte{}, left: -1} }

func (m *memory) change() error {
	if m.left == 0 {
		return errPowerCut
	}
	m.left--
	return nil
}

func (m *memory) Get(name string) ([]byte, error) {
	if m.left == 0 {
		return nil, errPowerCut
	}
	content, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return bytes.Clone(content), nil
}

func (m *memory) Put(name string, content []byte) error {
	if err := m.change(); err != nil {
		return err
	}
	m.files[name] = bytes.Clone(content)
	return nil
}

func (m *memory) Delete(name string) error {
	if _, ok := m.files[name]; !ok && m.left != 0 {
		return nil
	}
	if err := m.change(); err != nil {
		return err
	}
	delete(m.files, name)
	return nil
}

func (m *memory) names() string {
	return strings.Join(slices.Sorted(maps.Keys(m.files)), " ")
}

// A party is a certificate authority, and an end entity under it.
type party struct {
	authority *ca.Authority
	chain     []*x509.Certificate
	key       crypto.Signer
}

func newAuthority(t testing.TB, name string, key crypto.Signer) *ca.Authority {
	t.Helper()
	return must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: name, Key: key, NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.AddDate(20, 0, 0), PathLen: -1}, ca.Options{}))
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	return must[crypto.Signer](t)(sign.GenerateKey(sign.ES256, nil))
}

func entity(name string, key crypto.Signer) ca.EntityParams {
	return ca.EntityParams{CommonName: name, PublicKey: key.Public(), NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.AddDate(1, 0, 0)}
}

// world is a maker, a domain and a device.
type world struct {
	t         testing.TB
	clock     *clock
	storage   *memory
	maker     party // of vouchers, and of the device
	idevid    pledge.Identity
	registrar *registrar
	cfg       pledge.Config
	random    *rand.ChaCha8
}

const serial = "JADA123456789"

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: epoch}, storage: newMemory(), random: rand.NewChaCha8([32]byte{1})}
	w.maker.authority, w.maker.key = newAuthority(t, "Maker CA", newKey(t)), newKey(t)
	signer := must[*x509.Certificate](t)(w.maker.authority.VoucherSigner(entity("Maker MASA", w.maker.key)))
	w.maker.chain = []*x509.Certificate{signer, w.maker.authority.Certificate()}
	key := newKey(t)
	device := must[*x509.Certificate](t)(w.maker.authority.IDevID(ca.IDevIDParams{SerialNumber: serial, PublicKey: key.Public(), NotBefore: epoch, MASAURL: "masa.example"}))
	w.idevid = pledge.Identity{Chain: []*x509.Certificate{device, w.maker.authority.Certificate()}, Key: key}
	w.registrar = newRegistrar(t, w, "registrar.example")
	w.cfg = pledge.Config{IDevID: w.idevid, VoucherAnchors: []*x509.Certificate{w.maker.authority.Certificate()},
		Network: network{"https://registrar.example": w.registrar}, Storage: w.storage, Clock: w.clock, ClockTrusted: true, Rand: w.random, Once: true}
	return w
}

func (w *world) pledge() *pledge.Pledge {
	w.t.Helper()
	return must[*pledge.Pledge](w.t)(pledge.New(w.cfg))
}

func (w *world) join() (*pledge.Joined, error) {
	w.t.Helper()
	return w.pledge().Join(context.Background(), "https://registrar.example")
}

// seal signs a voucher as the maker does.
func (w *world) seal(format codec.Format, v *codec.Voucher) []byte {
	w.t.Helper()
	return w.sealAs(w.maker, format, v)
}

func (w *world) sealAs(p party, format codec.Format, v *codec.Voucher) []byte {
	w.t.Helper()
	signer := must[sign.Signer](w.t)(sign.NewSigner(sign.ES256, p.key, sign.Options{}))
	sealer := must[*artefact.Sealer](w.t)(artefact.NewSealer(artefact.SealerParams{Format: format, Signer: artefact.Signing(signer), Chain: p.chain}))
	return must[[]byte](w.t)(sealer.Voucher(context.Background(), v, true))
}

// network is the registrars by origin.
type network map[string]*registrar

var errNoRoute = errors.New("no route to host")

func (n network) Exchange(ctx context.Context, c *pledge.Call) (*pledge.Reply, error) {
	r := n[c.Registrar]
	if r == nil || r.down {
		return nil, errNoRoute
	}
	return r.exchange(ctx, c)
}

// registrar is a registrar with a MASA behind it, good unless a test says
// otherwise by replacing an operation.
type registrar struct {
	w      *world
	domain *ca.Authority
	root   crypto.Signer // the key of domain
	chain  []*x509.Certificate
	key    crypto.Signer
	down   bool

	// What it answers, by the last segment of the path.
	answers map[string]func(c *pledge.Call, body []byte) *pledge.Reply
	calls   []string // what was asked, as "segment" or "segment:status" for telemetry
	bodies  map[string][][]byte
	clients map[string]*x509.Certificate
	names   []string // connections, as used
	last    map[string]*pledge.Call
	peers   []*x509.Certificate // other certificates to show in place of chain
	voucher func(v *codec.Voucher)
}

func newRegistrar(t testing.TB, w *world, host string) *registrar {
	t.Helper()
	root := newKey(t)
	r := &registrar{w: w, domain: newAuthority(t, "Domain CA of "+host, root), root: root, key: newKey(t),
		bodies: map[string][][]byte{}, clients: map[string]*x509.Certificate{}, last: map[string]*pledge.Call{}}
	params := entity(host, r.key)
	params.Names.DNS = []string{host}
	r.chain = []*x509.Certificate{must[*x509.Certificate](t)(r.domain.Registrar(params)), r.domain.Certificate()}
	r.answers = map[string]func(*pledge.Call, []byte) *pledge.Reply{
		"requestvoucher": r.requestVoucher, "voucher_status": ok, "enrollstatus": ok, "cacerts": r.cacerts,
		"csrattrs": func(*pledge.Call, []byte) *pledge.Reply { return &pledge.Reply{Status: 404} }, "simpleenroll": r.enrol, "simplereenroll": r.enrol,
	}
	return r
}

func ok(*pledge.Call, []byte) *pledge.Reply { return &pledge.Reply{Status: 200} }

func (r *registrar) exchange(ctx context.Context, c *pledge.Call) (*pledge.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	peers := r.chain
	if r.peers != nil {
		peers = r.peers
	}
	body, err := c.Prepare(peers)
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(c.Path, "?")
	segment := path[strings.LastIndex(path, "/")+1:]
	if segment == "voucher_status" || segment == "enrollstatus" {
		r.calls = append(r.calls, segment+":"+status(r.w.t, body))
	} else {
		r.calls = append(r.calls, segment)
	}
	r.bodies[segment] = append(r.bodies[segment], bytes.Clone(body))
	r.clients[segment] = c.Identity.Chain[0]
	r.names = append(r.names, c.Connection)
	r.last[segment] = c
	answer := r.answers[segment]
	if answer == nil {
		return &pledge.Reply{Status: 404}, nil
	}
	reply := answer(c, body)
	if reply == nil {
		return nil, errNoRoute
	}
	return reply, nil
}

// open reads a voucher-request as a registrar and a MASA do.
func open(t testing.TB, format codec.Format, body []byte) *artefact.Request {
	t.Helper()
	v := must[sign.Verifier](t)(sign.NewVerifier(sign.VerifierOptions{}))
	opener := artefact.Opener{Verifier: artefact.Verifying(v)}
	return must[*artefact.Request](t)(opener.Request(context.Background(), format, body))
}

func (r *registrar) requestVoucher(c *pledge.Call, body []byte) *pledge.Reply {
	format := must[codec.Format](r.w.t)(artefact.FormatOf(c.ContentType, codec.FormatCMS, codec.FormatJWS))
	request := open(r.w.t, format, body)
	v := &codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: r.w.clock.now, SerialNumber: request.Leaves.SerialNumber,
		Nonce: request.Leaves.Nonce, NonceText: request.Leaves.NonceText, PinnedDomainCert: r.domain.Certificate().Raw}
	if r.voucher != nil {
		r.voucher(v)
	}
	return &pledge.Reply{Status: 200, ContentType: format.MediaType(), Body: r.w.seal(format, v)}
}

func (r *registrar) cacerts(*pledge.Call, []byte) *pledge.Reply {
	return certsOnly(r.w.t, r.domain.Certificate())
}

func certsOnly(t testing.TB, certs ...*x509.Certificate) *pledge.Reply {
	t.Helper()
	var ders [][]byte
	for _, c := range certs {
		ders = append(ders, c.Raw)
	}
	der := must[[]byte](t)(est.AppendCertsOnly(nil, ders))
	return &pledge.Reply{Status: 200, ContentType: exchange.TypeCertsOnly, Body: est.AppendBody(nil, der)}
}

// certify reads a certification request, whose signature must hold.
func (r *registrar) certify(t testing.TB, body []byte) (*est.CSR, crypto.PublicKey) {
	t.Helper()
	csr := must[*est.CSR](t)(est.ParseCSR(must[[]byte](t)(est.DecodeBody(nil, body)), est.Limits{}))
	return csr, must[crypto.PublicKey](t)(ca.CheckPossession(csr))
}

func (r *registrar) enrol(_ *pledge.Call, body []byte) *pledge.Reply {
	csr, public := r.certify(r.w.t, body)
	cert := must[*x509.Certificate](r.w.t)(r.domain.LDevID(ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: public,
		NotBefore: r.w.clock.now.Add(-time.Minute), NotAfter: r.w.clock.now.AddDate(1, 0, 0)}))
	return certsOnly(r.w.t, cert)
}

// cloneFiles is for telling whether anything changed.
func cloneFiles(m *memory) map[string][]byte { return maps.Clone(m.files) }

func idevidParams(serial string, key crypto.Signer) ca.IDevIDParams {
	return ca.IDevIDParams{SerialNumber: serial, PublicKey: key.Public(), NotBefore: epoch}
}

func equalKeys(a, b crypto.PublicKey) bool {
	known, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && known.Equal(b)
}

// subject is a DER Name of a serial number alone.
func subject(t testing.TB, serial string) []byte {
	t.Helper()
	return must[[]byte](t)(est.AppendName(nil, []est.NameAttribute{{ID: est.OIDSerialNumber, Tag: est.TagPrintableString, Value: []byte(serial)}}))
}

func (w *world) ldevidParams(serial string, key crypto.Signer) ca.LDevIDParams {
	return ca.LDevIDParams{RawSubject: subject(w.t, serial), PublicKey: key.Public(), NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0)}
}

func (w *world) domainKey() crypto.Signer { return w.registrar.root }
