package codec

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// What can be wrong with the JSON of a JWS (RFC 8259).
var (
	errJSONSyntax  = errors.New("not JSON")
	errJSONEnd     = errors.New("JSON ends early")
	errJSONEscape  = errors.New("escape sequence in a string of base64, or a broken one")
	errJSONDepth   = errors.New("nested too deep")
	errJSONText    = errors.New("control character in a string")
	errJSONKind    = errors.New("value of an unexpected type")
	errJSONMembers = errors.New("more members than " + strconv.Itoa(maxMembers))
)

// maxMembers bounds the members of one object of a JWS.
const maxMembers = 32

// joseCursor reads the JSON around a JWS, value by value, as views. The input
// must be UTF-8.
type joseCursor struct {
	rest  []byte
	arena *[]byte // where strings with escapes are put
}

func (c *joseCursor) blank() {
	for len(c.rest) > 0 && isBlank(c.rest[0]) {
		c.rest = c.rest[1:]
	}
}

// peek returns the first octet of what comes next, 0 at the end.
func (c *joseCursor) peek() byte {
	c.blank()
	if len(c.rest) == 0 {
		return 0
	}
	return c.rest[0]
}

// take reads one structural character.
func (c *joseCursor) take(want byte) error {
	switch c.peek() {
	case want:
		c.rest = c.rest[1:]
		return nil
	case 0:
		return errJSONEnd
	default:
		return errJSONKind
	}
}

// list calls each for every element between the brackets opening and closing.
func (c *joseCursor) list(opening, closing byte, each func() error) error {
	if err := c.take(opening); err != nil {
		return err
	}
	if c.peek() == closing {
		c.rest = c.rest[1:]
		return nil
	}
	for {
		if err := each(); err != nil {
			return err
		}
		switch c.peek() {
		case ',':
			c.rest = c.rest[1:]
		case closing:
			c.rest = c.rest[1:]
			return nil
		case 0:
			return errJSONEnd
		default:
			return errJSONSyntax
		}
	}
}

// raw reads a string and returns what stands between its quotes.
func (c *joseCursor) raw() (s []byte, escaped bool, err error) {
	if err := c.take('"'); err != nil {
		return nil, false, err
	}
	for i := ordinary(c.rest); i < len(c.rest); i++ {
		switch b := c.rest[i]; {
		case b == '"':
			s = c.rest[:i:i]
			c.rest = c.rest[i+1:]
			return s, escaped, nil
		case b == '\\':
			escaped = true
			i++
		case b < 0x20:
			return nil, false, errJSONText
		}
	}
	return nil, false, errJSONEnd
}

// ordinary returns how many octets at the start of s are known to be neither a
// quote, nor a backslash, nor a control character. It looks at eight at a time
// and leaves the last few alone: strings of base64 are long.
func ordinary(s []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for n := 0; ; n += 8 {
		if len(s)-n < 8 {
			return n
		}
		w := binary.LittleEndian.Uint64(s[n:])
		quote, slash := w^ones*'"', w^ones*'\\'
		// v-ones borrows into the top bit of each octet that is 0, w-ones*0x20 of
		// each below 0x20. Borrows run upwards, so the lowest bit found is true.
		found := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & tops
		if found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
}

// plain reads a string that must have no escapes, as base64url needs none: what
// is signed are the characters as received.
func (c *joseCursor) plain() ([]byte, error) {
	s, escaped, err := c.raw()
	if escaped {
		return nil, errJSONEscape
	}
	return s, err
}

// text reads a string and resolves its escapes.
func (c *joseCursor) text() ([]byte, error) {
	s, escaped, err := c.raw()
	if err != nil || !escaped {
		return s, err
	}
	start := len(*c.arena)
	if *c.arena, err = appendUnescaped(*c.arena, s); err != nil {
		return nil, err
	}
	return (*c.arena)[start:len(*c.arena):len(*c.arena)], nil
}

// appendUnescaped resolves the escapes of RFC 8259 §7. Half a surrogate pair is
// refused: it stands for no character.
func appendUnescaped(dst, s []byte) ([]byte, error) {
	for len(s) > 0 {
		if s[0] != '\\' {
			dst = append(dst, s[0])
			s = s[1:]
			continue
		}
		if len(s) < 2 {
			return dst, errJSONEscape
		}
		c := s[1]
		s = s[2:]
		switch c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, rest, ok := unicodeEscape(s)
			if !ok {
				return dst, errJSONEscape
			}
			dst, s = utf8.AppendRune(dst, r), rest
		default:
			return dst, errJSONEscape
		}
	}
	return dst, nil
}

// unicodeEscape reads the digits after \u, and the other half of a surrogate pair.
func unicodeEscape(s []byte) (rune, []byte, bool) {
	r, ok := hex4(s)
	if !ok {
		return 0, s, false
	}
	s = s[4:]
	if !utf16.IsSurrogate(r) {
		return r, s, true
	}
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, s, false
	}
	low, ok := hex4(s[2:])
	r = utf16.DecodeRune(r, low)
	return r, s[6:], ok && r != utf8.RuneError
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// members reads an object and calls each at every value with its name. A name
// that comes twice is refused by an *[EnvelopeError] (RFC 7515 §4).
func (c *joseCursor) members(part string, each func(name []byte) error) error {
	var seen [maxMembers][]byte
	n := 0
	return c.list('{', '}', func() error {
		if c.peek() != '"' {
			return errJSONSyntax
		}
		name, err := c.text()
		if err != nil {
			return err
		}
		if n == maxMembers {
			return errJSONMembers
		}
		for _, other := range seen[:n] {
			if string(other) == string(name) {
				return refusal(FormatJWS, FlawDuplicate, part, strconv.Quote(string(name))+" for the second time")
			}
		}
		seen[n] = name
		n++
		if c.take(':') != nil {
			return errJSONSyntax
		}
		return each(name)
	})
}

// skip reads past one value, nested at most depth levels.
func (c *joseCursor) skip(depth int) error {
	if depth < 0 {
		return errJSONDepth
	}
	switch b := c.peek(); {
	case b == '{':
		return c.list('{', '}', func() error {
			if err := c.skipString(); err != nil {
				return err
			}
			if c.take(':') != nil {
				return errJSONSyntax
			}
			return c.skip(depth - 1)
		})
	case b == '[':
		return c.list('[', ']', func() error { return c.skip(depth - 1) })
	case b == '"':
		return c.skipString()
	case b == 't':
		return c.literal("true")
	case b == 'f':
		return c.literal("false")
	case b == 'n':
		return c.literal("null")
	case b == 0:
		return errJSONEnd
	default:
		return c.number()
	}
}

// skipString checks a string's escapes and gives back the room they took.
func (c *joseCursor) skipString() error {
	mark := len(*c.arena)
	_, err := c.text()
	*c.arena = (*c.arena)[:mark]
	return err
}

func (c *joseCursor) literal(word string) error {
	if len(c.rest) < len(word) || string(c.rest[:len(word)]) != word {
		return errJSONSyntax
	}
	c.rest = c.rest[len(word):]
	return nil
}

// number reads past -? int frac? exp? (RFC 8259 §6).
func (c *joseCursor) number() error {
	if c.rest[0] == '-' {
		c.rest = c.rest[1:]
	}
	leadingZero := len(c.rest) > 0 && c.rest[0] == '0'
	if n := c.digits(); n == 0 || leadingZero && n > 1 {
		return errJSONSyntax
	}
	if len(c.rest) > 0 && c.rest[0] == '.' {
		c.rest = c.rest[1:]
		if c.digits() == 0 {
			return errJSONSyntax
		}
	}
	if len(c.rest) > 0 && c.rest[0]|0x20 == 'e' {
		c.rest = c.rest[1:]
		if len(c.rest) > 0 && (c.rest[0] == '+' || c.rest[0] == '-') {
			c.rest = c.rest[1:]
		}
		if c.digits() == 0 {
			return errJSONSyntax
		}
	}
	return nil
}

func (c *joseCursor) digits() int {
	n := 0
	for n < len(c.rest) && c.rest[n] >= '0' && c.rest[n] <= '9' {
		n++
	}
	c.rest = c.rest[n:]
	return n
}
