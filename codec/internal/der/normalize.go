package der

// Normalize appends the DER form of one BER element: definite, minimal lengths
// and octet strings in one piece. An element that is DER already, such as a
// certificate inside a BER envelope, comes out octet for octet as it was; the
// order of a SET OF is kept, because what was signed is kept. ber must hold
// the one element and nothing else. Constructed nesting beyond depth levels is refused
// with [ErrDepth]. Time is linear in len(ber) times depth.
func Normalize(dst, ber []byte, depth int) ([]byte, error) {
	dst, rest, err := normalize(dst, ber, depth)
	if err != nil {
		return dst, err
	}
	if len(rest) != 0 {
		return dst, ErrTrailing
	}
	return dst, nil
}

// berHeader is a tag and a length in any BER form; size is -1 for indefinite.
func berHeader(b []byte) (tag byte, size int, body []byte, err error) {
	if len(b) < 2 {
		return 0, 0, nil, ErrTruncated
	}
	tag, size = b[0], int(b[1])
	if tag&tagNumberMask == tagNumberMask {
		return 0, 0, nil, ErrHighTag
	}
	body = b[2:]
	switch {
	case size < 0x80:
	case size == 0x80:
		if tag&constructedBit == 0 {
			return 0, 0, nil, ErrValue
		}
		return tag, -1, body, nil
	default:
		n := size & 0x7f
		if n > len(body) {
			return 0, 0, nil, ErrTruncated
		}
		size = 0
		for _, c := range body[:n] {
			if size > 1<<22 {
				return 0, 0, nil, ErrTruncated
			}
			size = size<<8 | int(c)
		}
		body = body[n:]
	}
	if size > len(body) {
		return 0, 0, nil, ErrTruncated
	}
	return tag, size, body, nil
}

func endOfContents(b []byte) bool { return len(b) >= 2 && b[0] == 0 && b[1] == 0 }

func normalize(dst, ber []byte, depth int) (out, rest []byte, err error) {
	tag, size, body, err := berHeader(ber)
	if err != nil {
		return dst, ber, err
	}
	if tag&constructedBit == 0 {
		return Append(dst, tag, body[:size]), body[size:], nil
	}
	if depth <= 0 {
		return dst, ber, ErrDepth
	}
	indefinite := size < 0
	if !indefinite {
		body, rest = body[:size], body[size:]
	}
	start := len(dst)
	join := tag == constructedOcts
	for {
		if indefinite && endOfContents(body) {
			rest = body[2:]
			break
		}
		if len(body) == 0 {
			if indefinite {
				return dst, ber, ErrTruncated
			}
			break
		}
		if join {
			dst, body, err = appendPiece(dst, body, depth-1)
		} else {
			dst, body, err = normalize(dst, body, depth-1)
		}
		if err != nil {
			return dst, ber, err
		}
	}
	switch tag {
	case constructedOcts:
		tag = TagOctetString
	case constructedBits:
		return dst, ber, ErrValue
	}
	return Wrap(dst, start, tag), rest, nil
}

// appendPiece appends the octets of one piece of a constructed OCTET STRING;
// a piece may be in pieces itself (X.690 §8.7.3).
func appendPiece(dst, ber []byte, depth int) (out, rest []byte, err error) {
	tag, size, body, err := berHeader(ber)
	if err != nil {
		return dst, ber, err
	}
	switch {
	case tag == TagOctetString:
		return append(dst, body[:size]...), body[size:], nil
	case tag != constructedOcts:
		return dst, ber, ErrTag
	}
	start := len(dst)
	if dst, rest, err = normalize(dst, ber, depth); err != nil {
		return dst, ber, err
	}
	whole, _, err := Next(dst[start:])
	if err != nil {
		return dst, ber, err
	}
	return append(dst[:start], whole.Body...), rest, nil
}
