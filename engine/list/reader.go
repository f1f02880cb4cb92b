package list

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Record is one device. Its slices are views into the Reader, valid until the
// next Read; nil stands for a value the row does not have.
type Record struct {
	// Line is the 1-based number of the row's first line, of the item or of the
	// certificate, as RowError.Unit names it.
	Line uint64
	// File is the certificate's file when the list is a directory, else "".
	File string
	// Serial is the serial number, verbatim.
	Serial []byte
	// Issuer is the idevid-issuer in its canonical form, an OCTET STRING around
	// an AuthorityKeyIdentifier: 04 LL 30 ...
	Issuer []byte
	// Pin is the name of the certificate to pin.
	Pin []byte
	// ExpiresOn is a time, a date, a duration or "never", as written.
	ExpiresOn []byte
	// Raw is the row as written, without its line end.
	Raw []byte
}

// source is one form of list. next fills rec, or returns io.EOF, a *RowError
// or a *ListError.
type source interface {
	next(rec *Record) error
}

// Reader reads one list. It is not for concurrent use.
type Reader struct {
	opts    Options
	format  Format
	win     window
	src     source
	check   checker
	line    uint64 // lines, items or certificates stepped over
	unit    string // what line counts
	file    string // the file at hand in a directory
	shown   []byte // the beginning of a row that is no longer in the window
	closers []io.Closer
	err     error // what ended the list
}

// Open reads the list at path: a file, a directory of certificates, or
// standard input where path is "-". Close must be called when done.
func Open(path string, opts Options) (*Reader, error) {
	if opts.Name == "" {
		if opts.Name = path; path == "-" {
			opts.Name = "standard input"
		}
	}
	if path == "-" {
		return NewReader(os.Stdin, opts)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, opts.fatal("", err, "check the path of the device list")
	}
	r, err := open(f, opts)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closers = append(r.closers, f)
	return r, nil
}

// open reads f, a file or a directory.
func open(f *os.File, opts Options) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, opts.fatal("", err, "check the path of the device list")
	}
	if !info.IsDir() {
		return NewReader(f, opts)
	}
	if err := opts.normalise(); err != nil {
		return nil, err
	}
	if opts.Format != FormatAuto && opts.Format != FormatDir {
		return nil, opts.fatal("", because(ErrSyntax, "a directory cannot be read as %s", opts.Format), "name a file, or read it as dir")
	}
	r := newReader(opts)
	r.format, r.unit = FormatDir, units[FormatDir]
	if r.src, err = newDirSource(r, f); err != nil {
		return nil, err
	}
	return r, nil
}

func newReader(opts Options) *Reader {
	return &Reader{
		opts:  opts,
		check: checker{maxSerial: opts.MaxSerialBytes},
		win:   window{buf: make([]byte, 2*detectBytes), full: max(windowBytes, 4*opts.MaxRowBytes)},
	}
}

// units is what is counted in each form of list.
var units = [...]string{
	FormatCSV: "line", FormatNDJSON: "line", FormatCBORSeq: "item",
	FormatPEM: "certificate", FormatDER: "certificate", FormatDir: "certificate",
}

// NewReader reads the list that src holds, having told its form from its first
// octets. Close must be called when done; it leaves src open.
func NewReader(src io.Reader, opts Options) (*Reader, error) {
	if err := opts.normalise(); err != nil {
		return nil, err
	}
	if opts.Format == FormatDir {
		return nil, opts.fatal("", because(ErrSyntax, "a stream cannot be read as a directory"), "name a directory")
	}
	r := newReader(opts)
	r.win.reset(src)
	r.win.need(detectBytes)
	err := r.decompress()
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// begin settles the form of the list and gets to its first row.
func (r *Reader) begin() error {
	w := &r.win
	if w.err != nil && !w.atEOF() && len(w.unread()) == 0 {
		return r.broken(w.err)
	}
	if r.format = r.opts.Format; r.format == FormatAuto {
		if err := r.wrongForm(); err != nil {
			return err
		}
		r.format = detect(w.unread())
	}
	r.unit = units[r.format]
	if r.format <= FormatNDJSON && bytes.HasPrefix(w.unread(), bom) {
		w.start += len(bom)
	}
	var err error
	switch r.format {
	case FormatCSV:
		r.src, err = newCSVSource(r)
	case FormatNDJSON:
		r.src = &ndjsonSource{r: r}
	case FormatCBORSeq:
		r.src = &cborSource{r: r}
	case FormatPEM:
		r.src = &pemSource{r}
	case FormatDER:
		r.src = &derSource{r}
	}
	return err
}

// Format returns the form the list is in.
func (r *Reader) Format() Format { return r.format }

// Unit names what Record.Line counts: "line", "item" or "certificate".
func (r *Reader) Unit() string { return r.unit }

// Read fills rec with the next device. It returns io.EOF behind the last one, a
// *RowError for a row that cannot be used (the next Read goes on behind it), and
// a *ListError where the list cannot be read on; that one it keeps returning.
// Where it fails, rec says nothing.
func (r *Reader) Read(rec *Record) error {
	if r.err != nil {
		return r.err
	}
	err := r.src.next(rec)
	if err != nil {
		if _, bad := err.(*RowError); !bad {
			r.err = err
		}
	}
	return err
}

// Close releases what Open and decompression hold. It leaves standard input
// and a reader given to NewReader open.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	r.closers = nil
	if r.err == nil {
		r.err = r.opts.fatal("", os.ErrClosed, "")
	}
	return errors.Join(errs...)
}

// finish checks the values of the row that begins at line and makes a record of
// them.
func (r *Reader) finish(line uint64, raw []byte, rec *Record, v *values) error {
	if f := r.check.check(rec, v); f != nil {
		return r.rowError(line, raw, f)
	}
	rec.Line, rec.File, rec.Raw = line, r.file, raw
	return nil
}

// rowError gives f its place.
func (r *Reader) rowError(line uint64, raw []byte, f *fault) error {
	return &RowError{File: r.file, Unit: r.unit, Line: line, Column: f.at + 1, Field: f.field, Err: f.err, Remedy: f.remedy, Raw: raw}
}

// shownBytes is how much of an overlong row a RowError shows.
const shownBytes = 256

func (r *Reader) rowTooLong(remedy string) *fault {
	limit := r.opts.MaxRowBytes
	return &fault{at: limit, err: because(ErrRowTooLong, "row over %d octets", limit), remedy: remedy}
}

// skip reports the row at unread and steps over it, up to the first line end
// behind f.at, however far away that is.
func (r *Reader) skip(f *fault) error {
	first, data := r.line+1, r.win.unread()
	r.shown = append(r.shown[:0], data[:min(len(data), shownBytes)]...)
	r.line = first + uint64(bytes.Count(data[:f.at], []byte{'\n'}))
	r.win.start += f.at
	if err := r.win.skipLine(); err != nil {
		return r.broken(err)
	}
	return r.rowError(first, r.shown, f)
}

// lineName is the place of the row at unread.
func (r *Reader) lineName() string {
	if r.file != "" {
		return fmt.Sprintf("%s, %s %d", r.file, r.unit, r.line+1)
	}
	return fmt.Sprintf("%s %d", r.unit, r.line+1)
}

// placeName is the place of unread, down to the octet.
func (r *Reader) placeName() string {
	return fmt.Sprintf("%s, octet %d", r.lineName(), r.win.offset())
}

// broken is the end of a list whose source failed with err.
func (r *Reader) broken(err error) error {
	return r.opts.fatal(r.placeName(), err, sourceRemedy(err))
}
