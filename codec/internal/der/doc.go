// Package der reads and writes the few shapes of ASN.1 DER (ITU-T X.690) that
// CMS and X.509 need, without reflection and without allocation: elements come
// back as views into the input, and writers append to the caller's buffer.
//
// Reading is strict: definite, minimal lengths, one-octet tags, primitive octet
// strings. What is BER but not DER is told apart from what is broken by
// [ErrNotDER], so that a caller can hand it to [Normalize] and read the result.
package der
