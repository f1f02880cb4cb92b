package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/engine/store"
)

func TestOpenRefusesWhatIsNotItsOwn(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "foreign")
	b, err := badger.Open(badger.DefaultOptions(foreign).WithLogger(nil))
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	vouchers := filepath.Join(t.TempDir(), "store")
	s, err := store.Open(vouchers, store.Options{Create: true})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	newer := t.TempDir()
	write(t, filepath.Join(newer, "FORMAT"), "vouchmill state 2\n")
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	var not *state.NotStateError
	var version *state.VersionError
	for name, c := range map[string]struct {
		dir    string
		create bool
		as     any
	}{
		"a foreign Badger":        {foreign, true, &not},
		"a store of vouchers":     {vouchers, true, &not},
		"a newer format":          {newer, true, &version},
		"a file":                  {file, true, &not},
		"a directory not there":   {filepath.Join(newer, "none"), false, &not},
		"an empty one, no create": {t.TempDir(), false, &not},
	} {
		before := names(t, c.dir)
		db, err := state.Open(c.dir, state.Options{Create: c.create})
		if err == nil {
			db.Close()
		}
		if !errors.As(err, c.as) || !strings.Contains(err.Error(), c.dir) {
			t.Errorf("%s: error %v", name, err)
		}
		if after := names(t, c.dir); after != before {
			t.Errorf("%s: the directory held %s, now %s", name, before, after)
		}
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, dir string) string {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(paths, " ")
}

func TestOneProcessHoldsADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openBadger(t, dir, state.Options{Create: true})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	for _, readOnly := range []bool{false, true} {
		var locked *state.LockedError
		if _, err := state.Open(dir, state.Options{ReadOnly: readOnly}); !errors.As(err, &locked) || locked.PID != os.Getpid() {
			t.Errorf("a second holder: %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	openBadger(t, dir, state.Options{})
}

func TestOpenedForReading(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openBadger(t, dir, state.Options{Create: true})
	set(t, db, "a", "1", "b", "2")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	db = openBadger(t, dir, state.Options{ReadOnly: true})
	requireListing(t, db, "", nil, "a=1 b=2")
	if err := db.Update(background, func(state.Tx) error { return nil }); !errors.Is(err, state.ErrReadOnly) {
		t.Errorf("error %v, want ErrReadOnly", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if after := names(t, dir); after != before {
		t.Errorf("the directory held %s, now %s", before, after)
	}
	if os.Getuid() == 0 {
		t.Skip("root may write to everything")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	var permission *state.PermissionError
	if _, err := state.Open(dir, state.Options{}); !errors.As(err, &permission) {
		t.Errorf("error %v", err)
	}
}

func TestOpenNeedsSpaceToOpenWith(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	_, err := state.Open(dir, state.Options{Create: true, Free: func(string) (uint64, error) { return 1 << 20, nil }})
	if !errors.Is(err, state.ErrFull) {
		t.Errorf("error %v, want that the disk is full", err)
	}
	broken := errors.New("no such file system")
	if _, err := state.Open(dir, state.Options{Create: true, Free: func(string) (uint64, error) { return 0, broken }}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// valueLog is what the large values take, of a directory that is closed.
func valueLog(t testing.TB, dir string) (octets int64) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.vlog"))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		octets += info.Size()
	}
	return octets
}

func TestSpaceOfReplacedLargeValuesIsGivenBack(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 300 MiB")
	}
	dir := filepath.Join(t.TempDir(), "db")
	db := openBadger(t, dir, state.Options{Create: true})
	value := bytes.Repeat([]byte("large"), state.MaxValue/5)
	large := func(i int) {
		t.Helper()
		if err := db.Update(background, func(tx state.Tx) error {
			value[0] = byte(i)
			// Small values too, or no table is ever compacted, which is how Badger
			// learns what is unused.
			for j := range 4 {
				if err := tx.Set(fmt.Appendf(nil, "small %d", j), make([]byte, 250<<10)); err != nil {
					return err
				}
			}
			return tx.Set([]byte("key"), value)
		}); err != nil {
			t.Fatal(err)
		}
	}
	set(t, db, "first", string(value[:state.MaxInline]))
	const rounds = 75
	for i := range rounds {
		large(i)
	}
	closeDB := func() {
		t.Helper()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	closeDB()
	written := valueLog(t, dir)
	if written < rounds*state.MaxValue {
		t.Fatalf("the value log has %d octets, less than was written", written)
	}
	db = openBadger(t, dir, state.Options{})
	closeDB()
	if left := valueLog(t, dir); left > written/2 {
		t.Errorf("the value log has %d octets, had %d before", left, written)
	}
	db = openBadger(t, dir, state.Options{})
	if err := db.View(background, func(r state.Reader) error {
		v, err := r.Get([]byte("key"))
		if err == nil && !bytes.Equal(v, value) {
			t.Error("the value that was left is another")
		}
		f, ferr := r.Get([]byte("first"))
		if ferr == nil && !bytes.Equal(f[1:], value[1:state.MaxInline]) {
			t.Error("the value that was moved is another")
		}
		return errors.Join(err, ferr)
	}); err != nil {
		t.Error(err)
	}
}

func TestDamageIsToldAndNeverReadAsAMissingKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openBadger(t, dir, state.Options{Create: true})
	large := strings.Repeat("large value ", state.MaxInline/10)
	set(t, db, "a small one", "a value to be found in a table", "large", large)
	for i := range 20 { // of several blocks: the last is read when a table is opened
		set(t, db, fmt.Sprint("other ", i), strings.Repeat("x", 1000))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip := func(pattern string, text string) {
		t.Helper()
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if at := bytes.LastIndex(b, []byte(text)); at >= 0 {
				b[at] ^= 1
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				if err == nil {
					_, err = f.WriteAt(b[at:at+1], int64(at))
					err = errors.Join(err, f.Close())
				}
				if err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("%q is in no %s", text, pattern)
	}
	flip("*.vlog", "large value")
	db = openBadger(t, dir, state.Options{})
	get := func(key string) error {
		return db.View(background, func(r state.Reader) error { _, err := r.Get([]byte(key)); return err })
	}
	var damage *state.DamageError
	if err := get("large"); !errors.As(err, &damage) || !strings.Contains(err.Error(), `"large"`) {
		t.Errorf("error %v, want that it is damaged", err)
	}
	if err := db.View(background, func(r state.Reader) error { _, err := listing(r, "", nil); return err }); !errors.As(err, &damage) {
		t.Errorf("a scan over it: error %v, want that it is damaged", err)
	}
	// A table that changes under a process that has it open.
	flip("*.sst", "to be found")
	if err := get("a small one"); !errors.As(err, &damage) || !strings.Contains(err.Error(), `"a small one"`) {
		t.Errorf("error %v, want that it is damaged", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err := state.Open(dir, state.Options{}); err == nil {
		db.Close()
		t.Error("a DB with a damaged table was opened")
	}
}

func TestErrorsNameTheRemedy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want []string
	}{
		{&state.LockedError{Dir: "/d", PID: 7}, []string{"/d", "process 7", "stop it"}},
		{&state.LockedError{Dir: "/d"}, []string{"another process"}},
		{&state.FullError{Dir: "/d", Free: 5 << 20, Need: 6<<20 + 1}, []string{"/d", "5 MiB", "7 MiB", "free some space"}},
		{&state.FailedError{Err: os.ErrInvalid}, []string{"not known", "invalid argument", "restart"}},
		{&state.LimitError{What: "key", Size: 0, Max: 9}, []string{"0 octets", "1 to 9"}},
		{&state.LimitError{What: "value", Size: 10, Max: 9}, []string{"10 octets", "at most 9"}},
		{&state.LimitError{What: "entries", Size: 10, Max: 9}, []string{"10 entries", "split"}},
		{&state.PanicError{Value: "boom"}, []string{"boom", "nothing"}},
		{&state.VersionError{Dir: "/d", Found: "9"}, []string{"/d", "9", "program that wrote it"}},
		{&state.PermissionError{Dir: "/d", Err: os.ErrPermission}, []string{"/d", "make it writable"}},
		{&state.PermissionError{Dir: "/d", Err: os.ErrPermission, Unclean: true}, []string{"not closed cleanly", "writable copy"}},
		{&state.DamageError{Dir: "/d", Key: []byte("k"), Err: os.ErrInvalid}, []string{"/d", `"k"`, "from a copy"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.err.Error(), want) {
				t.Errorf("%q lacks %q", c.err, want)
			}
		}
	}
}
