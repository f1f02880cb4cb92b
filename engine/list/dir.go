package list

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dirSource reads the certificates in the files of a directory in the order of
// their names: .pem, .crt, .cer and .der, each PEM or DER whatever it is called.
// Files of other names, and what is in subdirectories, are none of the list.
type dirSource struct {
	r     *Reader
	path  string
	names []string // still to come
	open  *os.File
	src   source
}

func newDirSource(r *Reader, dir *os.File) (*dirSource, error) {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, r.opts.fatal("", err, "check the directory")
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		switch strings.ToLower(filepath.Ext(name)) {
		case ".pem", ".crt", ".cer", ".der":
			return false
		}
		return true
	})
	if len(names) == 0 {
		return nil, r.opts.fatal("", because(ErrEmpty, "no certificate files in the directory"), "give them names that end in .pem, .crt, .cer or .der")
	}
	slices.Sort(names)
	s := &dirSource{r: r, path: dir.Name(), names: names}
	r.closers = append(r.closers, s)
	return s, nil
}

// next reads one certificate, from the file at hand or the one after it.
func (s *dirSource) next(rec *Record) error {
	for {
		if s.src == nil {
			if len(s.names) == 0 {
				return io.EOF
			}
			if err := s.nextFile(); err != nil {
				return err
			}
		}
		err := s.src.next(rec)
		var end *ListError
		if w := &s.r.win; errors.As(err, &end) && (w.err == nil || w.atEOF()) {
			// What this file holds is broken; the next one need not be.
			s.Close()
			return s.unusable(end.Err)
		}
		if err != io.EOF {
			return err
		}
		if err := s.Close(); err != nil {
			return s.r.broken(err)
		}
	}
}

// nextFile opens the next file. One that cannot hold a certificate is a row
// error, so that one stray file does not cost the rest of the list.
func (s *dirSource) nextFile() error {
	r := s.r
	r.file, s.names = s.names[0], s.names[1:]
	path := filepath.Join(s.path, r.file)
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return s.unusable(because(ErrSyntax, "not a regular file"))
	}
	if err == nil {
		s.open, err = os.Open(path)
	}
	if err != nil {
		return r.opts.fatal(r.file, err, "make the file readable, or take it out of the directory")
	}
	r.win.reset(s.open)
	r.win.need(detectBytes)
	switch data := r.win.unread(); {
	case len(data) == 0 && r.win.atEOF():
		err = because(ErrEmpty, "the file is empty")
	case detect(data) == FormatPEM:
		s.src = &pemSource{r}
	case detect(data) == FormatDER:
		s.src = &derSource{r}
	case !r.win.atEOF() && r.win.err != nil:
		return r.broken(r.win.err)
	default:
		err = because(ErrSyntax, "the file is neither PEM nor DER")
	}
	if err != nil {
		s.Close()
		return s.unusable(err)
	}
	return nil
}

func (s *dirSource) unusable(err error) error {
	s.r.line++
	return s.r.rowError(s.r.line, nil, &fault{at: -1, err: err, remedy: "put a certificate there, or take the file away"})
}

// Close closes the file at hand.
func (s *dirSource) Close() error {
	s.src = nil
	if s.open == nil {
		return nil
	}
	f := s.open
	s.open = nil
	return f.Close()
}
