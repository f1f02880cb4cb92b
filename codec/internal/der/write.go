package der

// HeaderSize returns the octets that the tag and length of an n-octet value take.
func HeaderSize(n int) int {
	switch {
	case n < 0x80:
		return 2
	case n < 0x100:
		return 3
	case n < 0x10000:
		return 4
	default:
		return 5
	}
}

// Size returns the octets of a whole element with an n-octet value.
func Size(n int) int { return HeaderSize(n) + n }

// AppendHeader appends tag and length of an n-octet value, n below 2^24.
func AppendHeader(dst []byte, tag byte, n int) []byte {
	switch HeaderSize(n) {
	case 2:
		return append(dst, tag, byte(n))
	case 3:
		return append(dst, tag, 0x81, byte(n))
	case 4:
		return append(dst, tag, 0x82, byte(n>>8), byte(n))
	default:
		return append(dst, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
}

// Append appends a whole element with the given value.
func Append(dst []byte, tag byte, body []byte) []byte {
	return append(AppendHeader(dst, tag, len(body)), body...)
}

// Wrap puts tag and length in front of dst[start:], which becomes the value of
// one element. It allocates nothing when dst has room.
func Wrap(dst []byte, start int, tag byte) []byte {
	n := len(dst) - start
	var head [5]byte
	h := AppendHeader(head[:0], tag, n)
	dst = append(dst, h...)
	copy(dst[start+len(h):], dst[start:start+n])
	copy(dst[start:], h)
	return dst
}
