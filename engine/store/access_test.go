package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/store"
)

func TestSecondWriterIsToldWhoHoldsTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true})
	r := createRun(t, s, "lot-9")
	appender(t, r)
	for _, opt := range []store.Options{{}, {ReadOnly: true}, {Create: true}} {
		_, err := store.Open(dir, opt)
		var locked *store.LockedError
		if !errors.As(err, &locked) {
			t.Fatalf("a second holder: %v", err)
		}
		if locked.PID != os.Getpid() || locked.Run != "lot-9" {
			t.Errorf("the holder is told as process %d, run %q", locked.PID, locked.Run)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{}) // the lock went with the holder
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNoteOfADeadHolderStopsNobody(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir, store.Options{Create: true}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "HOLDER"), []byte("1\nstale\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, store.Options{})
}

func TestForeignDirectoriesAreRefused(t *testing.T) {
	full, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	for _, f := range []string{filepath.Join(full, "thesis.txt"), file} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		dir string
		opt store.Options
	}{
		"missing":              {filepath.Join(full, "none"), store.Options{}},
		"missing, for reading": {filepath.Join(full, "none"), store.Options{Create: true, ReadOnly: true}},
		"empty":                {t.TempDir(), store.Options{}},
		"full of other things": {full, store.Options{Create: true}},
		"a file":               {file, store.Options{Create: true}},
	}
	for name, c := range cases {
		var foreign *store.NotStoreError
		if _, err := store.Open(c.dir, c.opt); !errors.As(err, &foreign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if entries, _ := os.ReadDir(full); len(entries) != 1 {
		t.Error("a refused directory was written to")
	}
}

func TestStoreOfAnotherVersionIsRefusedUntouched(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir, store.Options{Create: true}).Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "FORMAT")
	if err := os.WriteFile(path, []byte("vouchmill store 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var version *store.VersionError
	if _, err := store.Open(dir, store.Options{Create: true}); !errors.As(err, &version) || version.Found != "2" {
		t.Errorf("a store of version 2: %v", err)
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	var foreign *store.NotStoreError
	if _, err := store.Open(dir, store.Options{}); !errors.As(err, &foreign) {
		t.Errorf("a foreign FORMAT file: %v", err)
	}
}

func TestReadOnlyStoreRefusesWrites(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Create: true})
	createRun(t, s, "lot")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{ReadOnly: true})
	r, err := s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	_, appendErr := r.Appender()
	_, createErr := s.CreateRun(store.RunSpec{Name: "x", Created: epoch})
	for name, err := range map[string]error{
		"append": appendErr, "create": createErr, "delete": s.DeleteRun("lot"), "variant": r.PutVariant(1, nil),
	} {
		if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", name, err)
		}
	}
}

func TestErrorsNameCauseAndRemedy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want []string
	}{
		{&store.LockedError{Dir: "/d", PID: 7, Run: "r"}, []string{"/d", "process 7", "run r", "wait"}},
		{&store.LockedError{Dir: "/d"}, []string{"another process"}},
		{&store.DiskFullError{Dir: "/d", Free: 3 << 20, Need: 9 << 20}, []string{"/d", "3 MiB", "9 MiB", "free some space"}},
		{&store.DamageError{Run: "r", Part: "page", Number: 4, Err: errors.New("cause")}, []string{"run r", "page 4", "cause", "restore"}},
		{&store.VersionError{Where: "/d", Found: "9"}, []string{"/d", "9", "1"}},
		{&store.PermissionError{Dir: "/d", Err: os.ErrPermission}, []string{"/d", "permission denied", "make it writable"}},
		{&store.PermissionError{Dir: "/d", Err: os.ErrPermission, Unclean: true}, []string{"/d", "not closed cleanly", "permission denied", "writable copy"}},
	} {
		for _, w := range c.want {
			if !strings.Contains(c.err.Error(), w) {
				t.Errorf("%q does not say %q", c.err, w)
			}
		}
	}
}
