package list

import (
	"bytes"
	"errors"
	"io"
)

// window is the part of a stream that is in memory. The readers look at unread
// and step over what they are done with; every view they hand out points into
// buf and lives until more moves its contents.
type window struct {
	src        io.Reader
	buf        []byte
	full       int   // size buf grows to once the list is longer than it
	start, end int   // buf[start:end] is read from src and not yet stepped over
	base       int64 // offset of buf[0] in the stream
	err        error // what src ended with, io.EOF included; sticky
}

// emptyReads is how often a source may return nothing before it is given up.
const emptyReads = 100

// reset starts over on another stream with the same buffer.
func (w *window) reset(src io.Reader) {
	*w = window{src: src, buf: w.buf, full: w.full}
}

func (w *window) unread() []byte { return w.buf[w.start:w.end] }

// offset is where in the stream unread starts.
func (w *window) offset() int64 { return w.base + int64(w.start) }

// more reads on and reports whether unread grew. It at least doubles unread, so
// a caller that scans from the start each time stays linear however small the
// pieces are that src returns.
func (w *window) more() bool {
	if w.err != nil {
		return false
	}
	have := w.end - w.start
	if to := w.buf; w.start > 0 || w.end == len(to) && len(to) < w.full {
		if len(to) < w.full {
			to = make([]byte, w.full)
		}
		copy(to, w.buf[w.start:w.end])
		w.buf = to
		w.base += int64(w.start)
		w.start, w.end = 0, have
	}
	want := min(have+max(have, 4096), len(w.buf))
	for idle := 0; w.end < want && w.err == nil; {
		n, err := w.src.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if n > 0 {
			idle = 0
		} else if idle++; idle == emptyReads && err == nil {
			w.err = io.ErrNoProgress
		}
	}
	return w.end-w.start > have
}

// atEOF reports whether unread is all there will be, and the stream ended well.
func (w *window) atEOF() bool { return w.err == io.EOF }

// line returns the next line without its '\n' and how far to step over it. It
// fails with ErrRowTooLong (the line then is the first limit octets), io.EOF
// when nothing is left, or the stream's error; a line cut short by such an error
// is not a line.
func (w *window) line(limit int) (line []byte, step int, err error) {
	for seen := 0; ; {
		data := w.unread()
		if i := bytes.IndexByte(data[seen:], '\n'); i >= 0 {
			if i += seen; i > limit {
				return data[:limit], 0, ErrRowTooLong
			}
			return data[:i], i + 1, nil
		}
		if seen = len(data); seen > limit {
			return data[:limit], 0, ErrRowTooLong
		}
		if !w.more() {
			switch {
			case !w.atEOF():
				return nil, 0, w.err
			case seen == 0:
				return nil, 0, io.EOF
			}
			return w.unread(), seen, nil
		}
	}
}

// skipLine steps over everything up to and including the next '\n', however
// long that is. It fails with the stream's error unless that is io.EOF.
func (w *window) skipLine() error {
	for {
		if i := bytes.IndexByte(w.unread(), '\n'); i >= 0 {
			w.start += i + 1
			return nil
		}
		w.start = w.end
		if !w.more() {
			if w.atEOF() {
				return nil
			}
			return w.err
		}
	}
}

// need makes sure n octets are unread; false when the stream has fewer.
func (w *window) need(n int) bool {
	for w.end-w.start < n {
		if !w.more() {
			return false
		}
	}
	return true
}

// errSource says why unread cannot grow: the stream's error, with a truncated
// stream told from a finished one.
func (w *window) errSource() error {
	if w.err == nil || errors.Is(w.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return w.err
}
