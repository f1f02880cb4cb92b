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
	left   uint64 // items still to come, unless indefinite
	count  uint64 // items so far, when indefinite
	head   cborHead
	pieces bool // a string in pieces: each must be a definite string of its type
}

// cborItem returns the length of the well-formed item (RFC 8949 §1.2) that data
// begins with. It fails with errShort where data ends too soon, ErrRowTooLong
// where the item must be over limit octets, and ErrSyntax where it is malformed
// or too deep. It is linear in the octets looked at and needs no memory.
func cborItem(data []byte, limit int) (int, error) {
	var stack [maxDepth + 1]level
	depth, pos := 0, 0
	stack[0].left = 1
	for {
		h, err := readHead(data[pos:])
		if err != nil {
			return 0, err
		}
		top := &stack[depth]
		pos += h.size
		if top.pieces && (h.major != top.head.major || h.indefinite) && !(h.major == cborSimple && h.indefinite) {
			return 0, because(ErrSyntax, "a string in pieces holds something else")
		}
		if h.arg > uint64(limit) && h.major >= cborBytes && h.major <= cborMap || pos > limit {
			return 0, because(ErrRowTooLong, "item over %d octets", limit)
		}
		opens := false
		switch {
		case h.major == cborSimple && h.indefinite:
			if !top.head.indefinite || top.head.major == cborMap && top.count%2 == 1 {
				return 0, because(ErrSyntax, "a break code where none may be")
			}
			top.head.indefinite, top.left = false, 0
			depth--
			top = &stack[depth]
		case h.major == cborSimple && h.size == 2 && h.arg < 32:
			return 0, because(ErrSyntax, "a simple value written too long")
		case h.indefinite || h.major >= cborArray && h.major <= cborTag && (h.arg > 0 || h.major == cborTag):
			opens = true
		case h.major == cborBytes || h.major == cborText:
			if pos += int(h.arg); pos > limit {
				return 0, because(ErrRowTooLong, "item over %d octets", limit)
			}
			if pos > len(data) {
				return 0, errShort
			}
		}
		if opens {
			if depth == maxDepth {
				return 0, because(ErrSyntax, "items nest over %d deep", maxDepth)
			}
			depth++
			stack[depth] = level{left: openCount(h), head: h, pieces: h.indefinite && h.major <= cborText}
			continue
		}
		for {
			if top = &stack[depth]; top.head.indefinite {
				top.count++
				break
			}
			if top.left--; top.left > 0 {
				break
			}
			if depth == 0 {
				return pos, nil
			}
			depth--
		}
	}
}

// openCount is how many items are in what h opens.
func openCount(h cborHead) uint64 {
	switch h.major {
	case cborMap:
		return 2 * h.arg
	case cborTag:
		return 1
	}
	return h.arg
}
