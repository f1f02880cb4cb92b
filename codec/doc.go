// Package codec turns voucher artefacts into bytes and back: the voucher and
// voucher-request model of RFC 8366 and its successor, their JSON and CBOR
// payloads, the CMS, JWS and COSE envelopes around them, and the facts an
// IEEE 802.1AR IDevID certificate states about a device.
//
// AppendVoucherJSON and AppendVoucherCBOR write a Voucher's payload, a
// PayloadDecoder reads one, Voucher.Validate applies the rules, and ParseIDevID
// reads a device certificate.
//
// The package takes digests, signatures and algorithm identifiers as values.
// It holds no key, hashes no content, starts no goroutine, does no I/O and
// never reads the clock.
package codec
