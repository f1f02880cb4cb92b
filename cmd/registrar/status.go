package main

import (
	"fmt"
	"maps"
	"net/http"
	"sync"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/status"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// A tally counts events by their names, of which the registrar has a few.
type tally struct {
	mu sync.Mutex
	of map[string]uint64 // guarded by mu
}

// counting counts what it passes on.
func (t *tally) counting(observe func(registrar.Event)) func(registrar.Event) {
	return func(e registrar.Event) {
		t.mu.Lock()
		if t.of == nil {
			t.of = map[string]uint64{}
		}
		t.of[e.Name]++
		t.mu.Unlock()
		observe(e)
	}
}

func (t *tally) counts() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.of)
}

// Counted is what a server counted since it started. It is exported for
// encoding/json, which fills in no embedded pointer to another type.
type Counted struct {
	status.Server
	Events map[string]uint64 `json:"events"`
}

func (sv *server) counted() *Counted {
	return &Counted{status.Of(sv.started, sv.web.Stats(), sv.role.signing.Stats(), sv.role.verifying.Stats()), sv.events.counts()}
}

// statusJSON is what registrar status shows.
type statusJSON struct {
	*Counted // nil, and left out, without a server
	registrar.Status
}

func (a api) status(r *http.Request) (any, error) {
	st, err := a.s.Status(r.Context())
	if err != nil {
		return nil, refused(err)
	}
	shown := statusJSON{Status: *st}
	if a.counted != nil {
		shown.Counted = a.counted()
	}
	return shown, nil
}

func newStatus(o *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what is on record, and what the server that runs has counted",
		Long: `Shows how many devices are on record, by what was decided about them and by how far
they came; and of the server that runs what it has counted since it started, the
exchanges with MASAs that are under way, and the MASAs whose last call failed.
Without a server, what is on record is shown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, false, func(c *console) error { return showStatus(c) })
		},
	}
}

func showStatus(c *console) error {
	var s statusJSON
	if err := admin.Get(c.cmd.Context(), c.Client, apiStatus, &s); err != nil {
		return err
	}
	if c.o.asJSON {
		return c.print(&s, nil)
	}
	facts := []status.Fact{{Name: "server", Value: "none runs"}}
	if s.Counted != nil {
		facts = append(s.Facts(), status.Counts(s.Events)...)
	}
	return program.IOError(status.Print(c.cmd.OutOrStdout(), append(facts, recordFacts(&s.Status, s.Counted != nil)...)))
}

// recordFacts are what is on record, and what a server that runs is about.
func recordFacts(s *registrar.Status, runs bool) []status.Fact {
	d := &s.Devices
	facts := []status.Fact{
		status.Count("manufacturers", s.Manufacturers),
		{Name: "devices", Value: fmt.Sprintf("%d listed, %d approved, %d waiting, %d refused, %d unlisted", d.Listed, d.Approved, d.Waiting, d.Refused, d.Unlisted)},
		{Name: "of these", Value: fmt.Sprintf("%d expected, %d with a voucher, %d with a certificate, %d with another key", d.Expected, d.Vouchers, d.Enrolled, d.Changed)},
		{Name: "audit logs", Value: fmt.Sprintf("%d good, %d bad, %d open", d.Good, d.Bad, d.Open)},
	}
	if !runs {
		return facts
	}
	facts = append(facts, status.Fact{Name: "exchanges", Value: fmt.Sprintf("%d under way, %d at most", s.Exchanges, s.MaxExchanges)})
	for _, b := range s.Breakers {
		text := fmt.Sprintf("%s, %d failures in a row", plain(b.Origin), b.Failures)
		if b.Until != nil {
			text += ", no call before " + clock(b.Until)
		}
		facts = append(facts, status.Fact{Name: "failing", Value: text})
	}
	return facts
}
