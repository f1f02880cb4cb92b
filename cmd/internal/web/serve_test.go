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
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

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
