package issue

import (
	"errors"

	"github.com/vouchmill/vouchmill/engine/list"
)

// readAhead is how many rows are read before the first of them is judged. Each
// asks the set of devices for a place in memory that no cache holds; for so many
// rows at once these places are fetched side by side.
const readAhead = 64

// A row is one row of the list, read and not judged yet.
type row struct {
	list.Record
	err error // there is none: a *list.RowError, or the end of reading

	variant *variant
	fresh   bool  // the run had no variant like it
	bad     error // why it has no variant
	hash    uint64
}

// A window is the rows that were read ahead. It belongs to the filler; the rows
// are good until the window is filled again.
type window struct {
	rows   [readAhead]row
	next   int // of rows, to be judged
	end    int // of rows
	octets []byte
	hashes []uint64
}

// read returns the next row of the list.
func (f *filler) read() *row {
	w := &f.ahead
	if w.next == w.end {
		w.next, w.end, w.octets, w.hashes = 0, 0, w.octets[:0], w.hashes[:0]
		for w.end < readAhead && f.readOne() {
		}
		f.seen.Touch(w.hashes)
	}
	w.next++
	return &w.rows[w.next-1]
}

// readOne reads one row into the window and reports whether reading may go on.
func (f *filler) readOne() bool {
	w := &f.ahead
	r := &w.rows[w.end]
	w.end++
	if r.err = f.devices.Read(&r.Record); r.err != nil {
		var bad *list.RowError
		return errors.As(r.err, &bad)
	}
	w.keep(&r.Record)
	if r.variant, r.fresh, r.bad = f.variants.of(&r.Record); r.bad == nil {
		r.hash = f.key.Hash(r.variant.keyID, r.Serial)
		w.hashes = append(w.hashes, r.hash)
	}
	return true
}

// keep copies what the list lends only until its next row.
func (w *window) keep(rec *list.Record) {
	for _, view := range [...]*[]byte{&rec.Serial, &rec.Issuer, &rec.Pin, &rec.ExpiresOn, &rec.Raw} {
		if *view != nil { // nil says that there is no such column
			start := len(w.octets)
			w.octets = append(w.octets, *view...)
			*view = w.octets[start:len(w.octets):len(w.octets)]
		}
	}
}
