package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// TestEveryKindHasAStatus: a kind that nobody mapped would be a 500.
func TestEveryKindHasAStatus(t *testing.T) {
	for _, k := range decision.Kinds() {
		if _, ok := statuses[k]; !ok {
			t.Errorf("%s has no status", k)
		}
	}
	if len(statuses) != len(decision.Kinds()) {
		t.Errorf("%d statuses for %d kinds", len(statuses), len(decision.Kinds()))
	}
	if Status("of the future") != 500 {
		t.Error("an unknown kind is not a fault of this side")
	}
}

// Each row is what a client may do wrong, and the status that RFC 8995, RFC 7030
// or, where they leave it open, this implementation gives it.
func TestStatuses(t *testing.T) {
	for _, row := range []struct {
		input string
		kind  decision.Kind
		want  int
	}{
		// the registrar
		{"unknown path, label or operation", decision.UnknownPath, 404},
		{"known path, wrong method", decision.WrongMethod, 405},
		{"no TLS client certificate", decision.NoCertificate, 401},
		{"validation of the IDevID fails", decision.BadCertificate, 404},
		{"vendor not listed", decision.UnknownManufacturer, 403},
		{"device refused", decision.DeviceRefused, 404},
		{"an LDevID of our own CA on requestvoucher", decision.OwnCertificate, 403},
		{"Content-Type absent or unknown", decision.ContentType, 415},
		{"Accept excludes all", decision.NotAcceptable, 406},
		{"body empty", decision.Empty, 400},
		{"body above its limit", decision.TooLarge, 413},
		{"base64 or PEM instead of DER", decision.Wrapped, 400},
		{"envelope not readable", decision.Malformed, 400},
		{"more than one signer", decision.SeveralSigners, 400},
		{"signature wrong, digest wrong, algorithm forbidden", decision.BadSignature, 403},
		{"PVR signer is not the TLS client", decision.SignerNotPeer, 403},
		{"JSON not valid", decision.BadPayload, 400},
		{"nonce missing, or not 8 to 32 octets", decision.BadNonce, 400},
		{"nonce seen in another PVR", decision.StaleRequest, 403},
		{"proximity not ours", decision.WrongProximity, 401},
		{"serial-number differs from the IDevID", decision.SerialMismatch, 403},
		{"IDevID without serialNumber", decision.NoSerialNumber, 403},
		{"device not on the list", decision.DeviceNotListed, 404},
		{"inventory or audit log", decision.AuditRefused, 406},
		{"no MASA URL and no configuration", decision.NoMASA, 404},
		{"MASA URL of another scheme", decision.MASAAddress, 404},
		{"MASA unreachable", decision.MASAUnreachable, 502},
		{"MASA timeout", decision.MASATimeout, 504},
		{"MASA, retry is sensible", decision.MASAUnavailable, 503},
		{"MASA 401", decision.MASAUnauthorized, 502},
		{"MASA 403", decision.MASAForbids, 403},
		{"MASA 404", decision.MASAUnknownDevice, 404},
		{"MASA 406", decision.MASANotAcceptable, 406},
		{"MASA 415", decision.MASAContentType, 415},
		{"MASA 5xx, loops, no voucher", decision.MASAFailed, 502},
		{"voucher for another serial, nonce or domain", decision.VoucherMismatch, 502},
		{"still waiting", decision.Pending, 202},
		{"EST before a voucher, or after a bad verdict", decision.NoVoucher, 403},
		{"EST: CSR not base64, not PKCS#10", decision.CSRMalformed, 400},
		{"EST: CSR signature bad", decision.CSRSignature, 400},
		{"EST: CSR violates the template", decision.CSRPolicy, 403},
		{"EST: another subject on simplereenroll", decision.SubjectChanged, 403},
		{"EST: channel binding", decision.ChannelBinding, 400},
		{"EST: a key that is another's", decision.KeyReused, 403},
		{"EST: renewal without a certificate of the domain", decision.NotEnrolled, 403},
		{"EST: renewal with one that expired or was revoked", decision.CertificateGone, 403},
		{"telemetry not readable", decision.BadTelemetry, 400},
		{"telemetry of an unknown device", decision.UnknownDevice, 404},
		// the MASA
		{"chain inconsistent", decision.ChainInconsistent, 403},
		{"signer lacks id-kp-cmcRA", decision.NotRegistrar, 403},
		{"serial unknown", decision.UnknownDevice, 404},
		{"serial ambiguous", decision.AmbiguousDevice, 404},
		{"idevid-issuer does not match", decision.IssuerMismatch, 403},
		{"PVR signature bad or not our IDevID CA", decision.PriorSignature, 403},
		{"RVR serial is not the PVR's", decision.PriorMismatch, 403},
		{"proximity certificate not in the RVR's chain", decision.ProximityNotInPath, 403},
		{"nonces differ", decision.NonceMismatch, 403},
		{"nonceless by an unauthenticated registrar", decision.NoncelessUnknown, 403},
		{"nonceless not allowed", decision.NoncelessForbidden, 403},
		{"proximity-registrar-cert in an RVR", decision.ForbiddenLeaf, 400},
		{"pinned candidate expires too soon", decision.PinExpires, 403},
		{"owned by another customer", decision.OwnedByOther, 403},
		{"audit log: never owner", decision.NeverOwner, 404},
		{"internal", decision.Internal, 500},
		{"database full", decision.StorageFull, 503},
		{"busy", decision.Overloaded, 503},
		{"too many of one client", decision.RateLimited, 429},
	} {
		if got := Status(row.kind); got != row.want {
			t.Errorf("%s (%s): %d, want %d", row.input, row.kind, got, row.want)
		}
	}
}

// give answers every request with the same.
func give(a *exchange.Answer, err error) Handler {
	return func(context.Context, *exchange.Request) (*exchange.Answer, error) { return a, err }
}

func newServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask asks a server without a network.
func ask(s *Server, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestRoutesAreExactAndESTMayHaveALabel(t *testing.T) {
	label := func(_ context.Context, r *exchange.Request) (*exchange.Answer, error) {
		return &exchange.Answer{ContentType: "text/plain", Body: []byte("label " + r.Label)}, nil
	}
	s := newServer(t, Config{Routes: []Route{
		{http.MethodPost, BRSKI + "requestvoucher", 10, label},
		{http.MethodGet, EST + "cacerts", 0, label},
		{http.MethodPost, EST + "simpleenroll", 10, label},
	}})
	for _, tc := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"POST", "/.well-known/brski/requestvoucher", 200, "label ", ""},
		{"POST", "/.well-known/brski/voucherrequest", 404, "no such resource\n", ""},
		{"POST", "/.well-known/brski/requestvoucher/", 404, "no such resource\n", ""},
		{"POST", "/.well-known/brski/x/requestvoucher", 404, "no such resource\n", ""},
		{"POST", "/.well-known/brski/requestvouche%72", 404, "no such resource\n", ""},
		{"GET", "/", 404, "no such resource\n", ""},
		{"GET", "/.well-known/brski/requestvoucher", 405, "method not allowed here\n", "POST"},
		{"BREW", "/.well-known/est/x/cacerts", 405, "method not allowed here\n", "GET"},
		{"GET", "/.well-known/est/cacerts", 200, "label ", ""},
		{"GET", "/.well-known/est/site-7/cacerts", 200, "label site-7", ""},
		{"POST", "/.well-known/est/site-7/simpleenroll", 200, "label site-7", ""},
		{"GET", "/.well-known/est/simpleenroll/cacerts", 404, "no such resource\n", ""},
		{"GET", "/.well-known/est/serverkeygen/cacerts", 404, "no such resource\n", ""},
		{"GET", "/.well-known/est//cacerts", 404, "no such resource\n", ""},
		{"GET", "/.well-known/est/a/b/cacerts", 404, "no such resource\n", ""},
		{"POST", "/.well-known/est/serverkeygen", 404, "no such resource\n", ""},
		{"GET", "/.well-known/est/" + strings.Repeat("l", 65) + "/cacerts", 404, "no such resource\n", ""},
	} {
		w := ask(s, tc.method, tc.path, "")
		if w.Code != tc.status || w.Body.String() != tc.body || w.Header().Get("Allow") != tc.allow {
			t.Errorf("%s %s: %d %q, Allow %q; want %d %q, Allow %q", tc.method, tc.path, w.Code, w.Body, w.Header().Get("Allow"), tc.status, tc.body, tc.allow)
		}
	}
	for _, bad := range [][]Route{{{"GET", "x", 0, label}}, {{"GET", "/x", 0, nil}}, {{"GET", "/x", 0, label}, {"GET", "/x", 0, label}}} {
		if _, err := New(Config{Routes: bad}); err == nil {
			t.Errorf("routes %v were taken", bad)
		}
	}
}

func TestARefusalShowsThePeerItsPublicSideAlone(t *testing.T) {
	var log bytes.Buffer
	refusal := decision.Refuse(decision.WrongProximity, "serial 4711 met %s", "hunter2").Closing()
	s := newServer(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Routes: []Route{
		{"POST", "/refused", 100, give(nil, refusal)},
		{"POST", "/pending", 100, give(nil, decision.Refuse(decision.Pending, "held").After(1500*time.Millisecond))},
		{"POST", "/busy", 100, give(nil, decision.Refuse(decision.Overloaded, "busy"))},
		{"POST", "/fault", 100, give(nil, errors.New("disk on fire"))},
		{"POST", "/nothing", 100, give(nil, nil)},
		{"POST", "/panic", 100, func(context.Context, *exchange.Request) (*exchange.Answer, error) { panic("on the streets") }},
		{"POST", "/done", 100, give(&exchange.Answer{}, nil)},
	}})
	for _, tc := range []struct {
		path         string
		status       int
		body, retry  string
		close, typed bool
	}{
		{"/refused", 401, "the request is for another registrar\n", "", true, true},
		{"/pending", 202, "not decided yet; ask again\n", "2", false, true},
		{"/busy", 503, "busy; try again later\n", "30", false, true},
		{"/fault", 500, "internal error\n", "", false, true},
		{"/nothing", 500, "internal error\n", "", false, true},
		{"/panic", 500, "internal error\n", "", false, true},
		{"/done", 200, "", "", false, false},
	} {
		w := ask(s, "POST", tc.path, "SECRETBODY")
		h := w.Header()
		if w.Code != tc.status || w.Body.String() != tc.body || h.Get("Retry-After") != tc.retry || (h.Get("Connection") == "close") != tc.close {
			t.Errorf("%s: %d %q %v", tc.path, w.Code, w.Body, h)
		}
		if want := map[bool]string{true: "text/plain; charset=utf-8"}[tc.typed]; h.Get("Content-Type") != want {
			t.Errorf("%s: Content-Type %q, want %q", tc.path, h.Get("Content-Type"), want)
		}
		if h.Get("WWW-Authenticate") != "" || h.Get("X-Request-Id") == "" || h.Get("Content-Length") != strconv.Itoa(len(tc.body)) {
			t.Errorf("%s: %v", tc.path, h)
		}
		if !strings.Contains(log.String(), "id="+h.Get("X-Request-Id")) {
			t.Errorf("%s: no line with its id in the log:\n%s", tc.path, &log)
		}
	}
	for _, want := range []string{"kind=wrong-proximity", `operator="serial 4711 met hunter2"`, "disk on fire", "on the streets", "took="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
	if strings.Contains(log.String(), "SECRETBODY") {
		t.Error("a body is in the log")
	}
	st := s.Stats()
	if st.Answered != 1 || st.Refused[decision.WrongProximity] != 1 || st.Refused[decision.Internal] != 3 {
		t.Errorf("counted %+v", st)
	}
}

func TestTheRoleGetsTheRequestAsSent(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var got exchange.Request
	s := newServer(t, Config{Clock: func() time.Time { return now }, Routes: []Route{{"POST", "/x", 100, func(_ context.Context, r *exchange.Request) (*exchange.Answer, error) {
		got = *r
		return &exchange.Answer{ContentType: "application/json", Body: []byte("{}")}, nil
	}}}})
	w := ask(s, "POST", "/x", "body", "Content-Type", "a/b; charset=utf-8", "Accept", "a/b", "Accept", "c/d;q=0.5", "Content-Transfer-Encoding", "base64")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Transfer-Encoding") != "" { // RFC 8951 §3
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if got.Now != now || got.ContentType != "a/b; charset=utf-8" || got.Accept != "a/b, c/d;q=0.5" || string(got.Body) != "body" || got.Remote != "192.0.2.1:1234" || got.ID == "" {
		t.Errorf("%+v", got)
	}
}

func TestBodiesStopAtTheirLimit(t *testing.T) {
	called := 0
	s := newServer(t, Config{Limits: Limits{BodyBytes: 7 << 10}, Routes: []Route{{"POST", "/x", 6 << 10, func(_ context.Context, r *exchange.Request) (*exchange.Answer, error) {
		called++
		return &exchange.Answer{Body: []byte(strconv.Itoa(len(r.Body)))}, nil
	}}, {"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	for _, tc := range []struct {
		method string
		n      int
		sized  bool
		status int
	}{
		{"POST", 0, true, 200}, {"POST", 0, false, 200}, {"POST", 100, true, 200}, {"POST", 6 << 10, false, 503},
		{"POST", 3 << 10, false, 200}, {"POST", 6<<10 + 1, true, 413}, {"POST", 100 << 20, true, 413},
		{"GET", 1, true, 413}, {"GET", 1, false, 413}, {"GET", 0, true, 200},
	} {
		read := &counting{Reader: io.LimitReader(zeros{}, int64(tc.n))}
		r := httptest.NewRequest(tc.method, "/x", read)
		r.ContentLength = -1
		if tc.sized {
			r.ContentLength = int64(tc.n)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s of %d octets, sized %v: %d, want %d", tc.method, tc.n, tc.sized, w.Code, tc.status)
		}
		if tc.status >= 400 && w.Header().Get("Connection") != "close" {
			t.Errorf("%s of %d octets: the connection stays", tc.method, tc.n)
		}
		if read.n > 32<<10 {
			t.Errorf("%d octets were read of a body over its limit", read.n)
		}
	}
	if n := s.bodies.Load(); n != 0 {
		t.Errorf("%d octets of bodies are still counted", n)
	}
	if called != 4 {
		t.Errorf("the role was called %d times", called)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestTooManyRequestsInWorkAreSentAway(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	s := newServer(t, Config{Limits: Limits{Requests: 1}, Routes: []Route{{"GET", "/x", 0, func(context.Context, *exchange.Request) (*exchange.Answer, error) {
		close(begun)
		<-end
		return &exchange.Answer{}, nil
	}}}})
	first := make(chan int)
	go func() { first <- ask(s, "GET", "/x", "").Code }()
	<-begun
	if w := ask(s, "GET", "/x", ""); w.Code != 503 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	close(end)
	if code := <-first; code != 200 {
		t.Errorf("the first got %d", code)
	}
}

func TestOneClientCannotAskWithoutEnd(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := newServer(t, Config{Clock: func() time.Time { return now }, Limits: Limits{Rate: 0.5, Burst: 2}, Routes: []Route{{"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	for i, want := range []int{200, 200, 429} {
		w := ask(s, "GET", "/x", "")
		if w.Code != want || want == 429 && w.Header().Get("Retry-After") != "2" {
			t.Errorf("request %d: %d, Retry-After %q", i, w.Code, w.Header().Get("Retry-After"))
		}
	}
	other := httptest.NewRequest("GET", "/x", nil)
	other.RemoteAddr = "192.0.2.9:1"
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, other); w.Code != 200 {
		t.Errorf("another client got %d", w.Code)
	}
	now = now.Add(2 * time.Second)
	if w := ask(s, "GET", "/x", ""); w.Code != 200 {
		t.Errorf("after the time named: %d", w.Code)
	}
}

func TestThePaceForgetsOnlyWhoWasNotHere(t *testing.T) {
	p, now := newPace(1, 1), time.Unix(1e9, 0)
	regular := client{0xff}
	p.admit(regular, now)
	for i := range 4 * maxClients {
		p.admit(client{byte(i), byte(i >> 8), byte(i >> 16), 1}, now)
		if i%(maxClients/2) == 0 {
			if _, ok := p.admit(regular, now); ok {
				t.Fatalf("a client at its limit passed among %d others", i)
			}
		}
	}
	if n := len(p.recent) + len(p.older); n > 2*maxClients {
		t.Errorf("%d clients are remembered", n)
	}
}

func TestAFloodDoesNotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	now := time.Unix(1e9, 0)
	s := newServer(t, Config{Clock: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil)), Routes: []Route{
		{"GET", "/x", 0, give(nil, decision.Refuse(decision.UnknownDevice, "who?"))}, {"GET", "/fault", 0, give(nil, errors.New("broken"))}}})
	for range 1000 {
		ask(s, "GET", "/x", "")
	}
	if n := strings.Count(log.String(), "\n"); n != linesAtOnce {
		t.Errorf("%d lines", n)
	}
	ask(s, "GET", "/fault", "")
	if !strings.Contains(log.String(), "broken") {
		t.Error("the flood hid a fault")
	}
	now = now.Add(time.Second)
	ask(s, "GET", "/x", "")
	if !strings.Contains(log.String(), fmt.Sprintf("suppressed-before=%d", 1000-linesAtOnce)) || s.Stats().LinesSuppressed != 1000-linesAtOnce {
		t.Errorf("what was left out is not told: %+v", s.Stats())
	}
}

// What follows needs connections.

var site = sync.OnceValue(func() *ca.Authority {
	now := time.Now()
	a, err := ca.NewRoot(ca.RootParams{CommonName: "Test CA", Key: newKey(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}, ca.Options{})
	if err != nil {
		panic(err)
	}
	return a
})

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func certificate(t *testing.T, issue func(ca.EntityParams) (*x509.Certificate, error)) *tls.Certificate {
	t.Helper()
	key := newKey()
	names, err := ca.ParseServerNames("localhost")
	if err != nil {
		t.Fatal(err)
	}
	c, err := issue(ca.EntityParams{CommonName: "test", PublicKey: key.Public(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: crypto.Signer(key), Leaf: c}
}

// running is a server that listens.
type running struct {
	*Server
	at   *url.URL
	stop func() error // ends it and returns what Run returned
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	if cfg.Certificate == nil {
		cfg.Certificate = NewCertificate(certificate(t, site().TLSServer)).Get
	}
	s := newServer(t, cfg)
	u, err := ParseURL("https://localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	listeners, at, err := Listen(t.Context(), u, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, listeners, func() { close(ready) }) }()
	<-ready
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return &running{s, at, stop}
}

// visitor is a client with settings of its own.
func visitor(t *testing.T, c *tls.Config) *http.Client {
	t.Helper()
	c.RootCAs = x509.NewCertPool()
	c.RootCAs.AddCert(site().Certificate())
	tr := &http.Transport{TLSClientConfig: c}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestTheRoleGetsThePeerAndTheChannelBindings(t *testing.T) {
	var got exchange.Request
	r := run(t, Config{Routes: []Route{{"GET", "/x", 0, func(_ context.Context, r *exchange.Request) (*exchange.Answer, error) {
		got = *r
		return &exchange.Answer{}, nil
	}}}})
	mine := certificate(t, site().TLSClient)
	for _, tc := range []struct {
		version uint16
		certs   []tls.Certificate
	}{{tls.VersionTLS12, []tls.Certificate{*mine}}, {tls.VersionTLS13, []tls.Certificate{*mine}}, {tls.VersionTLS13, nil}} {
		resp, err := visitor(t, &tls.Config{MaxVersion: tc.version, Certificates: tc.certs}).Get(r.at.String() + "/x")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.TLS.Version != tc.version || resp.ProtoMajor != 1 {
			t.Errorf("version %x, HTTP %d", resp.TLS.Version, resp.ProtoMajor)
		}
		if len(got.Peer) != len(tc.certs) || len(got.Peer) > 0 && !bytes.Equal(got.Peer[0].Raw, mine.Leaf.Raw) {
			t.Errorf("peer %v", got.Peer)
		}
		unique, exporter := resp.TLS.TLSUnique, []byte(nil)
		if tc.version == tls.VersionTLS13 {
			if exporter, err = resp.TLS.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got.Binding.Unique, unique) || !bytes.Equal(got.Binding.Exporter, exporter) || len(unique)+len(exporter) == 0 {
			t.Errorf("version %x: bindings %x and %x, the client has %x and %x", tc.version, got.Binding.Unique, got.Binding.Exporter, unique, exporter)
		}
	}
}

// TestHandshakesAsOpenSSLSeesThem: no hints that would keep a pledge from
// presenting its IDevID, no tickets, no HTTP/2, nothing older than TLS 1.2.
func TestHandshakesAsOpenSSLSeesThem(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	r := run(t, Config{})
	say := func(args ...string) string {
		cmd := exec.Command(openssl, append([]string{"s_client", "-noservername", "-connect", r.at.Host}, args...)...)
		cmd.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out := say(version, "-alpn", "h2,http/1.1", "-ign_eof")
		for _, want := range []string{"No client certificate CA names sent", "ALPN protocol: http/1.1", "HTTP/1.1 404 Not Found"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: openssl does not see %q:\n%s", version, want, out)
			}
		}
		if !strings.Contains(out, "Requested Signature Algorithms") && !strings.Contains(out, "Client Certificate Types") {
			t.Errorf("%s: no client certificate was asked for:\n%s", version, out)
		}
		if strings.Contains(out, "TLS session ticket:") {
			t.Errorf("%s: a ticket was issued", version)
		}
	}
	if out := say("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"); strings.Contains(out, "HTTP/1.1") {
		t.Errorf("TLS 1.1 is spoken:\n%s", out)
	}
}

func TestLoopbackMeansEveryLoopbackAddress(t *testing.T) {
	r := run(t, Config{Routes: []Route{{"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			continue // this machine does not have it
		} else {
			l.Close()
		}
		resp, err := visitor(t, new(tls.Config)).Get("https://" + net.JoinHostPort(host, r.at.Port()) + "/x")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		resp.Body.Close()
	}
	for _, bad := range []string{"http://x", "https://", "https://u@x", "https://x/p", "https://x?q", "https://x:99999", "x:1", "https://x#f", ":"} {
		if u, err := ParseURL(bad); err == nil {
			t.Errorf("%q was taken as %s", bad, u)
		}
	}
}

func TestTheCertificateCanBeChangedWhileServing(t *testing.T) {
	first, second := certificate(t, site().TLSServer), certificate(t, site().TLSServer)
	held := NewCertificate(first)
	r := run(t, Config{Certificate: held.Get})
	for _, want := range []*tls.Certificate{first, second} {
		held.Set(want)
		resp, err := visitor(t, new(tls.Config)).Get(r.at.String())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !resp.TLS.PeerCertificates[0].Equal(want.Leaf) {
			t.Error("another certificate was presented")
		}
	}
	if _, err := new(Certificate).Get(); err == nil {
		t.Error("no certificate is no error")
	}
}

// dial opens a TLS connection and gives it to a client of its own making.
func dial(t *testing.T, r *running, c *tls.Config) *tls.Conn {
	t.Helper()
	c.RootCAs = x509.NewCertPool()
	c.RootCAs.AddCert(site().Certificate())
	c.ServerName = "localhost"
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", r.at.Port()), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestSlowClientsAreCutOff(t *testing.T) {
	const short = 300 * time.Millisecond
	for name, tc := range map[string]struct {
		limits Limits
		sent   string // behind the handshake
		want   string // "" for no answer at all
	}{
		"silence":            {Limits{Header: short}, "", ""},
		"header":             {Limits{Header: short}, "POST /x HTTP/1.1\r\nHost:", ""},
		"body":               {Limits{Body: short}, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", " 408 "},
		"body nobody reads":  {Limits{Body: short}, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", " 404 "},
		"between requests":   {Limits{Idle: short}, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", " 200 "},
		"chunks without end": {Limits{Body: short}, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", " 408 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, Config{Limits: tc.limits, Routes: []Route{{"POST", "/x", 100, give(&exchange.Answer{}, nil)}}})
			c := dial(t, r, new(tls.Config))
			fmt.Fprint(c, tc.sent)
			b, _ := io.ReadAll(c) // until the server closes the connection
			if tc.want == "" && bytes.Contains(b, []byte(" 200 ")) || !bytes.Contains(b, []byte(tc.want)) {
				t.Errorf("%q, want %q", b, tc.want)
			}
		})
	}
	t.Run("handshake", func(t *testing.T) {
		t.Parallel()
		r := run(t, Config{Limits: Limits{Handshake: short}})
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", r.at.Port()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			t.Error("a handshake that did not begin was answered")
		}
	})
}

func TestADecisionMayTakeLongerThanTheBody(t *testing.T) {
	short := Limits{Body: 250 * time.Millisecond}
	release := make(chan struct{})
	time.AfterFunc(4*short.Body, func() { close(release) })
	r := run(t, Config{Limits: short, Routes: []Route{{"POST", "/x", 100, func(ctx context.Context, _ *exchange.Request) (*exchange.Answer, error) {
		select {
		case <-release:
			return &exchange.Answer{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}}})
	resp, err := visitor(t, new(tls.Config)).Post(r.at.String()+"/x", "", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
}

// served reports whether a request over c is answered.
func served(c net.Conn) bool {
	fmt.Fprint(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	return err == nil && resp.StatusCode == 200
}

func TestConnectionsOfOneClientAreLimited(t *testing.T) {
	r := run(t, Config{Limits: Limits{ConnectionsPerClient: 2}, Routes: []Route{{"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	if a, b := dial(t, r, new(tls.Config)), dial(t, r, new(tls.Config)); !served(a) || !served(b) {
		t.Fatal("two connections of one client are not served")
	}
	if c, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", r.at.Port()), &tls.Config{RootCAs: pool(), ServerName: "localhost"}); err == nil && served(c) {
		t.Error("a third connection of one client is served")
	}
	if other := dial(t, r, &tls.Config{Certificates: []tls.Certificate{*certificate(t, site().TLSClient)}}); !served(other) {
		t.Error("another key from the same address is not served")
	}
	if n := r.Stats().ConnectionsRefused; n != 1 {
		t.Errorf("%d connections were counted as refused", n)
	}
}

func TestConnectionsInAllAreLimited(t *testing.T) {
	r := run(t, Config{Limits: Limits{Connections: 1}, Routes: []Route{{"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	if !served(dial(t, r, new(tls.Config))) {
		t.Fatal("the first connection is not served")
	}
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", r.at.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a connection over the limit was kept")
	}
}

func pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(site().Certificate())
	return p
}

func TestHandshakesOfOneAddressAreLimited(t *testing.T) {
	r := run(t, Config{Limits: Limits{HandshakesPerAddress: 1, Handshake: 30 * time.Second}})
	var halfOpen []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", r.at.Port()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		halfOpen = append(halfOpen, c)
	}
	if n, err := halfOpen[1].Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a second handshake of one address was let in")
	}
}

func TestTheCensusComesOutEven(t *testing.T) {
	r := run(t, Config{})
	var all []*tls.Conn
	for range 20 {
		all = append(all, dial(t, r, new(tls.Config)))
	}
	for _, c := range all {
		c.Close()
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c := r.census
	if c.total != 0 || c.handshakes != 0 || len(c.shaking) != 0 || len(c.clients) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestRequestsInWorkFinishWhenTheServerEnds(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	r := run(t, Config{Routes: []Route{{"GET", "/x", 0, func(ctx context.Context, _ *exchange.Request) (*exchange.Answer, error) {
		close(begun)
		<-end
		return &exchange.Answer{Body: []byte("done")}, ctx.Err()
	}}}})
	answered := make(chan string)
	go func() {
		resp, err := visitor(t, new(tls.Config)).Get(r.at.String() + "/x")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	<-begun
	ended := make(chan error)
	go func() { ended <- r.stop() }()
	for { // until it has stopped listening
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", r.at.Port()))
		if err != nil {
			break
		}
		c.Close()
	}
	close(end)
	if got := <-answered; got != "done" {
		t.Errorf("the request in work got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSilentConnectionsDoNotHoldTheServer: were they waited for, Run would end by
// the drain's limit and with an error.
func TestSilentConnectionsDoNotHoldTheServer(t *testing.T) {
	r := run(t, Config{Limits: Limits{Drain: 2 * time.Second}, Routes: []Route{{"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	silent, asked := dial(t, r, new(tls.Config)), dial(t, r, new(tls.Config))
	if !served(asked) {
		t.Fatal("not served")
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if n, err := silent.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the connection is still there")
	}
}

func TestRequestsThatDoNotFinishAreCutOff(t *testing.T) {
	begun := make(chan struct{})
	r := run(t, Config{Limits: Limits{Drain: 50 * time.Millisecond}, Routes: []Route{{"GET", "/x", 0, func(ctx context.Context, _ *exchange.Request) (*exchange.Answer, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}}}})
	go func() {
		if resp, err := visitor(t, new(tls.Config)).Get(r.at.String() + "/x"); err == nil {
			resp.Body.Close()
		}
	}()
	<-begun
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v", err)
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	r := run(t, Config{Limits: Limits{HeaderBytes: 1 << 10}, Routes: []Route{{"GET", "/x", 0, give(&exchange.Answer{}, nil)}}})
	c := dial(t, r, new(tls.Config))
	fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: x\r\nX-Y: %s\r\n\r\n", strings.Repeat("y", 16<<10))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 431 {
		t.Errorf("%v, %v", resp, err)
	}
}
