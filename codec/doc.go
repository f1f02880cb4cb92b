// Package codec turns voucher artefacts into bytes and back: the voucher and
// voucher-request model of RFC 8366 and its successor, their JSON and CBOR
// payloads, the CMS, JWS and COSE envelopes around them, and the facts an
// IEEE 802.1AR IDevID certificate states about a device.
//
// # Writing
//
// AppendVoucherJSON and AppendVoucherCBOR write a [Voucher]'s payload,
// [Voucher.Validate] applies the rules, and an [EnvelopeEncoder] says what is to
// be signed and puts payload and signature together. For vouchers that differ in
// their serial number alone, [CompileTemplate] does all of that once: a
// [Template] appends the constant bytes and what varies, without allocating.
//
// # Reading
//
// [Detect] tells what an artefact is, an [EnvelopeDecoder] takes an envelope
// apart and says what its signatures are over, a [PayloadDecoder] reads the
// voucher or request inside, and [Inspect] does all of it for people. Decoders
// return views into their input, within [Limits]; time and memory are linear in
// its size. Where readers must put up with more than writers may write (BER,
// several signatures, untagged COSE), what was put up with is reported as an
// oddity.
//
// [ParseIDevID] reads a device certificate.
//
// The package takes digests, signatures and algorithm identifiers as values.
// It holds no key, hashes no content, starts no goroutine, does no I/O and
// never reads the clock.
package codec
