package store_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vouchmill/vouchmill/engine/store"
)

// fill appends until the store says that the disk is full and returns what was
// durable then.
func fill(t *testing.T, s *store.Store, r *store.Run) (durable uint64) {
	t.Helper()
	a := appender(t, r)
	m := &maker{run: r}
	var err error
	for _, at := a.Appended(); err == nil; _, at = a.Appended() {
		if at > 5_000_000 {
			t.Fatal("the disk does not fill up")
		}
		err = a.Append(m.next(t, at, 256))
	}
	var full *store.DiskFullError
	if !errors.As(err, &full) {
		t.Fatalf("appending to a full disk: %v", err)
	}
	if err := a.Close(); !errors.As(err, &full) {
		t.Errorf("closing after the disk was full: %v", err)
	}
	committed, _ := a.Committed()
	kept, durable := a.Durable()
	if kept != committed {
		t.Errorf("%d pages were committed, %d of them made durable", committed, kept)
	}
	return durable
}

func TestFullDiskStopsTheRunAndItGoesOnLater(t *testing.T) {
	dir := t.TempDir()
	var free atomic.Int64
	free.Store(300 << 20)
	if testing.Short() {
		free.Store(90 << 20)
	}
	opt := store.Options{
		Create: true, CommitBytes: 256 << 10, Reserve: 1 << 20,
		FreeSpace: func(string) (uint64, error) { return uint64(max(0, free.Add(-1<<20))), nil },
	}
	s := open(t, dir, opt)
	r := createRun(t, s, "lot")
	durable := fill(t, s, r)
	if durable == 0 {
		t.Fatal("nothing was durable")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	free.Store(0)
	var full *store.DiskFullError
	if _, err := store.Open(dir, opt); !errors.As(err, &full) {
		t.Errorf("opening for writing on a full disk: %v", err)
	}
	s = open(t, dir, store.Options{ReadOnly: true, FreeSpace: opt.FreeSpace}) // reading needs no room
	if r, err := s.Run("lot"); err != nil {
		t.Error(err)
	} else {
		requireRun(t, r, durable)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir, store.Options{})
	r, err := s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	total := requireRun(t, r, durable)
	a := appender(t, r)
	appendTo(t, a, r, total+1000, 256)
	if err := a.Finish(nil); err != nil {
		t.Fatal(err)
	}
	requireRun(t, r, total+1000)
	requireSound(t, s)
}

// mountTmpfs mounts a small file system and returns its directory.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size+",mode=0777", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system of its own needs the right to mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func TestSmallFileSystemFillsUpWithoutASignal(t *testing.T) {
	dir := filepath.Join(mountTmpfs(t, "48m"), "store")
	opt := store.Options{Create: true, Reserve: 8 << 20}
	s := open(t, dir, opt)
	r := createRun(t, s, "lot")
	durable := fill(t, s, r)
	if durable < 50_000 {
		t.Errorf("only %d vouchers were durable when 48 MiB were called full", durable)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, opt)
	r, err := s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	requireRun(t, r, durable)
	requireSound(t, s)
	if err := s.DeleteRun("lot"); err != nil { // the remedy works on the full disk
		t.Fatal(err)
	}
	r = createRun(t, s, "next")
	a := appender(t, r)
	appendTo(t, a, r, 50_000, 256)
	if err := a.Finish(nil); err != nil {
		t.Fatal(err)
	}
	requireRun(t, r, 50_000)
}

func TestReadOnlyFileSystemIsReadAndNotWritten(t *testing.T) {
	mount := mountTmpfs(t, "64m")
	dir := filepath.Join(mount, "store")
	s := open(t, dir, store.Options{Create: true, Reserve: 8 << 20})
	r := createRun(t, s, "lot")
	a := appender(t, r)
	appendTo(t, a, r, 3000, 256)
	if err := a.Finish(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", mount).CombinedOutput(); err != nil {
		t.Skipf("remount: %v: %s", err, out)
	}
	var permission *store.PermissionError
	if _, err := store.Open(dir, store.Options{}); !errors.As(err, &permission) || permission.Unclean {
		t.Errorf("opening a read-only store for writing: %v", err)
	}
	if _, err := store.Open(filepath.Join(mount, "new"), store.Options{Create: true}); !errors.As(err, &permission) {
		t.Errorf("making a store on a read-only file system: %v", err)
	}
	s = open(t, dir, store.Options{ReadOnly: true})
	if r, err := s.Run("lot"); err != nil {
		t.Error(err)
	} else {
		requireRun(t, r, 3000)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A store that needs recovery cannot be read without writing.
	if out, err := exec.Command("mount", "-o", "remount,rw", mount).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "LOCK"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", mount).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
	_, err := store.Open(dir, store.Options{ReadOnly: true})
	if !errors.As(err, &permission) || !permission.Unclean || !strings.Contains(err.Error(), "not closed cleanly") {
		t.Errorf("recovering on a read-only file system: %v", err)
	}
}

func TestUnwritableDirectoryIsAClearError(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("permissions do not bind the superuser; the read-only file system is tested beside")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	var permission *store.PermissionError
	if _, err := store.Open(dir, store.Options{Create: true}); !errors.As(err, &permission) {
		t.Errorf("a directory without the right to write: %v", err)
	}
}
