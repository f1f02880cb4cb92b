package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestKeygenWritesFourFilesAndKeepsKeysPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "keys")
	call("keygen", "--out", dir, "--alg", "ES384", "--cn", "Some MASA").want(t, exitDone, "wrote ca.pem, ca.key, masa.pem and masa.key")
	for name, mode := range map[string]fs.FileMode{"ca.key": 0o600, "masa.key": 0o600, "ca.pem": 0o644, "masa.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), mode)
		}
	}
	if n := strings.Count(read(t, filepath.Join(dir, "masa.pem")), "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("masa.pem has %d certificates, want the signer's and its chain", n)
	}
}

func TestKeygenNeverOverwritesNorLeavesHalfASet(t *testing.T) {
	t.Parallel()
	for _, there := range []string{"ca.key", "masa.key", "ca.pem", "masa.pem"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, there), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		call("keygen", "--out", dir).want(t, exitUsage, there, "never overwritten", "--out")
		if text := read(t, filepath.Join(dir, there)); text != "precious" {
			t.Errorf("%s was overwritten", there)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("%s stood in the way and %d files are left, want that one only", there, len(left))
		}
	}
}

func TestKeygenRefusesWhatItCannotMake(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	for name, c := range map[string]struct {
		args []string
		say  string
	}{
		"algorithm":        {[]string{"--alg", "RS1024"}, "RS1024"},
		"no days":          {[]string{"--days", "0"}, "want 1 to 36500"},
		"too many days":    {[]string{"--days", "40000"}, "want 1 to 36500"},
		"words for days":   {[]string{"--days", "many"}, "many"},
		"no passphrase":    {[]string{"--encrypt"}, passEnv},
		"empty passphrase": {[]string{"--encrypt", "--key-pass-file", file(t, "pass", "\n")}, "empty"},
		"arguments":        {[]string{"extra"}, "extra"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call(append([]string{"keygen", "--out", dir}, c.args...)...).want(t, exitUsage, c.say)
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was written")
			}
		})
	}
	call("keygen").want(t, exitUsage, "out")
	call("keygen", "--out", filepath.Join(file(t, "f", ""), "below-a-file")).want(t, exitIO, "not a directory")
}

func TestEncryptedKeysOpenWithFileOrEnvironment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	pass := file(t, "pass", "correct horse\r\nnot this line\n")
	call("keygen", "--out", dir, "--encrypt", "--key-pass-file", pass).want(t, exitDone)
	key, cert := filepath.Join(dir, "masa.key"), filepath.Join(dir, "masa.pem")
	for _, k := range []string{key, filepath.Join(dir, "ca.key")} {
		if text := read(t, k); !strings.Contains(text, "BEGIN ENCRYPTED PRIVATE KEY") {
			t.Errorf("%s is not encrypted", k)
		}
	}
	store, list := freshStore(t), file(t, "d.csv", serials(3))
	args := func(more ...string) []string {
		return issueArgs(store, list, append([]string{"--key", key, "--cert", cert, "--run", "lot"}, more...)...)
	}
	call(args()...).want(t, exitUsage, "encrypted", "--key-pass-file", passEnv)
	call(args("--key-pass-file", file(t, "wrong", "battery staple\n"))...).want(t, exitUsage, key, "passphrase")
	call(args("--key-pass-file", pass)...).want(t, exitDone, "3 vouchers")

	t.Setenv(passEnv, "battery staple")
	call(args()...).want(t, exitUsage, key, "passphrase")
	call(args("--key-pass-file", pass)...).want(t, exitDone, "already complete") // the file goes before the environment
	t.Setenv(passEnv, "correct horse")
	call(args()...).want(t, exitDone, "already complete")
}

func TestKeysOthersCanReadAreWarnedOf(t *testing.T) {
	lax := file(t, "lax.key", read(t, shared.key))
	if err := os.Chmod(lax, 0o644); err != nil {
		t.Fatal(err)
	}
	list := file(t, "d.csv", serials(1))
	call(issueArgs(freshStore(t), list, "--key", lax)...).want(t, exitDone, "warning: ", lax, "0644", "chmod 600")
	if o := call(issueArgs(freshStore(t), list)...).want(t, exitDone); strings.Contains(o.errs, "chmod") {
		t.Errorf("a warning of a private key: %s", o.errs)
	}
}

func TestKeyAndCertificateMustBelongTogether(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	call(issueArgs(store, file(t, "d.csv", serials(1)), "--key", shared.otherKey)...).want(t, exitUsage, shared.otherKey, shared.cert, `CN=masa`)
	if _, err := os.Stat(store); err == nil {
		t.Error("the store was made for a key that cannot sign")
	}
}

func TestUnusableKeysAndCertificatesAreNamed(t *testing.T) {
	t.Parallel()
	list := file(t, "d.csv", serials(1))
	for name, c := range map[string]struct {
		flag, path string
		code       int
	}{
		"no such key":         {"--key", filepath.Join(t.TempDir(), "none.key"), exitIO},
		"key of nothing":      {"--key", file(t, "empty.key", ""), exitUsage},
		"key of garbage":      {"--key", file(t, "garbage.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), exitUsage},
		"certificate as key":  {"--key", shared.cert, exitUsage},
		"key as certificate":  {"--cert", shared.key, exitUsage},
		"no such certificate": {"--cert", filepath.Join(t.TempDir(), "none.pem"), exitIO},
		"cut certificate":     {"--cert", file(t, "cut.pem", read(t, shared.cert)[:400]), exitUsage},
		"no such pin":         {"--pin", filepath.Join(t.TempDir(), "none.pem"), exitIO},
		"pin of garbage":      {"--pin", file(t, "garbage.pem", "garbage"), exitUsage},
		"oversized":           {"--cert", file(t, "big.pem", strings.Repeat("x", 64<<20)), exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := issueArgs(freshStore(t), list)
			if c.flag == "--pin" { // pins add up
				args[slices.Index(args, "--pin")+1] = c.path
			} else {
				args = append(args, c.flag, c.path)
			}
			call(args...).want(t, c.code, c.flag, c.path)
		})
	}
}
