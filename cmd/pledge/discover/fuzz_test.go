package discover

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"

	"github.com/vouchmill/vouchmill/engine/pledge"
)

// are holds what is true of everything that a discovery returns: few URLs, none
// twice, each https://HOST:PORT as pledge.Origin has it, and fit to be printed.
func are(t *testing.T, found []string) {
	t.Helper()
	if len(found) > MaxFound {
		t.Errorf("%d found", len(found))
	}
	for i, text := range found {
		u, err := url.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if origin, err := pledge.Origin(text); err != nil || origin != text || slices.Contains(found[:i], text) {
			t.Errorf("%q: %q, %v, in %q", text, origin, err, found)
		}
		if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || len(text) > 400 {
			t.Errorf("%q is not https://HOST:PORT", text)
		}
		if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
			t.Errorf("%q: port %d, %v", text, port, err)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q is not fit to be printed", text)
		}
	}
}

// messages are DNS messages one after the other, each behind its length in two
// octets.
func messages(t testing.TB, zones ...string) (all []byte) {
	t.Helper()
	for _, zone := range zones {
		m := new(dns.Msg)
		m.SetQuestion("x.example.", dns.TypePTR)
		for _, line := range strings.Split(zone, "\n") {
			if line == "" {
				continue
			}
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(packet))), packet...)
	}
	return all
}

// FuzzDomain holds that DNS servers can say what they want.
func FuzzDomain(f *testing.F) {
	f.Add(messages(f, "s.example. PTR one.s.example.\ns.example. PTR two.s.example.",
		`one.s.example. TXT "est-tls"`, "one.s.example. SRV 1 0 8443 r1.example.\none.s.example. SRV 0 9 443 R2.example.",
		`two.s.example. TXT "cmp"`))
	f.Add(messages(f, `s.example. PTR a\.b\032\@\000.s.example.`, `x. TXT ""`, `x. SRV 0 0 0 .`+"\n"+`x. SRV 0 0 1 \[\:\:1\].example.`+"\n"+`x. SRV 65535 65535 65535 a\/b\?c\#d\%41\"\\.example.`))
	f.Add([]byte{0, 0, 0, 1, 255})
	f.Fuzz(func(t *testing.T, answers []byte) {
		asked := 0
		found, err := registrars(context.Background(), "example.com", func(_ context.Context, name string, kind uint16) (*dns.Msg, error) {
			if asked++; asked > 1+2*MaxFound {
				t.Fatalf("it does not stop asking, now for %q", name)
			}
			if len(answers) < 2 {
				return nil, errors.New("no answer")
			}
			n := min(int(binary.BigEndian.Uint16(answers)), len(answers)-2)
			packet := answers[2 : 2+n]
			answers = answers[2+n:]
			m := new(dns.Msg)
			return m, m.Unpack(packet)
		})
		if err != nil && found != nil {
			t.Errorf("%q and %v", found, err)
		}
		are(t, found)
	})
}

// FuzzLink holds that whoever answers on the link can say what he wants.
func FuzzLink(f *testing.F) {
	const suffix = "." + proxyService + ".local."
	f.Add("proxy"+suffix, "est-tls", []byte(net.ParseIP("fe80::1")), "eth0", []byte{192, 0, 2, 1}, 8443)
	f.Add("PROXY"+strings.ToUpper(suffix), "EST-TLS", []byte(net.ParseIP("2001:db8::1")), "", []byte(net.ParseIP("192.0.2.1")), 443)
	f.Add("x._ipp._tcp.local.", "cmp", []byte{1, 2, 3}, "%25 /?#@", []byte{}, 70000)
	f.Add(suffix, "", []byte(net.ParseIP("::ffff:192.0.2.1")), "a]b", []byte(nil), -1)
	f.Fuzz(func(t *testing.T, name, txt string, v6 []byte, zone string, v4 []byte, port int) {
		e := &mdns.ServiceEntry{Name: name, InfoFields: strings.Split(txt, "|"), AddrV4: v4, AddrV6IPAddr: &net.IPAddr{IP: v6, Zone: zone}, Port: port}
		found := proxies([]*mdns.ServiceEntry{e, {Name: name}, e})
		are(t, found)
		if len(found) > 2 || len(found) > 0 && !strings.HasSuffix(strings.ToLower(name), suffix) {
			t.Errorf("%q of %q", found, name)
		}
	})
}
