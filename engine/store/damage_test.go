package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/vouchmill/vouchmill/engine/store"
)

// flip changes one bit in the value log, where the text stands.
func flip(t *testing.T, dir string, text []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, text); at >= 0 {
			b[at] ^= 0x10
			if err := os.WriteFile(f, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the text is not in the value log")
}

func damagedStore(t *testing.T, position uint64, finish bool) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true})
	r := createRun(t, s, "lot")
	a := appender(t, r)
	appendTo(t, a, r, 10_240, 256)
	if finish {
		if err := a.Finish(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, serialAt(position))
	return dir
}

func TestBitFlipInAPageIsFoundByEveryReader(t *testing.T) {
	const page = 17
	s := open(t, damagedStore(t, page*256+3, true), store.Options{})
	r, err := s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	requireDamage := func(who string, err error) {
		t.Helper()
		var damage *store.DamageError
		if !errors.As(err, &damage) || damage.Part != "page" || damage.Number != page || damage.Run != "lot" {
			t.Errorf("%s: %v, want damage to page %d", who, err, page)
		}
	}
	var errs []error
	c, err := s.Check(context.Background(), func(err error) { errs = append(errs, err) })
	if err != nil || c.Damaged != 1 || len(errs) != 1 || c.Pages != 40 {
		t.Fatalf("check: %+v, %v, %v", c, err, errs)
	}
	requireDamage("check", errs[0])
	_, err = r.Voucher(page*256 + 9)
	requireDamage("reading a voucher", err)
	for _, err := range r.Lookup(serialAt(page*256 + 5)) {
		requireDamage("look-up", err)
	}
	good := 0
	for v, err := range r.Pages(0) {
		if err != nil {
			requireDamage("reading all", err)
			continue
		}
		good += v.Count()
	}
	if good != 39*256 {
		t.Errorf("%d vouchers of the other pages were read, want %d", good, 39*256)
	}
	requireFound(t, r, 5)
}

func TestDamageToADurablePageIsNotTakenForACrash(t *testing.T) {
	s := open(t, damagedStore(t, 17*256+3, false), store.Options{})
	r, err := s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	var damage *store.DamageError
	if _, err := r.Appender(); !errors.As(err, &damage) || damage.Number != 17 {
		t.Errorf("continuing a damaged run: %v, want damage to page 17", err)
	}
	if info, err := r.Info(); err != nil || info.Vouchers != 10_240 {
		t.Errorf("the run was cut to %d vouchers, %v", info.Vouchers, err)
	}
}

func TestCheckStopsWithItsContext(t *testing.T) {
	s := open(t, damagedStore(t, 3, true), store.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Check(ctx, func(error) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("check: %v", err)
	}
}
