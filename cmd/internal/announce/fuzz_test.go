package announce

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// manyAddresses is a zone of both services on a machine with as many addresses as
// are announced.
func manyAddresses() *zone {
	return &zone{services: both(), instance: "fuzz_1", addresses: func() (ips []net.IP, err error) {
		for i := range byte(maxAddresses) {
			ips = append(ips, net.IPv4(192, 0, 2, i))
		}
		return ips, nil
	}}
}

// query is a packet with questions.
func query(t testing.TB, class uint16, names ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.Compress = true
	for _, name := range names {
		for _, kind := range []uint16{dns.TypePTR, dns.TypeSRV, dns.TypeTXT, dns.TypeA, dns.TypeAAAA, dns.TypeANY} {
			m.Question = append(m.Question, dns.Question{Name: name, Qtype: kind, Qclass: class})
		}
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// FuzzQuestions holds that anybody on the link can ask what he wants: whatever is
// answered are this machine's own records, none twice in an answer.
func FuzzQuestions(f *testing.F) {
	f.Add(query(f, dns.ClassINET, "_services._dns-sd._udp.local.", "_brski-registrar._tcp.local.", "_BRSKI-proxy._tcp.LOCAL.", "fuzz_1._brski-proxy._tcp.local.", "fuzz-1.local."))
	f.Add(query(f, dns.ClassINET|1<<15, "fuzz-1.local.", "_brski-registrar._tcp.local.", `\000.local.`, "."))
	f.Add([]byte{0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 192, 12})
	f.Fuzz(func(t *testing.T, packet []byte) {
		var m dns.Msg
		if m.Unpack(packet) != nil {
			return
		}
		z := manyAddresses()
		for _, q := range m.Question {
			seen := map[string]bool{}
			all := z.Records(q)
			for _, rr := range all {
				if name := rr.Header().Name; seen[rr.String()] || !strings.HasPrefix(name, "fuzz-1.") && !strings.Contains(name, "_brski-") && !strings.HasPrefix(name, "_services.") {
					t.Errorf("%v answered by %v", q, rr)
				}
				seen[rr.String()] = true
			}
			if len(all) > 2*maxAddresses+8 {
				t.Errorf("%v answered by %d records", q, len(all))
			}
		}
	})
}

// A packet full of questions is answered in part, and the next second there are
// answers again.
func TestManyQuestionsAreNotAllAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := manyAddresses()
		ask := func(n int) (answered int) {
			for range n {
				if len(z.Records(dns.Question{Name: "_brski-proxy._tcp.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET})) > 0 {
					answered++
				}
			}
			return answered
		}
		if n := ask(3 * maxAnswers); n != maxAnswers {
			t.Errorf("%d answered", n)
		}
		time.Sleep(time.Second)
		if n := ask(maxAnswers); n != maxAnswers {
			t.Errorf("%d answered the second after", n)
		}
	})
}
