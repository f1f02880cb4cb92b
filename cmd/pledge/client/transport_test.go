package client_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vouchmill/vouchmill/cmd/pledge/client"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
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

func newAuthority(t testing.TB, name string) *ca.Authority {
	t.Helper()
	return must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: name, Key: newKey(t), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), PathLen: -1}, ca.Options{}))
}

// device is an IDevID under an authority.
func device(t testing.TB) pledge.Identity {
	t.Helper()
	key, maker := newKey(t), newAuthority(t, "Maker")
	cert := must[*x509.Certificate](t)(maker.IDevID(ca.IDevIDParams{SerialNumber: "S1", PublicKey: key.Public(), NotBefore: time.Now()}))
	return pledge.Identity{Chain: []*x509.Certificate{cert, maker.Certificate()}, Key: key}
}

// serverIdentity is a certificate of a registrar and its issuer.
func serverIdentity(t testing.TB) tls.Certificate {
	t.Helper()
	key, domain := newKey(t), newAuthority(t, "Domain")
	names := must[ca.ServerNames](t)(ca.ParseServerNames("localhost"))
	cert := must[*x509.Certificate](t)(domain.Registrar(ca.EntityParams{CommonName: "Registrar", PublicKey: key.Public(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Names: names}))
	return tls.Certificate{Certificate: [][]byte{cert.Raw, domain.Certificate().Raw}, PrivateKey: key}
}

// serve starts a TLS server.
func serve(t testing.TB, config *tls.Config, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	if config.Certificates == nil {
		config.Certificates = []tls.Certificate{serverIdentity(t)}
	}
	s := httptest.NewUnstartedServer(handler)
	s.TLS, s.EnableHTTP2 = config, true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func newTransport(t testing.TB) *client.Transport {
	t.Helper()
	c := client.NewTransport(client.Options{})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func call(s *httptest.Server, id pledge.Identity, name string) *pledge.Call {
	return &pledge.Call{Registrar: s.URL, Connection: name, Identity: id, Method: "GET", Path: "/x", Accept: "text/plain", MaxBody: 100,
		Prepare: func([]*x509.Certificate) ([]byte, error) { return nil, nil }}
}

func TestTheDeviceShowsItsCertificateAndNoName(t *testing.T) {
	// The server hints at an authority that is not the device's maker's.
	hints := x509.NewCertPool()
	hints.AddCert(newAuthority(t, "Nobody we know").Certificate())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var names []string
		id := device(t)
		s := serve(t, &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: hints, MinVersion: version, MaxVersion: version,
			GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				names = append(names, h.ServerName)
				return nil, nil
			}}, func(w http.ResponseWriter, r *http.Request) {
			if len(r.TLS.PeerCertificates) != 2 || !r.TLS.PeerCertificates[0].Equal(id.Chain[0]) || r.TLS.Version != version || r.ProtoMajor != 1 {
				http.Error(w, "bad", 400)
			}
			if r.Header.Get("User-Agent") != "" || r.Header.Get("Accept") != "text/plain" || r.Header.Get("Accept-Encoding") != "" {
				http.Error(w, "bad", http.StatusNotAcceptable)
			}
		})
		var met []*x509.Certificate
		c := call(s, id, "a")
		c.Prepare = func(peer []*x509.Certificate) ([]byte, error) { met = peer; return nil, nil }
		reply, err := newTransport(t).Exchange(context.Background(), c)
		if err != nil || reply.Status != 200 {
			t.Fatalf("%x: %+v, %v", version, reply, err)
		}
		if !slices.Equal(names, []string{""}) {
			t.Errorf("%x: names asked for: %q", version, names)
		}
		if len(met) != 2 || string(met[0].Raw) != string(s.TLS.Certificates[0].Certificate[0]) {
			t.Errorf("%x: met %d certificates", version, len(met))
		}
		if (reply.Binding.Unique != nil) != (version == tls.VersionTLS12) || len(reply.Binding.Exporter) != 32 {
			t.Errorf("%x: binding %+v", version, reply.Binding)
		}
	}
}

func TestCallsOfOneNameShareAConnection(t *testing.T) {
	s := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		body := must[[]byte](t)(io.ReadAll(r.Body))
		if len(r.Cookies()) > 0 || r.Header.Get("Content-Transfer-Encoding") != "" { // RFC 8951 §3
			http.Error(w, "cookie or encoding", 400)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(307)
		fmt.Fprintf(w, "%s %s %s", r.RemoteAddr, r.URL, body)
	})
	network, id := newTransport(t), device(t)
	from := map[string]int{}
	ask := func(name string) {
		c := call(s, id, name)
		c.Method, c.ContentType, c.Path = "POST", "text/plain", "/x?y=1"
		c.Prepare = func([]*x509.Certificate) ([]byte, error) { return []byte("hello"), nil }
		reply, err := network.Exchange(context.Background(), c)
		if err != nil || reply.Status != 307 || reply.Location != "/elsewhere" {
			t.Fatalf("%+v, %v", reply, err)
		}
		addr, rest, _ := strings.Cut(string(reply.Body), " ")
		if rest != "/x?y=1 hello" {
			t.Errorf("the server saw %q", rest)
		}
		from[addr]++
	}
	ask("a")
	ask("a")
	ask("b")
	ask("a")
	if len(from) != 2 {
		t.Errorf("connections %v, want one of 3 calls and one of 1", from)
	}
	network.Release("a")
	ask("a")
	if len(from) != 3 {
		t.Errorf("connections %v after a release", from)
	}
}

func TestAConnectionClosedWhileIdleIsSetUpAgain(t *testing.T) {
	s := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	network, met := newTransport(t), 0
	c := call(s, device(t), "a")
	c.Prepare = func([]*x509.Certificate) ([]byte, error) { met++; return []byte("again"), nil }
	c.Method = "POST"
	for range 3 {
		if _, err := network.Exchange(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
	}
	if met < 3 {
		t.Errorf("the pledge met the server %d times", met)
	}
}

func TestNothingIsSentToAServerThatIsRefused(t *testing.T) {
	asked := 0
	s := serve(t, &tls.Config{}, func(http.ResponseWriter, *http.Request) { asked++ })
	refusal := errors.New("not this one")
	c := call(s, device(t), "a")
	c.Prepare = func([]*x509.Certificate) ([]byte, error) { return nil, refusal }
	if _, err := newTransport(t).Exchange(context.Background(), c); !errors.Is(err, refusal) || asked != 0 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestLongAnswers(t *testing.T) {
	s := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X", strings.Repeat("x", 70000))
		}
		fmt.Fprint(w, strings.Repeat("x", must[int](t)(strconv.Atoi(r.URL.Query().Get("n")))))
	})
	network, id := newTransport(t), device(t)
	for path, want := range map[string]bool{"/x?n=100": true, "/x?n=101": false, "/x?n=10000000": false, "/header?n=1": false} {
		c := call(s, id, path)
		c.Path = path
		reply, err := network.Exchange(context.Background(), c)
		if (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
		if want && len(reply.Body) != 100 || !want && strings.HasPrefix(path, "/x") && !decision.Is(err, decision.TooLarge) {
			t.Errorf("%s: %+v, %v", path, reply, err)
		}
	}
}

func TestServersThatAreNone(t *testing.T) {
	stolen := serverIdentity(t)
	stolen.PrivateKey = newKey(t)
	for name, config := range map[string]*tls.Config{
		"without the key of its certificate":          {Certificates: []tls.Certificate{stolen}, MinVersion: tls.VersionTLS13},
		"without the key of its certificate, TLS 1.2": {Certificates: []tls.Certificate{stolen}, MaxVersion: tls.VersionTLS12},
		"of TLS 1.1":                     {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"that wants HTTP/2 and no other": {NextProtos: []string{"h2"}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()},
	} {
		s := serve(t, config, func(http.ResponseWriter, *http.Request) {})
		c := call(s, device(t), "a")
		if reply, err := newTransport(t).Exchange(context.Background(), c); err == nil {
			t.Errorf("%s: %+v", name, reply)
		}
	}
	if _, err := newTransport(t).Exchange(context.Background(), &pledge.Call{Registrar: "https://127.0.0.1:1", Identity: device(t)}); err == nil {
		t.Error("nobody listens, and yet it answers")
	}
}

func TestManyConnectionsAreNotKept(t *testing.T) {
	s := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })
	network, id := newTransport(t), device(t)
	first := must[*pledge.Reply](t)(network.Exchange(context.Background(), call(s, id, "0")))
	for i := range 20 {
		if _, err := network.Exchange(context.Background(), call(s, id, fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	again := must[*pledge.Reply](t)(network.Exchange(context.Background(), call(s, id, "0")))
	if string(again.Body) == string(first.Body) {
		t.Error("the oldest of 21 connections was kept")
	}
}

// Peers that stop talking, in a bubble where time passes only when all wait.
func TestStalledPeers(t *testing.T) {
	for name, c := range map[string]struct {
		peer   func(conn net.Conn, id tls.Certificate)
		within time.Duration
	}{
		"before the handshake": {func(conn net.Conn, _ tls.Certificate) { _, _ = io.Copy(io.Discard, conn) }, 6 * time.Second},
		"taking nothing":       {func(net.Conn, tls.Certificate) {}, 6 * time.Second},
		"before the answer": {func(conn net.Conn, id tls.Certificate) {
			s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{id}})
			_, _ = io.Copy(io.Discard, s)
		}, pledge.AnswerTimeout + time.Second},
		"in the body": {func(conn net.Conn, id tls.Certificate) {
			s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{id}})
			if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
				fmt.Fprint(s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			}
			_, _ = io.Copy(io.Discard, s)
		}, 6 * time.Second},
		"a body of one octet a second": {func(conn net.Conn, id tls.Certificate) {
			s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{id}})
			if _, err := http.ReadRequest(bufio.NewReader(s)); err != nil {
				return
			}
			fmt.Fprint(s, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			for {
				if _, err := s.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			id, own := serverIdentity(t), device(t)
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				done := make(chan struct{})
				go func() { c.peer(far, id); close(done) }()
				network := client.NewTransport(client.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }})
				start := time.Now()
				reply, err := network.Exchange(context.Background(), &pledge.Call{Registrar: "https://r.example", Connection: "a", Identity: own, Method: "GET", Path: "/", MaxBody: 1000000,
					Prepare: func([]*x509.Certificate) ([]byte, error) { return nil, nil }})
				if err == nil {
					t.Errorf("%+v", reply)
				}
				if waited := time.Since(start); waited > c.within {
					t.Errorf("given up after %v", waited)
				}
				_ = network.Close()
				_ = near.Close()
				_ = far.Close()
				<-done
			})
		})
	}
}
