package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/mdns"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/ca"
)

func TestTheProxyLeadsToTheRegistrar(t *testing.T) {
	h := newHome(t)
	p := start(t, "serve", "--config", h.config)
	proxy := start(t, "proxy", "--registrar", strings.TrimPrefix(p.at, "https://"), "--listen", "127.0.0.1:0")
	c := client(t, nil)
	if status, _, _ := ask(t, c, "GET", "https://"+proxy.at+"/.well-known/est/cacerts", "", nil); status != 200 {
		t.Errorf("through the proxy: %d", status)
	}
	c.CloseIdleConnections() // or the proxy would wait for it
	if code := proxy.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, proxy.errs)
	}
	for _, args := range [][]string{{"--registrar", "here"}, {"--registrar", "h:1", "--max", "0"}, {"--registrar", "h:1", "--log-level", "loud"}, {"--registrar", "h:1", "--announce-name", "a.b"}, {}} {
		call(append([]string{"proxy"}, args...)...).want(t, program.Usage)
	}
	call("proxy", "--registrar", "h:1", "--listen", "192.0.2.1:1").want(t, program.IO)
}

func TestTheRegistrarIsFoundByMulticastDNS(t *testing.T) {
	h := newHome(t)
	h.set(t, "announce: true\nannounce-interface: lo\nannounce-name: found-here\n")
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no loopback interface of that name: %v", err)
	}
	p := start(t, "serve", "--config", h.config)
	found := make(chan *mdns.ServiceEntry, 16)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		go func() {
			defer cancel()
			mdns.QueryContext(ctx, &mdns.QueryParam{Service: "_brski-proxy._tcp", Domain: "local", Timeout: 2 * time.Second, Interface: lo, Entries: found,
				DisableIPv6: true, Logger: log.New(io.Discard, "", 0)})
		}()
		select {
		case e := <-found:
			cancel()
			if e.Name != "found-here._brski-proxy._tcp.local." || !strings.HasSuffix(p.at, fmt.Sprint(":", e.Port)) {
				t.Errorf("found %+v, want %s", e, p.at)
			}
			return
		case <-ctx.Done():
		}
	}
	t.Error("nobody answers on loopback")
}

func TestANetworkThatCannotBeAnnouncedOnIsNoReasonNotToServe(t *testing.T) {
	h := newHome(t)
	h.set(t, "announce: true\nannounce-interface: none0\n")
	p := start(t, "serve", "--config", h.config)
	if status, _, _ := ask(t, client(t, nil), "GET", p.at+"/.well-known/est/cacerts", "", nil); status != 200 {
		t.Errorf("cacerts: %d", status)
	}
	if code := p.stop(t); code != 0 || !strings.Contains(p.errs.String(), "none0") {
		t.Errorf("exit code %d\n%s", code, p.errs)
	}
}

func TestOtherMachinesAdministerWithACertificate(t *testing.T) {
	h, operators := newHome(t), newFactory(t, "Operators")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	h.set(t, "admin-listen: "+at+"\nadmin-client-ca: "+operators.file+"\n")
	start(t, "serve", "--config", h.config)
	key := newKey(t)
	c, err := operators.TLSClient(ca.EntityParams{CommonName: "operator", PublicKey: key.Public(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificateIn(t, filepath.Join(h.dir, fileCA)))
	for name, certs := range map[string][]tls.Certificate{"operator": {{Certificate: [][]byte{c.Raw}, PrivateKey: key}}, "stranger": {*impostor(t, "x")}, "nobody": nil} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: certs}}
		resp, err := (&http.Client{Transport: tr}).Get("https://" + at + apiDevices)
		if (err == nil && resp.StatusCode == 200) != (name == "operator") {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
		if err == nil {
			resp.Body.Close()
		}
		tr.CloseIdleConnections()
	}
}

func TestDevicesAreNoOperators(t *testing.T) {
	h := newHome(t)
	h.set(t, "admin-listen: 127.0.0.1:0\nadmin-client-ca: "+filepath.Join(h.dir, fileCA)+"\n")
	h.call("serve").want(t, program.Usage, "every device could administer this registrar")
}
