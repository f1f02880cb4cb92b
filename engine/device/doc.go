// Package device says which device is meant: its identity across roles, and how
// it follows from an IDevID certificate (IEEE 802.1AR, RFC 8995 §2.3.1).
//
// An [ID] is the pair of an issuer's key identifier and a serial number, since
// serial numbers are unique within their issuer alone. It names a device and
// proves nothing: whoever makes a CA chooses both, and [Identity.NamesIssuerKey]
// says where the identifier is a digest of the issuer's key after all. [Identify] judges the
// certificates a TLS client presented, or a request was signed with, against
// the manufacturers known here and returns the device's [Identity]. [Find]
// turns what a person types into an ID, and refuses to guess where a serial
// number fits several devices.
//
// Trust: a manufacturer's anchors are believed for the names of its devices and
// for nothing else. The operating system's anchors are never used.
package device
