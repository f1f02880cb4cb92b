package bundle

import (
	"bufio"
	"errors"
	"io"

	"github.com/vouchmill/vouchmill/engine/internal/inflate"
)

// decompress returns what is inside in, which is in itself when that is not
// compressed.
func (r *Reader) decompress(in *bufio.Reader) (*bufio.Reader, error) {
	head, err := in.Peek(inflate.DetectBytes)
	if err != nil && err != io.EOF {
		return nil, wrap(r.name, "", err)
	}
	kind := inflate.Detect(head)
	if kind == "" {
		return in, nil
	}
	inner, err := inflate.NewReader(in, kind, r.opts.MaxExpansion)
	if err != nil {
		return nil, wrap(r.name, kind+" header", err)
	}
	r.closers = append(r.closers, inner)
	return bufio.NewReaderSize(&inflated{inner, r.name}, r.lineBytes()), nil
}

// inflated gives the bundle's name and a remedy to the error of a bundle that
// expands too far.
type inflated struct {
	src  io.Reader
	name string
}

func (f *inflated) Read(p []byte) (int, error) {
	n, err := f.src.Read(p)
	if ratio := (*inflate.RatioError)(nil); errors.As(err, &ratio) {
		err = &Error{Name: f.name, Kind: ErrExpansion, Detail: ratio.Error(),
			Remedy: "check where it comes from; if it is right, unpack it first"}
	}
	return n, err
}
