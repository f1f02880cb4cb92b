package bundle

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/manifest"
)

// The defaults of ReadOptions, and what is fixed.
const (
	DefaultVoucherBytes = 64 << 10
	MaxVoucherBytes     = 16 << 20
	DefaultExpansion    = 250

	maxTextBytes = 4 << 10 // of a serial number or issuer in NDJSON and CBOR
	detectBytes  = 512     // the first block of a tar file
)

// ReadOptions bound what is read. The zero value has the defaults.
type ReadOptions struct {
	// MaxVoucherBytes bounds one voucher, in octets.
	MaxVoucherBytes int
	// MaxExpansion bounds how many octets one compressed octet may become, over
	// all that was read, after a grace of 4 MiB.
	MaxExpansion int
}

func (o *ReadOptions) normalise(name string) error {
	if o.MaxVoucherBytes == 0 {
		o.MaxVoucherBytes = DefaultVoucherBytes
	}
	if o.MaxExpansion == 0 {
		o.MaxExpansion = DefaultExpansion
	}
	if o.MaxVoucherBytes < 1 || o.MaxVoucherBytes > MaxVoucherBytes {
		return fail(name, "", ErrUsage, "MaxVoucherBytes is %d, choose 1 to %d", o.MaxVoucherBytes, MaxVoucherBytes)
	}
	if o.MaxExpansion < 1 {
		return fail(name, "", ErrUsage, "MaxExpansion is %d, choose 1 or more", o.MaxExpansion)
	}
	return nil
}

// Reader reads one bundle. It is not for concurrent use.
type Reader struct {
	name     string
	opts     ReadOptions
	kind     Kind
	manifest []byte
	src      source
	closers  []io.Closer
	err      error // what ended the reading, io.EOF included
}

// source yields the entries of one form.
type source interface {
	next(e *Entry) error
}

// Open opens a bundle in any form, a directory of vouchers or a lone voucher;
// what a file is, its content says, not its name. "-" is standard input. The
// error is an [*Error].
func Open(path string, opts ReadOptions) (*Reader, error) {
	if path == "-" {
		return NewReader(os.Stdin, "standard input", opts)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, wrap(path, "", err)
	}
	if info.IsDir() {
		return openDir(path, opts)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, wrap(path, "", err)
	}
	r, err := NewReader(f, path, opts)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closers = append(r.closers, f)
	if r.kind == KindNDJSON || r.kind == KindCBORSeq {
		if err := r.readBeside(path + manifest.FileSuffix); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// readBeside takes the manifest from the file beside the bundle, if there is one.
func (r *Reader) readBeside(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return wrap(path, "", err)
	}
	defer f.Close()
	r.manifest, err = readLimited(f, manifest.MaxBytes, path, "")
	return err
}

// readLimited reads all of src, at most limit octets.
func readLimited(src io.Reader, limit int, name, place string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(src, int64(limit)+1))
	if err != nil {
		return nil, wrap(name, place, err)
	}
	if len(body) > limit {
		return nil, fail(name, place, ErrTooLarge, "more than %d octets", limit)
	}
	return body, nil
}

// NewReader reads a bundle of one file, or a lone voucher, from src; name is
// what errors call it. A manifest that lies beside a file is not looked for.
func NewReader(src io.Reader, name string, opts ReadOptions) (*Reader, error) {
	if err := opts.normalise(name); err != nil {
		return nil, err
	}
	r := &Reader{name: name, opts: opts}
	in, err := r.decompress(bufio.NewReaderSize(src, r.lineBytes()))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := r.begin(in); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// lineBytes bounds an NDJSON line: the voucher in base64, two texts with every
// octet escaped, and the rest.
func (r *Reader) lineBytes() int {
	return (r.opts.MaxVoucherBytes+2)/3*4 + 6*2*maxTextBytes + 256
}

// begin tells the form and reads what comes before the vouchers.
func (r *Reader) begin(in *bufio.Reader) error {
	head, err := in.Peek(detectBytes)
	if err != nil && err != io.EOF {
		return wrap(r.name, "", err)
	}
	switch r.kind = detect(head); r.kind {
	case KindTar:
		return r.beginTar(in)
	case KindNDJSON:
		r.src = &ndjsonSource{r: r, in: in}
	case KindCBORSeq:
		r.src = &cborSource{r: r, in: in}
	default:
		r.src = &loneSource{r: r, in: in}
	}
	return nil
}

// detect tells a form by its first octets. A voucher of its own is whatever
// is nothing else: JWS begins as a JSON object too, but with other members,
// and COSE is an array, tagged or not.
func detect(head []byte) Kind {
	if len(head) >= 262 && string(head[257:262]) == "ustar" {
		return KindTar
	}
	if len(head) > 0 && head[0]>>5 == cborMap && (head[0]&31 == 3 || head[0]&31 == 4) && hasMember(head[1:], 0) {
		return KindCBORSeq
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	if len(text) > 0 && text[0] == '{' && hasMember(bytes.TrimLeft(text[1:], " \t\r\n"), '"') {
		return KindNDJSON
	}
	return KindVouchers
}

// hasMember reports whether b begins with the name of one of our members,
// within quotes or behind a CBOR head.
func hasMember(b []byte, quote byte) bool {
	for _, name := range []string{memberSerial, memberIssuer, memberFormat, memberVoucher} {
		if quote != 0 && bytes.HasPrefix(b, []byte(`"`+name+`"`)) ||
			quote == 0 && bytes.HasPrefix(b, appendCBORString(nil, cborText, name)) {
			return true
		}
	}
	return false
}

// Kind is the form of what is read.
func (r *Reader) Kind() Kind { return r.kind }

// Manifest is the bundle's manifest as written, nil where there is none. It is
// known from the start and not checked in any way.
func (r *Reader) Manifest() []byte { return r.manifest }

// Next reads the next voucher into e, in the bundle's order. It returns io.EOF
// behind the last; any other error is an [*Error] and ends the reading too.
func (r *Reader) Next(e *Entry) error {
	if r.err != nil {
		return r.err
	}
	*e = Entry{}
	if r.err = r.src.next(e); r.err != nil {
		*e = Entry{}
		if r.err != io.EOF {
			r.err = wrap(r.name, "", r.err)
		}
	}
	return r.err
}

// Close releases what Open opened.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	r.closers = nil
	if r.err == nil {
		r.err = fail(r.name, "", ErrUsage, "it is closed")
	}
	return wrap(r.name, "", errors.Join(errs...))
}

// loneSource is a file that is one voucher.
type loneSource struct {
	r    *Reader
	in   io.Reader
	done bool
}

func (s *loneSource) next(e *Entry) error {
	if s.done {
		return io.EOF
	}
	s.done = true
	body, err := readLimited(s.in, s.r.opts.MaxVoucherBytes, s.r.name, "")
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return &Error{Name: s.r.name, Kind: ErrSyntax, Detail: "it is empty", Remedy: "check that this is the right file"}
	}
	e.Place, e.Voucher, e.Format = s.r.name, body, codec.FormatUnknown
	return nil
}
