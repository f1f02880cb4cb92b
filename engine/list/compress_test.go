package list

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func pack(t testing.TB, kind, in string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	if w = gzip.NewWriter(&b); kind == "zstd" {
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.WriteString(w, in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedListsOfEveryFormAreReadByContent(t *testing.T) {
	_, der := testCertificate(t, testKeyID, "A1")
	for _, kind := range []string{"gzip", "zstd"} {
		for name, in := range map[string]string{
			"csv": "serial-number\nA1\n", "ndjson": `{"serial-number":"A1"}`, "cborseq": "\xA1\x6Dserial-number\x62A1", "pem": pemBlock(der), "der": string(der),
		} {
			got, bad, end := read(t, pack(t, kind, in), Options{})
			if strings.Join(got, " ") != "A1" || len(bad) > 0 || end != nil {
				t.Errorf("%s in %s: %q, %v, %v", name, kind, got, bad, end)
			}
			if got, _, end := read(t, pack(t, kind, in), Options{Format: mustFormat(t, name)}); strings.Join(got, " ") != "A1" || end != nil {
				t.Errorf("%s in %s, forced: %q, %v", name, kind, got, end)
			}
		}
	}
	several := pack(t, "gzip", "serial-number\nA1\n") + pack(t, "gzip", "B2\n")
	if got, _, end := read(t, several, Options{}); strings.Join(got, " ") != "A1 B2" || end != nil {
		t.Errorf("gzip of several members: %q, %v", got, end)
	}
	frames := "\x50\x2A\x4D\x18\x02\x00\x00\x00hi" + pack(t, "zstd", "serial-number\nA1\n") + pack(t, "zstd", "B2\n")
	if got, _, end := read(t, frames, Options{}); strings.Join(got, " ") != "A1 B2" || end != nil {
		t.Errorf("zstd of several frames: %q, %v", got, end)
	}
}

func mustFormat(t testing.TB, name string) Format {
	t.Helper()
	f, err := ParseFormat(name)
	if err != nil || f.String() != name {
		t.Fatal(f, err)
	}
	return f
}

func TestCompressedListsTruncatedAtEveryOctetEndInAnError(t *testing.T) {
	for _, kind := range []string{"gzip", "zstd"} {
		whole := pack(t, kind, "serial-number\nA1\nB2\n")
		for n := 4; n < len(whole); n++ {
			_, _, end := read(t, whole[:n], Options{})
			var list *ListError
			if !errors.As(end, &list) || list.Remedy == "" {
				t.Fatalf("%s, %d of %d octets: %v", kind, n, len(whole), end)
			}
		}
		for i := 4; i < len(whole); i++ {
			flipped := []byte(whole)
			flipped[i] ^= 0x10
			got, bad, end := read(t, string(flipped), Options{})
			if end == nil && len(bad) == 0 && strings.Join(got, " ") != "A1 B2" {
				t.Fatalf("%s, octet %d flipped: %q read as if nothing were", kind, i, got)
			}
		}
	}
}

func TestCompressionBombsAreStopped(t *testing.T) {
	for _, kind := range []string{"gzip", "zstd"} {
		for name, in := range map[string]string{
			"one endless row": "serial-number\n" + strings.Repeat("0", 16<<20),
			"the same row":    "serial-number\n" + strings.Repeat("A1\n", 6<<20),
			"blank lines":     "serial-number\n" + strings.Repeat("\n", 16<<20),
			"endless header":  strings.Repeat("X", 16<<20),
		} {
			packed := pack(t, kind, in)
			src := strings.NewReader(packed)
			r, err := NewReader(src, Options{})
			var rows int
			if err == nil {
				var rec Record
				for {
					var bad *RowError
					if err = r.Read(&rec); err != nil && !errors.As(err, &bad) {
						break
					}
					rows++
				}
			}
			var list *ListError
			if !errors.As(err, &list) || list.Remedy == "" || name != "endless header" && !errors.Is(err, ErrExpansion) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
			if rows > 8<<20 {
				t.Errorf("%s, %s: stopped after %d rows", kind, name, rows)
			}
		}
	}
}

func TestARepetitiveListIsNoBomb(t *testing.T) {
	list := synthetic(t, Synthetic{Count: 200_000, Issuers: []string{testIssuer}, Pins: []string{"buyer"}, Expiries: []string{"never"}})
	for _, kind := range []string{"gzip", "zstd"} {
		got, bad, end := read(t, pack(t, kind, string(list)), Options{})
		if len(got) != 200_000 || len(bad) > 0 || end != nil {
			t.Errorf("%s: %d devices, %d bad, %v", kind, len(got), len(bad), end)
		}
	}
}

func TestAListCompressedTwiceIsRefused(t *testing.T) {
	_, _, end := read(t, pack(t, "gzip", pack(t, "zstd", "serial-number\n")), Options{})
	if end == nil || !strings.Contains(end.Error(), "twice") {
		t.Fatal(end)
	}
}

func TestAZstdWindowOverTheLimitIsRefused(t *testing.T) {
	// A frame head that asks for a window of 2^31 octets: RFC 8878 §3.1.1.1.
	frame := "\x28\xB5\x2F\xFD\x00" + string([]byte{21 << 3}) + "\x01\x00\x00"
	_, _, end := read(t, frame, Options{})
	if !errors.Is(end, zstd.ErrWindowSizeExceeded) || !strings.Contains(end.Error(), "--long") {
		t.Fatal(end)
	}
}

func TestClosingABrokenArchiveSaysNothingNew(t *testing.T) {
	whole := pack(t, "gzip", "serial-number\n"+strings.Repeat("A1\n", 100_000))
	broken := whole[:200] + strings.Repeat("\xff", 200)
	r, err := NewReader(strings.NewReader(broken), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for err == nil {
		err = r.Read(&rec)
	}
	if fatal := (*ListError)(nil); !errors.As(err, &fatal) {
		t.Fatalf("reading ends in %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}
