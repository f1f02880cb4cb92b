package list

import (
	"bytes"
	"encoding/pem"
	"io"
)

// pemSource reads a bundle of IDevID certificates in PEM (RFC 7468), one device
// a certificate. Text between the blocks is passed over.
type pemSource struct {
	r *Reader
}

var (
	pemEnd  = []byte("-----END ")
	pemDash = []byte("-----")
)

// next reads one block.
func (s *pemSource) next(rec *Record) error {
	r, w := s.r, &s.r.win
	if err := s.seekBegin(); err != nil {
		return err
	}
	for seen := 0; ; {
		data := w.unread()
		if n, closed := blockEnd(data, seen); n > 0 && n <= r.opts.MaxRowBytes {
			return s.block(rec, data[:n], closed)
		}
		if len(data) > r.opts.MaxRowBytes {
			r.line++
			return s.overlong()
		}
		// An END line may lie across what is read and what is not.
		seen = max(len(data)-len(pemEnd), 0)
		if !w.more() {
			if !w.atEOF() {
				return r.broken(w.err)
			}
			return s.block(rec, w.unread(), false)
		}
	}
}

// seekBegin steps over everything in front of the next BEGIN line.
func (s *pemSource) seekBegin() error {
	r, w := s.r, &s.r.win
	for {
		line, _, err := w.line(r.opts.MaxRowBytes)
		switch {
		case err == io.EOF:
			return err
		case err != nil && err != ErrRowTooLong:
			return r.broken(err)
		case bytes.HasPrefix(line, pemBegin):
			return nil
		}
		if err := w.skipLine(); err != nil {
			return r.broken(err)
		}
	}
}

// blockEnd returns the length of the block that data begins with: up to its END
// line, or up to the next BEGIN line where that comes first. It is 0 while
// neither is in sight. The first seen octets are known to hold no END.
func blockEnd(data []byte, seen int) (n int, closed bool) {
	begin := nextLine(data, max(seen-len(pemBegin), 1), pemBegin)
	end := nextLine(data, max(seen, 1), pemEnd)
	if end < 0 && begin < 0 {
		return 0, false
	}
	if end < 0 || begin >= 0 && begin < end {
		return begin, false
	}
	tail := data[end+len(pemEnd):]
	dash := bytes.Index(tail, pemDash)
	if lf := bytes.IndexByte(tail, '\n'); dash < 0 && lf < 0 {
		return 0, false
	} else if dash < 0 || lf >= 0 && lf < dash {
		return end + len(pemEnd) + lf + 1, false
	}
	return end + len(pemEnd) + dash + len(pemDash), true
}

// nextLine returns where in data, from octet from on, a line begins with what;
// -1 where none does.
func nextLine(data []byte, from int, what []byte) int {
	for from < len(data) {
		i := bytes.Index(data[from:], what)
		if i < 0 {
			return -1
		}
		if from += i; data[from-1] == '\n' {
			return from
		}
		from++
	}
	return -1
}

// block reads the device from one block of PEM.
func (s *pemSource) block(rec *Record, raw []byte, closed bool) error {
	r := s.r
	r.win.start += len(raw)
	r.line++
	f := &fault{at: -1, remedy: "export the certificate again as PEM"}
	b, _ := pem.Decode(raw)
	switch {
	case !closed:
		f.err = because(ErrSyntax, "the PEM block has no END line")
	case b == nil:
		f.err = because(ErrSyntax, "the PEM block is damaged")
	case b.Type != "CERTIFICATE":
		f.err = because(ErrSyntax, "a PEM block of type %s", quoteShort([]byte(b.Type)))
		f.remedy = "keep nothing but certificates in the list"
	default:
		return r.certificate(rec, raw, b.Bytes)
	}
	return r.rowError(r.line, raw, f)
}

// overlong reports a block over the limit and steps over its BEGIN line; what
// else is in it looks like text between blocks.
func (s *pemSource) overlong() error {
	r := s.r
	f := r.rowTooLong("keep one certificate a block, or raise the row limit")
	r.shown = append(r.shown[:0], r.win.unread()[:shownBytes]...)
	if err := r.win.skipLine(); err != nil {
		return r.broken(err)
	}
	return r.rowError(r.line, r.shown, f)
}

// derSource reads IDevID certificates in DER, one behind the other.
type derSource struct {
	r *Reader
}

// next reads one certificate.
func (s *derSource) next(rec *Record) error {
	r, w := s.r, &s.r.win
	if !w.need(1) && w.atEOF() {
		return io.EOF
	}
	if !w.need(2) {
		return r.broken(w.errSource())
	}
	n, size := derHead(w.unread())
	if size > 0 && !w.need(size) {
		return r.broken(w.errSource())
	}
	if size > 0 {
		n, _ = derHead(w.unread())
	}
	switch {
	case size == 0:
		return r.opts.fatal(r.placeName(), because(ErrSyntax, "no DER certificate begins here"), "keep nothing but certificates in the list")
	case n > r.opts.MaxRowBytes:
		return r.opts.fatal(r.placeName(), because(ErrRowTooLong, "certificate of %d octets, over %d", n, r.opts.MaxRowBytes), "raise the row limit")
	case !w.need(n):
		return r.broken(w.errSource())
	}
	der := w.unread()[:n]
	w.start += n
	r.line++
	return r.certificate(rec, der, der)
}

// derHead reads the head of the SEQUENCE that data, at least two octets, begins
// with: the length of the whole, once size octets are there, and the size of the
// head; 0 where it is no such head.
func derHead(data []byte) (whole, size int) {
	if data[0] != 0x30 || data[1] < 0x81 || data[1] > 0x83 {
		return 0, 0
	}
	size = 2 + int(data[1]&0x7F)
	if len(data) < size {
		return 0, size
	}
	for _, b := range data[2:size] {
		whole = whole<<8 | int(b)
	}
	return size + whole, size
}
