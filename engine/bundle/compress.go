package bundle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// Small bundles of nearly equal vouchers compress better than any ratio
	// worth having.
	expansionGrace = 4 << 20
	// The most a zstd frame may ask to be remembered.
	zstdWindowBytes = 32 << 20
)

// decompress returns what is inside in, which is in itself when that is not
// compressed.
func (r *Reader) decompress(in *bufio.Reader) (*bufio.Reader, error) {
	head, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, wrap(r.name, "", err)
	}
	counted := &counter{src: in}
	inner := &inflater{name: r.name, in: counted, ratio: int64(r.opts.MaxExpansion)}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(counted)
		if err != nil {
			return nil, wrap(r.name, "gzip header", err)
		}
		inner.src = z // it holds nothing, and closing it would say again what reading said
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine, so that nothing is decoded that is not asked for.
		z, err := zstd.NewReader(counted, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowBytes))
		if err != nil {
			return nil, wrap(r.name, "zstd header", err)
		}
		r.closers = append(r.closers, z.IOReadCloser())
		inner.src = z
	default:
		return in, nil
	}
	return bufio.NewReaderSize(inner, r.lineBytes()), nil
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

// inflater passes on what src inflates from in, as long as that stays in
// proportion.
type inflater struct {
	src   io.Reader
	name  string
	in    *counter
	out   int64
	ratio int64
}

func (f *inflater) Read(p []byte) (int, error) {
	// Small steps, so that a bomb is noticed before a whole buffer of it.
	n, err := f.src.Read(p[:min(len(p), 128<<10)])
	f.out += int64(n)
	if f.out > expansionGrace && (f.out-expansionGrace)/f.ratio > f.in.n {
		return 0, &Error{Name: f.name, Kind: ErrExpansion,
			Detail: fmt.Sprintf("%d octets have become over %d, more than %d each", f.in.n, f.out, f.ratio),
			Remedy: "check where it comes from; if it is right, unpack it first"}
	}
	return n, err
}
