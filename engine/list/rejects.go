package list

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rejects writes the rows that could not be used to a CSV file of their own:
// file, line, column, field, reason, remedy and the row as it was. A row that is not
// text is written as CBOR diagnostic notation has it: h'a16d..'.
//
// The file is written whole or not at all: under a temporary name beside the
// real one until Commit has it on disk and renames it. It is not for concurrent
// use.
type Rejects struct {
	path  string
	file  *os.File
	out   *bufio.Writer
	row   []byte
	count uint64
}

const rejectsHeader = "file,line,column,field,reason,remedy,row\n"

// CreateRejects begins the file at path, readable by its owner alone. Commit or
// Abort ends it; nothing is at path, or what was there before, until Commit.
func CreateRejects(path string) (*Rejects, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, rejectsError(path, err)
	}
	w := &Rejects{path: path, file: f, out: bufio.NewWriterSize(f, 64<<10)}
	w.out.WriteString(rejectsHeader)
	return w, nil
}

func rejectsError(path string, err error) error {
	return &ListError{Name: path, Err: err, Remedy: "check that the rejects file's directory is there, can be written and has room"}
}

// Add writes one row. A caller that refuses a row on grounds of its own, such
// as a serial number that is there twice, makes the RowError itself.
func (w *Rejects) Add(e *RowError) error {
	w.count++
	line := ""
	if e.Line > 0 {
		line = strconv.FormatUint(e.Line, 10)
	}
	col := ""
	if e.Column > 0 {
		col = strconv.Itoa(e.Column)
	}
	reason := ""
	if e.Err != nil {
		reason = e.Err.Error()
	}
	w.row = w.row[:0]
	for i, v := range [...]string{e.File, line, col, e.Field, reason, e.Remedy, rawText(e.Raw)} {
		if i > 0 {
			w.row = append(w.row, ',')
		}
		w.row = appendCSV(w.row, v)
	}
	w.row = append(w.row, '\n')
	if _, err := w.out.Write(w.row); err != nil {
		return rejectsError(w.path, err)
	}
	return nil
}

// Count returns how many rows were added.
func (w *Rejects) Count() uint64 { return w.count }

// Commit puts the file in its place: on disk first, then renamed, then the
// directory on disk too. Where it fails, the temporary file is removed.
func (w *Rejects) Commit() error {
	if w.file == nil {
		return rejectsError(w.path, os.ErrClosed)
	}
	err := errors.Join(w.out.Flush(), w.file.Sync())
	if err != nil {
		return errors.Join(rejectsError(w.path, err), w.Abort())
	}
	temporary := w.file.Name()
	if err = w.file.Close(); err == nil {
		err = os.Rename(temporary, w.path)
	}
	w.file = nil
	if err != nil {
		return errors.Join(rejectsError(w.path, err), os.Remove(temporary))
	}
	dir, err := os.Open(filepath.Dir(w.path))
	if err != nil {
		return rejectsError(w.path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return rejectsError(w.path, err)
	}
	return nil
}

// Abort removes what was written so far. It does nothing after Commit, so it
// may be deferred.
func (w *Rejects) Abort() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.file.Close(), os.Remove(w.file.Name()))
	w.file = nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rejectsError(w.path, err)
	}
	return nil
}

// rawText is a row as text: itself where it is UTF-8 without NUL, else its
// octets.
func rawText(raw []byte) string {
	if utf8.Valid(raw) && strings.IndexByte(string(raw), 0) < 0 {
		return string(raw)
	}
	return "h'" + hex.EncodeToString(raw) + "'"
}

// appendCSV appends one field, quoted where RFC 4180 §2 wants it.
func appendCSV(dst []byte, s string) []byte {
	if s != "" && !strings.ContainsAny(s, ",\"\r\n") && s[0] != ' ' && s[len(s)-1] != ' ' {
		return append(dst, s...)
	}
	if s == "" {
		return dst
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
