package codec

import (
	"bytes"
	"testing"
)

// What an envelope costs around a signature: the tail and the whole voucher.
func BenchmarkEncodeEnvelope(b *testing.B) {
	s := newTestSigner(b, "ES256")
	serial := []byte("SN-123456789")
	digest, signature := make([]byte, 32), bytes.Repeat([]byte{0xa5}, 64)
	for _, f := range allFormats {
		tmpl := s.compile(b, f, nil)
		dst := make([]byte, 0, tmpl.MaxEnvelopeSize(len(serial)))
		b.Run("env="+f.String()+"/part=tail", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tmpl.AppendTail(dst, serial); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("env="+f.String()+"/part=whole", func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				out, err := tmpl.AppendEnvelope(dst, serial, digest, signature)
				if err != nil {
					b.Fatal(err)
				}
				size = len(out)
			}
			b.ReportMetric(float64(size), "B/voucher")
		})
	}
}

func BenchmarkDecodeEnvelope(b *testing.B) {
	s := newTestSigner(b, "ES256")
	for _, f := range allFormats {
		voucher := s.issue(b, s.compile(b, f, nil), "SN-123456789")
		b.Run("env="+f.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(voucher)))
			var d EnvelopeDecoder
			var e Envelope
			for b.Loop() {
				if err := d.Decode(voucher, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
