package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Files all tests share: made once, never written to.
var shared struct {
	dir                string
	key, cert, ca, pin string // of the voucher signer, its trust anchor, and the domain
	shortPin           string // a domain certificate that is valid for 30 days only
	otherKey           string // belongs to no certificate here
}

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vouchmill-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared.dir = dir
	for name, days := range map[string]string{"masa": "3650", "domain": "3000", "short": "30", "other": "3650"} {
		var errs bytes.Buffer
		if code := execute([]string{"keygen", "--out", filepath.Join(dir, name), "--days", days, "--cn", name}, strings.NewReader(""), io.Discard, &errs); code != exitDone {
			fmt.Fprintf(os.Stderr, "keygen: exit code %d: %s", code, &errs)
			return 1
		}
	}
	shared.key, shared.cert, shared.ca = filepath.Join(dir, "masa/masa.key"), filepath.Join(dir, "masa/masa.pem"), filepath.Join(dir, "masa/ca.pem")
	shared.pin, shared.shortPin, shared.otherKey = filepath.Join(dir, "domain/ca.pem"), filepath.Join(dir, "short/ca.pem"), filepath.Join(dir, "other/masa.key")
	return m.Run()
}

// built builds the program for the tests that need a process of their own.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(shared.dir, "vouchmill")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// An outcome is what one call of the program did.
type outcome struct {
	code      int
	out, errs string
}

// call runs the program in this process.
func call(args ...string) outcome { return callWith("", args...) }

func callWith(stdin string, args ...string) outcome {
	var out, errs bytes.Buffer
	code := execute(args, strings.NewReader(stdin), &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

// want fails the test unless the call ended with code and what it said has all
// the texts.
func (o outcome) want(t *testing.T, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %.2000s\nstderr: %.2000s", o.code, code, o.out, o.errs)
	}
	for _, text := range texts {
		if !strings.Contains(o.out, text) && !strings.Contains(o.errs, text) {
			t.Errorf("%q is said nowhere\nstdout: %.2000s\nstderr: %.2000s", text, o.out, o.errs)
		}
	}
	return o
}

// members decodes a JSON object and checks that it has exactly these members,
// which is what --json promises.
func members(t *testing.T, text string, names ...string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in %.500q", err, text)
	}
	var got []string
	for name := range m {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("members %v, want %v", got, names)
	}
	return m
}

// file writes a file of the test's own and returns its path.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freshStore names a store that is not there yet.
func freshStore(t testing.TB) string { return filepath.Join(t.TempDir(), "store") }

// serials is a device list of n rows in no particular order.
func serials(n int) string {
	var b strings.Builder
	b.WriteString("serial-number\n")
	for i := range n {
		fmt.Fprintf(&b, "SN-%06d\n", i*7919%n)
	}
	return b.String()
}

// issueArgs is an issue command with all that is required; what follows later
// wins.
func issueArgs(store, devices string, more ...string) []string {
	return append([]string{"issue", "--store", store, "--devices", devices, "--key", shared.key, "--cert", shared.cert,
		"--pin", shared.pin, "--expires-on", "365d", "--progress", "none"}, more...)
}

// issueTo issues a list into a store.
func issueTo(t *testing.T, store, list string, more ...string) outcome {
	t.Helper()
	return call(issueArgs(store, file(t, "devices.csv", list), more...)...).want(t, exitDone)
}

// read returns a file's content.
func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tree says what a directory holds: every file but the note of who holds the
// store, with its content's digest.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "HOLDER" {
			return err
		}
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256([]byte(read(t, path))))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
