package openssl

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Tool is openssl in a folder of its own, which ends with the test. Names of
// files, in calls and in arguments, are names in that folder.
type Tool struct {
	t         testing.TB
	path, dir string
}

// New finds openssl, or skips the test.
func New(t testing.TB) *Tool {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no openssl to check with: %v", err)
	}
	return &Tool{t, path, t.TempDir()}
}

// Write makes a file.
func (o *Tool) Write(name string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// Read returns the content of a file.
func (o *Tool) Read(name string) []byte {
	o.t.Helper()
	content, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return content
}

// Try runs openssl and returns all that it printed, on both streams. The error
// says that it did not end well.
func (o *Tool) Try(args ...string) (string, error) {
	cmd := exec.Command(o.path, args...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Run is [Tool.Try] of what must end well.
func (o *Tool) Run(args ...string) string {
	o.t.Helper()
	out, err := o.Try(args...)
	if err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
