package bench

import (
	"testing"

	"github.com/vouchmill/vouchmill/codec"
)

// BenchmarkEncode writes one voucher an iteration with digest and signature at
// hand: what the signature is over, then the envelope around it.
func BenchmarkEncode(b *testing.B) {
	for _, format := range formats {
		encode := newEncode(b, format)
		b.Run("env="+format.String(), func(b *testing.B) {
			before := CPUTime()
			b.ReportAllocs()
			for b.Loop() {
				if err := encode(); err != nil {
					b.Fatal(err)
				}
			}
			reportVouchers(b, float64(b.N), CPUTime()-before)
		})
	}
}

// newEncode returns a function that writes the next voucher.
func newEncode(t testing.TB, format codec.Format) func() error {
	template := newSetup(t, format).template
	devices, next := serials(256), 0
	digest, signature := make([]byte, 32), make([]byte, 64)
	for i := range signature {
		signature[i] = 0x5a
	}
	if template.AttributesPrefix() == nil {
		digest = nil
	}
	tail, envelope := make([]byte, 0, 256), make([]byte, 0, template.MaxEnvelopeSize(len(devices[0])))
	return func() error {
		serial := devices[next&255]
		next++
		if _, err := template.AppendTail(tail, serial); err != nil {
			return err
		}
		_, err := template.AppendEnvelope(envelope, serial, digest, signature)
		return err
	}
}

// BenchmarkDecode takes one voucher apart an iteration, without checking its
// signature: the envelope by itself, or with the payload's leaves.
func BenchmarkDecode(b *testing.B) {
	for _, format := range formats {
		for _, part := range []string{"envelope", "whole"} {
			decode := newDecode(b, format, part == "whole")
			b.Run("env="+format.String()+"/part="+part, func(b *testing.B) {
				before := CPUTime()
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(); err != nil {
						b.Fatal(err)
					}
				}
				reportVouchers(b, float64(b.N), CPUTime()-before)
			})
		}
	}
}

// newDecode returns a function that decodes the next of some vouchers.
func newDecode(t testing.TB, format codec.Format, whole bool) func() error {
	made, next := vouchers(t, newSetup(t, format), 64), 0
	var envelopes codec.EnvelopeDecoder
	var payloads codec.PayloadDecoder
	var envelope codec.Envelope
	var voucher codec.Voucher
	return func() error {
		err := envelopes.Decode(made[next&63], &envelope)
		next++
		switch {
		case err != nil || !whole:
			return err
		case format == codec.FormatCOSE:
			return payloads.VoucherCBOR(envelope.Payload, &voucher)
		default:
			return payloads.VoucherJSON(envelope.Payload, &voucher)
		}
	}
}
