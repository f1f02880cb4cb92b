package bundle

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/vouchmill/vouchmill/engine/manifest"
)

// tarSource reads the members of a tar file.
type tarSource struct {
	r     *Reader
	raw   *bufio.Reader
	in    *tar.Reader
	first *tar.Header // read already, to look for the manifest
	buf   []byte
}

// beginTar reads the manifest, when the first member is one.
func (r *Reader) beginTar(in *bufio.Reader) error {
	s := &tarSource{r: r, raw: in, in: tar.NewReader(in)}
	r.src = s
	h, err := s.header()
	if err != nil {
		if err == io.EOF {
			return nil // an empty bundle: next will say so
		}
		return err
	}
	if h.Name != manifest.FileName {
		s.first = h
		return nil
	}
	r.manifest, err = readLimited(s.in, manifest.MaxBytes, r.name, "member "+h.Name)
	return err
}

// header returns the next member that is a file, after checking that its
// name and type cannot do any harm to who unpacks it in the same way.
func (s *tarSource) header() (*tar.Header, error) {
	for {
		h, err := s.in.Next()
		if err == io.EOF {
			return nil, s.checkEnd()
		}
		if err != nil {
			return nil, &Error{Name: s.r.name, Kind: ErrSyntax, Err: err, Remedy: "the file is damaged or cut short: copy it again"}
		}
		place := "member " + h.Name
		if !safePath(h.Name) {
			return nil, &Error{Name: s.r.name, Place: place, Kind: ErrUnsafe, Detail: "its name leads out of the bundle",
				Remedy: "do not unpack this file; ask who sent it"}
		}
		switch h.Typeflag {
		case tar.TypeReg:
			return h, nil
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			return nil, &Error{Name: s.r.name, Place: place, Kind: ErrUnsafe, Detail: "it is a link or a special file",
				Remedy: "a bundle has files only: pack it again without links"}
		}
	}
}

// maxPadding bounds the zeros behind the end of a tar file.
const maxPadding = 1 << 20

// checkEnd reads what is behind the archive's end: padding of zeros, and the
// check sum of the compression, which is not looked at before. It returns
// io.EOF where all is well.
func (s *tarSource) checkEnd() error {
	for range maxPadding {
		c, err := s.raw.ReadByte()
		switch {
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return &Error{Name: s.r.name, Kind: ErrSyntax, Err: err, Remedy: "the file is damaged or cut short: copy it again"}
		case c != 0:
			return fail(s.r.name, "", ErrSyntax, "there is something behind the end of the archive")
		}
	}
	return fail(s.r.name, "", ErrTooLarge, "over %d octets of padding behind the end of the archive", maxPadding)
}

// safePath reports whether a member's name stays below where it is unpacked,
// on any system.
func safePath(name string) bool {
	trimmed := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if name == "./" || name == "pax_global_header" {
		return true
	}
	return trimmed != "" && !strings.ContainsAny(trimmed, "\\:\x00") && !path.IsAbs(trimmed) &&
		path.Clean(trimmed) == trimmed && trimmed != ".." && !strings.HasPrefix(trimmed, "../")
}

func (s *tarSource) next(e *Entry) error {
	h := s.first
	s.first = nil
	if h == nil {
		var err error
		if h, err = s.header(); err != nil {
			return err
		}
	}
	place := "member " + h.Name
	if h.Name == manifest.FileName {
		return fail(s.r.name, place, ErrSyntax, "the manifest comes first and once")
	}
	if h.Size > int64(s.r.opts.MaxVoucherBytes) {
		return fail(s.r.name, place, ErrTooLarge, "%d octets, the limit is %d", h.Size, s.r.opts.MaxVoucherBytes)
	}
	if cap(s.buf) < int(h.Size) {
		s.buf = make([]byte, h.Size, max(4<<10, int(h.Size)))
	}
	s.buf = s.buf[:h.Size]
	if _, err := io.ReadFull(s.in, s.buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fail(s.r.name, place, ErrSyntax, "the file is cut short")
		}
		return wrap(s.r.name, place, err)
	}
	e.named(place, path.Base(h.Name), s.buf)
	return nil
}

// named fills an entry from a voucher's file and its name.
func (e *Entry) named(place, name string, voucher []byte) {
	e.Place, e.Voucher = place, voucher
	if serial, keyID, format, ok := ParseName(name); ok {
		e.Serial, e.IssuerKeyID, e.Shared, e.Format = serial, keyID, keyID != nil, format
	}
}
