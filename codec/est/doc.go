// Package est turns the messages of Enrollment over Secure Transport (RFC 7030,
// RFC 8951) into bytes and back: PKCS#10 certification requests, certs-only
// messages, CSR attributes in both styles (RFC 9908), and the base64 bodies
// around them.
//
// # A client
//
// Reads a body with [DecodeBody], CSR attributes with [ParseCSRAttrs], and asks
// [CSRAttrs.Fill] what to put into its request. It writes what is to be signed with
// [AppendCSRInfo], signs it with the key it made, and puts both together with
// [AppendCSR] and [AppendBody]. The certificates it gets come out of
// [ParseCertsOnly] in no certain order: its own is the one with its key.
//
// # A server
//
// Reads a request with [ParseCSR], verifies [CSR].Signature over [CSR].Info with
// [CSR].PublicKey by means of its own, holds it against its attributes with
// [CSRAttrs.Check] and, on renewal, against the certificate to be renewed with
// [SameName] and [CSR.Extension]. It answers with [AppendCertsOnly].
//
// # What the package promises
//
// It verifies no signature and trusts nothing: what it returns is what the input
// says. Parsers keep to [Limits], take time and memory linear in the input, and
// return views into it, which the caller copies if they are to outlive it.
// Errors are *[DecodeError], *[codec.LimitError] and *[BodyError] for what a
// peer sent, *[EncodeError] for what a caller passed in, and *[PolicyError] for
// requests that do not follow CSR attributes. Writers write DER, append to the
// caller's buffer, return it unchanged in length with an error, and allocate
// nothing when it has room.
//
// The package holds no key, hashes nothing, does no I/O and reads no clock.
// Everything in it is safe for concurrent use as long as nobody writes to the
// values passed in.
package est
