package inflate

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// Grace is how many octets may come out before the ratio counts: small data
	// that repeats itself compresses better than any ratio worth having.
	Grace = 4 << 20

	// The most a zstd frame may ask to be remembered.
	windowBytes = 32 << 20
	// The most that is inflated before the ratio is looked at again.
	stepBytes = 128 << 10
)

// Kinds of compression, as messages call them.
const (
	Gzip = "gzip"
	Zstd = "zstd"
)

// DetectBytes is how many octets Detect looks at.
const DetectBytes = 4

// Detect tells how the data that begins with head is compressed: Gzip, Zstd, or
// "" where it is not.
func Detect(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1F, 0x8B}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xB5, 0x2F, 0xFD}),
		// a skippable frame, RFC 8878 §3.1.2: 184D2A5x, little-endian
		len(head) >= 4 && head[0]&0xF0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2A, 0x4D, 0x18}):
		return Zstd
	}
	return ""
}

// ErrExpansion is compressed data that becomes more than its ratio allows.
var ErrExpansion = errors.New("compressed data expands too far")

// A RatioError says by how much; it is an ErrExpansion.
type RatioError struct {
	In, Out int64 // octets read and inflated so far
	Ratio   int   // the limit
}

// Error gives both counts and the limit.
func (e *RatioError) Error() string {
	return fmt.Sprintf("%d compressed octets have become over %d, more than %d each", e.In, e.Out, e.Ratio)
}

// Unwrap returns ErrExpansion.
func (e *RatioError) Unwrap() error { return ErrExpansion }

// A Reader passes on what it inflates. It is for one goroutine.
type Reader struct {
	src   io.Reader
	close func()
	in    counter
	out   int64
	ratio int
}

// NewReader inflates src, which is compressed by kind. One octet of it may become
// ratio octets, over all that was read and beyond Grace; ratio is 1 or more. Errors
// are those of the format's header and of src. Close must be called when done; it
// leaves src open.
func NewReader(src io.Reader, kind string, ratio int) (*Reader, error) {
	r := &Reader{in: counter{src: src}, ratio: ratio, close: func() {}}
	switch kind {
	case Gzip:
		z, err := gzip.NewReader(&r.in)
		if err != nil {
			return nil, err
		}
		r.src = z // it holds nothing, and closing it would say again what reading said
	case Zstd:
		// One goroutine, so that nothing is decoded that is not asked for.
		z, err := zstd.NewReader(&r.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowBytes))
		if err != nil {
			return nil, err
		}
		r.src, r.close = z, z.Close
	default:
		return nil, fmt.Errorf("inflate: %q is no compression that is read here", kind)
	}
	return r, nil
}

// Read inflates at most len(p) octets. A *RatioError comes without any.
func (r *Reader) Read(p []byte) (int, error) {
	// Small steps, so that a bomb is noticed before a whole buffer of it.
	n, err := r.src.Read(p[:min(len(p), stepBytes)])
	r.out += int64(n)
	if r.out > Grace && (r.out-Grace)/int64(r.ratio) > r.in.n {
		return 0, &RatioError{In: r.in.n, Out: r.out, Ratio: r.ratio}
	}
	return n, err
}

// Close releases what the decoder holds. It always returns nil.
func (r *Reader) Close() error {
	r.close()
	return nil
}

// counter counts the octets read through it.
type counter struct {
	src io.Reader
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}
