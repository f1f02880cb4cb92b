package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

// An auditor keeps a head and verifies a later answer against it, with nothing
// but files.
func TestTheLogOnlyGrows(t *testing.T) {
	s := newSite(t)
	p := s.serve()
	s.run("devices", "import", s.idevs, "--progress", "none").want(t, program.Done)
	first := s.request(0)
	dir := t.TempDir()
	save := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	ask := func(path string, body []byte) string {
		code, _, text := p.post(path, body)
		if code != 200 {
			t.Fatalf("%s: %d %s", path, code, text)
		}
		return string(text)
	}
	ask(voucherPath, first)
	kept := save("kept", s.run("log", "head").want(t, program.Done).out)
	ask(voucherPath, s.request(1))
	answer := save("answer.json", ask(auditPath, first))
	proof := s.run("log", "consistency", "--from", "1", "--to", "2").want(t, program.Done).out

	verify := func(proof string) ([]byte, error) {
		return exec.Command(built(t, "vouchmill"), "verify-log", "--key", filepath.Join(s.dir, "audit.pub"), "--serial", "SN-0",
			"--older-head", kept, "--consistency", save("proof.json", proof), answer).CombinedOutput()
	}
	if out, err := verify(proof); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := verify(s.run("log", "consistency", "--from", "0").want(t, program.Done).out); err == nil {
		t.Errorf("the proof of other sizes passes\n%s", out)
	}
	s.run("log", "consistency", "--from", "9").want(t, program.Usage, "the log has 2")
	s.run("log", "consistency").want(t, program.Usage, "from")
	p.end(syscall.SIGKILL)
	if again := s.run("log", "consistency", "--from", "1").want(t, program.Done).out; again != proof {
		t.Errorf("without a server the proof is\n%s, with one\n%s", again, proof)
	}
}
