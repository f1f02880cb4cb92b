// Package discover finds registrars and join proxies as RFC 8995 appendix B has
// it: by multicast DNS on the link, then by unicast DNS service discovery in the
// domain that the network told the device.
//
// [Find] does both and returns URLs for pledge.Config or [pledge.Joining.Add]. It
// is apart from package client, so that devices that find registrars in another
// way do not carry DNS libraries.
//
// # Trust
//
// Anybody on the link can answer. What is found is where to knock, no more: the
// voucher decides whose device it is. Answers are bounded in number and in time,
// and what is no name of a registrar is dropped.
package discover
