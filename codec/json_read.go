package codec

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonReader walks one RFC 8259 text without backtracking. Strings without
// escapes are views of the input, others are unescaped into the decoder's
// arena.
type jsonReader struct {
	b   []byte
	pos int
	d   *PayloadDecoder
}

func (r *jsonReader) fail(offset int, leaf string, cause error, problem string) error {
	return &DecodeError{EncodingJSON, offset, leaf, problem, cause}
}

// unexpected is the error for what stands at the current position.
func (r *jsonReader) unexpected(want string) error {
	if r.pos >= len(r.b) {
		return r.fail(r.pos, "", ErrTruncated, want+" expected")
	}
	return r.fail(r.pos, "", ErrSyntax, want+" expected")
}

func (r *jsonReader) space() {
	for r.pos < len(r.b) {
		switch r.b[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek returns the next octet that is not white space, 0 at the end.
func (r *jsonReader) peek() byte {
	r.space()
	if r.pos >= len(r.b) {
		return 0
	}
	return r.b[r.pos]
}

// expect passes over white space and the octet c.
func (r *jsonReader) expect(c byte, want string) error {
	if r.peek() != c || r.pos >= len(r.b) {
		return r.unexpected(want)
	}
	r.pos++
	return nil
}

// next reports whether another member or element follows, after first of them
// was read or not, and passes over the comma or the closing bracket.
func (r *jsonReader) next(first bool, closing byte) (bool, error) {
	c := r.peek()
	switch {
	case c == closing && r.pos < len(r.b):
		r.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, r.unexpected("comma or closing bracket")
	}
	r.pos++
	if r.peek() == closing {
		return false, r.unexpected("member after the comma")
	}
	return true, nil
}

// name reads a member name and its colon.
func (r *jsonReader) name() ([]byte, error) {
	name, err := r.text()
	if err != nil {
		return nil, err
	}
	return name, r.expect(':', "colon")
}

// text reads a string, checked to be UTF-8 without control characters, and
// returns it unescaped.
func (r *jsonReader) text() ([]byte, error) {
	at := r.pos
	s, err := r.raw()
	if err != nil {
		return nil, err
	}
	ascii := byte(0)
	for _, c := range s {
		ascii |= c
	}
	if ascii >= utf8.RuneSelf && !utf8.Valid(s) {
		return nil, r.fail(at, "", ErrSyntax, "string is not UTF-8")
	}
	return s, nil
}

// base64 reads a string that a base64 decoder will look at next, octet by
// octet, so that nothing needs to be checked here.
func (r *jsonReader) base64() ([]byte, error) {
	if err := r.expect('"', "string"); err != nil {
		return nil, err
	}
	start := r.pos
	n := bytes.IndexByte(r.b[start:], '"')
	if n < 0 || bytes.IndexByte(r.b[start:start+n], '\\') >= 0 {
		r.pos--
		return r.text()
	}
	r.pos = start + n + 1
	return r.b[start : start+n : start+n], nil
}

// raw reads a string and returns it unescaped, its UTF-8 unchecked.
func (r *jsonReader) raw() ([]byte, error) {
	if err := r.expect('"', "string"); err != nil {
		return nil, err
	}
	start := r.pos
	for i := start; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == '"':
			r.pos = i + 1
			return r.b[start:i:i], nil
		case c == '\\':
			r.pos = i
			return r.unescape(start)
		case c < 0x20:
			return nil, r.fail(i, "", ErrSyntax, "control character in a string")
		}
	}
	return nil, r.fail(len(r.b), "", ErrTruncated, "closing quotation mark expected")
}

// unescape reads the rest of a string that began at start and has its first
// escape at the current position.
func (r *jsonReader) unescape(start int) ([]byte, error) {
	mark := len(r.d.arena)
	out := append(r.d.arena, r.b[start:r.pos]...)
	for r.pos < len(r.b) {
		c := r.b[r.pos]
		switch {
		case c == '"':
			r.pos++
			r.d.arena = out
			return out[mark:len(out):len(out)], nil
		case c < 0x20:
			return nil, r.fail(r.pos, "", ErrSyntax, "control character in a string")
		case c != '\\':
			out = append(out, c)
			r.pos++
		default:
			var err error
			if out, err = r.escape(out); err != nil {
				return nil, err
			}
		}
	}
	return nil, r.fail(len(r.b), "", ErrTruncated, "closing quotation mark expected")
}

// escape appends what the escape at the current position stands for.
func (r *jsonReader) escape(out []byte) ([]byte, error) {
	at := r.pos
	if at+1 >= len(r.b) {
		return nil, r.fail(len(r.b), "", ErrTruncated, "escape is not complete")
	}
	r.pos += 2
	switch c := r.b[at+1]; c {
	case '"', '\\', '/':
		return append(out, c), nil
	case 'b':
		return append(out, '\b'), nil
	case 'f':
		return append(out, '\f'), nil
	case 'n':
		return append(out, '\n'), nil
	case 'r':
		return append(out, '\r'), nil
	case 't':
		return append(out, '\t'), nil
	case 'u':
		u := r.hex4(r.pos)
		r.pos += 4
		if utf16.IsSurrogate(u) && r.pos+1 < len(r.b) && r.b[r.pos] == '\\' && r.b[r.pos+1] == 'u' {
			u = utf16.DecodeRune(u, r.hex4(r.pos+2))
			r.pos += 6
		} else if utf16.IsSurrogate(u) {
			u = utf8.RuneError
		}
		if u >= 0 && u != utf8.RuneError || u == utf8.RuneError && isEscapedFFFD(r.b[at:]) {
			return utf8.AppendRune(out, u), nil
		}
	}
	return nil, r.fail(at, "", ErrSyntax, "unknown escape or lone surrogate")
}

// isEscapedFFFD tells an honest U+FFFD from the mark of a bad surrogate pair.
func isEscapedFFFD(escape []byte) bool {
	return len(escape) >= 6 && bytes.EqualFold(escape[2:6], []byte("fffd"))
}

// hex4 reads four hexadecimal digits at offset i, -1 when they are not there.
func (r *jsonReader) hex4(i int) rune {
	if i+4 > len(r.b) {
		return -1
	}
	u := rune(0)
	for _, c := range r.b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		u = u<<4 | rune(c)
	}
	return u
}

// skip passes over one value of any kind; depth is the nesting depth a
// container there would have.
func (r *jsonReader) skip(depth int) error {
	switch c := r.peek(); c {
	case '{', '[':
		if depth > r.d.limits.Depth {
			return &LimitError{"Depth", r.d.limits.Depth, depth}
		}
		r.pos++
		if c == '[' {
			return r.skipArray(depth)
		}
		return r.skipObject(depth)
	case '"':
		mark := len(r.d.arena) // nothing keeps the content: give its room back
		_, err := r.text()
		r.d.arena = r.d.arena[:mark]
		return err
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	return r.number()
}

func (r *jsonReader) skipArray(depth int) error {
	for first := true; ; first = false {
		more, err := r.next(first, ']')
		if err != nil || !more {
			return err
		}
		if err := r.skip(depth + 1); err != nil {
			return err
		}
	}
}

func (r *jsonReader) skipObject(depth int) error {
	mark, at := len(r.d.names), r.pos-1
	for first := true; ; first = false {
		more, err := r.next(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		r.space()
		name, err := r.name()
		if err != nil {
			return err
		}
		r.d.names = append(r.d.names, memberName{text: name})
		if err := r.skip(depth + 1); err != nil {
			return err
		}
	}
	if r.d.duplicate(mark) {
		return r.fail(at, "", ErrDuplicate, "an object has the same member twice")
	}
	return nil
}

func (r *jsonReader) literal(word string) error {
	if len(r.b)-r.pos < len(word) || string(r.b[r.pos:r.pos+len(word)]) != word {
		return r.unexpected(word)
	}
	r.pos += len(word)
	return nil
}

// number passes over a number (RFC 8259 section 6).
func (r *jsonReader) number() error {
	if r.pos < len(r.b) && r.b[r.pos] == '-' {
		r.pos++
	}
	if r.pos < len(r.b) && r.b[r.pos] == '0' {
		r.pos++
	} else if !r.digits() {
		return r.unexpected("value")
	}
	if r.pos < len(r.b) && r.b[r.pos] == '.' {
		r.pos++
		if !r.digits() {
			return r.unexpected("digit")
		}
	}
	if r.pos < len(r.b) && r.b[r.pos]|0x20 == 'e' {
		r.pos++
		if r.pos < len(r.b) && (r.b[r.pos] == '+' || r.b[r.pos] == '-') {
			r.pos++
		}
		if !r.digits() {
			return r.unexpected("digit")
		}
	}
	return nil
}

// digits passes over decimal digits and reports whether there was one.
func (r *jsonReader) digits() bool {
	start := r.pos
	for r.pos < len(r.b) && r.b[r.pos] >= '0' && r.b[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start
}
