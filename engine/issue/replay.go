package issue

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"

	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
)

// A replay compares accepted rows with the vouchers that are durable already,
// page by page.
type replay struct {
	run   *store.Run
	end   uint64 // vouchers to compare
	next  func() (*page.View, error, bool)
	stop  func()
	view  *page.View
	index int
}

func newReplay(r *store.Run, end uint64) *replay {
	p := &replay{run: r, end: end}
	p.next, p.stop = iter.Pull2(r.Pages(0))
	return p
}

// compare holds the filler's row against the stored voucher at its position.
func (p *replay) compare(f *filler) error {
	if p.view == nil || p.index == p.view.Count() {
		view, err, ok := p.next()
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("run %s: the store has fewer pages than it counts; check it with store check", p.run.Name())
		}
		p.view, p.index = view, 0
	}
	serial, variant := p.view.Serial(p.index), p.view.Variant(p.index)
	p.index++
	place := f.devices.Unit() + " " + strconv.FormatUint(f.row.Line, 10)
	switch {
	case !bytes.Equal(serial, f.row.Serial):
		return &ListChangedError{Run: p.run.Name(), Place: place,
			Reason: fmt.Sprintf("has serial number %q at this place, the list %q", serial, f.row.Serial)}
	case variant != f.row.variant.id:
		return &ListChangedError{Run: p.run.Name(), Place: place,
			Reason: fmt.Sprintf("has serial number %q with another pin, issuer or expiry", serial)}
	}
	return nil
}
