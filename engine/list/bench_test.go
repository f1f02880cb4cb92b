package list

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// benchRows is VOUCHMILL_BENCH_N or 100,000.
func benchRows(tb testing.TB) uint64 {
	s := os.Getenv("VOUCHMILL_BENCH_N")
	if s == "" {
		return 100_000
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		tb.Fatalf("VOUCHMILL_BENCH_N=%q is not a count", s)
	}
	return n
}

func synthetic(tb testing.TB, s Synthetic) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

const testIssuer = "04183016801402F58C1F2A6C1D4DF8C4F5A2B1A0D9E8F7C6B5A4"

// BenchmarkList reads a whole shuffled list an iteration; ns/row is what one
// device costs.
func BenchmarkList(b *testing.B) {
	n := benchRows(b)
	for _, f := range []Format{FormatCSV, FormatNDJSON, FormatCBORSeq} {
		for _, wide := range []bool{false, true} {
			s := Synthetic{Count: n, Seed: 1, Format: f}
			name := fmt.Sprintf("format=%s/columns=1", f)
			if wide {
				s.Issuers, s.Pins, s.Expiries = []string{testIssuer}, []string{"buyer-a", "buyer-b"}, []string{"never", "2030-01-01T00:00:00Z"}
				name = fmt.Sprintf("format=%s/columns=4", f)
			}
			b.Run(name, func(b *testing.B) { benchmarkRead(b, synthetic(b, s), n) })
		}
	}
	plain := synthetic(b, Synthetic{Count: n, Seed: 1})
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(plain)
	w.Close()
	b.Run("format=csv/columns=1/compression=gzip", func(b *testing.B) { benchmarkRead(b, z.Bytes(), n) })
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		b.Fatal(err)
	}
	packed := enc.EncodeAll(plain, nil)
	b.Run("format=csv/columns=1/compression=zstd", func(b *testing.B) { benchmarkRead(b, packed, n) })
}

func benchmarkRead(b *testing.B, data []byte, rows uint64) {
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	var rec Record
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(data), Options{})
		if err != nil {
			b.Fatal(err)
		}
		n := uint64(0)
		for ; ; n++ {
			if err = r.Read(&rec); err != nil {
				break
			}
		}
		if err != io.EOF || n != rows {
			b.Fatalf("%d rows, then %v", n, err)
		}
		r.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

// BenchmarkSynthetic writes a list an iteration.
func BenchmarkSynthetic(b *testing.B) {
	s := Synthetic{Count: benchRows(b), Seed: 1}
	for b.Loop() {
		if err := s.Write(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.Count), "ns/row")
}
