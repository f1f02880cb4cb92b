package registrar

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

// Status is what a registrar has on record, and what it is about. Its JSON
// member names are stable.
type Status struct {
	Devices       DeviceCounts `json:"devices"`
	Manufacturers int          `json:"manufacturers"`
	// Exchanges are those with MASAs that are under way, of at most
	// MaxExchanges: for vouchers and for audit logs.
	Exchanges    int `json:"exchanges"`
	MaxExchanges int `json:"max-exchanges"`
	// Breakers are the MASAs whose last call failed, in the order of their
	// origins.
	Breakers []Breaker `json:"breakers"`
}

// DeviceCounts counts the devices on record. The first five members are all
// devices, by what was decided about them; the others look at the same devices
// again.
type DeviceCounts struct {
	Listed   uint64 `json:"listed"` // with or without an issuer
	Approved uint64 `json:"approved"`
	Waiting  uint64 `json:"waiting"`
	Refused  uint64 `json:"refused"`
	Unlisted uint64 `json:"unlisted"` // came, and nobody decided anything

	Expected uint64 `json:"expected"`    // listed or approved, and never here
	Vouchers uint64 `json:"vouchers"`    // got a voucher
	Good     uint64 `json:"audit-good"`  // by the audit log of their last voucher
	Bad      uint64 `json:"audit-bad"`   //
	Open     uint64 `json:"audit-open"`  // without a verdict yet
	Enrolled uint64 `json:"enrolled"`    // got a certificate
	Changed  uint64 `json:"key-changed"` // came with another key than was decided about
}

// A Breaker is how calls to one MASA fared that failed last.
type Breaker struct {
	Origin   string `json:"origin"`   // host and port
	Failures int    `json:"failures"` // in a row
	// Until is when the next call is made; absent while calls are made as they
	// come.
	Until *time.Time `json:"until,omitempty"`
}

// Status counts. It reads the record of every device, which is a matter of
// seconds where there are millions; the counts are those of one moment. The error
// is the database's or the context's.
func (s *Service) Status(ctx context.Context) (*Status, error) {
	st := &Status{Manufacturers: len(s.makers.Load().list), MaxExchanges: s.cfg.MaxExchanges, Breakers: s.breakers.list()}
	s.mu.Lock()
	st.Exchanges = s.aloft
	s.mu.Unlock()
	err := s.cfg.DB.View(ctx, func(r state.Reader) error { return st.Devices.count(ctx, r) })
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (c *DeviceCounts) count(ctx context.Context, r state.Reader) error {
	err := r.Scan(prefixDevice, nil, func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		dev, err := parse[deviceRecord](key, value)
		if err == nil {
			c.add(&dev)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.Scan(prefixSerial, nil, func(key, value []byte) error {
		listed, err := parse[listingRecord](key, value)
		if err == nil {
			c.add(&deviceRecord{Standing: listed.Standing})
		}
		return err
	})
}

func (c *DeviceCounts) add(dev *deviceRecord) {
	decided := &c.Unlisted
	switch dev.Standing {
	case Listed:
		decided = &c.Listed
	case Approved:
		decided = &c.Approved
	case Waiting:
		decided = &c.Waiting
	case Refused:
		decided = &c.Refused
	}
	*decided++
	if dev.FirstSeen == 0 && (dev.Standing == Listed || dev.Standing == Approved) {
		c.Expected++
	}
	if m := dev.Voucher; m != nil {
		c.Vouchers++
		switch m.Verdict {
		case Good:
			c.Good++
		case Bad:
			c.Bad++
		default:
			c.Open++
		}
	}
	if len(dev.LDevIDs) > 0 {
		c.Enrolled++
	}
	if dev.keyChanged() {
		c.Changed++
	}
}

// list returns the breakers in the order of their origins.
func (b *breakers) list() []Breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Breaker, 0, len(b.all))
	for origin, x := range b.all {
		shown := Breaker{Origin: origin, Failures: x.failures}
		if !x.until.IsZero() {
			until := x.until.UTC()
			shown.Until = &until
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(x, y Breaker) int { return cmp.Compare(x.Origin, y.Origin) })
	return all
}
