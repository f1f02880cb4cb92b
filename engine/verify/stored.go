package verify

import (
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

// StoredRun is a run of a store as a source. Its vouchers are rebuilt byte by
// byte and then read like any others.
func StoredRun(r *run.Reader) Source {
	name := "run " + r.Run.Name()
	return Source{name, func() (feed, *source, error) {
		info, err := r.Run.Info()
		if err != nil {
			return nil, nil, err
		}
		if info.State == store.Deleting {
			return nil, nil, fmt.Errorf("it is %v", info.State)
		}
		src := &source{name: name, stored: r, want: info.Vouchers, serialBytes: r.Header.SerialBytes}
		if raw := r.Run.Final(); raw != nil {
			src.manifest, src.manifestErr = manifest.Parse(raw)
		}
		return &pages{run: r.Run, count: info.Pages}, src, nil
	}}
}

// pages feeds the pages of a stored run, one a batch.
type pages struct {
	run         *store.Run
	next, count uint32
}

func (p *pages) close() error { return nil }

func (p *pages) fill(b *batch) (last bool) {
	if p.next == p.count { // a run without vouchers
		b.blank = true
		return true
	}
	b.page = p.next
	p.next++
	var err error
	if b.arena, err = p.run.Page(b.page, b.arena[:0]); err != nil {
		b.damage = damage(err)
	}
	return p.next == p.count
}

// pageRemedy is what can be done about a page that is not what was written.
const pageRemedy = "restore the store from a copy, or delete the run and issue it again"

// damage makes a finding of an error about a page.
func damage(err error) finding {
	var d *store.DamageError
	if errors.As(err, &d) {
		err = d.Err
	}
	return found(CheckPage, pageRemedy, "%v", err)
}

// A rebuilder makes the vouchers of the pages of one run after the other. It
// belongs to one worker.
type rebuilder struct {
	reader *run.Reader
	page   *run.Rebuilder
	arena  []byte // the vouchers
	ends   []int
}

// voucher returns voucher i of the page rebuilt last.
func (r *rebuilder) voucher(i int) []byte {
	begin := 0
	if i > 0 {
		begin = r.ends[i-1]
	}
	return r.arena[begin:r.ends[i]:r.ends[i]]
}

// vouchers rebuilds the vouchers of the page in b and fills in its items. After
// an error there are none.
func (r *rebuilder) vouchers(b *batch) error {
	if r.reader != b.source.stored {
		page, err := b.source.stored.NewRebuilder()
		if err != nil {
			return err
		}
		r.reader, r.page = b.source.stored, page
	}
	if err := r.page.Page(b.page, b.arena); err != nil {
		return err
	}
	view, format := r.page.View(), r.reader.Compiler.Format()
	r.arena, r.ends = r.arena[:0], r.ends[:0]
	for i := range view.Count() {
		var err error
		if r.arena, err = r.page.AppendVoucher(r.arena, i); err != nil {
			return err
		}
		r.ends = append(r.ends, len(r.arena))
		it := item{line: view.Line(i), format: format}
		it.statedSerial = b.keep(view.Serial(i))
		it.statedKeyID = b.keep(r.page.Variant(i).KeyID)
		b.items = append(b.items, it)
	}
	return nil
}

// keyIDOf returns the key identifier of an item's issuer: what the voucher says,
// else what is recorded beside it.
func (b *batch) keyIDOf(it *item) []byte {
	if it.keyID.set() {
		return b.at(it.keyID)
	}
	return b.at(it.statedKeyID)
}
