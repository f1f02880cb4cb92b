package bench

import (
	"context"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/pledge/client"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// BenchmarkJoinServers is a whole join over the network: masa serve and registrar
// serve, each a process of its own with its state on disk, and pledges in this
// process, 64 at a time over loopback TLS. An iteration is as many devices, each of
// which joins once, with connections of its own: one up to its certificate, and one
// with that. ns-cpu/pledge, ns-cpu/registrar and ns-cpu/masa are the processor
// time of the processes for a join, HTTP, TLS, kernel and disk included; the
// pledges keep their state in memory.
//
// ns-cpu/pledge-ops and so on are the public-key operations of BenchmarkJoin, and
// of the pledge and the registrar those of two TLS 1.3 handshakes, in each of which
// a side signs once, verifies the other's signature once, and agrees upon a key by
// X25519MLKEM768. Certificates that TLS would verify are those that BenchmarkJoin
// counts. The registrar keeps its connection to the MASA.
func BenchmarkJoinServers(b *testing.B) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		b.Run("env="+format.String(), func(b *testing.B) { benchJoinServers(b, format) })
	}
}

func benchJoinServers(b *testing.B, format codec.Format) {
	if CPUTimeOf(os.Getpid()) == 0 {
		b.Skip("the processor time of another process cannot be told here")
	}
	all := runtime.GOMAXPROCS(0)
	type side struct {
		name      string
		ops       *publicKeyOps
		spent     func(*servers) time.Duration
		took, own time.Duration // of all joins, and of all rounds of their public-key operations
	}
	sides := []side{
		{name: "pledge", ops: newPublicKeyOps(b, 5+2, 2+2, 1, all), spent: func(*servers) time.Duration { return CPUTime() }},
		{name: "registrar", ops: newPublicKeyOps(b, 7+2, 2+2, 0, all), spent: func(s *servers) time.Duration { return CPUTimeOf(s.registrar.pid) }},
		{name: "masa", ops: newPublicKeyOps(b, 8, 2, 0, all), spent: func(s *servers) time.Duration { return CPUTimeOf(s.masa.pid) }},
	}
	asking, answering := agreements(b)
	sides[0].ops.agreed, sides[0].ops.agree = 2, asking
	sides[1].ops.agreed, sides[1].ops.agree = 2, answering
	var s *servers
	joins, rounds := 0, 0
	for b.Loop() {
		b.StopTimer()
		if s == nil || len(s.devices) < callers {
			s = newServers(b)
			s.join(b, format, callers) // fills the caches
		}
		for i := range sides {
			sides[i].own += sides[i].ops.measure(b)
		}
		rounds++
		runtime.GC()
		for i := range sides {
			sides[i].took -= sides[i].spent(s)
		}
		b.StartTimer()
		s.join(b, format, callers)
		joins += callers
		for i := range sides {
			sides[i].took += sides[i].spent(s)
		}
	}
	b.ReportMetric(float64(joins)/b.Elapsed().Seconds(), "joins/s")
	for _, side := range sides {
		ReportCPU(b, side.took, float64(joins), side.name)
		ReportCPU(b, side.own, float64(rounds), side.name+"-ops")
	}
}

// agreements are what the two sides of a TLS 1.3 handshake compute to agree upon
// a key by X25519MLKEM768: who asks makes both key pairs and decapsulates, who
// answers makes one and encapsulates.
func agreements(t testing.TB) (asking, answering func() error) {
	t.Helper()
	peer := must(ecdh.X25519().GenerateKey(rand.Reader))(t).PublicKey()
	key := must(mlkem.GenerateKey768())(t)
	_, sealed := key.EncapsulationKey().Encapsulate()
	sent := key.EncapsulationKey().Bytes()
	share := func() error {
		own, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err == nil {
			_, err = own.ECDH(peer)
		}
		return err
	}
	asking = func() error {
		if err := share(); err != nil {
			return err
		}
		if _, err := mlkem.GenerateKey768(); err != nil {
			return err
		}
		_, err := key.Decapsulate(sealed)
		return err
	}
	answering = func() error {
		if err := share(); err != nil {
			return err
		}
		theirs, err := mlkem.NewEncapsulationKey768(sent)
		if err == nil {
			theirs.Encapsulate()
		}
		return err
	}
	return asking, answering
}

// servers are the programs of a MASA and of a registrar, and devices that have
// not joined.
type servers struct {
	*onboarding
	masa, registrar *server
	anchors         []*x509.Certificate // of vouchers
}

// newServers makes and starts both programs. Those that were there before stay
// until the test ends.
func newServers(t testing.TB) *servers {
	t.Helper()
	dir := t.TempDir()
	s := &servers{onboarding: newOnboarding(t, sizeOfSite)}
	s.masa = s.serveMASA(t, dir, nil)
	home := func(name string) string { return filepath.Join(dir, "masa", name) }
	s.anchors = must(sign.LoadCertificates(must(os.ReadFile(home("voucher-ca.pem")))(t)))(t)
	program, config := programs.path(t, "registrar"), filepath.Join(dir, "registrar", "registrar.yaml")
	issuer := filepath.Join(dir, "idevid-ca.pem")
	writeFile(t, issuer, ca.ChainPEM(s.maker.Certificate()))
	command(t, nil, program, "init", "--dir", filepath.Dir(config), "--url", "https://localhost:0", "--admit", "manufacturer",
		"--manufacturer", issuer, "--masa-url", s.masa.url, "--masa-trust", home("tls-ca.pem"), "--voucher-trust", home("voucher-ca.pem"))
	s.registrar = serve(t, nil, program, "serve", "--config", config)
	return s
}

// join takes the next n devices from their boxes into the domain.
func (s *servers) join(t testing.TB, format codec.Format, n int) {
	t.Helper()
	devices := make(chan thing, n)
	for _, d := range s.devices[:n] {
		devices <- d
	}
	s.devices = s.devices[n:]
	close(devices)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for d := range devices {
				if err := s.joinOne(format, d); err != nil {
					t.Errorf("device %s: %v", d.serial, err)
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func (s *servers) joinOne(format codec.Format, d thing) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := pledge.New(pledge.Config{IDevID: pledge.Identity{Chain: []*x509.Certificate{d.cert}, Key: d.key}, VoucherAnchors: s.anchors,
		Network: client.NewTransport(client.Options{}), Storage: files{}, Clock: client.SystemClock{}, ClockTrusted: true, Format: format, Once: true})
	if err != nil {
		return err
	}
	_, err = p.Join(ctx, s.registrar.url)
	return err
}
