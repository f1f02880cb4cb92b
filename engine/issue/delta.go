package issue

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/run"
)

// DefaultRenewBefore is how long before its end a voucher counts as expiring
// where the settings say nothing.
const DefaultRenewBefore = "30d"

// A delta decides which devices an older run serves well enough.
type delta struct {
	older *run.Reader
	same  map[[2]uint32]bool // variant of the older run, of this one: the same but for times
	still map[uint32]bool    // variants of the older run that are not expiring
	limit time.Time          // a voucher that ends before is expiring
	alike bool               // the runs' settings agree but for times and pins
}

// newDelta compares the settings the two runs have for all devices.
func newDelta(older *run.Reader, h *run.Header) (*delta, error) {
	created, err := h.Created()
	if err != nil {
		return nil, err
	}
	before := h.RenewBefore
	if before == "" {
		before = DefaultRenewBefore
	}
	d, err := profile.ParseDuration(before)
	if err != nil {
		return nil, fmt.Errorf("renew-before: %w", err)
	}
	alike := true
	for _, diff := range older.Header.Differences(h, false) {
		switch diff.Setting {
		// Times are judged device by device, pins and issuers variant by
		// variant; the rest decides which rows are accepted, not what is signed.
		case "expires-on", "pin", "idevid-issuer", "include-issuer", "delta", "renew-before", "serial-from", "serial-bytes", "hedged":
		default:
			alike = false
		}
	}
	return &delta{older: older, same: make(map[[2]uint32]bool), still: make(map[uint32]bool), limit: created.Add(d), alike: alike}, nil
}

// unchanged reports whether the older run has a voucher for the row that says
// the same and is not expiring.
func (d *delta) unchanged(f *filler) (bool, error) {
	if !d.alike {
		return false, nil
	}
	for hit, err := range d.older.Find(f.row.Serial) {
		if err != nil {
			return false, err
		}
		if !bytes.Equal(hit.KeyID, f.row.variant.keyID) {
			continue
		}
		good, err := d.good(hit.StoredVariant, f)
		if err != nil {
			return false, err
		}
		return good, nil
	}
	return false, nil
}

// good compares an older variant with the row's.
func (d *delta) good(old *run.StoredVariant, f *filler) (bool, error) {
	pair := [2]uint32{old.ID, f.row.variant.id}
	same, known := d.same[pair]
	if !known {
		now, err := run.ParseVariant(f.row.variant.json)
		if err != nil {
			return false, err
		}
		same = bytes.Equal(d.older.Compiler.Pin(old.Pin), f.variants.compiler.Pin(now.Pin)) &&
			old.Include == now.Include && bytes.Equal(old.Issuer, now.Issuer) &&
			(old.ExpiresOn == run.Never) == (now.ExpiresOn == run.Never)
		d.same[pair] = same
	}
	if !same {
		return false, nil
	}
	still, known := d.still[old.ID]
	if !known {
		still = true
		if old.ExpiresOn != run.Never {
			t, err := time.Parse(time.RFC3339, old.ExpiresOn)
			if err != nil {
				return false, err
			}
			still = !t.Before(d.limit)
		}
		d.still[old.ID] = still
	}
	return still, nil
}
