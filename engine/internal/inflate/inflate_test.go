package inflate_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/vouchmill/vouchmill/engine/internal/inflate"
)

func pack(t *testing.T, kind string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if kind == inflate.Zstd {
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var kinds = []string{inflate.Gzip, inflate.Zstd}

func TestCompressionIsToldByTheFirstOctets(t *testing.T) {
	for head, want := range map[string]string{
		"\x1f\x8b": inflate.Gzip, "\x1f\x8b\x08\x00": inflate.Gzip,
		"\x28\xb5\x2f\xfd": inflate.Zstd, "\x50\x2a\x4d\x18": inflate.Zstd, "\x5f\x2a\x4d\x18\x00": inflate.Zstd,
		"": "", "\x1f": "", "\x28\xb5\x2f": "", "\x60\x2a\x4d\x18": "", "serial-number": "",
	} {
		if got := inflate.Detect([]byte(head)); got != want {
			t.Errorf("%x: %q, want %q", head, got, want)
		}
	}
}

func TestTheWholeIsInflated(t *testing.T) {
	plain := bytes.Repeat([]byte("AB12;"), 300_000)
	for _, kind := range kinds {
		packed := pack(t, kind, plain)
		if got := inflate.Detect(packed[:inflate.DetectBytes]); got != kind {
			t.Errorf("%s is told as %q", kind, got)
		}
		r, err := inflate.NewReader(bytes.NewReader(packed), kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d octets of %d, %v; all of it is within the grace", kind, len(got), len(plain), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestExpansionOverTheRatioIsAnError(t *testing.T) {
	bomb := make([]byte, 16<<20)
	for _, kind := range kinds {
		packed := pack(t, kind, bomb)
		r, err := inflate.NewReader(bytes.NewReader(packed), kind, 100)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		var ratio *inflate.RatioError
		if !errors.Is(err, inflate.ErrExpansion) || !errors.As(err, &ratio) || ratio.Ratio != 100 || ratio.In > int64(len(packed)) {
			t.Fatalf("%s: %v", kind, err)
		}
		if limit := inflate.Grace + 100*ratio.In; ratio.Out <= limit || n > limit {
			t.Errorf("%s: stopped at %d octets with %d passed on, the limit is %d", kind, ratio.Out, n, limit)
		}
		r.Close()
		if r, err = inflate.NewReader(bytes.NewReader(packed), kind, 1<<20); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(bomb)) {
			t.Errorf("%s, with a higher limit: %d octets, %v", kind, n, err)
		}
		r.Close()
	}
}

func TestWhatIsCutShortOrUnknownIsAnError(t *testing.T) {
	for _, kind := range kinds {
		packed := pack(t, kind, []byte("serial-number\nA1\n"))
		for n := range len(packed) {
			if n == 0 && kind == inflate.Zstd {
				continue // no frame at all is what zstd makes of nothing
			}
			r, err := inflate.NewReader(bytes.NewReader(packed[:n]), kind, 250)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if err == nil {
				t.Errorf("%s: %d of %d octets passed", kind, n, len(packed))
			}
		}
	}
	// A frame that asks for a window of 2^31 octets: RFC 8878 §3.1.1.1.
	frame := "\x28\xB5\x2F\xFD\x00" + string([]byte{21 << 3}) + "\x01\x00\x00"
	r, err := inflate.NewReader(strings.NewReader(frame), inflate.Zstd, 250)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		t.Errorf("a window of 2 GiB: %v", err)
	}
	if _, err := inflate.NewReader(strings.NewReader(""), "bzip2", 250); err == nil {
		t.Error("an unknown kind passed")
	}
}

func Example() {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprintln(w, "serial-number")
	if err := w.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	kind := inflate.Detect(packed.Bytes())
	r, err := inflate.NewReader(&packed, kind, 250)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	fmt.Printf("%s: %q, %v\n", kind, text, err)
	// Output: gzip: "serial-number\n", <nil>
}
