package fuzz

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
)

const kitFolder = "../testdata"

// maxSeed keeps large vectors out of the corpus: a mutated megabyte teaches nothing.
const maxSeed = 64 << 10

// seeds adds every file of the kit's folders to a target's corpus.
func seeds(f *testing.F, folders ...string) {
	f.Helper()
	for _, folder := range folders {
		addFolder(f, filepath.Join(kitFolder, folder), "")
	}
}

// vectorSeeds adds those published vectors whose names end in one of the
// suffixes. They only widen the corpus, so their absence is no failure.
func vectorSeeds(f *testing.F, suffixes ...string) {
	f.Helper()
	root := vectorFolder()
	if root == "" {
		return
	}
	for _, suffix := range suffixes {
		addFolder(f, root, suffix)
	}
}

// vectorFolder finds the public vectors, "" where there are none.
func vectorFolder() string {
	if dir := os.Getenv("VOUCHMILL_VECTORS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		at := filepath.Join(dir, "shared", "vectors")
		if _, err := os.Stat(at); err == nil {
			return at
		}
	}
	return ""
}

// addFolder adds the files of a folder whose names end in suffix. A folder that is
// not there adds nothing: a target may run far from the sources, as it does in
// OSS-Fuzz, and that the kit is whole is a test of its own.
func addFolder(f *testing.F, root, suffix string) {
	f.Helper()
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && len(b) <= maxSeed {
			f.Add(b)
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// isA reports whether err is, or wraps, an error of type E.
func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// must fails the test when something that was accepted before is now refused.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same fails the test unless both are deeply equal.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s differs:\n got %+v\nwant %+v", what, got, want)
	}
}

// allocated returns the octets that work allocates, as the runtime counts them:
// small objects late, large ones at once.
func allocated(work func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	work()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

// frugal runs work and fails the test when it allocates more than a small
// multiple of its n octets of input.
func frugal(t testing.TB, n int, work func()) {
	t.Helper()
	const base, factor = 8 << 20, 256 // base: what the rest of the process does meanwhile
	if got := allocated(work); got > base+factor*uint64(n) {
		t.Fatalf("%d octets of input made it allocate %d", n, got)
	}
}

// pemOf writes certificates as a PEM text.
func pemOf(certs [][]byte) []byte {
	var text []byte
	for _, der := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}
