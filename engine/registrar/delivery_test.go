package registrar_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
)

// heldDB keeps the next update waiting when it is told to.
type heldDB struct {
	state.DB
	hold       atomic.Bool
	held, gate chan struct{}
}

func (d *heldDB) Update(ctx context.Context, f func(state.Tx) error) error {
	if d.hold.Swap(false) {
		close(d.held)
		<-d.gate
	}
	return d.DB.Update(ctx, f)
}

// A pledge that comes back at the very moment when its voucher is written down is
// answered with it, and may enrol.
func TestAVoucherCollectedAtTheLastMomentCounts(t *testing.T) {
	const patience = 7 * time.Second
	db := &heldDB{held: make(chan struct{}), gate: make(chan struct{})}
	var waits atomic.Int32
	w := newSite(t, func(c *registrar.Config) {
		db.DB, c.DB = c.DB, db
		c.Patience = patience
		c.AfterFunc = func(d time.Duration, f func()) func() bool {
			if d == patience {
				if waits.Add(1) == 1 {
					go f() // the first request is told to come back
				} else {
					close(db.gate) // the second one waits: the voucher may be written down
				}
			}
			return func() bool { return true }
		}
	})
	release, _ := w.slow("/requestvoucher")
	p := w.pledge("SN-0001")
	body := p.pvr()
	_, err := p.ask(body)
	wantKind(t, err, decision.Pending)
	w.masa.set(func(m *masa) {
		m.answer = func(c *registrar.Call, _ *registrar.Reply) {
			if strings.HasSuffix(c.URL, "/requestvoucher") {
				db.hold.Store(true)
			}
		}
	})
	release()
	<-db.held
	if _, err := p.ask(body); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err != nil {
		t.Error(err)
	}
}
