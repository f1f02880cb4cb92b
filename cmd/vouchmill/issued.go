package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/profile"
)

// issuedJSON is what issue --json prints: stable.
type issuedJSON struct {
	Run             string           `json:"run,omitempty"`
	DryRun          bool             `json:"dry-run,omitempty"`
	AlreadyComplete bool             `json:"already-complete,omitempty"`
	Resumed         bool             `json:"resumed,omitempty"`
	Vouchers        uint64           `json:"vouchers"`
	Signed          uint64           `json:"signed"`
	Rejected        uint64           `json:"rejected"`
	Unchanged       uint64           `json:"unchanged"`
	Seconds         float64          `json:"seconds"`
	Stages          map[string]int64 `json:"stage-ns,omitempty"`
}

// printIssued prints the result of a job that succeeded.
func printIssued(cmd *cobra.Command, s *profile.Settings, r *issue.Result) error {
	out, dry := cmd.OutOrStdout(), s.DryRun.Or(false)
	if s.JSON.Or(false) {
		j := issuedJSON{DryRun: dry, AlreadyComplete: r.AlreadyComplete, Resumed: r.Resumed, Vouchers: r.Vouchers, Signed: r.Signed,
			Rejected: r.Rejected, Unchanged: r.Unchanged, Seconds: r.Elapsed.Seconds()}
		if dry {
			j.Signed = 0
		} else if r.Vouchers > 0 {
			j.Run = r.Run
		}
		if s.Stats.Or(false) {
			j.Stages = make(map[string]int64)
			for _, st := range r.Stages.Table() {
				j.Stages[st.Name] = st.Nanos
			}
		}
		return json.NewEncoder(out).Encode(j)
	}
	switch {
	case dry:
		fmt.Fprintf(out, "dry run: %d vouchers would be signed", r.Vouchers)
	case r.Vouchers == 0: // no run is left of a delta that had nothing to do
		fmt.Fprint(out, "nothing to sign")
	case r.AlreadyComplete:
		fmt.Fprintf(out, "run %s: already complete, %d vouchers", r.Run, r.Vouchers)
	default:
		fmt.Fprintf(out, "run %s: complete, %d vouchers are durable, %d signed now in %s", r.Run, r.Vouchers, r.Signed, r.Elapsed.Round(time.Millisecond))
	}
	if r.Unchanged > 0 {
		fmt.Fprintf(out, ", %d unchanged since run %s", r.Unchanged, s.Delta.Or(""))
	}
	if _, err := fmt.Fprintln(out); err != nil || !s.Stats.Or(false) || r.Signed == 0 {
		return err
	}
	return printStages(out, r)
}

// printStages prints where the processor's time went, per voucher.
func printStages(out io.Writer, r *issue.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "stage\tns a voucher\tshare\t")
	var total int64
	for _, st := range r.Stages.Table() {
		total += st.Nanos
	}
	for _, st := range r.Stages.Table() {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f %%\t\n", st.Name, float64(st.Nanos)/float64(r.Signed), 100*float64(st.Nanos)/float64(max(total, 1)))
	}
	fmt.Fprintf(w, "all\t%.1f\t\t\n", float64(total)/float64(r.Signed))
	return w.Flush()
}
