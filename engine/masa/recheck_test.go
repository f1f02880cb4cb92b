package masa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A hooked database calls before ahead of each transaction of an import.
type hooked struct {
	state.DB
	before func()
}

func (h *hooked) call() {
	if f := h.before; f != nil {
		h.before = nil // what it does is none of it
		defer func() { h.before = f }()
		f()
	}
}

func (h *hooked) View(ctx context.Context, f func(state.Reader) error) error {
	h.call()
	return h.DB.View(ctx, f)
}

func (h *hooked) Update(ctx context.Context, f func(state.Tx) error) error {
	h.call()
	return h.DB.Update(ctx, f)
}

// importWith imports a run and does something at the step'th transaction of it.
// ended says that there were not that many.
func (f *factory) importWith(step int, do func()) (ended bool, err error) {
	h := &hooked{DB: f.db}
	f.cfg.DB = h
	f.start()
	at := 0
	h.before = func() {
		if at == step {
			do()
		}
		at++
	}
	_, err = f.importRun("lot-1")
	h.before = nil
	return at <= step, err
}

// Whatever happens to a device before its run is on record, and whenever: the run
// is refused for it.
func TestWhatChangesWhileARunIsImported(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(f *factory)
		reason string // "" where the run is imported all the same
	}{
		"a device is blocked": {func(f *factory) {
			_, err := f.masa.Block(context.Background(), "SN-2", "stolen")
			must(f.t, err)
		}, "stolen"},
		"a device is sold": {func(f *factory) { f.own("other", "SN-2") }, "customer other owns it"},
		"its pool is sold": {func(f *factory) {
			must(f.t, f.masa.SetPool(context.Background(), masa.Pool{Name: "lot", Owner: "other"}))
		}, "customer other owns it"},
		"another device has the number": {func(f *factory) {
			f.importList(masa.ImportOptions{}, "serial-number,idevid-issuer\nSN-2,0102030405060708090a0b0c0d0e0f1011121314\n")
		}, "several devices"},
		"a device that it does not hold is blocked": {func(f *factory) {
			_, err := f.masa.Block(context.Background(), "SN-3", "stolen")
			must(f.t, err)
		}, ""},
		"a customer is added": {func(f *factory) {
			f.customer(masa.Customer{Name: "late", Anchors: f.cfg.Chain[1:]})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for step, steps := 0, 0; ; step++ {
				f := newFactory(t)
				h := f.pki.Header("cms")
				h.Name, h.Pins = "lot-1", []run.Pin{{Cert: f.domain.cert.Raw}}
				f.pki.Issue(t, f.source, h, "serial-number\nSN-1\nSN-2\n")
				f.customer(masa.Customer{Name: "other", Anchors: f.cfg.Chain[1:]})
				must(t, f.masa.SetPool(context.Background(), masa.Pool{Name: "lot"}))
				f.importDevices(masa.ImportOptions{Pool: "lot"}, f.devices[1])
				ended, err := f.importWith(step, func() { c.do(f) })
				if ended {
					must(t, err)
					if steps < 5 {
						t.Errorf("an import of %d transactions: nothing is looked at again", steps)
					}
					return
				}
				steps++
				if c.reason == "" {
					must(t, err)
					continue
				}
				var refused *masa.RunRefusedError
				if !errors.As(err, &refused) || refused.Count != 1 || refused.Problems[0].Serial != "SN-2" || !strings.Contains(err.Error(), c.reason) {
					t.Fatalf("at transaction %d: %v, want a refusal because of %q", step, err, c.reason)
				}
				infos, err := f.cfg.Runs.Runs()
				runs, also := f.masa.ListRuns(context.Background(), "", 10)
				if must(t, errors.Join(err, also)); len(infos) != 0 || len(runs) != 0 {
					t.Fatalf("left in the store is %v, on record %v", infos, runs)
				}
			}
		})
	}
}

// More changes than are noted make it look at all devices again; when that does
// not end, the run is refused.
func TestARunAmidManyChanges(t *testing.T) {
	for name, always := range map[string]bool{"once": false, "always": true} {
		f := newFactory(t)
		f.issue(t, "lot-1", nil, "SN-1", "SN-2")
		var text strings.Builder
		text.WriteString("serial-number,idevid-issuer\n")
		for i := range masa.MaxWatched + 1 {
			fmt.Fprintf(&text, "MANY-%d,0102030405060708090a0b0c0d0e0f1011121314\n", i)
		}
		f.importList(masa.ImportOptions{}, text.String())
		h := &hooked{DB: f.db}
		f.cfg.DB = h
		f.start()
		n, pools := 0, 0
		h.before = func() {
			n++
			// The last transaction is an Update behind three Views and one Update.
			if n == 5 || always && n > 5 {
				must(t, f.masa.SetPool(context.Background(), masa.Pool{Name: fmt.Sprint("pool-", pools)}))
				f.importList(masa.ImportOptions{Pool: fmt.Sprint("pool-", pools)}, text.String())
				pools++
			}
		}
		_, err := f.importRun("lot-1")
		h.before = nil
		var refused *masa.RunRefusedError
		if always != errors.As(err, &refused) || !always && err != nil || always && !strings.Contains(err.Error(), "again when that is over") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
