package bench

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"runtime"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// BenchmarkJoin is a whole join, voucher, audit log and LDevID, between the three
// roles of the engine, joined by function calls: no HTTP, no TLS, no disk. An
// iteration is a device. ns-cpu/pledge, ns-cpu/registrar and ns-cpu/masa are the
// processor time of each side; ns-cpu/pledge-ops and so on what the public-key
// operations of its side take crypto/ecdsa one at a time:
//
//	pledge     verify 5  the voucher, its signer's certificate, the registrar's, the
//	                     domain CA's, the LDevID
//	           sign 2    voucher-request, certification request
//	           make 1    the LDevID's key
//	registrar  verify 7  the pledge's request, the IDevID, the voucher, its signer's
//	                     certificate, the certification request, the LDevID when it
//	                     was made and when it reports
//	           sign 2    its own request, the LDevID
//	MASA       verify 8  registrar's request, registrar's certificate, pledge's request,
//	                     IDevID: for the voucher, and for the audit log
//	           sign 2    voucher, head of the audit log
//
// That is what has to be known to be true by each side that meets the others for
// the first time. Two of them are looked at beyond RFC 8995 and RFC 7030: the
// domain CA's certificate by itself, which shows that it is damaged, and the LDevID
// when it was made, which shows that its key's owner computed wrongly. Not all are
// done for each join: the registrar remembers the path of a voucher's signer and
// the LDevIDs that it made, the MASA the path of a registrar. What each side does
// beside, such as holding a private key against its certificate, counts as its time
// alone.
func BenchmarkJoin(b *testing.B) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		b.Run("env="+format.String(), func(b *testing.B) { benchJoin(b, format) })
	}
}

func benchJoin(b *testing.B, format codec.Format) {
	// One join at a time leaves nothing to do for a second processor, but to look
	// for something.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	sides := []struct {
		name  string
		ops   *publicKeyOps
		spent func(*site) time.Duration
		of    cpuTimes
	}{
		{name: "pledge", ops: newPublicKeyOps(b, 5, 2, 1, 1), spent: func(s *site) time.Duration { return s.pledge }},
		{name: "registrar", ops: newPublicKeyOps(b, 7, 2, 0, 1), spent: func(s *site) time.Duration { return s.registrar }},
		{name: "masa", ops: newPublicKeyOps(b, 8, 2, 0, 1), spent: func(s *site) time.Duration { return s.masa }},
	}
	var s *site
	settle := func() {
		for i := range sides {
			sides[i].of.joins += sides[i].spent(s)
		}
		s.service.Close()
	}
	joins, rounds := 0, 0
	for b.Loop() {
		// A device joins once: with each join its records and its audit log grow.
		if s == nil || len(s.devices) == 0 {
			b.StopTimer()
			if s != nil {
				settle()
			}
			s = newSite(b, format)
			b.StartTimer()
		}
		if joins%64 == 0 {
			b.StopTimer()
			for i := range sides {
				sides[i].of.ops += sides[i].ops.measure(b)
			}
			rounds++
			b.StartTimer()
		}
		s.next(b, format)
		joins++
	}
	settle()
	for _, side := range sides {
		ReportCPU(b, side.of.joins, float64(joins), side.name)
		ReportCPU(b, side.of.ops, float64(rounds), side.name+"-ops")
	}
}

// cpuTimes is what one side took: of all joins, and of all rounds of their
// public-key operations.
type cpuTimes struct{ joins, ops time.Duration }

// A site is an onboarding with its MASA and registrar, and the processor time
// that each side has taken. One join goes on at a time.
type site struct {
	*onboarding
	maker   *masa.Service
	service *registrar.Service
	routes  map[string]handler
	judged  chan struct{} // sent to when an audit log was judged
	desks   struct{ registrar, masa desk }

	pledge, registrar, masa time.Duration
}

// A desk is a goroutine that answers the requests of a connection: its stack grew
// with the first of them, in a server with the handshake before.
type desk chan func()

func newDesk(b *testing.B) desk {
	d := make(desk)
	b.Cleanup(func() { close(d) })
	go func() {
		for answer := range d {
			answer()
		}
	}()
	return d
}

func (d desk) answer(ctx context.Context, handle handler, r *exchange.Request) (answer *exchange.Answer, err error) {
	done := make(chan struct{})
	d <- func() {
		defer close(done)
		answer, err = handle(ctx, r)
	}
	<-done
	return answer, err
}

type handler = func(context.Context, *exchange.Request) (*exchange.Answer, error)

// sizeOfSite is how many devices there are at a site, and warming how many of
// them fill the caches before anything is counted.
const (
	sizeOfSite = 256
	warming    = 16
)

func newSite(b *testing.B, format codec.Format) *site {
	s := &site{onboarding: newOnboarding(b, sizeOfSite), judged: make(chan struct{}, 1)}
	s.desks.registrar, s.desks.masa = newDesk(b), newDesk(b)
	verifier := artefact.Verifying(must(sign.NewVerifier(sign.VerifierOptions{}))(b))
	s.maker = s.serve(b, state.NewMemory(), verifier, s.signer(b, s.vouchers.key, ""))
	s.service = must(registrar.New(registrar.Config{DB: state.NewMemory(), Verifier: verifier, Signer: s.signer(b, s.register.key, ""),
		Chain: s.register.chain, Authority: s.register.authority, Network: s, Clock: s.Now, Admit: registrar.AdmitManufacturer,
		EnrolmentsPerDay: 1 << 30, Burst: 1 << 30, Observe: s.observe}))(b)
	if err := s.service.AddManufacturer(context.Background(), registrar.Manufacturer{Name: "bench", Anchors: []*x509.Certificate{s.onboarding.maker.Certificate()},
		VoucherTrust: s.vouchers.chain[1:]}); err != nil {
		b.Fatal(err)
	}
	s.routes = map[string]handler{
		"requestvoucher": s.service.RequestVoucher, "voucher_status": s.service.VoucherStatus, "enrollstatus": s.service.EnrollStatus,
		"cacerts": s.service.CACerts, "csrattrs": s.service.CSRAttrs, "simpleenroll": s.service.SimpleEnroll,
	}
	for range warming {
		s.next(b, format)
	}
	s.pledge, s.registrar, s.masa = 0, 0, 0
	return s
}

// Now and Sleep are everybody's clock, which stands still.
func (s *site) Now() time.Time { return s.now }

// Sleep does not.
func (s *site) Sleep(context.Context, time.Duration) error { return nil }

// AfterFunc never calls f: calls take no time on it.
func (s *site) AfterFunc(time.Duration, func()) (stop func() bool) {
	return func() bool { return true }
}

func (s *site) observe(e registrar.Event) {
	if e.Name == "audit-log" {
		s.judged <- struct{}{}
	}
}

// next takes the next device from its box into the domain.
func (s *site) next(b *testing.B, format codec.Format) {
	d := s.devices[0]
	s.devices = s.devices[1:]
	others, before := s.registrar+s.masa, CPUTime()
	p, err := pledge.New(pledge.Config{IDevID: pledge.Identity{Chain: []*x509.Certificate{d.cert}, Key: d.key}, VoucherAnchors: s.vouchers.chain[1:],
		Network: pledgeNetwork{s}, Storage: files{}, Clock: s, ClockTrusted: true, Format: format, Once: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := p.Join(context.Background(), "https://registrar.example.com"); err != nil {
		b.Fatal(err)
	}
	s.pledge += CPUTime() - before - (s.registrar + s.masa - others)
}

// pledgeNetwork is the way from the pledge to the registrar.
type pledgeNetwork struct{ s *site }

// Exchange makes one call. What the registrar does after its answer, looking at
// the audit log, is waited for: it is the registrar's time and not the pledge's.
func (n pledgeNetwork) Exchange(ctx context.Context, c *pledge.Call) (*pledge.Reply, error) {
	s := n.s
	body, err := c.Prepare(s.register.chain)
	if err != nil {
		return nil, err
	}
	masas, before := s.masa, CPUTime()
	defer func() { s.registrar += CPUTime() - before - (s.masa - masas) }()
	operation := path.Base(c.Path)
	handle := s.routes[operation]
	if handle == nil {
		return nil, fmt.Errorf("the registrar has no %s", c.Path)
	}
	answer, err := s.desks.registrar.answer(ctx, handle, &exchange.Request{ID: "bench", Now: s.now, Peer: c.Identity.Chain, ContentType: c.ContentType, Accept: c.Accept, Body: body,
		Binding: exchange.Binding{Exporter: []byte(c.Connection)}})
	if err != nil {
		return nil, err
	}
	if operation == "requestvoucher" {
		<-s.judged
	}
	return &pledge.Reply{Status: http.StatusOK, ContentType: answer.ContentType, Body: answer.Body, Binding: exchange.Binding{Exporter: []byte(c.Connection)}}, nil
}

// Do is the way from the registrar to the MASA.
func (s *site) Do(ctx context.Context, c *registrar.Call) (*registrar.Reply, error) {
	before := CPUTime()
	defer func() { s.masa += CPUTime() - before }()
	handle := s.maker.RequestVoucher
	if path.Base(c.URL) == masa.OpAuditLog {
		handle = s.maker.RequestAuditLog
	}
	answer, err := s.desks.masa.answer(ctx, handle, &exchange.Request{ID: "bench", Now: s.now, Peer: s.register.chain, ContentType: c.ContentType, Accept: c.Accept, Body: c.Body})
	if err != nil {
		return nil, err
	}
	return &registrar.Reply{Status: http.StatusOK, ContentType: answer.ContentType, Body: answer.Body}, nil
}

// files is a device's storage.
type files map[string][]byte

// Get returns a file.
func (f files) Get(name string) ([]byte, error) {
	content, ok := f[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(content), nil
}

// Put writes one.
func (f files) Put(name string, content []byte) error {
	f[name] = bytes.Clone(content)
	return nil
}

// Delete deletes one.
func (f files) Delete(name string) error {
	delete(f, name)
	return nil
}
