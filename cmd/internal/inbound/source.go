package inbound

import (
	"net"
	"net/netip"
)

// Source returns what limits count a remote address by: of IPv6 the /64 that one
// customer has, but the whole address where it is link-local, since all pledges
// of a link share their /64 (RFC 8995 §4.1). An address that is none of IP gives
// the zero Prefix, which all such share.
func Source(remote net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
