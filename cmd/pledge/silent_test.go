package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/pledge/client"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// quick is a clock that goes twenty times as fast.
type quick struct{ start time.Time }

const haste = 20

func (c quick) Now() time.Time { return c.start.Add(haste * time.Since(c.start)) }

func (c quick) Sleep(ctx context.Context, d time.Duration) error {
	return client.SystemClock{}.Sleep(ctx, d/haste)
}

func (c quick) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return client.SystemClock{}.AfterFunc(d/haste, f)
}

// mutes are registrars that take a request and never answer it.
type mutes struct {
	urls  []string
	asked chan int // who got a request
	ended chan int // whose connection was closed, in order
	all   sync.WaitGroup
}

func newMutes(t testing.TB, n int) *mutes {
	t.Helper()
	m := &mutes{asked: make(chan int, 100), ended: make(chan int, 100)}
	t.Cleanup(m.all.Wait) // once the listeners are closed
	key, now := newKey(t), time.Now()
	cert := must[*x509.Certificate](t)(newAuthority(t, "Mute CA", newKey(t)).Registrar(ca.EntityParams{CommonName: "Mute", PublicKey: key.Public(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		Names: must[ca.ServerNames](t)(ca.ParseServerNames("localhost"))}))
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	for i := range n {
		l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		m.urls = append(m.urls, "https://"+l.Addr().String())
		m.all.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				m.all.Go(func() { m.hold(i, conn, config) })
			}
		})
		t.Cleanup(func() { _ = l.Close() })
	}
	return m
}

// hold takes what comes until the other side closes.
func (m *mutes) hold(i int, conn net.Conn, config *tls.Config) {
	defer conn.Close()
	conn = tls.Server(conn, config)
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		m.asked <- i
	}
	_, _ = io.Copy(io.Discard, conn)
	m.ended <- i
}

// pledge is the device of a site over real connections.
func (s *site) pledge() *pledge.Pledge {
	s.t.Helper()
	args := s.device("state")
	chain := must[[]*x509.Certificate](s.t)(readCertificates("", args[4], sign.LoadChain))
	key := must[*material.Key](s.t)(material.OpenKey(newJoin(), "--key", args[6], nil))
	dir := must[*client.Dir](s.t)(client.OpenDir(filepath.Join(s.dir, "state")))
	network := client.NewTransport(client.Options{})
	s.t.Cleanup(func() { key.Close(); _ = dir.Close(); _ = network.Close() })
	return must[*pledge.Pledge](s.t)(pledge.New(pledge.Config{IDevID: pledge.Identity{Chain: chain, Key: key.Signer}, VoucherAnchors: []*x509.Certificate{s.maker.Certificate()},
		Network: network, Storage: dir, Clock: quick{time.Now()}, Once: true}))
}

// A registrar that is asked and does not answer is still asked when the device
// joins elsewhere, and its connection is closed then.
func TestASilentRegistrarIsNotWaitedFor(t *testing.T) {
	s, m := newSite(t), newMutes(t, 1)
	s.answer("enrollstatus", func(http.ResponseWriter, *http.Request) {
		<-m.asked
		if len(m.ended) != 0 {
			t.Error("the connection of the silent one was closed before")
		}
	})
	joined, err := s.pledge().Join(t.Context(), m.urls[0], s.url)
	if err != nil || joined.Registrar != s.url {
		t.Fatalf("%+v, %v", joined, err)
	}
	<-m.ended
}

// More silent registrars than are asked at a time: the oldest makes room.
func TestEightSilentRegistrarsAndOneThatAnswers(t *testing.T) {
	s, m := newSite(t), newMutes(t, 8)
	first := make(chan int, 1)
	s.answer("enrollstatus", func(http.ResponseWriter, *http.Request) {
		first <- <-m.ended
		if len(m.ended) != 0 {
			t.Error("more than one made room")
		}
	})
	joined, err := s.pledge().Join(t.Context(), append(m.urls, s.url)...)
	if err != nil || joined.Registrar != s.url {
		t.Fatalf("%+v, %v", joined, err)
	}
	if dropped := <-first; dropped != 0 {
		t.Errorf("number %d made room", dropped)
	}
	for range 7 {
		<-m.ended
	}
}

// A gate is a port in front of a server that opens after it has turned so many
// connections away.
func gate(t testing.TB, url string, away int) string {
	t.Helper()
	var all sync.WaitGroup
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(all.Wait)
	t.Cleanup(func() { _ = l.Close() })
	all.Go(func() {
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			if away--; away >= 0 {
				_ = outer.Close()
				continue
			}
			inner, err := net.Dial("tcp", strings.TrimPrefix(url, "https://"))
			if err != nil {
				t.Error(err)
				return
			}
			for _, way := range [][2]net.Conn{{outer, inner}, {inner, outer}} {
				all.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = way[0].Close(), way[1].Close()
				})
			}
		}
	})
	return "https://" + l.Addr().String()
}

// A registrar that cannot be reached is tried once, or until the timeout.
func TestADeviceCanWaitForItsRegistrar(t *testing.T) {
	s := newSite(t)
	join := with(s.device("state"), "--registrar", gate(t, s.url, 2))
	if _, errs := wants(t, 3, join...); strings.Contains(errs, "trying again") {
		t.Errorf("%q", errs)
	}
	join = append(join, "--wait", "--timeout", "10m")
	out, errs := wants(t, 0, join...)
	if !strings.Contains(out, serial+" joined") || strings.Count(errs, "; trying again later\n") != 1 {
		t.Errorf("%q %q", out, errs)
	}
	s.answer("requestvoucher", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	wants(t, 0, "reset", "--state", s.path("state"))
	if _, errs := wants(t, 1, join...); strings.Contains(errs, "trying again") {
		t.Errorf("%q", errs)
	}
	wants(t, 3, with(with(join, "--registrar", "https://127.0.0.1:1"), "--timeout", "10ms")...)
}
