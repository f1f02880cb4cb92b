package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

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
