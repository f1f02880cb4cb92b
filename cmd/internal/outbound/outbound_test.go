package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func Example() {
	p := Policy{Remedy: "name the host in masa-hosts"}
	_, err := p.DialContext(context.Background(), "tcp", "127.0.0.1:443")
	var refused *AddressError
	fmt.Println(errors.As(err, &refused), refused.Why)
	// Output: true on this machine
}

func TestWhichAddressesAreCalled(t *testing.T) {
	for _, no := range []string{
		"127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.1.1",
		"100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "0.1.2.3", "192.0.2.1",
		"fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:101::1", "2001:0:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "100::1",
		"::ffff:0:127.0.0.1", "::ffff:0:169.254.169.254", "5f00::1",
	} {
		if judge(netip.MustParseAddr(no)) == "" {
			t.Errorf("%s would be called", no)
		}
	}
	if judge(netip.Addr{}) == "" {
		t.Error("no address would be called")
	}
	for _, yes := range []string{"8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2001:200::1", "2001:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "192.0.1.1"} {
		if why := judge(netip.MustParseAddr(yes)); why != "" {
			t.Errorf("%s is refused: %s", yes, why)
		}
	}
}

func TestHostsThatAreNamedMayHaveAnyAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		policy Policy
		host   string
		ok     bool
	}{
		{Policy{}, "localhost", false}, {Policy{Any: true}, "127.0.0.1", true}, {Policy{Hosts: []string{"LOCALHOST"}}, "localhost", true},
		{Policy{Hosts: []string{"localhost:" + port}}, "localhost", true}, {Policy{Hosts: []string{"localhost:1", "127.0.0.2"}}, "localhost", false},
		{Policy{Hosts: []string{"[::1]", "localhost"}}, "127.0.0.1", false},
	} {
		c, err := tc.policy.DialContext(t.Context(), "tcp", net.JoinHostPort(tc.host, port))
		if (err == nil) != tc.ok {
			t.Errorf("%+v, %s: %v", tc.policy, tc.host, err)
		}
		if c != nil {
			c.Close()
		}
	}
}
