package list

import (
	"io"
)

// cborSource reads a CBOR sequence (RFC 8742). An item is a map whose keys are
// the column names and whose values are text, a byte string for idevid-issuer,
// or null; or an item is a serial number as bare text.
//
// A well-formed item that says the wrong thing is a row error. One that is
// malformed ends the list: nothing tells where the next item would begin.
type cborSource struct {
	r      *Reader
	values values
}

// next reads one item.
func (s *cborSource) next(rec *Record) error {
	r, w := s.r, &s.r.win
	for {
		n, err := cborItem(w.unread(), r.opts.MaxRowBytes)
		if err == nil {
			item := w.unread()[:n]
			w.start += n
			r.line++
			if f := s.item(item); f != nil {
				return r.rowError(r.line, item, f)
			}
			return r.finish(r.line, item, rec, &s.values)
		}
		if err != errShort {
			return r.opts.fatal(r.placeName(), err, "what follows cannot be found again: write the list anew")
		}
		if !w.more() {
			if w.atEOF() && len(w.unread()) == 0 {
				return io.EOF
			}
			return r.broken(w.errSource())
		}
	}
}

// item reads one well-formed item into s.values.
func (s *cborSource) item(item []byte) *fault {
	s.values = values{}
	h, _ := readHead(item)
	switch {
	case h.major == cborText && !h.indefinite:
		s.values.set(colSerial, item[h.size:], h.size)
		return nil
	case h.major != cborMap:
		return &fault{at: -1, err: because(ErrSyntax, "item is %s", cborKind(h)), remedy: "give a map of columns, or the serial number as text"}
	}
	pos := h.size
	var seen [columns]bool
	for n := uint64(0); h.indefinite || n < h.arg; n++ {
		key, _ := readHead(item[pos:])
		if key.indefinite && key.major == cborSimple {
			break
		}
		if key.major != cborText || key.indefinite {
			return &fault{at: pos, err: because(ErrSyntax, "map key is %s", cborKind(key)), remedy: "name columns by text"}
		}
		at := pos
		pos += key.size + int(key.arg)
		col, f := memberColumn(item[at+key.size:pos], &seen)
		if f != nil {
			f.at = at
			return f
		}
		if pos, f = s.value(col, item, pos); f != nil {
			return f
		}
	}
	return requireSerial(&seen)
}

// value reads the value at item[pos] and returns the position behind it.
func (s *cborSource) value(col column, item []byte, pos int) (int, *fault) {
	h, _ := readHead(item[pos:])
	at := pos
	if h.major == cborTag && h.arg == 0 && col == colExpires {
		// tag 0, a date-time as text: RFC 8949 §3.4.1
		pos += h.size
		h, _ = readHead(item[pos:])
	}
	pos += h.size
	switch {
	case h.major == cborSimple && h.size == 1 && (h.arg == 22 || h.arg == 23): // null, undefined
		return pos, nil
	case h.indefinite:
	case h.major == cborText:
		s.values.set(col, item[pos:pos+int(h.arg)], at)
		return pos + int(h.arg), nil
	case h.major == cborBytes && col == colIssuer:
		s.values.set(col, item[pos:pos+int(h.arg)], at)
		s.values.octets = true
		return pos + int(h.arg), nil
	}
	remedy := "give text of definite length"
	if col == colIssuer {
		remedy = "give a byte string or text of definite length"
	}
	return 0, &fault{at: at, field: columnNames[col], err: because(ErrSyntax, "value is %s", cborKind(h)), remedy: remedy}
}

// cborKind names what an item is.
func cborKind(h cborHead) string {
	if h.indefinite {
		return "of indefinite length"
	}
	return [...]string{"an unsigned integer", "a negative integer", "a byte string", "text", "an array", "a map", "a tagged item", "a simple value or float"}[h.major]
}
