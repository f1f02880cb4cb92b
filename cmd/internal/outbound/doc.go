// Package outbound dials hosts whose names came from strangers: the MASA that a
// device's certificate names, the revocation list that a registrar's does.
//
// [Policy.DialContext] judges every address behind all name resolution, just
// before it is connected to. What lies on this machine, in its site, at a cloud's
// metadata service, or is no address of one host, is refused with an
// [*AddressError], unless the operator named the host. IPv4 addresses inside IPv6
// ones are judged as what they are.
//
// A Policy is safe for concurrent use while it is not changed.
package outbound
