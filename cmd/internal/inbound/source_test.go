package inbound_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vouchmill/vouchmill/cmd/internal/inbound"
)

func TestAddressesAreCountedByWhoHasThem(t *testing.T) {
	for at, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7/32", "[::ffff:192.0.2.7]:1": "192.0.2.7/32", "[2001:db8::1:2:3:4]:1": "2001:db8::/64",
		"[fe80::1%lo]:1": "fe80::1/128", "[::1]:1": "::1/128",
	} {
		addr, err := netip.ParseAddrPort(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := inbound.Source(net.TCPAddrFromAddrPort(addr)); got.String() != want {
			t.Errorf("%s counts as %s, want %s", at, got, want)
		}
	}
	if got := inbound.Source(&net.UnixAddr{Name: "/run/socket", Net: "unix"}); got.IsValid() {
		t.Errorf("a socket in the file system counts as %s", got)
	}
}
