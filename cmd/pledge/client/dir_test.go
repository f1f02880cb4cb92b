package client_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vouchmill/vouchmill/cmd/pledge/client"
)

func TestAFolderKeepsFilesForTheirOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	dir := must[*client.Dir](t)(client.OpenDir(path))
	if _, err := dir.Get("state.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, content := range []string{"one", "", "two"} {
		if err := dir.Put("state.json", []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got := must[[]byte](t)(dir.Get("state.json")); string(got) != content {
			t.Errorf("%q, want %q", got, content)
		}
	}
	if runtime.GOOS != "windows" {
		if got := must[os.FileInfo](t)(os.Stat(path)).Mode().Perm(); got != 0o700 {
			t.Errorf("the folder has mode %v", got)
		}
		if got := must[os.FileInfo](t)(os.Stat(filepath.Join(path, "state.json"))).Mode().Perm(); got != 0o600 {
			t.Errorf("the file has mode %v", got)
		}
	}
	for range 2 {
		if err := dir.Delete("state.json"); err != nil {
			t.Error(err)
		}
	}
	if _, err := dir.Get("state.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted: %v", err)
	}
	for _, name := range []string{"", "..", "../x", "a/b", `a\b`, ".lock", "c:x"} {
		if dir.Put(name, nil) == nil || dir.Delete(name) == nil {
			t.Errorf("%q is taken for the name of a file", name)
		}
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFolderIsOneProcesss(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no locks there")
	}
	path := t.TempDir()
	first := must[*client.Dir](t)(client.OpenDir(path))
	if second, err := client.OpenDir(path); err == nil {
		t.Errorf("opened twice: %v", second)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := must[*client.Dir](t)(client.OpenDir(path))
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// What a killed process had not finished is gone, what it had is there.
func TestUnfinishedFilesGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device [1")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"state.json": "old", ".state.json.tmp": "ne", ".ldevid.key.next.tmp": ""} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := must[*client.Dir](t)(client.OpenDir(path))
	defer dir.Close()
	if got := must[[]byte](t)(dir.Get("state.json")); string(got) != "old" {
		t.Errorf("%q", got)
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(path)); len(left) != 2 { // the lock is the other
		t.Errorf("left: %v", left)
	}
}

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	path := t.TempDir()
	dir := must[*client.Dir](t)(client.OpenDir(path))
	defer dir.Close()
	if err := os.Mkdir(filepath.Join(path, "state.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Get("state.json"); err == nil {
		t.Error("a folder was read")
	}
	if err := os.WriteFile(filepath.Join(path, "huge"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Get("huge"); err == nil {
		t.Error("a huge file was read")
	}
}
