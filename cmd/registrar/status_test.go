package main

import (
	"encoding/json"
	"testing"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// The server that runs tells what it counted; what is on record is shown with
// and without one.
func TestStatusShowsRecordsAndCounters(t *testing.T) {
	f := newFactory(t, "Maker")
	h := newHome(t, "--manufacturer", f.file)
	callWith("serial-number\nSN-1\nSN-2\n", "devices", "import", "-", "--config", h.config).want(t, program.Done)
	h.call("devices", "refuse", "SN-2").want(t, program.Done)
	h.call("status").want(t, program.Done, "none runs", "1 listed, 0 approved, 0 waiting, 1 refused, 0 unlisted", "1 expected")
	var s statusJSON
	if err := json.Unmarshal([]byte(h.call("status", "--json").want(t, program.Done).out), &s); err != nil || s.Counted != nil || s.Devices.Listed != 1 || s.Manufacturers != 1 {
		t.Errorf("%+v, %v", s, err)
	}

	p := start(t, "serve", "--config", h.config)
	for range 2 {
		if code, _, _ := ask(t, client(t, impostor(t, "SN-9")), "POST", p.at+"/.well-known/brski/requestvoucher", "application/voucher-cms+json", []byte("x")); code != 403 {
			t.Fatalf("a stranger got %d", code)
		}
	}
	h.call("status").want(t, program.Done, program.Version(), "2 in all", "2 unknown-manufacturer", "0 under way, 256 at most", "1 listed, 0 approved, 0 waiting, 1 refused, 0 unlisted")
	s = statusJSON{}
	if err := json.Unmarshal([]byte(h.call("status", "--json").want(t, program.Done).out), &s); err != nil || s.Counted == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.Version != program.Version() || s.Started.IsZero() || s.Web.Refused[decision.UnknownManufacturer] != 2 || s.Events["refused"] != 2 || s.Devices != (registrar.DeviceCounts{Listed: 1, Refused: 1, Expected: 1}) {
		t.Errorf("%+v", s)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.errs)
	}
}
