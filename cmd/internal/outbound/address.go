package outbound

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// An AddressError is an address that is not called for a stranger.
type AddressError struct {
	Host    string
	Address netip.Addr
	Why     string
	Remedy  string // Policy.Remedy
}

// Error names address and remedy.
func (e *AddressError) Error() string {
	return fmt.Sprintf("%s is at %s, which is %s: not called, as a stranger chose it; %s", e.Host, e.Address, e.Why, e.Remedy)
}

// refused lists the ranges that are not called, with what they are. The methods
// of netip.Addr cover the rest.
var refused = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "of this network"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared address space"}, // RFC 6598; metadata of one cloud
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata service"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"}, // metadata of another cloud
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/96"), "an IPv4-compatible address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "of a local translator"},
	{netip.MustParsePrefix("100::/64"), "a discard address"},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols, tunnels among them"}, // RFC 2928, RFC 4380
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
	{netip.MustParsePrefix("5f00::/16"), "for segment routing"}, // RFC 9602
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
}

// IPv6 ranges that hold an IPv4 address, and the octet where it begins.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // RFC 6052 §2.1
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // RFC 2765 §2.1
	{netip.MustParsePrefix("2002::/16"), 2},        // RFC 3056
}

// judge says what keeps an address from being called, "" for nothing.
func judge(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return "no address"
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "on this machine"
	case a.IsPrivate() && a.Is6():
		return "unique-local"
	case a.IsPrivate():
		return "private"
	case a.IsLinkLocalUnicast():
		return "link-local" // most clouds' metadata services are
	case a.IsMulticast():
		return "multicast"
	}
	for _, r := range refused {
		if r.prefix.Contains(a) {
			return r.what
		}
	}
	for _, e := range embedding {
		if e.prefix.Contains(a) {
			octets := a.As16()
			return judge(v4(binary.BigEndian.Uint32(octets[e.at:])))
		}
	}
	return ""
}

func v4(n uint32) netip.Addr {
	var octets [4]byte
	binary.BigEndian.PutUint32(octets[:], n)
	return netip.AddrFrom4(octets)
}

// A Policy dials hosts that strangers chose.
type Policy struct {
	// Any lets every address pass.
	Any bool
	// Hosts may have any address, in the form HOST or HOST:PORT.
	Hosts []string
	// Remedy is what an operator does about a host that is right.
	Remedy string
	// Timeout bounds a dial.
	Timeout time.Duration
}

// DialContext dials as net.Dialer does and judges each address that the name
// turns out to have, just before it is connected to. The error may wrap an
// *[AddressError].
func (p *Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: p.Timeout}
	if !p.Any && !names(p.Hosts, address) {
		d.ControlContext = func(_ context.Context, _, dialled string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(dialled)
			if err != nil {
				return fmt.Errorf("address %q: %w", dialled, err)
			}
			if why := judge(at.Addr()); why != "" {
				return &AddressError{address, at.Addr(), why, p.Remedy}
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}

// names reports whether a list of HOST and HOST:PORT names what is dialled.
func names(hosts []string, dialled string) bool {
	host, _, err := net.SplitHostPort(dialled)
	if err != nil {
		return false
	}
	for _, h := range hosts {
		if strings.EqualFold(strings.Trim(h, "[]"), host) || strings.EqualFold(h, dialled) {
			return true
		}
	}
	return false
}
