package list

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	fastgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	gzipMagic = []byte{0x1F, 0x8B}
	zstdMagic = []byte{0x28, 0xB5, 0x2F, 0xFD}
)

// compression names how data is compressed, by its first octets, or "".
func compression(data []byte) string {
	switch {
	case bytes.HasPrefix(data, gzipMagic):
		return "gzip"
	case bytes.HasPrefix(data, zstdMagic),
		// a skippable frame, RFC 8878 §3.1.2: 184D2A5x, little-endian
		len(data) >= 4 && data[0]&0xF0 == 0x50 && bytes.Equal(data[1:4], []byte{0x2A, 0x4D, 0x18}):
		return "zstd"
	}
	return ""
}

// decompress replaces r's source by what is inside it, when that is compressed.
func (r *Reader) decompress() error {
	kind := compression(r.win.unread())
	if kind == "" {
		return nil
	}
	in := &counter{src: io.MultiReader(bytes.NewReader(bytes.Clone(r.win.unread())), &rest{r.win.src, r.win.err})}
	out := &inflater{in: in, ratio: int64(r.opts.MaxExpansion)}
	var err error
	switch kind {
	case "gzip":
		var z *fastgzip.Reader
		// It holds nothing, and closing it would say again what reading said.
		if z, err = fastgzip.NewReader(in); err == nil {
			out.src = z
		}
	case "zstd":
		var z *zstd.Decoder
		// One goroutine, so that nothing is decoded that is not asked for.
		if z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowBytes)); err == nil {
			out.src = z
			r.closers = append(r.closers, z.IOReadCloser())
		}
	}
	if err != nil {
		return r.opts.fatal("octet 0", err, "check that the "+kind+" file is whole")
	}
	r.win.reset(out)
	r.win.need(detectBytes)
	if kind := compression(r.win.unread()); kind != "" {
		return r.opts.fatal("", because(ErrSyntax, "the list is compressed twice (%s inside)", kind), "compress it once")
	}
	return nil
}

// rest is what a window's source still has, including the error it ended with.
type rest struct {
	src io.Reader
	err error
}

func (s *rest) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.src.Read(p)
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
	in    *counter
	out   int64
	ratio int64
}

func (f *inflater) Read(p []byte) (int, error) {
	// Small steps, so that a bomb is noticed before a whole window of it.
	n, err := f.src.Read(p[:min(len(p), 128<<10)])
	f.out += int64(n)
	if f.out > expansionGrace && (f.out-expansionGrace)/f.ratio > f.in.n {
		return 0, because(ErrExpansion, "%d compressed octets have become over %d, more than %d each", f.in.n, f.out, f.ratio)
	}
	if err == io.EOF {
		return n, io.EOF
	}
	return n, err
}

// sourceRemedy says what to do about a source that failed with err.
func sourceRemedy(err error) string {
	switch {
	case errors.Is(err, ErrExpansion):
		return "check where the list comes from; if it is right, unpack it first or raise the expansion limit"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the file is cut short: copy it again"
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return "compress it again without --long or --ultra"
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, fastgzip.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return "the file is damaged: copy it again"
	}
	return "read the list again from a source that is whole"
}
