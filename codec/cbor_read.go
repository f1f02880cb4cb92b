package codec

import (
	"encoding/binary"
	"unicode/utf8"
)

// A cborReader walks one CBOR item. Its arena-backed joins and duplicate checks
// need a decoder; without one it only checks well-formedness.
type cborReader struct {
	b   []byte
	pos int
	max int // nesting allowed
	d   *PayloadDecoder
}

// A cborItem is a head: for an indefinite length, arg is 0.
type cborItem struct {
	major      byte
	arg        uint64
	indefinite bool
	offset     int
}

// checkCBOR checks that b is one well-formed CBOR item within the default
// depth.
func checkCBOR(b []byte) error {
	r := cborReader{b: b, max: DefaultLimits().Depth}
	if err := r.skip(1); err != nil {
		return err
	}
	if r.pos != len(b) {
		return r.fail(r.pos, "", ErrTrailing, "one item expected")
	}
	return nil
}

func (r *cborReader) fail(offset int, leaf string, cause error, problem string) error {
	return &DecodeError{EncodingCBOR, offset, leaf, problem, cause}
}

const errEnd = "the item is not complete"

// head reads the head of an item.
func (r *cborReader) head() (cborItem, error) {
	if r.pos >= len(r.b) {
		return cborItem{}, r.fail(r.pos, "", ErrTruncated, errEnd)
	}
	initial := r.b[r.pos]
	it := cborItem{major: initial &^ 31, arg: uint64(initial & 31), offset: r.pos}
	r.pos++
	if it.arg < 24 {
		return it, nil
	}
	rest := r.b[r.pos:]
	switch size := 1 << (it.arg - 24); {
	case it.arg <= 27:
		if len(rest) < size {
			return it, r.fail(it.offset, "", ErrTruncated, errEnd)
		}
		switch size {
		case 1:
			it.arg = uint64(rest[0])
		case 2:
			it.arg = uint64(binary.BigEndian.Uint16(rest))
		case 4:
			it.arg = uint64(binary.BigEndian.Uint32(rest))
		case 8:
			it.arg = binary.BigEndian.Uint64(rest)
		}
		r.pos += size
		if it.major == cborSimple && size == 1 && it.arg < 32 {
			return it, r.fail(it.offset, "", ErrSyntax, "simple value below 32 in two octets")
		}
		return it, nil
	case it.arg == 31 && it.major >= cborBytes && it.major <= cborMap:
		it.arg, it.indefinite = 0, true
		return it, nil
	case initial == cborBreak:
		return it, r.fail(it.offset, "", ErrSyntax, "break outside an item of indefinite length")
	}
	return it, r.fail(it.offset, "", ErrSyntax, "reserved additional information")
}

// more reports whether another element of a container follows; left counts
// down the elements of a definite one. A claimed count needs no check of its
// own: each element takes at least an octet, so the input runs out first.
func (r *cborReader) more(it cborItem, left *uint64) (bool, error) {
	if !it.indefinite {
		if *left == 0 {
			return false, nil
		}
		*left--
		return true, nil
	}
	if r.pos >= len(r.b) {
		return false, r.fail(r.pos, "", ErrTruncated, "no break before the end")
	}
	if r.b[r.pos] == cborBreak {
		r.pos++
		return false, nil
	}
	return true, nil
}

// text returns the content of a byte or text string whose head was read: a
// view, or its chunks joined in the arena.
func (r *cborReader) text(it cborItem) ([]byte, error) {
	if !it.indefinite {
		return r.chunk(it)
	}
	at := 0
	if r.d != nil {
		at = len(r.d.arena)
	}
	for left := uint64(0); ; {
		more, err := r.more(it, &left)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		part, err := r.head()
		if err != nil {
			return nil, err
		}
		if part.major != it.major || part.indefinite {
			return nil, r.fail(part.offset, "", ErrSyntax, "a string of indefinite length holds something else than definite chunks of its type")
		}
		chunk, err := r.chunk(part)
		if err != nil {
			return nil, err
		}
		if r.d != nil {
			r.d.arena = append(r.d.arena, chunk...)
		}
	}
	if r.d == nil {
		return nil, nil
	}
	return r.d.arena[at:len(r.d.arena):len(r.d.arena)], nil
}

// chunk returns the content of a definite string whose head was read.
func (r *cborReader) chunk(it cborItem) ([]byte, error) {
	if it.arg > uint64(len(r.b)-r.pos) {
		return nil, r.fail(it.offset, "", ErrTruncated, "the string is longer than what follows")
	}
	end := r.pos + int(it.arg)
	s := r.b[r.pos:end:end]
	r.pos = end
	if it.major == cborText && !utf8.Valid(s) {
		return nil, r.fail(it.offset, "", ErrSyntax, "text string is not UTF-8")
	}
	return s, nil
}

// skip passes over one item of any kind at the given nesting depth.
func (r *cborReader) skip(depth int) error {
	it, err := r.head()
	if err != nil {
		return err
	}
	return r.skipRest(it, depth)
}

// skipRest passes over the rest of an item whose head was read.
func (r *cborReader) skipRest(it cborItem, depth int) error {
	switch it.major {
	case cborBytes, cborText:
		if r.d != nil { // nothing keeps the joined content: give its room back
			defer func(mark int) { r.d.arena = r.d.arena[:mark] }(len(r.d.arena))
		}
		_, err := r.text(it)
		return err
	case cborTag:
		if err := r.nest(depth); err != nil {
			return err
		}
		return r.skip(depth + 1)
	case cborArray:
		if err := r.nest(depth); err != nil {
			return err
		}
		for left := it.arg; ; {
			more, err := r.more(it, &left)
			if err != nil || !more {
				return err
			}
			if err := r.skip(depth + 1); err != nil {
				return err
			}
		}
	case cborMap:
		return r.skipMap(it, depth)
	}
	return nil
}

func (r *cborReader) nest(depth int) error {
	if depth > r.max {
		return &LimitError{"Depth", r.max, depth}
	}
	return nil
}

func (r *cborReader) skipMap(it cborItem, depth int) error {
	if err := r.nest(depth); err != nil {
		return err
	}
	mark := 0
	if r.d != nil {
		mark = len(r.d.names)
	}
	for left := it.arg; ; {
		more, err := r.more(it, &left)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		key, err := r.mapKey()
		if err != nil {
			return err
		}
		if r.d != nil {
			r.d.names = append(r.d.names, key)
		}
		if err := r.skip(depth + 1); err != nil {
			return err
		}
	}
	if r.d != nil && r.d.duplicate(mark) {
		return r.fail(it.offset, "", ErrDuplicate, "a map has the same key twice")
	}
	return nil
}

// errKey is the answer to keys RFC 9254 knows nothing of.
const errKey = "a key is an integer, a text string or a tagged SID"

// mapKey reads a key: an integer, a string, or an absolute SID under tag 47.
func (r *cborReader) mapKey() (memberName, error) {
	it, err := r.head()
	if err != nil {
		return memberName{}, err
	}
	switch it.major {
	case cborUint, cborNegInt:
		return memberName{class: it.major, num: it.arg}, nil
	case cborBytes, cborText:
		text, err := r.text(it)
		return memberName{class: it.major, text: text}, err
	case cborTag:
		if it.arg != tagSID {
			break
		}
		sid, err := r.head()
		if err != nil {
			return memberName{}, err
		}
		if sid.major == cborUint {
			return memberName{class: cborTag, num: sid.arg}, nil
		}
	}
	return memberName{}, r.fail(it.offset, "", ErrType, errKey)
}
