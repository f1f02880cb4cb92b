package bundle_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
)

// streams are the forms of one file.
var streams = []bundle.Kind{bundle.KindTar, bundle.KindNDJSON, bundle.KindCBORSeq}

// BenchmarkWrite measures one voucher of 1.6 kB, in memory.
func BenchmarkWrite(b *testing.B) {
	for _, kind := range streams {
		for _, c := range []bundle.Compression{bundle.Uncompressed, bundle.Zstd} {
			b.Run(fmt.Sprintf("kind=%v/zstd=%v", kind, c == bundle.Zstd), func(b *testing.B) {
				w, err := bundle.NewStream(io.Discard, "stream", bundle.Options{Kind: kind, Compression: c})
				if err != nil {
					b.Fatal(err)
				}
				e := bundle.Entry{Serial: []byte("JADA123456789"), Format: codec.FormatCMS, Voucher: bytes.Repeat([]byte("voucher."), 200)}
				b.SetBytes(int64(len(e.Voucher)))
				b.ReportAllocs()
				for b.Loop() {
					if err := w.Add(&e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRead measures bundles of 1,000 vouchers of 1.6 kB, in memory.
func BenchmarkRead(b *testing.B) {
	const count = 1000
	for _, kind := range streams {
		b.Run(fmt.Sprintf("kind=%v", kind), func(b *testing.B) {
			var text bytes.Buffer
			w, err := bundle.NewStream(&text, "stream", bundle.Options{Kind: kind})
			if err != nil {
				b.Fatal(err)
			}
			e := bundle.Entry{Serial: []byte("JADA123456789"), Format: codec.FormatCMS, Voucher: bytes.Repeat([]byte("voucher."), 200)}
			for range count {
				if err := w.Add(&e); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Commit(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r, err := bundle.NewReader(bytes.NewReader(text.Bytes()), "stream", bundle.ReadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for err = r.Next(&e); err == nil; err = r.Next(&e) {
					n++
				}
				if err != io.EOF || n != count {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "vouchers/s")
		})
	}
}
