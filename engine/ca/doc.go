// Package ca is the certificate authority of each role: it knows which
// certificates BRSKI needs, issues them with one key, and signs revocation
// lists.
//
// Make an authority with [NewRoot], or with [New] from a certificate and key
// read by sign.LoadCertificates and sign.LoadKeyFile. Then call the profile
// that is wanted; there is one function for each kind of certificate, and a
// caller cannot widen what it grants:
//
//	profile        for                     extKeyUsage                  keyUsage          SKI
//	Registrar      a registrar (RFC 8995)  serverAuth clientAuth cmcRA  digitalSignature  yes
//	TLSServer      a MASA's listener       serverAuth                   digitalSignature  yes
//	TLSClient      a MASA's customer       clientAuth                   digitalSignature  yes
//	VoucherSigner  a MASA's vouchers       none                         digitalSignature  yes
//	IDevID         a device (IEEE 802.1AR) none                         none              no
//	LDevID         a device in its domain  clientAuth                   digitalSignature  no
//
// All carry the authority key identifier, critical basic constraints that say
// "no CA", and a random serial number of 158 bits. keyUsage is critical. Key
// identifiers are those of [sign.KeyIdentifier].
//
// # From request to LDevID
//
// [CheckPossession] proves that a certification request was signed by the key
// in it and returns that key; [AcceptableKey] holds it against a [Policy].
// Whether the device may have a certificate, under which subject and with which
// alternative names, is the registrar's decision: it passes on what it grants
// in [LDevIDParams], and extensions of a request reach a certificate in no
// other way.
//
// # Trust, time, concurrency
//
// An [Authority] keeps no record of what it issued: a caller who must be able
// to revoke writes the serial number down before handing the certificate out.
// It reads no clock, so validity is always given, and is narrowed to that of
// the CA certificate; only IDevIDs may outlive it. It is safe for concurrent
// use. Signatures by ECDSA keys held in memory are deterministic (RFC 6979),
// and crypto/x509 checks each signature before it leaves. Errors are an
// [*Error] whose kind tells a bad request from an authority that cannot sign.
//
// Authorities have keys that crypto/x509 signs with: ECDSA on P-256, P-384 and
// P-521, Ed25519, and RSA. For Ed448, ML-DSA and SLH-DSA voucher signers see
// sign.NewDemoPKI.
package ca
