package masaclient

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCA(t *testing.T, name string) *ca.Authority {
	t.Helper()
	a, err := ca.NewRoot(ca.RootParams{CommonName: name, Key: newKey(t), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certificate(t *testing.T, issue func(ca.EntityParams) (*x509.Certificate, error), hosts ...string) *tls.Certificate {
	t.Helper()
	names, err := ca.ParseServerNames(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	c, err := issue(ca.EntityParams{CommonName: "entity", PublicKey: key.Public(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: crypto.Signer(key), Leaf: c}
}

// serve starts a MASA that has a certificate for the hosts.
func serve(t *testing.T, a *ca.Authority, h http.HandlerFunc, version uint16, hosts ...string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = discard
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate(t, a.TLSServer, hosts...)}, ClientAuth: tls.RequestClientCert, MaxVersion: version, MinVersion: tls.VersionTLS10}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestACallArrivesWithTheRegistrarsCertificateAndNothingElse(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	a := newCA(t, "MASA CA")
	own := certificate(t, newCA(t, "Domain CA").Registrar, "registrar.example")
	var got *http.Request
	var body []byte
	s := serve(t, a, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/voucher-cms+json")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Retry-After", "7")
		_, _ = w.Write([]byte("voucher"))
	}, 0, "localhost")
	c := New(Config{Certificate: func() (*tls.Certificate, error) { return own, nil }})
	defer c.Close()
	call := &registrar.Call{Method: "POST", URL: s.URL + "/x", ContentType: "a/b", Accept: "c/d", Body: []byte("request"), MaxBody: 10,
		Trust: &registrar.MASATrust{Anchors: []*x509.Certificate{a.Certificate()}}}
	for range 2 {
		r, err := c.Do(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != 200 || string(r.Body) != "voucher" || r.ContentType != "application/voucher-cms+json" || r.RetryAfter != 7*time.Second {
			t.Errorf("%+v", r)
		}
		if string(body) != "request" || got.Header.Get("Content-Type") != "a/b" || got.Header.Get("Accept") != "c/d" || got.Header.Get("Cookie") != "" || got.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%q %v", body, got.Header)
		}
		if len(got.TLS.PeerCertificates) != 1 || !got.TLS.PeerCertificates[0].Equal(own.Leaf) {
			t.Error("another certificate, or none, was presented")
		}
	}
	if len(c.transports) != 1 {
		t.Errorf("%d transports for one trust", len(c.transports))
	}
}

func TestBodiesAreCutAndRedirectsAreShown(t *testing.T) {
	a := newCA(t, "MASA CA")
	s := serve(t, a, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write(make([]byte, 1000))
	}, 0, "localhost")
	c := New(Config{})
	defer c.Close()
	call := &registrar.Call{Method: "GET", URL: s.URL, MaxBody: 99, Trust: &registrar.MASATrust{Anchors: []*x509.Certificate{a.Certificate()}}}
	if r, err := c.Do(t.Context(), call); err != nil || len(r.Body) != 100 {
		t.Errorf("%v", err)
	}
	call.URL += "/moved"
	if r, err := c.Do(t.Context(), call); err != nil || r.Status != 307 || r.Location != "/elsewhere" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOnlyTheRightServerIsBelieved(t *testing.T) {
	ours, theirs := newCA(t, "ours"), newCA(t, "theirs")
	handler := func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }
	roots := x509.NewCertPool()
	roots.AddCert(theirs.Certificate())
	c := New(Config{SystemRoots: roots})
	defer c.Close()
	for name, s := range map[string]*httptest.Server{
		"another authority, which the system believes": serve(t, theirs, handler, 0, "localhost"),
		"another name": serve(t, ours, handler, 0, "masa.example"),
		"TLS 1.1":      serve(t, ours, handler, tls.VersionTLS11, "localhost"),
	} {
		_, err := c.Do(t.Context(), &registrar.Call{Method: "GET", URL: s.URL, Trust: &registrar.MASATrust{Anchors: []*x509.Certificate{ours.Certificate()}}})
		var n *registrar.NetworkError
		if !errors.As(err, &n) || n.Connected || n.Timeout || n.Address {
			t.Errorf("%s: %#v", name, err)
		}
	}
	for _, bad := range []string{"http://localhost", "ftp://x", "https://", "https://u@localhost", ":", ""} {
		var n *registrar.NetworkError
		if _, err := c.Do(t.Context(), &registrar.Call{Method: "GET", URL: bad, Trust: &registrar.MASATrust{Anchors: []*x509.Certificate{ours.Certificate()}}}); !errors.As(err, &n) || !n.Address {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestAddressesAreJudgedWhereTheSystemIsBelieved: by the address that a name
// turns out to have.
func TestAddressesAreJudgedWhereTheSystemIsBelieved(t *testing.T) {
	a := newCA(t, "public")
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	asked := 0
	s := serve(t, a, func(http.ResponseWriter, *http.Request) { asked++ }, 0, "localhost")
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{SystemRoots: roots})
	defer c.Close()
	for _, tc := range []struct {
		host  string
		trust *registrar.MASATrust
		ok    bool
	}{
		{"localhost", nil, false}, {"localhost", &registrar.MASATrust{}, false}, {"127.0.0.1", nil, false}, {"[::ffff:127.0.0.1]", nil, false},
		{"localhost", &registrar.MASATrust{Hosts: []string{"masa.example", "LOCALHOST"}}, true},
		{"localhost", &registrar.MASATrust{Hosts: []string{"localhost:" + port}}, true},
		{"localhost", &registrar.MASATrust{Hosts: []string{"localhost:1"}}, false},
		{"127.0.0.1", &registrar.MASATrust{Hosts: []string{"localhost"}}, false},
		{"localhost", &registrar.MASATrust{Anchors: []*x509.Certificate{a.Certificate()}}, true},
	} {
		before := asked
		_, err := c.Do(t.Context(), &registrar.Call{Method: "GET", URL: "https://" + tc.host + ":" + port + "/", Trust: tc.trust})
		if (err == nil) != tc.ok || (asked > before) != tc.ok {
			t.Errorf("%s, %+v: %v", tc.host, tc.trust, err)
		}
		var n *registrar.NetworkError
		if !tc.ok && (!errors.As(err, &n) || !n.Address || n.Connected || !strings.Contains(err.Error(), "masa-hosts")) {
			t.Errorf("%s: %#v", tc.host, err)
		}
	}
}

func TestFailuresSayHowFarTheCallCame(t *testing.T) {
	a := newCA(t, "MASA CA")
	trust := &registrar.MASATrust{Anchors: []*x509.Certificate{a.Certificate()}}
	release := make(chan struct{})
	asked := make(chan struct{}, 10)
	s := serve(t, a, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		<-release
	}, 0, "localhost")
	defer close(release)
	c := New(Config{})
	defer c.Close()
	var n *registrar.NetworkError
	do := func(ctx context.Context, url string) error {
		_, err := c.Do(ctx, &registrar.Call{Method: "POST", URL: url, Body: []byte("x"), MaxBody: 100, Trust: trust})
		return err
	}
	if err := do(t.Context(), s.URL+"/broken"); !errors.As(err, &n) || !n.Connected || n.Timeout || n.Address {
		t.Errorf("broken off: %#v", err)
	}
	if len(asked) != 1 {
		t.Errorf("a request that may have been handled was sent %d times", len(asked))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := do(ctx, s.URL+"/slow"); !errors.As(err, &n) || !n.Connected || !n.Timeout {
		t.Errorf("slow: %#v", err)
	}
	mine := errors.New("the pledge left")
	gone, leave := context.WithCancelCause(t.Context())
	leave(mine)
	if err := do(gone, s.URL+"/slow"); !errors.Is(err, mine) {
		t.Errorf("cancelled: %#v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	if err := do(t.Context(), "https://"+at); !errors.As(err, &n) || n.Connected || n.Timeout || n.Address {
		t.Errorf("nobody listens: %#v", err)
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{"": 0, "0": 0, " 30 ": 30 * time.Second, "-1": 0, "soon": 0, "4000000000": maxRetryAfter, "99999999999999": 0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2099 11:00:00 GMT": maxRetryAfter} {
		if got := retryAfter(field, now); got != want {
			t.Errorf("%q: %s, want %s", field, got, want)
		}
	}
}

func TestConnectionsOfManyTrustsAreNotKept(t *testing.T) {
	c := New(Config{})
	for i := range 3 * maxTransports {
		c.transport(&registrar.MASATrust{Hosts: []string{strings.Repeat("h", i+1)}})
	}
	if n := len(c.transports); n > maxTransports {
		t.Errorf("%d transports", n)
	}
	if a, b := digest(&registrar.MASATrust{Hosts: []string{"a", "b"}}), digest(&registrar.MASATrust{Hosts: []string{"ab"}}); bytes.Equal(a[:], b[:]) {
		t.Error("two trusts have one digest")
	}
}

var discard = log.New(io.Discard, "", 0)
