package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/engine/manifest"
)

// dirChunk is how many names of a directory are held at a time.
const dirChunk = 4096

// openDir opens a directory that a Writer wrote, or any with vouchers in it.
// Files are opened below it only: a link that leads out is refused.
func openDir(path string, opts ReadOptions) (*Reader, error) {
	if err := opts.normalise(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, wrap(path, "", err)
	}
	r := &Reader{name: path, opts: opts, kind: KindVouchers, closers: []io.Closer{root}}
	files := dirFiles{r: r, root: root}
	if err := r.beginDir(files); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) beginDir(files dirFiles) error {
	f, err := files.open(manifest.FileName)
	switch {
	case err == nil:
		defer f.Close()
		if r.manifest, err = readLimited(f, manifest.MaxBytes, r.name, manifest.FileName); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	order, err := files.open(orderName)
	switch {
	case err == nil:
		r.kind = KindDir
		r.closers = append(r.closers, order)
		r.src = &orderedSource{dirFiles: files, lines: bufio.NewReaderSize(order, 4<<10)}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case r.manifest != nil:
		return &Error{Name: r.name, Place: orderName, Kind: ErrSyntax, Detail: "it is missing, and the manifest means nothing without the order",
			Remedy: "read the tar file this was unpacked from, or write its order down with tar tf FILE.tar | sed 1d > " + orderName + "; without " + manifest.FileName + " the vouchers are read alone"}
	}
	dir, err := files.root.Open(".")
	if err != nil {
		return wrap(r.name, "", err)
	}
	r.closers = append(r.closers, dir)
	r.src = &looseSource{dirFiles: files, dir: dir}
	return nil
}

// dirFiles reads files below a directory.
type dirFiles struct {
	r    *Reader
	root *os.Root
	buf  []byte
}

// open opens a regular file that is no link.
func (d *dirFiles) open(name string) (*os.File, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return nil, wrap(d.r.name, name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Name: d.r.name, Place: name, Kind: ErrUnsafe, Detail: "it is a link, a directory or a special file",
			Remedy: "put the vouchers themselves there"}
	}
	f, err := d.root.Open(name)
	return f, wrap(d.r.name, name, err)
}

// read reads one voucher.
func (d *dirFiles) read(name string, e *Entry) error {
	f, err := d.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	limit := d.r.opts.MaxVoucherBytes
	if d.buf == nil {
		d.buf = make([]byte, limit+1)
	}
	n, err := io.ReadFull(f, d.buf)
	switch {
	case err == nil:
		return fail(d.r.name, name, ErrTooLarge, "more than %d octets", limit)
	case err == io.EOF:
		return fail(d.r.name, name, ErrSyntax, "it is empty")
	case err != io.ErrUnexpectedEOF:
		return wrap(d.r.name, name, err)
	}
	e.named(name, name, d.buf[:n:n])
	return nil
}

// orderedSource reads the files that order.txt lists.
type orderedSource struct {
	dirFiles
	lines *bufio.Reader
	line  uint64
}

func (s *orderedSource) next(e *Entry) error {
	text, err := s.lines.ReadSlice('\n')
	if len(text) == 0 && err == io.EOF {
		return s.checkCount()
	}
	s.line++
	place := fmt.Sprintf("%s, line %d", orderName, s.line)
	if err != nil {
		return fail(s.r.name, place, ErrSyntax, "the line does not end, or is too long")
	}
	name := strings.TrimSuffix(string(text), "\n")
	if name == manifest.FileName || name == orderName || strings.ContainsRune(name, '/') || !safePath(name) {
		return fail(s.r.name, place, ErrUnsafe, "%.80q is not the name of a voucher's file", name)
	}
	return s.read(name, e)
}

// checkCount finds files that the order does not list: who only looked at the
// listed ones would not know.
func (s *orderedSource) checkCount() error {
	dir, err := s.root.Open(".")
	if err != nil {
		return wrap(s.r.name, "", err)
	}
	defer dir.Close()
	var files uint64
	for {
		names, err := dir.Readdirnames(dirChunk)
		for _, name := range names {
			if !skipped(name) {
				files++
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return wrap(s.r.name, "", err)
		}
	}
	if files != s.line {
		return &Error{Name: s.r.name, Kind: ErrSyntax, Detail: fmt.Sprintf("it has %d files, %s lists %d", files, orderName, s.line),
			Remedy: "take the directory from where it was issued"}
	}
	return io.EOF
}

// skipped reports whether a file of a directory is not a voucher by its name.
func skipped(name string) bool {
	return name == manifest.FileName || name == orderName || strings.HasPrefix(name, ".")
}

// looseSource reads all files of a directory, hidden ones excepted: sorted as
// far as the names fit a chunk, which keeps memory bounded.
type looseSource struct {
	dirFiles
	dir   *os.File
	names []string
	last  bool
}

func (s *looseSource) next(e *Entry) error {
	for len(s.names) == 0 {
		if s.last {
			return io.EOF
		}
		names, err := s.dir.Readdirnames(dirChunk)
		if err != nil && err != io.EOF {
			return wrap(s.r.name, "", err)
		}
		s.last = err == io.EOF
		slices.Sort(names)
		s.names = slices.DeleteFunc(names, skipped)
	}
	name := s.names[0]
	s.names = s.names[1:]
	return s.read(name, e)
}
