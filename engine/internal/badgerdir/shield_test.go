package badgerdir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWhatAKilledProcessWroteIsSyncedBeforeTheNextOneCountsOnIt(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"000001.vlog", "000002.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newest := filepath.Join(dir, "000003.vlog")
	failed := errors.New("the disk is gone")
	if err := shield(dir, func(string) error { return failed }); !errors.Is(err, failed) {
		t.Fatalf("error %v, want that of the sync", err)
	}
	if _, err := os.Stat(newest); err == nil {
		t.Fatal("another file is the newest although the one before it is not synced")
	}
	var synced []string
	note := func(path string) error {
		synced = append(synced, filepath.Base(path))
		return SyncFile(path)
	}
	for range 2 { // the second time there is nothing to shield
		if err := shield(dir, note); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(newest); err != nil || !slices.Equal(synced, []string{"000002.vlog"}) {
		t.Fatalf("%v, synced %v, want the newest file and a shield", err, synced)
	}
}
