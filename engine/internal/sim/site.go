package sim

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A site is a domain with its registrar.
type site struct {
	w       *World
	origin  string
	domain  *ca.Authority
	chain   []*x509.Certificate
	db      *state.Memory
	cfg     registrar.Config
	service *registrar.Service

	mu    sync.Mutex
	cond  *sync.Cond
	dead  bool // guarded by mu: a commit ended in a crash
	open  int  // guarded by mu: vouchers whose audit log is not judged yet
	calls int  // guarded by mu: vouchers got from the MASA

	refused map[string]bool                         // serial numbers an operator refused
	given   map[[sha256.Size]byte]bool              // SPKIs of IDevIDs answered with a voucher
	issued  map[[sha256.Size]byte]*x509.Certificate // certificates, by the digest of the CSR's key
}

func newSite(w *World, number int) (*site, error) {
	s := &site{w: w, origin: fmt.Sprintf("https://registrar-%d.example", number), db: state.NewMemory(),
		refused: map[string]bool{}, given: map[[32]byte]bool{}, issued: map[[32]byte]*x509.Certificate{}}
	s.cond = sync.NewCond(&s.mu)
	var known [][]byte // the domains are of one group and know each other
	for i := range sites {
		root, err := newRoot(fmt.Sprintf("Domain CA %d", i), keySites+2*i)
		if err != nil {
			return nil, err
		}
		known = append(known, audit.DomainID(root.Certificate()))
		if i == number {
			s.domain = root
		}
	}
	key, err := keyNumber(keySites + 2*number + 1)
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(s.origin, "https://")
	leaf, err := s.domain.Registrar(ca.EntityParams{CommonName: name, PublicKey: key.Public(), NotBefore: epoch.AddDate(0, -1, 0),
		NotAfter: epoch.AddDate(2, 0, 0), Names: ca.ServerNames{DNS: []string{name}}})
	if err != nil {
		return nil, err
	}
	signer, err := signerOf(key)
	if err != nil {
		return nil, err
	}
	s.chain = []*x509.Certificate{leaf, s.domain.Certificate()}
	s.cfg = registrar.Config{Verifier: verifier(), Signer: signer, Chain: s.chain, Authority: s.domain, Network: uplink{s, w},
		Clock: func() time.Time { return w.now }, AfterFunc: never, Observe: s.observe, Admit: registrar.AdmitManufacturer,
		KnownDomains: known, EnrolmentsPerDay: 100, Burst: 1000}
	if err := s.start(); err != nil {
		return nil, err
	}
	w.calm = true
	defer func() { w.calm = false }()
	return s, s.service.AddManufacturer(w.ctx, registrar.Manufacturer{Name: "maker", Anchors: []*x509.Certificate{w.masa.idevids.Certificate()},
		MASATrust: []*x509.Certificate{w.masa.vouchers.Certificate()}, VoucherTrust: []*x509.Certificate{w.masa.vouchers.Certificate()}})
}

// never is a timer that does not go off: calls take no real time, so nobody's
// patience ends.
func never(time.Duration, func()) (stop func() bool) { return func() bool { return true } }

func (s *site) start() (err error) {
	s.mu.Lock()
	s.dead, s.open = false, 0
	s.mu.Unlock()
	var dead bool
	fault := s.w.fault(&dead)
	s.db.OnCommit(func(commit uint64) state.Fault {
		f := fault(commit)
		if f != state.NoFault {
			s.mu.Lock()
			s.dead = true
			s.cond.Broadcast()
			s.mu.Unlock()
		}
		return f
	})
	s.cfg.DB = s.db
	s.service, err = registrar.New(s.cfg)
	return err
}

// observe follows what the registrar does behind its answers.
func (s *site) observe(e registrar.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Name {
	case "voucher":
		s.open++
		s.calls++
	case "audit-log":
		s.open = 0 // one request at a time, so it is the one that is open
		s.cond.Broadcast()
	}
}

// rest waits until the registrar has judged the audit log it fetches after a
// voucher, or died over it, and starts it again in that case.
func (s *site) rest() (died bool) {
	s.mu.Lock()
	for s.open > 0 && !s.dead {
		s.cond.Wait()
	}
	died = s.dead
	s.mu.Unlock()
	if !died {
		return false
	}
	s.service.Close()
	s.db = s.db.Reopen()
	if err := s.start(); err != nil {
		s.w.violate("%s does not start after a crash: %v", s.origin, err)
	}
	return true
}

func (s *site) peer() []*x509.Certificate { return s.chain }

// answer serves a pledge, or whoever says to be one.
func (s *site) answer(c *request) reply {
	w := s.w
	handler := map[string]func(*exchange.Request) (*exchange.Answer, error){
		"brski/requestvoucher": s.requestVoucher,
		"brski/voucher_status": func(r *exchange.Request) (*exchange.Answer, error) { return s.service.VoucherStatus(w.ctx, r) },
		"brski/enrollstatus":   func(r *exchange.Request) (*exchange.Answer, error) { return s.service.EnrollStatus(w.ctx, r) },
		"est/cacerts":          func(r *exchange.Request) (*exchange.Answer, error) { return s.service.CACerts(w.ctx, r) },
		"est/csrattrs":         func(r *exchange.Request) (*exchange.Answer, error) { return s.service.CSRAttrs(w.ctx, r) },
		"est/simpleenroll":     func(r *exchange.Request) (*exchange.Answer, error) { return s.enrol(r, s.service.SimpleEnroll) },
		"est/simplereenroll":   func(r *exchange.Request) (*exchange.Answer, error) { return s.enrol(r, s.service.SimpleReenroll) },
	}[strings.TrimPrefix(c.path, "/.well-known/")]
	if handler == nil {
		return reply{status: 404}
	}
	answer := w.replied(handler(w.value(c)))
	if answer.died = s.rest(); answer.died && len(c.peer) > 0 {
		s.recall(c.peer[0])
	}
	return answer
}

// recall finds out, after a crash, whether a voucher counts as given: what is on
// record may have been on its way, and only the record tells.
func (s *site) recall(idevid *x509.Certificate) {
	d := s.w.bySerial(idevid.Subject.SerialNumber)
	if d == nil || !d.identity.Chain[0].Equal(idevid) {
		return
	}
	if info, err := s.service.ShowDevice(s.w.ctx, d.id().String()); err == nil && info.VoucherAt != nil {
		s.given[sha256.Sum256(idevid.RawSubjectPublicKeyInfo)] = true
	}
}

func (s *site) requestVoucher(r *exchange.Request) (*exchange.Answer, error) {
	answer, err := s.service.RequestVoucher(s.w.ctx, r)
	if err == nil {
		s.given[sha256.Sum256(r.Peer[0].RawSubjectPublicKeyInfo)] = true
	}
	return answer, err
}

// enrol holds what must be true of every certificate that leaves.
func (s *site) enrol(r *exchange.Request, operation func(context.Context, *exchange.Request) (*exchange.Answer, error)) (*exchange.Answer, error) {
	w := s.w
	answer, err := operation(w.ctx, r)
	if err != nil {
		return nil, err
	}
	cert, fault := certificateIn(answer.Body)
	if fault != nil {
		w.violate("%s: an enrolment answered with %v", s.origin, fault)
		return answer, nil
	}
	serial := cert.Subject.SerialNumber
	d := w.bySerial(serial)
	switch {
	case d == nil:
		w.violate("%s: a certificate for %q, which does not exist", s.origin, serial)
		return answer, nil
	case len(r.Peer) == 0 || r.Peer[0].Subject.SerialNumber != serial:
		w.violate("%s: a certificate for %s went to somebody else", s.origin, serial)
	case s.refused[serial]:
		w.violate("%s: a certificate for %s after it was refused", s.origin, serial)
	case !s.given[sha256.Sum256(d.identity.Chain[0].RawSubjectPublicKeyInfo)]:
		w.violate("%s: a certificate for %s without a voucher", s.origin, serial)
	case cert.CheckSignatureFrom(s.domain.Certificate()) != nil:
		w.violate("%s: a certificate for %s by somebody else", s.origin, serial)
	case cert.IsCA, len(cert.UnknownExtKeyUsage) > 0, len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth, len(cert.DNSNames) > 0:
		w.violate("%s: a certificate for %s that is more than a device's", s.origin, serial)
	}
	s.issued[sha256.Sum256(cert.RawSubjectPublicKeyInfo)] = cert
	return answer, nil
}

// certificateIn is the one certificate of an enrolment's answer (RFC 7030 §4.2.3).
func certificateIn(body []byte) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(string(body))
	if err != nil {
		return nil, err
	}
	certs, err := est.ParseCertsOnly(der, est.Limits{})
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, errors.New("not one certificate")
	}
	return x509.ParseCertificate(certs[0])
}

// recorded holds that every certificate which left is on record.
func (s *site) recorded() error {
	for _, cert := range s.issued {
		info, err := s.service.ShowDevice(s.w.ctx, cert.Subject.SerialNumber)
		if err != nil {
			return err
		}
		found := false
		for _, c := range info.Certificates {
			serial, ok := new(big.Int).SetString(c.Serial, 16)
			found = found || ok && serial.Cmp(cert.SerialNumber) == 0
		}
		if !found {
			return fmt.Errorf("%s: certificate %x of %s is not on record among %d", s.origin, cert.SerialNumber, cert.Subject.SerialNumber, len(info.Certificates))
		}
	}
	return nil
}
