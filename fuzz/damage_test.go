package fuzz

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/vouchmill/vouchmill/engine/store"
)

// FuzzDamage changes octets in the value log of a store, where pages, variants
// and the chunks of the index are, and holds that nothing is ever read that was
// not written: it is right, or it is an error. Five octets of damage are one
// change: where, and what is flipped there.
func FuzzDamage(f *testing.F) {
	origin := filepath.Join(f.TempDir(), "store")
	content := damageable(f, origin)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 200, 1})
	f.Add([]byte{0, 0, 1, 0, 0xff, 0, 0, 60, 0, 0x10})
	f.Fuzz(func(t *testing.T, damage []byte) {
		if len(damage) > 50 {
			return
		}
		dir := filepath.Join(t.TempDir(), "store")
		copyStore(t, origin, dir)
		changed := alter(t, dir, content, damage)
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			if !changed {
				t.Fatalf("an undamaged store does not open: %v", err)
			}
			return // a file of the value log has a head, without which nothing is read
		}
		defer func() { must(t, s.Close()) }()
		readsOrFails(t, s, changed)
	})
}

const damageVouchers = 600

// damageable makes a store of one complete run, and returns how many octets its
// value log has.
func damageable(f *testing.F, dir string) int64 {
	f.Helper()
	s, err := store.Open(dir, store.Options{Create: true})
	must(f, err)
	r, err := s.CreateRun(store.RunSpec{Name: "run", Created: created, IndexKey: [16]byte{1}})
	must(f, err)
	a, err := r.Appender()
	must(f, err)
	run := &modelRun{name: "run"}
	for total := uint64(0); total < damageVouchers; _, total = a.Appended() {
		must(f, a.Append(modelPage(f, run, r, a, damageVouchers/3)))
	}
	must(f, a.Finish([]byte("final")))
	must(f, s.Close())
	var size int64
	for _, path := range valueLogs(f, dir) {
		info, err := os.Stat(path)
		must(f, err)
		size += info.Size()
	}
	return size
}

func valueLogs(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	must(t, err)
	return paths
}

// alter makes the changes and reports whether there are any.
func alter(t *testing.T, dir string, size int64, damage []byte) bool {
	t.Helper()
	changed := false
	for ; len(damage) >= 5 && damage[4] != 0; damage = damage[5:] {
		at := int64(binary.BigEndian.Uint32(damage)) % size
		for _, path := range valueLogs(t, dir) {
			info, err := os.Stat(path)
			must(t, err)
			if at >= info.Size() {
				at -= info.Size()
				continue
			}
			must(t, flipAt(path, at, damage[4]))
			changed = true
			break
		}
	}
	return changed
}

func flipAt(path string, at int64, mask byte) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var octet [1]byte
	if _, err = file.ReadAt(octet[:], at); err == nil || err == io.EOF {
		octet[0] ^= mask
		_, err = file.WriteAt(octet[:], at)
	}
	return errors.Join(err, file.Close())
}

// readsOrFails reads everything in every way.
func readsOrFails(t *testing.T, s *store.Store, changed bool) {
	t.Helper()
	fine := func(what string, err error) bool {
		if err != nil && !changed {
			t.Fatalf("%s of an undamaged store: %v", what, err)
		}
		return err == nil
	}
	r, err := s.Run("run")
	if !fine("the run", err) {
		return
	}
	for v, err := range r.Pages(0) {
		if !fine("a page", err) {
			continue
		}
		for i := range v.Count() {
			if leaf := leafOf(v.First() + uint64(i)); string(v.Signature(i)[:32]) != string(leaf[:]) {
				t.Fatalf("voucher %d was read with another signature", v.First()+uint64(i))
			}
		}
	}
	for at := uint64(0); at < damageVouchers; at += 97 {
		hit, err := r.Voucher(at)
		if !fine("a voucher", err) {
			continue
		}
		if leaf := leafOf(at); hit.Position != at || string(hit.Signature[:32]) != string(leaf[:]) {
			t.Fatalf("voucher %d was read as %d", at, hit.Position)
		}
		for found, err := range r.Lookup(hit.Serial) {
			if fine("look-up", err) && string(found.Serial) != string(hit.Serial) {
				t.Fatalf("look-up of %s found %s", hit.Serial, found.Serial)
			}
		}
	}
	_, err = s.Check(t.Context(), func(err error) { fine("check", err) })
	must(t, err)
}
