package codec

import "errors"

// What can be wrong with a CBOR item of an envelope (RFC 8949 §1.2, §3).
var (
	errCBORTruncated = errors.New("item runs past the end")
	errCBORReserved  = errors.New("reserved additional information")
	errCBORDepth     = errors.New("nested too deep")
	errCBORBreak     = errors.New("break where an item is expected")
	errCBORType      = errors.New("item of an unexpected type")
)

// coseCursor reads the CBOR items of a COSE structure one after the other and
// remembers which of their forms were unusual.
type coseCursor struct {
	rest       []byte
	longForm   bool // an argument was not in its shortest form
	indefinite bool // an item had no length
}

// cborHead is an initial octet with its argument.
type cborHead struct {
	major      byte // one of the cbor major types
	info       byte // low five bits: tells simple values from floats in major 7
	arg        uint64
	indefinite bool
}

func (c *coseCursor) head() (cborHead, error) {
	if len(c.rest) == 0 {
		return cborHead{}, errCBORTruncated
	}
	h := cborHead{major: c.rest[0] & 0xe0, info: c.rest[0] & 0x1f}
	c.rest = c.rest[1:]
	if h.info < 24 {
		h.arg = uint64(h.info)
		return h, nil
	}
	if h.info == 31 {
		return c.indefiniteHead(h)
	}
	if h.info > 27 {
		return h, errCBORReserved
	}
	n := 1 << (h.info - 24)
	if len(c.rest) < n {
		return h, errCBORTruncated
	}
	for _, b := range c.rest[:n] {
		h.arg = h.arg<<8 | uint64(b)
	}
	c.rest = c.rest[n:]
	if h.major != cborSimple && cborHeadSize(h.arg) < 1+n {
		c.longForm = true
	}
	return h, nil
}

func (c *coseCursor) indefiniteHead(h cborHead) (cborHead, error) {
	switch h.major {
	case cborBytes, cborText, cborArray, cborMap:
		h.indefinite = true
		c.indefinite = true
		return h, nil
	case cborSimple:
		return h, errCBORBreak
	default:
		return h, errCBORReserved
	}
}

// more reports whether a container of which i items have been read has
// another. It takes the break at the end of one of indefinite length.
func (c *coseCursor) more(h cborHead, i uint64) bool {
	if !h.indefinite {
		return i < h.arg
	}
	if len(c.rest) > 0 && c.rest[0] == cborBreak {
		c.rest = c.rest[1:]
		return false
	}
	return true
}

// container reads the head of an array or a map. A stated count beyond what
// the input could hold is refused here.
func (c *coseCursor) container(major byte) (cborHead, error) {
	h, err := c.head()
	if err != nil {
		return h, err
	}
	if h.major != major {
		return h, errCBORType
	}
	if !h.indefinite && h.arg > uint64(len(c.rest)) {
		return h, errCBORTruncated
	}
	return h, nil
}

// take returns the next n octets as a view.
func (c *coseCursor) take(n uint64) ([]byte, error) {
	if n > uint64(len(c.rest)) {
		return nil, errCBORTruncated
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b, nil
}

// bytes reads a byte string. One in pieces is put together in *arena.
func (c *coseCursor) bytes(arena *[]byte) ([]byte, error) {
	h, err := c.head()
	if err != nil {
		return nil, err
	}
	if h.major != cborBytes {
		return nil, errCBORType
	}
	if !h.indefinite {
		return c.take(h.arg)
	}
	start := len(*arena)
	for c.more(h, 0) {
		piece, err := c.head()
		if err != nil {
			return nil, err
		}
		if piece.major != cborBytes || piece.indefinite {
			return nil, errCBORType
		}
		b, err := c.take(piece.arg)
		if err != nil {
			return nil, err
		}
		*arena = append(*arena, b...)
	}
	return (*arena)[start:len(*arena):len(*arena)], nil
}

// integer reads an integer that fits 64 bits with sign.
func (c *coseCursor) integer() (int64, error) {
	h, err := c.head()
	if err != nil {
		return 0, err
	}
	if h.arg > 1<<63-1 {
		return 0, errCBORType
	}
	switch h.major {
	case cborUint:
		return int64(h.arg), nil
	case cborNegInt:
		return -1 - int64(h.arg), nil
	default:
		return 0, errCBORType
	}
}

// peek returns the major type of the next item, and cborSimple at the end.
func (c *coseCursor) peek() byte {
	if len(c.rest) == 0 {
		return cborSimple
	}
	return c.rest[0] & 0xe0
}

// skip reads past one item, nested at most depth levels.
func (c *coseCursor) skip(depth int) error {
	h, err := c.head()
	if err != nil {
		return err
	}
	switch h.major {
	case cborUint, cborNegInt, cborSimple:
		return nil
	}
	if !h.indefinite && (h.major == cborBytes || h.major == cborText) {
		_, err = c.take(h.arg)
		return err
	}
	if depth <= 0 {
		return errCBORDepth
	}
	items := h
	switch h.major {
	case cborTag:
		items.arg = 1
	case cborMap:
		if h.arg > uint64(len(c.rest)) {
			return errCBORTruncated
		}
		items.arg = 2 * h.arg
	}
	for i := uint64(0); c.more(items, i); i++ {
		if h.indefinite && (h.major == cborBytes || h.major == cborText) && c.peek() != h.major {
			return errCBORType
		}
		if err := c.skip(depth - 1); err != nil {
			return err
		}
	}
	return nil
}
