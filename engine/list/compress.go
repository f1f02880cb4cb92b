package list

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	fastgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/vouchmill/vouchmill/engine/internal/inflate"
)

// decompress replaces r's source by what is inside it, when that is compressed.
func (r *Reader) decompress() error {
	kind := inflate.Detect(r.win.unread())
	if kind == "" {
		return nil
	}
	src := io.MultiReader(bytes.NewReader(bytes.Clone(r.win.unread())), &rest{r.win.src, r.win.err})
	inner, err := inflate.NewReader(src, kind, r.opts.MaxExpansion)
	if err != nil {
		return r.opts.fatal("octet 0", err, "check that the "+kind+" file is whole")
	}
	r.closers = append(r.closers, inner)
	r.win.reset(inner)
	r.win.need(detectBytes)
	if kind := inflate.Detect(r.win.unread()); kind != "" {
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
