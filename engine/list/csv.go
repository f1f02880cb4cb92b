package list

import (
	"bytes"
	"io"
	"strconv"
)

// csvSource reads RFC 4180: a header row, then a row a device. Rows end in LF
// or CRLF, the last one may lack it, empty lines are passed over.
//
// A row without a quote is cut up in place, which is nearly every row there is;
// one with a quote goes through csvRow, which knows quoted fields and what they
// may hold. A broken row ends at the first line end behind what is broken about
// it, so an unclosed quote costs one line and not the rest of the list.
type csvSource struct {
	r      *Reader
	delim  byte
	cols   []column // what the header says, by position
	values values
	row    csvRow
}

func newCSVSource(r *Reader) (*csvSource, error) {
	c := &csvSource{r: r}
	if err := c.readHeader(); err != nil {
		return nil, err
	}
	return c, nil
}

// next reads rows until one is a record or an error.
func (c *csvSource) next(rec *Record) error {
	r, w := c.r, &c.r.win
	for {
		line, step, err := w.line(r.opts.MaxRowBytes)
		switch {
		case err == ErrRowTooLong:
			if bytes.IndexByte(line, '"') >= 0 {
				return c.quoted(rec)
			}
			return r.skip(r.rowTooLong("split the line, or raise the row limit"))
		case err == io.EOF:
			return err
		case err != nil:
			return r.broken(err)
		case bytes.IndexByte(line, '"') >= 0:
			return c.quoted(rec)
		}
		w.start += step
		r.line++
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 {
			return c.plain(line, rec)
		}
	}
}

// plain cuts up a row that has no quote in it.
func (c *csvSource) plain(line []byte, rec *Record) error {
	v := &c.values
	last := len(c.cols) - 1
	at := 0
	for i, col := range c.cols {
		rest := line[at:]
		j := bytes.IndexByte(rest, c.delim)
		if (j < 0) != (i == last) {
			return c.r.rowError(c.r.line, line, c.fieldCount(bytes.Count(line, []byte{c.delim})+1))
		}
		if j < 0 {
			j = len(rest)
		}
		v.set(col, rest[:j], at)
		at += j + 1
	}
	return c.r.finish(c.r.line, line, rec, v)
}

// quoted reads a row that has a quote in it, which may span lines.
func (c *csvSource) quoted(rec *Record) error {
	r := c.r
	f, err := c.scan()
	if err != nil {
		return r.broken(err)
	}
	if f != nil {
		return c.resync(f)
	}
	raw := r.win.unread()[:c.row.step]
	r.win.start += c.row.step
	first := r.line + 1
	raw = trimLineEnd(raw)
	r.line = first + uint64(bytes.Count(raw, []byte{'\n'}))
	if c.row.count != len(c.cols) {
		return r.rowError(first, raw, c.fieldCount(c.row.count))
	}
	for i, col := range c.cols {
		c.values.set(col, c.row.fields[i], c.row.at[i])
	}
	return r.finish(first, raw, rec, &c.values)
}

// scan has c.row parse the row that starts at unread, reading on as it needs.
func (c *csvSource) scan() (*fault, error) {
	w, limit := &c.r.win, c.r.opts.MaxRowBytes
	for {
		data := w.unread()
		cut := len(data) > limit
		if cut {
			data = data[:limit]
		}
		switch c.row.parse(data, c.delim, w.atEOF() && !cut) {
		case rowDone:
			return nil, nil
		case rowBroken:
			return &c.row.fault, nil
		}
		if cut {
			return &fault{at: max(c.row.opened, 0), err: because(ErrRowTooLong, "row over %d octets", limit),
				remedy: "close the quote that opens here, or raise the row limit"}, nil
		}
		if !w.more() && !w.atEOF() {
			return nil, w.err
		}
	}
}

// resync reports the broken row at unread and steps over it, up to the first
// line end behind the place that is broken.
func (c *csvSource) resync(f *fault) error {
	r, w := c.r, &c.r.win
	for seen := f.at; ; {
		data := w.unread()
		i := bytes.IndexByte(data[seen:], '\n')
		if i < 0 && len(data) <= r.opts.MaxRowBytes {
			seen = len(data)
			if w.more() {
				continue
			}
			if !w.atEOF() {
				return r.broken(w.err)
			}
			i = 0
		}
		end := seen + i
		if i < 0 || end > r.opts.MaxRowBytes {
			return r.skip(f)
		}
		first := r.line + 1
		r.line = first + uint64(bytes.Count(data[:end], []byte{'\n'}))
		w.start += min(end+1, len(data))
		return r.rowError(first, trimLineEnd(data[:end]), f)
	}
}

// fieldCount is the fault of a row with n fields.
func (c *csvSource) fieldCount(n int) *fault {
	return &fault{at: -1, err: because(ErrFieldCount, "%d fields where the header has %d", n, len(c.cols)),
		remedy: "give every column a value, empty where there is none; quote values that hold " + strconv.QuoteRune(rune(c.delim))}
}

// readHeader reads the header row and settles the delimiter: the one given, or
// the one that makes every name a known one. Where none does, the complaint is
// about the header as cut up by the first delimiter that occurs in it.
func (c *csvSource) readHeader() error {
	candidates := []byte{',', ';', '\t'}
	if c.r.opts.Delimiter != 0 {
		candidates = []byte{c.r.opts.Delimiter}
	}
	if err := c.skipBlank(); err != nil {
		return err
	}
	var complaint error
	for _, d := range candidates {
		c.delim = d
		err := c.parseHeader()
		if err == nil {
			return nil
		}
		if complaint == nil || c.row.count > 1 {
			complaint = err
		}
		if c.row.count > 1 {
			break
		}
	}
	return complaint
}

// skipBlank steps over empty lines in front of the header.
func (c *csvSource) skipBlank() error {
	r, w := c.r, &c.r.win
	for {
		line, step, err := w.line(r.opts.MaxRowBytes)
		switch {
		case err == io.EOF:
			return r.opts.fatal("", because(ErrEmpty, "the list has no header row"), `begin it with a row of column names such as "serial-number"`)
		case err == ErrRowTooLong:
			return r.opts.fatal(r.lineName(), because(err, "header row over %d octets", r.opts.MaxRowBytes), "check that this is a CSV list")
		case err != nil:
			return r.broken(err)
		case len(trimLineEnd(line)) > 0:
			return nil
		}
		w.start += step
		r.line++
	}
}

// parseHeader reads the header at unread with the delimiter at hand and steps
// over it when every name in it is known.
func (c *csvSource) parseHeader() error {
	r := c.r
	f, err := c.scan()
	if err != nil {
		return r.broken(err)
	}
	if f == nil {
		f = c.header()
	}
	if f != nil {
		return r.opts.fatal(r.lineName(), f.err, f.remedy)
	}
	r.line += 1 + uint64(bytes.Count(trimLineEnd(r.win.unread()[:c.row.step]), []byte{'\n'}))
	r.win.start += c.row.step
	return nil
}

// header turns c.row into c.cols.
func (c *csvSource) header() *fault {
	c.cols = c.cols[:0]
	var seen [columns]bool
	for _, name := range c.row.fields[:min(c.row.count, maxFields)] {
		col, ok := columnByName(name)
		if !ok {
			remedy, err := unknownColumn(name)
			return &fault{err: err, remedy: remedy}
		}
		if seen[col] {
			return &fault{err: because(ErrColumn, "column %q is there twice", columnNames[col]), remedy: "remove one of them"}
		}
		seen[col] = true
		c.cols = append(c.cols, col)
	}
	if !seen[colSerial] {
		return &fault{err: because(ErrColumn, "no column %q", columnNames[colSerial]), remedy: "add it; every device needs a serial number"}
	}
	return nil
}
