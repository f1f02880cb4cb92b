package list

import (
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// ndjsonSource reads one JSON object (RFC 8259) a line, whose members are named
// like the columns and hold strings, or null for none. Nothing in an object of
// ours nests, so what does is refused where it begins and depth costs nothing.
type ndjsonSource struct {
	r      *Reader
	values values
	line   []byte
	pos    int
	text   []byte // strings of the line that had escapes in them
}

// next reads lines until one is a record or an error.
func (s *ndjsonSource) next(rec *Record) error {
	r, w := s.r, &s.r.win
	for {
		line, step, err := w.line(r.opts.MaxRowBytes)
		switch {
		case err == ErrRowTooLong:
			return r.skip(r.rowTooLong("split the line, or raise the row limit"))
		case err == io.EOF:
			return err
		case err != nil:
			return r.broken(err)
		}
		w.start += step
		r.line++
		line = trimLineEnd(line)
		if s.line, s.pos = line, 0; s.peek() == 0 && s.pos == len(line) {
			continue
		}
		if f := s.object(); f != nil {
			return r.rowError(r.line, line, f)
		}
		return r.finish(r.line, line, rec, &s.values)
	}
}

// peek skips white space and returns the octet behind it, 0 at the end.
func (s *ndjsonSource) peek() byte {
	for ; s.pos < len(s.line); s.pos++ {
		switch c := s.line[s.pos]; c {
		case ' ', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *ndjsonSource) fault(format string, args ...any) *fault {
	return &fault{at: s.pos, err: because(ErrSyntax, format, args...), remedy: `write one whole object a line, such as {"serial-number":"A1"}`}
}

// object reads the object that is the line into s.values.
func (s *ndjsonSource) object() *fault {
	s.values, s.text = values{}, s.text[:0]
	if s.peek() != '{' {
		return s.fault("the line is not a JSON object")
	}
	s.pos++
	var seen [columns]bool
	for first := true; ; first = false {
		switch c := s.peek(); {
		case c == '}' && first:
			s.pos++
			return s.complete(&seen)
		case c != '"':
			return s.fault("a member name must come here")
		}
		col, f := s.member(&seen)
		if f == nil {
			f = s.value(col)
		}
		if f != nil {
			return f
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return s.complete(&seen)
		default:
			return s.fault("a comma or the object's end must come here")
		}
	}
}

// complete checks what holds for a whole object: nothing behind it, and a
// serial number in it.
func (s *ndjsonSource) complete(seen *[columns]bool) *fault {
	if s.peek() != 0 || s.pos < len(s.line) {
		return s.fault("something follows the object on its line")
	}
	return requireSerial(seen)
}

// requireSerial is the fault of a row that names no serial number.
func requireSerial(seen *[columns]bool) *fault {
	if seen[colSerial] {
		return nil
	}
	return &fault{at: -1, field: columnNames[colSerial], err: because(ErrColumn, "missing"), remedy: "add it; every device needs a serial number"}
}

// member reads a name and its colon.
func (s *ndjsonSource) member(seen *[columns]bool) (column, *fault) {
	at := s.pos
	name, f := s.str()
	if f != nil {
		return 0, f
	}
	if s.peek() != ':' {
		return 0, s.fault("a colon must come here")
	}
	s.pos++
	col, f := memberColumn(name, seen)
	if f != nil {
		f.at = at
	}
	return col, f
}

// memberColumn finds the column of a member or map key and marks it seen.
func memberColumn(name []byte, seen *[columns]bool) (column, *fault) {
	col, ok := columnByName(name)
	if !ok {
		remedy, err := unknownColumn(name)
		return 0, &fault{err: err, remedy: remedy}
	}
	if seen[col] {
		return 0, &fault{field: columnNames[col], err: because(ErrColumn, "there twice"), remedy: "remove one of them"}
	}
	seen[col] = true
	return col, nil
}

// value reads the value of a member: a string or null.
func (s *ndjsonSource) value(col column) *fault {
	c, at := s.peek(), s.pos
	switch {
	case c == '"':
		text, f := s.str()
		if f != nil {
			f.field = columnNames[col]
			return f
		}
		s.values.set(col, text, at)
		return nil
	case bytes.HasPrefix(s.line[s.pos:], []byte("null")):
		s.pos += len("null")
		return nil
	}
	what, remedy := "no string", "put the value in quotes"
	switch {
	case c == '{' || c == '[':
		what, remedy = "an object or array", "give one string; a list of devices does not nest"
	case c == '-' || '0' <= c && c <= '9':
		what, remedy = "a number", "put the value in quotes, so that no digit is lost"
	case c == 't' || c == 'f':
		what = "a boolean"
	}
	return &fault{at: at, field: columnNames[col], err: because(ErrSyntax, "%s where a string must be", what), remedy: remedy}
}

// str reads the string at pos: a view where it has no escapes.
func (s *ndjsonSource) str() ([]byte, *fault) {
	open := s.pos
	rest := s.line[open+1:]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return nil, s.fault("the string that begins here has no end")
	}
	if bytes.IndexByte(rest[:end], '\\') < 0 {
		s.pos = open + 1 + end + 1
		return rest[:end], nil
	}
	s.pos++
	kept := len(s.text)
	for s.pos < len(s.line) {
		switch c := s.line[s.pos]; c {
		case '"':
			s.pos++
			return s.text[kept:len(s.text):len(s.text)], nil
		case '\\':
			if f := s.escape(); f != nil {
				return nil, f
			}
		default:
			s.text = append(s.text, c)
			s.pos++
		}
	}
	s.pos = open
	return nil, s.fault("the string that begins here has no end")
}

// escape undoes the escape at pos. Half a surrogate pair is refused: it stands
// for no character.
func (s *ndjsonSource) escape() *fault {
	const plain, meant = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if s.pos+1 < len(s.line) {
		if i := bytes.IndexByte([]byte(plain), s.line[s.pos+1]); i >= 0 {
			s.text = append(s.text, meant[i])
			s.pos += 2
			return nil
		}
	}
	c, ok := hex4(s.line[s.pos:])
	if !ok {
		return s.fault("unknown escape")
	}
	n := 6
	if utf16.IsSurrogate(c) {
		low, ok := hex4(s.line[s.pos+6:])
		if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
			return s.fault("half a surrogate pair")
		}
		n = 12
	}
	s.text = utf8.AppendRune(s.text, c)
	s.pos += n
	return nil
}

// hex4 reads the \uXXXX that b begins with.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var c rune
	for _, d := range b[2:6] {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		c = c<<4 | rune(d)
	}
	return c, true
}
