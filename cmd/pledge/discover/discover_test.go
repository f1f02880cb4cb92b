package discover_test

import (
	"context"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"

	"github.com/vouchmill/vouchmill/cmd/pledge/discover"
)

// dnsServer answers from a zone on loopback, over UDP and TCP.
func dnsServer(t *testing.T, zone ...string) string {
	t.Helper()
	var records []dns.RR
	for _, line := range zone {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rr)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(q)
		for _, rr := range records {
			if strings.EqualFold(rr.Header().Name, q.Question[0].Name) && rr.Header().Rrtype == q.Question[0].Qtype {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if w.LocalAddr().Network() == "udp" {
			reply.Truncate(dns.MinMsgSize)
		}
		_ = w.WriteMsg(reply)
	})
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: streams, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

// nowhere is an interface that multicast cannot be sent on.
var nowhere = &net.Interface{Index: 1 << 30, Name: "none"}

func TestRegistrarsOfADomain(t *testing.T) {
	const service = "_brski-registrar._tcp.example.com. "
	server := dnsServer(t,
		service+"PTR two._brski-registrar._tcp.example.com.", service+"PTR one._brski-registrar._tcp.example.com.",
		service+"PTR cmp._brski-registrar._tcp.example.com.", service+"PTR lost._brski-registrar._tcp.example.com.",
		service+"PTR bad._brski-registrar._tcp.example.com.",
		"one._brski-registrar._tcp.example.com. SRV 1 0 8443 r1.example.com.", `one._brski-registrar._tcp.example.com. TXT "EST-TLS" "cmp"`,
		"two._brski-registrar._tcp.example.com. SRV 2 0 443 r2.example.com.", `two._brski-registrar._tcp.example.com. TXT ""`,
		"cmp._brski-registrar._tcp.example.com. SRV 0 0 8443 r3.example.com.", `cmp._brski-registrar._tcp.example.com. TXT "cmp"`,
		"bad._brski-registrar._tcp.example.com. SRV 0 0 0 r4.example.com.", "bad._brski-registrar._tcp.example.com. SRV 0 0 9 .")
	found, err := discover.Find(context.Background(), discover.Options{Interface: nowhere, Domain: "example.com", Servers: []string{"127.0.0.1:1", server}})
	if want := []string{"https://r1.example.com:8443", "https://r2.example.com"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("%q, %v, want %q", found, err, want)
	}
}

func TestAnswersTooLongForADatagram(t *testing.T) {
	var zone []string
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		name := strings.Repeat(string(c), 60) + "._brski-registrar._tcp.example.com."
		zone = append(zone, "_brski-registrar._tcp.example.com. PTR "+name, name+" SRV 1 1 8443 "+string(c)+".example.com.")
	}
	found, err := discover.Find(context.Background(), discover.Options{Interface: nowhere, Domain: "example.com.", Servers: []string{dnsServer(t, zone...)}})
	if err != nil || len(found) != discover.MaxFound {
		t.Errorf("%d found, want %d, %v", len(found), discover.MaxFound, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	if found, err := discover.Find(context.Background(), discover.Options{Interface: nowhere, Domain: "example.com", Servers: []string{dnsServer(t)}}); err != nil || found != nil {
		t.Errorf("an empty domain: %q, %v", found, err)
	}
	if found, err := discover.Find(context.Background(), discover.Options{Interface: nowhere, Domain: "example.com", Servers: []string{"127.0.0.1:1"}}); err == nil || found != nil {
		t.Errorf("no link and no server: %q, %v", found, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if found, err := discover.Find(ctx, discover.Options{Domain: "example.com", Servers: []string{"127.0.0.1:1"}}); err == nil || found != nil {
		t.Errorf("cancelled: %q, %v", found, err)
	}
}

// loopback is the interface to play a link on.
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
		t.Fatal("there is no loopback interface")
	}
	t.Skip("there is no loopback interface")
	return nil
}

func TestProxiesOnTheLink(t *testing.T) {
	lo := loopback(t)
	silent := log.New(io.Discard, "", 0)
	for _, s := range []struct {
		instance, service string
		port              int
		txt               []string
	}{
		{"proxy-one", "_brski-proxy._tcp", 8443, []string{"est-tls"}},
		{"proxy-two", "_brski-proxy._tcp", 8444, []string{"cmp"}},
		{"printer", "_ipp._tcp", 631, nil},
	} {
		zone, err := mdns.NewMDNSService(s.instance, s.service, "local.", "vouchmill-test.local.", s.port, []net.IP{net.IPv4(127, 0, 0, 1)}, s.txt)
		if err != nil {
			t.Fatal(err)
		}
		server, err := mdns.NewServer(&mdns.Config{Zone: zone, Iface: lo, Logger: silent})
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("no multicast on %s: %v", lo.Name, err)
		}
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	found, err := discover.Find(context.Background(), discover.Options{Interface: lo, Domain: "example.com", Servers: []string{"127.0.0.1:1"}, Timeout: 2 * time.Second})
	if want := []string{"https://127.0.0.1:8443"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("%q, %v, want %q", found, err, want)
	}
}
