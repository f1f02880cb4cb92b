package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/sign"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	return must[crypto.Signer](t)(sign.GenerateKey(sign.ES256, nil))
}

func newAuthority(t testing.TB, name string, key crypto.Signer) *ca.Authority {
	t.Helper()
	now := time.Now()
	return must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: name, Key: key, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.AddDate(1, 0, 0)}, ca.Options{}))
}

// A site is a maker with its MASA, and a registrar, in one TLS server. Tests
// replace single answers.
type site struct {
	t        testing.TB
	dir      string // idevid-ca.pem, idevid-ca.key, voucher-ca.pem
	url      string
	maker    *ca.Authority
	signer   crypto.Signer
	signers  []*x509.Certificate
	domain   *ca.Authority
	mu       sync.Mutex
	replaced map[string]http.HandlerFunc // guarded by mu
	clients  map[string]string           // guarded by mu: who asked, by path
}

func newSite(t testing.TB) *site {
	t.Helper()
	makerKey, signer := newKey(t), newKey(t)
	s := &site{t: t, dir: t.TempDir(), maker: newAuthority(t, "Maker", makerKey), signer: signer, domain: newAuthority(t, "Domain", newKey(t)),
		replaced: map[string]http.HandlerFunc{}, clients: map[string]string{}}
	now := time.Now()
	entity := ca.EntityParams{CommonName: "MASA", PublicKey: signer.Public(), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0)}
	s.signers = []*x509.Certificate{must[*x509.Certificate](t)(s.maker.VoucherSigner(entity)), s.maker.Certificate()}
	s.write("idevid-ca.pem", ca.ChainPEM(s.maker.Certificate()))
	s.write("voucher-ca.pem", ca.ChainPEM(s.maker.Certificate()))
	s.write("idevid-ca.key", must[[]byte](t)(sign.MarshalKeyPEM(makerKey, nil)))

	key := newKey(t)
	entity = ca.EntityParams{CommonName: "Registrar", PublicKey: key.Public(), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0),
		Names: must[ca.ServerNames](t)(ca.ParseServerNames("localhost"))}
	cert := must[*x509.Certificate](t)(s.domain.Registrar(entity))
	server := httptest.NewUnstartedServer(s)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// answer replaces what the server does at the last segment of a path.
func (s *site) answer(segment string, f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replaced[segment] = f
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segment := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	s.mu.Lock()
	f := s.replaced[segment]
	if len(r.TLS.PeerCertificates) > 0 {
		s.clients[segment] = r.TLS.PeerCertificates[0].Issuer.CommonName
	}
	s.mu.Unlock()
	if f != nil {
		f(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch segment {
	case "requestvoucher":
		s.requestVoucher(w, r, body)
	case "cacerts":
		s.certs(w, s.domain.Certificate())
	case "simpleenroll", "simplereenroll":
		s.enrol(w, body)
	case "voucher_status", "enrollstatus":
	default:
		http.NotFound(w, r)
	}
}

func (s *site) requestVoucher(w http.ResponseWriter, r *http.Request, body []byte) {
	format, err := artefact.FormatOf(r.Header.Get("Content-Type"), codec.FormatCMS, codec.FormatJWS)
	if err != nil {
		http.Error(w, "type", http.StatusUnsupportedMediaType)
		return
	}
	opener := artefact.Opener{Verifier: artefact.Verifying(must[sign.Verifier](s.t)(sign.NewVerifier(sign.VerifierOptions{})))}
	request, err := opener.Request(r.Context(), format, body)
	if err != nil || !request.Signer.Equal(r.TLS.PeerCertificates[0]) {
		http.Error(w, "signature", http.StatusForbidden)
		return
	}
	v := &codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: time.Now(), SerialNumber: request.Leaves.SerialNumber, Nonce: request.Leaves.Nonce,
		NonceText: request.Leaves.NonceText, PinnedDomainCert: s.domain.Certificate().Raw}
	signer := artefact.Signing(must[sign.Signer](s.t)(sign.NewSigner(sign.ES256, s.signer, sign.Options{})))
	sealer := must[*artefact.Sealer](s.t)(artefact.NewSealer(artefact.SealerParams{Format: format, Signer: signer, Chain: s.signers}))
	w.Header().Set("Content-Type", format.MediaType())
	_, _ = w.Write(must[[]byte](s.t)(sealer.Voucher(context.Background(), v, false)))
}

func (s *site) certs(w http.ResponseWriter, certs ...*x509.Certificate) {
	var raw [][]byte
	for _, c := range certs {
		raw = append(raw, c.Raw)
	}
	w.Header().Set("Content-Type", exchange.TypeCertsOnly)
	_, _ = w.Write(est.AppendBody(nil, must[[]byte](s.t)(est.AppendCertsOnly(nil, raw))))
}

func (s *site) enrol(w http.ResponseWriter, body []byte) {
	der, err := est.DecodeBody(nil, body)
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	csr := must[*est.CSR](s.t)(est.ParseCSR(der, est.Limits{}))
	public, err := ca.CheckPossession(csr)
	if err != nil {
		http.Error(w, "possession", http.StatusBadRequest)
		return
	}
	s.certs(w, must[*x509.Certificate](s.t)(s.domain.LDevID(ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: public, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(0, 0, 30)})))
}
