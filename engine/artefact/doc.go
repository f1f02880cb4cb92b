// Package artefact opens and seals single signed vouchers and voucher-requests
// for the roles that exchange them: envelope, signature and payload, in the
// order that keeps a reader from looking at what nobody signed.
//
// An [Opener] reads: [Opener.Request] for voucher-requests, [Opener.Voucher] for
// vouchers. A [Sealer] writes. [FormatOf] and [Negotiate] read Content-Type and
// Accept. [Path] builds the path from a request's signer to the certificate
// farthest from it, out of what the envelope holds. [IssuerLeaf] and
// [IssuerMatches] are the one rule about idevid-issuer, for all roles.
//
// Signatures go through the interfaces [Verifier] and [Signer], one at a time.
// [Verifying] and [Signing] make them of package sign's; package sigpool makes
// implementations that gather the calls of many goroutines into batches.
//
// A server sets [Opener.Known], so that a registrar's certificates are parsed once
// and not with each of its requests.
//
// Whether a signer is to be believed is the caller's question: a Request says
// only whose certificate the signature fits, a Voucher was signed by somebody
// the caller's [Trust] leads to.
//
// Everything but the Envelope-shaped results is safe for concurrent use. Those
// are views into the octets they were read from, which must be left alone; so must
// their certificates, which requests share.
package artefact
