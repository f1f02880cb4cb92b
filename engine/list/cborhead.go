package list

import (
	"encoding/binary"
	"errors"
)

// Major types of RFC 8949 §3.1.
const (
	cborBytes  = 2
	cborText   = 3
	cborArray  = 4
	cborMap    = 5
	cborTag    = 6
	cborSimple = 7
)

// maxDepth bounds how deep one item of a list may nest.
const maxDepth = 16

// errShort says that the data ends within an item.
var errShort = errors.New("the data ends within an item")

// cborHead is the head of a data item: what it is, and how much of it.
type cborHead struct {
	major      byte
	indefinite bool // for major 7: the break code
	arg        uint64
	size       int // octets of the head itself
}

func readHead(data []byte) (h cborHead, err error) {
	if len(data) == 0 {
		return h, errShort
	}
	h.major, h.size = data[0]>>5, 1
	switch info := data[0] & 31; {
	case info < 24:
		h.arg = uint64(info)
	case info < 28:
		n := 1 << (info - 24)
		if h.size += n; len(data) < h.size {
			return h, errShort
		}
		switch n {
		case 1:
			h.arg = uint64(data[1])
		case 2:
			h.arg = uint64(binary.BigEndian.Uint16(data[1:]))
		case 4:
			h.arg = uint64(binary.BigEndian.Uint32(data[1:]))
		case 8:
			h.arg = binary.BigEndian.Uint64(data[1:])
		}
	case info == 31 && (h.major >= cborBytes && h.major <= cborMap || h.major == cborSimple):
		h.indefinite = true
	default:
		return h, because(ErrSyntax, "octet %#02x begins no CBOR item", data[0])
	}
	return h, nil
}

// level is one array, map, tag or string in pieces that is being stepped over.
type level struct {
	left       uint64 // items still to come, unless indefinite
	count      uint64 // items so far, when indefinite
	major      byte
	indefinite bool
}

// cborWalk is where in a nested item a walk over it is. Level 0 stands for the
// item itself.
type cborWalk struct {
	stack [maxDepth + 1]level
	depth int
}

// cborItem returns the length of the well-formed item (RFC 8949 §1.2) that data
// begins with. It fails with errShort where data ends too soon, ErrRowTooLong
// where the item must be over limit octets, and ErrSyntax where it is malformed
// or too deep. It is linear in the octets looked at and needs no memory.
func cborItem(data []byte, limit int) (int, error) {
	var w cborWalk
	w.stack[0].left = 1
	for pos := 0; ; {
		h, err := readHead(data[pos:])
		if err != nil {
			return 0, err
		}
		pos += h.size
		if h.major >= cborBytes && h.major <= cborMap {
			// Every item in an array or map takes an octet at least.
			if h.arg > uint64(limit) {
				return 0, because(ErrRowTooLong, "item over %d octets", limit)
			}
			if h.major <= cborText {
				pos += int(h.arg)
			}
		}
		if pos > limit {
			return 0, because(ErrRowTooLong, "item over %d octets", limit)
		}
		if pos > len(data) {
			return 0, errShort
		}
		done, err := w.step(h)
		if done || err != nil {
			return pos, err
		}
	}
}

// step goes on by one head, and the string behind it, and reports whether that
// was the item's last.
func (w *cborWalk) step(h cborHead) (done bool, err error) {
	top := &w.stack[w.depth]
	breaks := h.major == cborSimple && h.indefinite
	if top.indefinite && top.major <= cborText && !breaks && (h.major != top.major || h.indefinite) {
		return false, because(ErrSyntax, "a string in pieces holds something else")
	}
	switch {
	case breaks:
		if !top.indefinite || top.major == cborMap && top.count%2 == 1 {
			return false, because(ErrSyntax, "a break code where none may be")
		}
		w.depth--
	case h.major == cborSimple && h.size == 2 && h.arg < 32:
		return false, because(ErrSyntax, "a simple value written too long")
	case h.indefinite || h.major == cborTag || h.major >= cborArray && h.major <= cborMap && h.arg > 0:
		return false, w.open(h)
	}
	return w.close(), nil
}

// open goes into what h begins.
func (w *cborWalk) open(h cborHead) error {
	if w.depth == maxDepth {
		return because(ErrSyntax, "items nest over %d deep", maxDepth)
	}
	left := h.arg
	switch h.major {
	case cborMap:
		left *= 2
	case cborTag:
		left = 1
	}
	w.depth++
	w.stack[w.depth] = level{left: left, major: h.major, indefinite: h.indefinite}
	return nil
}

// close counts an item that is whole, and all that are whole with it, and
// reports whether the outermost is.
func (w *cborWalk) close() (done bool) {
	for {
		top := &w.stack[w.depth]
		if top.indefinite {
			top.count++
			return false
		}
		if top.left--; top.left > 0 {
			return false
		}
		if w.depth == 0 {
			return true
		}
		w.depth--
	}
}
