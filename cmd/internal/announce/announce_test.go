package announce

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

func both() []Service { return []Service{{Registrar, 8443}, {Proxy, 8444}} }

func loopback(t *testing.T) *net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Flags&net.FlagLoopback != 0 && all[i].Flags&net.FlagUp != 0 {
			return &all[i]
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this machine has no loopback interface")
	}
	t.Skip("this machine has no loopback interface")
	return nil
}

// find asks on an interface until something answers for the type, and returns
// it; the time is that within which a lost packet is repeated.
func find(t *testing.T, iface *net.Interface, service Type) *mdns.ServiceEntry {
	t.Helper()
	found := make(chan *mdns.ServiceEntry, 16)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		go func() {
			defer cancel()
			mdns.QueryContext(ctx, &mdns.QueryParam{Service: string(service), Domain: "local", Timeout: 2 * time.Second, Interface: iface,
				Entries: found, DisableIPv6: true, Logger: log.New(io.Discard, "", 0)})
		}()
		select {
		case e := <-found:
			cancel()
			return e
		case <-ctx.Done():
		}
	}
	return nil
}

func TestARegistrarAndItsProxyAreFoundOnLoopback(t *testing.T) {
	lo := loopback(t)
	a, err := Start(Config{Services: both(), Instance: "test-registrar", Interface: lo.Name})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no multicast here: %v", err)
	}
	t.Cleanup(func() { a.Close() })
	for _, s := range both() {
		e := find(t, lo, s.Type)
		if e == nil {
			t.Fatalf("nobody answers for %s on %s", s.Type, lo.Name)
		}
		if e.Name != "test-registrar."+string(s.Type)+".local." || e.Port != s.Port || e.Host != "test-registrar.local." ||
			len(e.InfoFields) != 1 || e.InfoFields[0] != Variation || !e.AddrV4.Equal(net.IPv4(127, 0, 0, 1)) {
			t.Errorf("%s: %+v", s.Type, e)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func fixed(ips ...string) *zone {
	z := &zone{services: both(), instance: "here"}
	for _, ip := range ips {
		addr := net.ParseIP(ip)
		before := z.addresses
		z.addresses = func() ([]net.IP, error) {
			if before == nil {
				return []net.IP{addr}, nil
			}
			rest, err := before()
			return append(rest, addr), err
		}
	}
	return z
}

func TestWhatIsAnswered(t *testing.T) {
	z := fixed("192.0.2.1", "fe80::1")
	for _, c := range []struct {
		name string
		kind uint16
		want []string // parts of the answers, in their order
	}{
		{"_brski-proxy._tcp.local.", dns.TypePTR, []string{"PTR\there._brski-proxy._tcp.local.", "SRV\t10 1 8444 here.local.", "A\t192.0.2.1", "AAAA\tfe80::1", "TXT\t\"est-tls\""}},
		{"_BRSKI-Registrar._TCP.Local.", dns.TypePTR, []string{"PTR\there._brski-registrar._tcp.local.", "SRV\t10 1 8443 here.local.", "A\t192.0.2.1", "AAAA\tfe80::1", "TXT\t\"est-tls\""}},
		{"_services._dns-sd._udp.local.", dns.TypePTR, []string{"PTR\t_brski-registrar._tcp.local.", "PTR\t_brski-proxy._tcp.local."}},
		{"here._brski-proxy._tcp.local.", dns.TypeTXT, []string{"TXT\t\"est-tls\""}},
		{"here.local.", dns.TypeA, []string{"A\t192.0.2.1"}},
		{"here.local.", dns.TypeAAAA, []string{"AAAA\tfe80::1"}},
		{"there.local.", dns.TypeA, nil},
		{"_brski-proxy._tcp.local.", dns.TypeMX, nil},
		{"_brski-pledge._tcp.local.", dns.TypePTR, nil},
		{"", dns.TypeANY, nil},
	} {
		got := z.Records(dns.Question{Name: c.name, Qtype: c.kind, Qclass: dns.ClassINET})
		if len(got) != len(c.want) {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.kind], got)
			continue
		}
		for i := range got {
			if !strings.HasSuffix(got[i].String(), c.want[i]) {
				t.Errorf("%s %s: record %d is %q, want %q", c.name, dns.TypeToString[c.kind], i, got[i], c.want[i])
			}
		}
	}
}

func TestAddressesAreThoseOfTheMoment(t *testing.T) {
	z := fixed("192.0.2.1")
	question := dns.Question{Name: "here.local.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	ask := func() (addresses string) {
		for _, rr := range z.Records(question) {
			addresses += rr.(*dns.A).A.String() + " "
		}
		return addresses
	}
	for _, step := range []struct {
		addresses func() ([]net.IP, error)
		want      string
	}{
		{z.addresses, "192.0.2.1 "},
		{func() ([]net.IP, error) { return []net.IP{net.ParseIP("192.0.2.2")}, nil }, "192.0.2.2 "},
		{func() ([]net.IP, error) { return nil, errors.New("the netlink socket is gone") }, "192.0.2.2 "},
		{func() ([]net.IP, error) { return nil, nil }, ""},
	} {
		z.addresses = step.addresses
		z.read = time.Time{} // as if they had been read long ago
		if got := ask(); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

func TestAnAnswerFitsAPacket(t *testing.T) {
	var addrs []net.Addr
	for i := range 100 {
		addrs = append(addrs, &net.IPNet{IP: net.ParseIP("2001:db8::").To16(), Mask: net.CIDRMask(64, 128)})
		addrs[i].(*net.IPNet).IP[15] = byte(i + 1)
	}
	ips := unicast(addrs, false)
	z := &zone{services: both(), instance: strings.Repeat("i", 63), addresses: func() ([]net.IP, error) { return ips, nil }}
	m := dns.Msg{Compress: true, Answer: z.Records(dns.Question{Name: "_brski-proxy._tcp.local.", Qtype: dns.TypeANY, Qclass: dns.ClassINET})}
	if n := m.Len(); len(m.Answer) < 10 || n > 1200 {
		t.Errorf("%d records in %d octets", len(m.Answer), n)
	}
}

func TestWhichAddressesAreAnnounced(t *testing.T) {
	var addrs []net.Addr
	for _, a := range []string{"127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "192.0.2.1", "fe80::1"} {
		addrs = append(addrs, &net.IPNet{IP: net.ParseIP(a)})
	}
	addrs = append(addrs, &net.UnixAddr{Name: "x"})
	if got := unicast(addrs, false); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := unicast(addrs, true); len(got) != 4 {
		t.Errorf("with loopback: %v", got)
	}
}

func TestWhatCannotBeAnnounced(t *testing.T) {
	good := Config{Services: both(), Instance: "x"}
	for name, change := range map[string]func(*Config){
		"nothing":                  func(c *Config) { c.Services = nil },
		"an unknown type":          func(c *Config) { c.Services = []Service{{"_http._tcp", 80}} },
		"no port":                  func(c *Config) { c.Services = []Service{{Proxy, 0}} },
		"a port too high":          func(c *Config) { c.Services = []Service{{Proxy, 65536}} },
		"no name":                  func(c *Config) { c.Instance = "" },
		"a name of two labels":     func(c *Config) { c.Instance = "a.b" },
		"a name too long":          func(c *Config) { c.Instance = strings.Repeat("a", 64) },
		"a name in another script": func(c *Config) { c.Instance = "ｘ" },
		"no such interface":        func(c *Config) { c.Interface = "no-such-interface0" },
	} {
		cfg := good
		change(&cfg)
		if a, err := Start(cfg); err == nil {
			a.Close()
			t.Errorf("%s is announced", name)
		}
	}
}

func TestANetworkThatIsNotThereIsTriedAgain(t *testing.T) {
	lines := make(told)
	ctx, cancel := context.WithCancel(t.Context())
	cfg := Config{Services: both(), Instance: "x", Interface: "no-such-interface0", Retry: time.Nanosecond, Log: slog.New(slog.NewTextHandler(lines, nil))}
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	for range 3 {
		<-lines
	}
	cancel()
	for done := false; !done; {
		select {
		case <-lines:
		case err := <-ended:
			if done = true; err != nil {
				t.Error(err)
			}
		}
	}
	cfg.Instance = "a.b"
	if err := Run(t.Context(), cfg); err == nil {
		t.Error("a name that is none is tried for ever")
	}
}

// told is a log that hands over that there was a line.
type told chan struct{}

func (c told) Write(p []byte) (int, error) { c <- struct{}{}; return len(p), nil }

func TestNamesOfInstancesCanBeMadeOfAnything(t *testing.T) {
	for text, want := range map[string]string{
		"registrar.example.com": "registrar-example-com", "": "registrar", "...": "registrar", "ok_1": "ok_1",
		strings.Repeat("a", 80): strings.Repeat("a", 63), "[fe80::1]": "fe80--1", "höhe": "h-he",
	} {
		got := InstanceOf(text)
		if got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
		if err := CheckInstance(got); err != nil {
			t.Error(err)
		}
	}
}
