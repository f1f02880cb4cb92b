package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestStoresOfAnotherVersionAndForeignDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	store, list := freshStore(t), file(t, "d.csv", serials(3))
	issueTo(t, store, serials(3), "--run", "lot")
	format := filepath.Join(store, "FORMAT")
	if err := os.WriteFile(format, []byte(strings.Replace(read(t, format), "1", "9", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, store)
	call("runs", "--store", store).want(t, exitIO, store, "format 9", "format 1")
	call(issueArgs(store, list)...).want(t, exitIO, "format 9")
	if after := tree(t, store); after != before {
		t.Error("a store of another version was written to")
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{foreign, file(t, "file", ""), filepath.Join(foreign, "none")} {
		call("runs", "--store", dir).want(t, exitIO, dir)
	}
	call(issueArgs(foreign, list)...).want(t, exitIO, "thesis.tex")
}

func TestAFlippedBitIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, serials(1000), "--run", "lot")
	call("store", "check", "--store", store).want(t, exitDone, "1 runs", "1000 vouchers read; 0 damages")
	flip(t, store, "SN-000123")
	call("store", "check", "--store", store).want(t, exitIO, "run lot", "1 damages")
	if o := call("get", "--store", store, "--serial", "SN-000123").want(t, exitIO, "lot"); o.out != "" {
		t.Errorf("a damaged voucher was handed out: %q", o.out)
	}
	call("verify", "--trust", shared.ca, "--store", store, "--progress", "none").want(t, exitFailed, "lot")
	out := filepath.Join(t.TempDir(), "b.tar")
	call("export", "--store", store, "--out", out, "--progress", "none").want(t, exitIO, "lot")
	if _, err := os.Stat(out); err == nil {
		t.Error("a bundle was made of a damaged run")
	}
}

// flip turns one bit of what a value log holds, at the first place of text.
func flip(t *testing.T, store, text string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(store, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range logs {
		b := []byte(read(t, path))
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			b[i+len(text)-1] ^= 0x10
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in no value log", text)
}

// mount makes a file system of its own, small enough to be filled.
func mount(t *testing.T, size string) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounting a file system takes the superuser of Linux")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func TestAFullDiskStopsTheRunCleanlyAndItGoesOnLater(t *testing.T) {
	t.Parallel()
	disk := mount(t, "800m")
	store, ballast := filepath.Join(disk, "store"), filepath.Join(disk, "ballast")
	list := file(t, "d.csv", serials(5000))
	if err := os.WriteFile(ballast, make([]byte, 600<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	args := issueArgs(store, list, "--run", "lot", "--created-on", "2026-11-01T00:00:00Z")
	call(args...).want(t, exitIO, store, "full", "MiB are free", "same command")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	call(args...).want(t, exitDone, "complete, 5000 vouchers")
}

func TestAReadOnlyStoreIsReadAndNotWritten(t *testing.T) {
	t.Parallel()
	disk := mount(t, "800m")
	store := filepath.Join(disk, "store")
	issueTo(t, store, serials(10), "--run", "lot")
	if out, err := exec.Command("mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil {
		t.Skipf("remount: %v: %s", err, out)
	}
	call("get", "--store", store, "--serial", "SN-000001").want(t, exitDone)
	call("runs", "--store", store).want(t, exitDone, "lot")
	call("verify", "--trust", shared.ca, "--store", store, "--progress", "none").want(t, exitDone, "10 passed")
	call(issueArgs(store, file(t, "d.csv", serials(3)), "--run", "more")...).want(t, exitIO, store, "read-only")
	call("runs", "delete", "lot", "--yes", "--store", store).want(t, exitIO, store, "read-only")
}
