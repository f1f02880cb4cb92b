package issue

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

// DefaultRenewBefore is how long before its end a voucher counts as expiring
// where the settings say nothing.
const DefaultRenewBefore = "30d"

// MaxDeltaChain bounds how many runs a delta looks back over.
const MaxDeltaChain = 64

// OpenDelta returns the run of that name for Config.Delta, and behind it the
// runs it completes in its turn, newest first, as far as they are still there.
// A run that is not there is a *store.RunNotFoundError.
func OpenDelta(s *store.Store, name string) ([]*run.Reader, error) {
	var chain []*run.Reader
	for name != "" && len(chain) < MaxDeltaChain {
		r, err := s.Run(name)
		var gone *store.RunNotFoundError
		if errors.As(err, &gone) && len(chain) > 0 {
			break // its devices are signed again
		}
		if err != nil {
			return nil, err
		}
		reader, err := run.NewReader(r)
		if err != nil {
			return nil, err
		}
		chain = append(chain, reader)
		name = reader.Header.Delta
	}
	return chain, nil
}

// A delta decides which devices older runs serve well enough. It belongs to the
// filler.
type delta struct{ older []*olderRun } // newest first

// newDelta compares the settings the runs have for all devices.
func newDelta(chain []*run.Reader, h *run.Header) (*delta, error) {
	created, err := h.Created()
	if err != nil {
		return nil, err
	}
	before := h.RenewBefore
	if before == "" {
		before = DefaultRenewBefore
	}
	ahead, err := profile.ParseDuration(before)
	if err != nil {
		return nil, fmt.Errorf("renew-before: %w", err)
	}
	d := new(delta)
	for _, reader := range chain {
		info, err := reader.Run.Info()
		if err != nil {
			return nil, err
		}
		d.older = append(d.older, &olderRun{reader: reader, alike: alike(reader.Header, h), limit: created.Add(ahead),
			same: make(map[[2]uint32]bool), still: make(map[uint32]bool), cursor: cursor{run: reader.Run, pages: info.Pages}})
	}
	return d, nil
}

// alike reports whether two runs would give a device the same voucher, times,
// pin and issuer left aside.
func alike(older, h *run.Header) bool {
	for _, diff := range older.Differences(h, false) {
		switch diff.Setting {
		// Times are judged device by device, pins and issuers variant by
		// variant; the rest decides which rows are accepted, not what is signed.
		case "expires-on", "pin", "idevid-issuer", "include-issuer", "delta", "renew-before", "serial-from", "serial-bytes", "hedged", "reproducible":
		default:
			return false
		}
	}
	return true
}

// unchanged reports whether the newest run that has the filler's device has a
// voucher for it that says the same and is not expiring.
func (d *delta) unchanged(f *filler) (bool, error) {
	for _, o := range d.older {
		old, err := o.find(f.row.Serial, f.row.variant.keyID)
		if err != nil {
			return false, err
		}
		if old != nil {
			return o.serves(old, f)
		}
	}
	return false, nil
}

// An olderRun is one run that a delta looks at.
type olderRun struct {
	reader *run.Reader
	alike  bool               // but for times and pins
	limit  time.Time          // a voucher that ends before is expiring
	same   map[[2]uint32]bool // variant of the older run, of this one: the same but for times
	still  map[uint32]bool    // variants of the older run that are not expiring
	cursor cursor
}

// find returns the variant of a device's voucher, nil if the run has none. Lists
// mostly keep their order, so the place behind the last device is tried before
// the index is.
func (o *olderRun) find(serial, keyID []byte) (*run.StoredVariant, error) {
	id, match, err := o.cursor.match(serial)
	if err != nil {
		return nil, err
	}
	if match {
		if v, err := o.reader.Variant(id); err != nil || bytes.Equal(v.KeyID, keyID) {
			return v, err
		}
	}
	for hit, err := range o.reader.Find(serial) {
		if err != nil {
			return nil, err
		}
		if bytes.Equal(hit.KeyID, keyID) {
			o.cursor.follow(hit.Hit)
			return hit.StoredVariant, nil
		}
	}
	return nil, nil
}

// serves compares an older variant with the row's.
func (o *olderRun) serves(old *run.StoredVariant, f *filler) (bool, error) {
	if !o.alike {
		return false, nil
	}
	pair := [2]uint32{old.ID, f.row.variant.id}
	same, known := o.same[pair]
	if !known {
		now, err := run.ParseVariant(f.row.variant.json)
		if err != nil {
			return false, err
		}
		same = bytes.Equal(o.reader.Compiler.Pin(old.Pin), f.variants.compiler.Pin(now.Pin)) &&
			old.Include == now.Include && bytes.Equal(old.Issuer, now.Issuer) &&
			(old.ExpiresOn == run.Never) == (now.ExpiresOn == run.Never)
		o.same[pair] = same
	}
	if !same {
		return false, nil
	}
	still, known := o.still[old.ID]
	if !known {
		still = true
		if old.ExpiresOn != run.Never {
			t, err := time.Parse(time.RFC3339, old.ExpiresOn)
			if err != nil {
				return false, err
			}
			still = !t.Before(o.limit)
		}
		o.still[old.ID] = still
	}
	return still, nil
}

// followWithin is how many pages ahead a cursor jumps: devices that left the
// list leave gaps. A list in another order is not worth loading pages for.
const followWithin = 4

// A cursor is a place in a stored run that moves with the list.
type cursor struct {
	run   *store.Run
	pages uint32
	view  page.View
	buf   []byte
	page  uint32 // of view, where it holds one; else the one to be loaded
	index int    // the next voucher
}

// match reports whether the voucher at the cursor has this serial number; then
// its variant is returned and the cursor moves on.
func (c *cursor) match(serial []byte) (variant uint32, ok bool, err error) {
	if c.index == c.view.Count() {
		if c.view.Count() > 0 {
			c.page++
		}
		if c.page >= c.pages {
			return 0, false, nil
		}
		if err := c.load(c.page); err != nil {
			return 0, false, err
		}
	}
	if !bytes.Equal(c.view.Serial(c.index), serial) {
		return 0, false, nil
	}
	variant = c.view.Variant(c.index)
	c.index++
	return variant, true, nil
}

// follow moves the cursor behind a voucher that lies a little ahead. Where the
// page cannot be had it stays: the index will name the damage when it matters.
func (c *cursor) follow(hit store.Hit) {
	if hit.Page < c.page || hit.Page > c.page+followWithin {
		return
	}
	if hit.Page == c.page && c.view.Count() > 0 || c.load(hit.Page) == nil {
		c.index = hit.Index + 1
	}
}

// load reads a page; where it fails, the cursor holds none.
func (c *cursor) load(number uint32) error {
	var err error
	c.index, c.view = 0, page.View{}
	if c.buf, err = c.run.Page(number, c.buf[:0]); err != nil {
		return err
	}
	if err := c.view.Parse(c.buf); err != nil {
		return &store.DamageError{Run: c.run.Name(), Part: "page", Number: uint64(number), Err: err}
	}
	c.page = number
	return nil
}
