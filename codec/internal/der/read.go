package der

import (
	"bytes"
	"errors"
)

// Tags of the universal and context-specific elements CMS and X.509 use.
const (
	TagBoolean         = 0x01
	TagInteger         = 0x02
	TagBitString       = 0x03
	TagOctetString     = 0x04
	TagNull            = 0x05
	TagOID             = 0x06
	TagUTCTime         = 0x17
	TagGeneralizedTime = 0x18
	TagSequence        = 0x30
	TagSet             = 0x31

	// ContextPrimitive and ContextConstructed, or-ed with a number up to 30,
	// make the tag of [number] in its primitive and its constructed form; as
	// they stand they are [0].
	ContextPrimitive   = 0x80
	ContextConstructed = 0xa0

	constructedBit  = 0x20
	tagNumberMask   = 0x1f
	constructedBits = TagBitString | constructedBit
	constructedOcts = TagOctetString | constructedBit
)

// What can be wrong with an element. ErrNotDER means that the input may be
// sound BER; the others mean that it is neither.
var (
	ErrTruncated = errors.New("element runs past the end of its surroundings")
	ErrNotDER    = errors.New("BER form (indefinite or long-winded length, or a string in pieces) where DER is expected")
	ErrHighTag   = errors.New("tag number above 30")
	ErrTag       = errors.New("unexpected tag")
	ErrTrailing  = errors.New("octets left over after the last element")
	ErrInteger   = errors.New("INTEGER is empty or not in its shortest form")
	ErrValue     = errors.New("value malformed")
	ErrDepth     = errors.New("nested too deep")
)

// Element is one tag-length-value. Raw holds all of it, Body the value octets;
// both are views into what was read. The zero Element stands for an absent one.
type Element struct {
	Tag  byte
	Raw  []byte
	Body []byte
}

// Next reads the element at the start of b and returns it with what follows.
func Next(b []byte) (Element, []byte, error) {
	head, end, err := span(b)
	if err != nil {
		return Element{}, b, err
	}
	return Element{Tag: b[0], Raw: b[:end], Body: b[head:end]}, b[end:], nil
}

// span returns where the value of the element at the start of b begins and
// where it ends. Three numbers come back in registers, elements do not; every
// element that is read goes through here.
func span(b []byte) (head, end int, err error) {
	if len(b) < 2 {
		return 0, 0, ErrTruncated
	}
	tag := b[0]
	if tag&tagNumberMask == tagNumberMask {
		return 0, 0, ErrHighTag
	}
	if tag == constructedOcts || tag == constructedBits {
		return 0, 0, ErrNotDER
	}
	size, head := int(b[1]), 2
	if size >= 0x80 {
		if size, head, err = longLength(b); err != nil {
			return 0, 0, err
		}
	}
	if size > len(b)-head {
		return 0, 0, ErrTruncated
	}
	return head, head + size, nil
}

// longLength reads a length in its long form (X.690 §8.1.3.5), which DER
// allows only where the short form or fewer octets would not do.
func longLength(b []byte) (size, head int, err error) {
	n := int(b[1] & 0x7f)
	if n == 0 {
		return 0, 0, ErrNotDER
	}
	if len(b) < 2+n {
		return 0, 0, ErrTruncated
	}
	for _, c := range b[2 : 2+n] {
		if size > 1<<22 {
			return 0, 0, ErrTruncated
		}
		size = size<<8 | int(c)
	}
	if b[2] == 0 || size < 0x80 {
		return 0, 0, ErrNotDER
	}
	return size, 2 + n, nil
}

// Cursor reads the elements of a constructed value one after the other.
type Cursor struct{ Rest []byte }

// Empty reports whether all elements have been read.
func (c *Cursor) Empty() bool { return len(c.Rest) == 0 }

// Peek returns the tag of the next element, and 0 at the end.
func (c *Cursor) Peek() byte {
	if len(c.Rest) == 0 {
		return 0
	}
	return c.Rest[0]
}

// Any reads the next element whatever its tag.
func (c *Cursor) Any() (Element, error) {
	b := c.Rest
	head, end, err := span(b)
	if err != nil {
		return Element{}, err
	}
	c.Rest = b[end:]
	return Element{Tag: b[0], Raw: b[:end], Body: b[head:end]}, nil
}

// Read reads the next element, which must have the given tag.
func (c *Cursor) Read(tag byte) (Element, error) {
	if err := c.expect(tag); err != nil {
		return Element{}, err
	}
	return c.Any()
}

func (c *Cursor) expect(tag byte) error {
	switch {
	case len(c.Rest) == 0:
		return ErrTruncated
	case c.Rest[0] == tag:
		return nil
	case c.Rest[0] == tag|constructedBit && tag == TagOctetString:
		return ErrNotDER
	}
	return ErrTag
}

// Enter reads the next element, which must have the given tag, and returns a
// cursor over its value.
func (c *Cursor) Enter(tag byte) (Cursor, error) {
	if err := c.expect(tag); err != nil {
		return Cursor{}, err
	}
	b := c.Rest
	head, end, err := span(b)
	if err != nil {
		return Cursor{}, err
	}
	c.Rest = b[end:]
	return Cursor{b[head:end]}, nil
}

// Optional reads the next element when it has the given tag. Without one it
// returns the zero Element, whose Raw is nil.
func (c *Cursor) Optional(tag byte) (Element, error) {
	if c.Peek() != tag {
		return Element{}, nil
	}
	return c.Any()
}

// End refuses what is left over.
func (c *Cursor) End() error {
	if len(c.Rest) != 0 {
		return ErrTrailing
	}
	return nil
}

// CheckInteger refuses the value octets of an INTEGER that DER would write
// otherwise (X.690 §8.3.2).
func CheckInteger(body []byte) error {
	if len(body) == 0 {
		return ErrInteger
	}
	if len(body) > 1 && (body[0] == 0 && body[1] < 0x80 || body[0] == 0xff && body[1] >= 0x80) {
		return ErrInteger
	}
	return nil
}

// SmallInteger returns the value of an INTEGER of up to three octets.
func SmallInteger(body []byte) (int, error) {
	if err := CheckInteger(body); err != nil {
		return 0, err
	}
	if len(body) > 3 {
		return 0, ErrValue
	}
	v := int(int8(body[0]))
	for _, c := range body[1:] {
		v = v<<8 | int(c)
	}
	return v, nil
}

// SortedSet reports whether the elements of a SET OF stand in the ascending
// order that DER asks for (X.690 §11.6).
func SortedSet(body []byte) bool {
	var last []byte
	c := Cursor{body}
	for !c.Empty() {
		e, err := c.Any()
		if err != nil || bytes.Compare(last, e.Raw) > 0 {
			return false
		}
		last = e.Raw
	}
	return true
}
