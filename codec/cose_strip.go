package codec

// StripCertificates appends the COSE_Sign1 in cose without the x5bag and
// x5chain of its unprotected header, as a registrar forwards it to a
// constrained pledge (draft-ietf-anima-constrained-voucher). The signature does
// not cover them; all other octets stay as they are. dst and cose must not overlap.
func StripCertificates(dst, cose []byte) ([]byte, error) {
	var d EnvelopeDecoder
	d.AllowUntagged = true
	var e Envelope
	if err := d.DecodeCOSE(cose, &e); err != nil {
		return dst, err
	}
	// Decoding has shown that what is walked here is well-formed.
	c := coseCursor{rest: cose}
	for c.peek() == cborTag {
		if _, err := c.head(); err != nil {
			return dst, coseFault("tag", err)
		}
	}
	if _, err := c.head(); err != nil {
		return dst, coseFault("COSE_Sign1", err)
	}
	if err := c.skip(d.limits.Depth); err != nil {
		return dst, coseFault("protected header", err)
	}
	dst = append(dst, cose[:len(cose)-len(c.rest)]...)
	return stripMap(dst, c, d.limits.Depth)
}

// stripMap appends the header map at c without certificates, and all after it.
func stripMap(dst []byte, c coseCursor, depth int) ([]byte, error) {
	head := c.rest
	m, err := c.container(cborMap)
	if err != nil {
		return dst, coseFault("unprotected header", err)
	}
	head = head[:len(head)-len(c.rest)]
	entries := c.rest
	var kept uint64
	walk := func(visit func(entry []byte)) error {
		c.rest = entries
		for i := uint64(0); c.more(m, i); i++ {
			start := c.rest
			label, err := coseReadLabel(&c)
			if err != nil {
				return coseFault("unprotected header", err)
			}
			if err = c.skip(depth); err != nil {
				return coseFault("unprotected header", err)
			}
			if label.text == nil && (label.number == coseX5Bag || label.number == coseX5Chain) {
				continue
			}
			visit(start[:len(start)-len(c.rest)])
		}
		return nil
	}
	if err := walk(func([]byte) { kept++ }); err != nil {
		return dst, err
	}
	switch {
	case m.indefinite, kept == m.arg:
		dst = append(dst, head...)
	default:
		dst = appendHead(dst, cborMap, kept)
	}
	if err := walk(func(entry []byte) { dst = append(dst, entry...) }); err != nil {
		return dst, err
	}
	if m.indefinite {
		dst = append(dst, cborBreak)
	}
	return append(dst, c.rest...), nil
}
