package verify

import (
	"errors"
	"fmt"
	"io"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

// A Source is where vouchers come from: a [File], [Entries] or a [StoredRun]. It
// is read once.
type Source struct {
	name string
	open func() (feed, *source, error)
}

// Name is what reports call the source.
func (s Source) Name() string { return s.name }

// An EntryReader yields vouchers one by one, as [*bundle.Reader] does: Next
// returns io.EOF behind the last, and any other error is the end as well.
// Manifest is the signed manifest, nil where there is none.
type EntryReader interface {
	Next(*bundle.Entry) error
	Manifest() []byte
}

// Entries is a source of vouchers from any reader, which stays the caller's to
// close.
func Entries(name string, r EntryReader) Source {
	return Source{name, func() (feed, *source, error) {
		e, src := newEntries(name, r)
		return e, src, nil
	}}
}

// File is a bundle, a directory of vouchers or a lone voucher as a source; "-"
// is standard input. It is opened when its turn comes.
func File(path string, opts bundle.ReadOptions) Source {
	return Source{path, func() (feed, *source, error) {
		r, err := bundle.Open(path, opts)
		if err != nil {
			return nil, nil, err
		}
		e, src := newEntries(path, r)
		e.closer = r
		switch r.Kind() {
		case bundle.KindVouchers:
			e.anyName, src.loose = true, true
		case bundle.KindTar, bundle.KindDir:
			e.anyName = r.Manifest() == nil
		}
		return e, src, nil
	}}
}

// feed reads one source. It belongs to the filling goroutine.
type feed interface {
	// fill puts vouchers into b and reports whether they are the last. What ends
	// the reading early is left in b.ended.
	fill(b *batch) (last bool)
	close() error
}

// source is what the stages know of one source. The filler makes it and hands it
// over with the first batch; workers only read it; what is below the line is the
// sink's.
type source struct {
	name        string
	stored      *run.Reader     // nil for bundles and files
	leaf        *sign.Algorithm // workers build leaves by it; nil where they need not
	serialBytes int             // longest serial number accepted, 0 for the default
	loose       bool            // vouchers nobody put together
	manifest    *manifest.Signed
	manifestErr error

	tree     merkle.Range
	gap      string // why there is no tree
	vouchers uint64
	want     uint64 // vouchers a stored run has
	cut      bool   // reading ended early
}

// entries feeds vouchers from a reader.
type entries struct {
	name   string
	reader EntryReader
	closer io.Closer // nil where the reader is the caller's
	entry  bundle.Entry
	// anyName is true where files may be called anything: only a bundle of ours
	// calls them by their serial numbers.
	anyName bool
}

func newEntries(name string, r EntryReader) (*entries, *source) {
	src := &source{name: name}
	if raw := r.Manifest(); raw != nil {
		src.manifest, src.manifestErr = manifest.Parse(raw)
	}
	if src.manifest != nil {
		// An algorithm that is not known gives no tree to compare, and says so.
		src.leaf, src.manifestErr = sign.ByName(src.manifest.Manifest.Algorithm)
	}
	return &entries{name: name, reader: r}, src
}

func (e *entries) close() error {
	if e.closer == nil {
		return nil
	}
	return e.closer.Close()
}

func (e *entries) fill(b *batch) (last bool) {
	for !b.full() {
		err := e.reader.Next(&e.entry)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			b.ended = found(CheckRead, "", "%v", err).at(e.name, "")
			return true
		}
		b.items = append(b.items, e.item(b))
	}
	return false
}

// item copies the entry at hand into b.
func (e *entries) item(b *batch) item {
	it := item{place: e.name, format: e.entry.Format, voucher: b.keep(e.entry.Voucher)}
	if e.entry.Place != "" && e.entry.Place != e.name {
		it.place = fmt.Sprintf("%s, %s", e.name, e.entry.Place)
	}
	if e.anyName {
		return it
	}
	it.statedSerial = b.keep(e.entry.Serial)
	switch {
	case e.entry.IssuerKeyID != nil:
		it.statedKeyID = b.keep(e.entry.IssuerKeyID)
	case e.entry.Issuer != nil:
		if keyID, err := codec.IssuerKeyID(e.entry.Issuer); err == nil {
			it.statedKeyID = b.keep(keyID)
		}
	}
	return it
}
