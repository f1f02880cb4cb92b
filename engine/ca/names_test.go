package ca_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/ca"
)

func TestParseServerNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	tests := []struct {
		hosts string // separated by blanks
		want  string // "" when refused
	}{
		{"registrar.example.com", "[registrar.example.com] []"},
		{"Registrar.Example.com. registrar.example.com", "[registrar.example.com] []"},
		{"a 192.0.2.1 2001:db8::1 ::ffff:192.0.2.1", "[a] [192.0.2.1 2001:db8::1]"},
		{"localhost", "[localhost] [127.0.0.1 ::1]"},
		{"a LOCALHOST", "[a localhost] [127.0.0.1 ::1]"},
		{"127.0.0.1", "[localhost] [127.0.0.1 ::1]"},
		{"127.1.2.3", "[localhost] [127.1.2.3 127.0.0.1 ::1]"},
		{"::1", "[localhost] [::1 127.0.0.1]"},
		{"xn--mller-kva.example 3com.example", "[xn--mller-kva.example 3com.example] []"},
		{long + "." + long + "." + long + "." + long[:61], "[" + long + "." + long + "." + long + "." + long[:61] + "] []"},
		{long + "." + long + "." + long + "." + long[:62], ""},
		{long + "a", ""},
		{"müller.example", ""},
		{"*.example.com", ""},
		{"a..b", ""},
		{".", ""},
		{"-a.example", ""},
		{"a-.example", ""},
		{"a_b.example", ""},
		{"example.com:443", ""},
		{"[::1]", ""},
		{"fe80::1%eth0", ""},
		{"192.0.2", ""},
		{"192.0.2.256", ""},
		{"https://example.com", ""},
	}
	for _, test := range tests {
		names, err := ca.ParseServerNames(strings.Fields(test.hosts)...)
		if test.want == "" {
			wantKind(t, err, ca.ErrName)
			continue
		}
		if got := fmt.Sprint(names.DNS, names.IPs); err != nil || got != test.want {
			t.Errorf("%q: %s (%v), want %s", test.hosts, got, err, test.want)
		}
	}
	if _, err := ca.ParseServerNames(""); err == nil {
		t.Error("an empty name")
	}
	names, err := ca.ParseServerNames()
	if err != nil || names.Loopback() || len(names.DNS)+len(names.IPs) != 0 {
		t.Errorf("no names are %v: %v", names, err)
	}
	if names = (ca.ServerNames{IPs: []net.IP{net.IPv4(127, 9, 9, 9)}}); !names.Loopback() {
		t.Error("127.9.9.9 is no loopback address")
	}
}
