package kit

import "encoding/binary"

// cborHead is the head of an item (RFC 8949 §3), in its shortest form.
func cborHead(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
	default:
		return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
	}
}

func cborUint(n uint64) []byte { return cborHead(0, n) }

func cborInt(n int64) []byte {
	if n < 0 {
		return cborHead(1, uint64(-1-n))
	}
	return cborHead(0, uint64(n))
}

func cborBytes(b []byte) []byte { return append(cborHead(2, uint64(len(b))), b...) }

func cborText(s string) []byte { return append(cborHead(3, uint64(len(s))), s...) }

func cborArray(items ...[]byte) []byte { return join(cborHead(4, uint64(len(items))), items...) }

// cborMap has keys and values in turn.
func cborMap(items ...[]byte) []byte { return join(cborHead(5, uint64(len(items)/2)), items...) }

func cborTag(n uint64, item []byte) []byte { return append(cborHead(6, n), item...) }

func join(head []byte, parts ...[]byte) []byte {
	for _, p := range parts {
		head = append(head, p...)
	}
	return head
}

// entry is a member of a SID-keyed map.
type entry struct {
	delta uint64
	value []byte
}

func cborPayload(sid uint64, entries ...entry) []byte {
	var items [][]byte
	for _, e := range entries {
		items = append(items, cborUint(e.delta), e.value)
	}
	return cborMap(cborUint(sid), cborMap(items...))
}
