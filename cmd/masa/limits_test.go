package main

import (
	"bytes"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

// set replaces a line of the configuration.
func (s *site) set(old, line string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	must(s.t, err)
	if !bytes.Contains(text, []byte("\n"+old+"\n")) {
		s.t.Fatalf("%s does not say %q", s.config, old)
	}
	must(s.t, os.WriteFile(s.config, bytes.Replace(text, []byte("\n"+old+"\n"), []byte("\n"+line+"\n"), 1), 0o600))
}

// One client has a burst and then a rate, which its configuration may raise or
// switch off.
func TestClientsAreHeldToARate(t *testing.T) {
	s := newSite(t)
	s.set("client-rate: 50", "client-rate: 1")
	s.set("client-burst: 1000", "client-burst: 3")
	// passed is how many requests pass before one does not, at most n.
	passed := func(p *process, n int) int {
		for i := range n {
			code, h, _ := p.post(voucherPath, []byte("no request"))
			switch {
			case code == http.StatusTooManyRequests && h.Get("Retry-After") != "":
				return i
			case code != http.StatusBadRequest:
				t.Errorf("answered %d", code)
			}
		}
		return n
	}
	p := s.serve()
	if n := passed(p, 10_000); n < 3 || n == 10_000 {
		t.Errorf("%d requests passed, with a burst of 3 and one a second", n)
	}
	s.run("status").want(t, program.Done, "rate-limited")
	p.end(syscall.SIGTERM)
	s.set("client-rate: 1", "client-rate: 0")
	p = s.serve()
	if n := passed(p, 50); n != 50 {
		t.Errorf("%d requests passed without a limit", n)
	}
}
