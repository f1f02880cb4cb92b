package status

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/sigpool"
)

// A Server is what a server says of itself. Its JSON member names are stable.
type Server struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Web     web.Stats `json:"web"`
	// Batches and Items say how well requests share batches.
	SignBatches   uint64 `json:"sign-batches"`
	SignItems     uint64 `json:"sign-items"`
	VerifyBatches uint64 `json:"verify-batches"`
	VerifyItems   uint64 `json:"verify-items"`
}

// Of makes the answer of a server of this program.
func Of(started time.Time, counted web.Stats, signed, verified sigpool.Stats) Server {
	return Server{Version: program.Version(), Started: started.UTC(), Web: counted,
		SignBatches: signed.Batches, SignItems: signed.Items, VerifyBatches: verified.Batches, VerifyItems: verified.Items}
}

// A Fact is one line for people.
type Fact struct{ Name, Value string }

// Count is a fact that is a number.
func Count[T uint64 | int](name string, n T) Fact { return Fact{name, fmt.Sprint(n)} }

// Counts are the facts of a map, in the order of their names.
func Counts[K cmp.Ordered](counts map[K]uint64) []Fact {
	var facts []Fact
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		facts = append(facts, Fact{fmt.Sprint(k), fmt.Sprint(counts[k])})
	}
	return facts
}

// Facts are those of the server, for people.
func (s *Server) Facts() []Fact {
	facts := []Fact{
		{"version", s.Version},
		{"started", s.Started.UTC().Format(time.RFC3339)},
		{"connections", fmt.Sprintf("%d open, %d in all, %d refused, %d handshakes failed", s.Web.Open, s.Web.Connections, s.Web.ConnectionsRefused, s.Web.HandshakesFailed)},
		{"requests", fmt.Sprintf("%d in work, %d answered, %d left", s.Web.InWork, s.Web.Answered, s.Web.ClientsGone)},
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Web.Refused)) {
		facts = append(facts, Fact{"refused", fmt.Sprintf("%d %s", s.Web.Refused[kind], kind)})
	}
	return append(facts,
		Fact{"log", fmt.Sprintf("%d lines left out", s.Web.LinesSuppressed)},
		Fact{"signatures", fmt.Sprintf("%d made in %d batches, %d checked in %d batches", s.SignItems, s.SignBatches, s.VerifyItems, s.VerifyBatches)})
}

// Print prints facts, a line each, their values below each other.
func Print(out io.Writer, facts []Fact) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range facts {
		fmt.Fprintf(w, "%s\t%s\n", f.Name, f.Value)
	}
	return w.Flush()
}
