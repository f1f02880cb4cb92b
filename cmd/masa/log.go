package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

func newAuditLog() *cobra.Command {
	return group("log", "Show the head of the audit log, and prove that the log only grows", newLogHead(), newLogConsistency())
}

// headJSON is the head of the audit log.
type headJSON struct {
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
	Signed string `json:"signed"` // as vouchmill verify-log --older-head takes it
}

func newLogHead() *cobra.Command {
	return &cobra.Command{
		Use:   "head",
		Short: "Print the signed head of the log",
		Long: `Print the signed head of the log as it is on disk: how many events it has, and the
root of the tree over them. Whoever keeps it can tell later, with 'vouchmill
verify-log --older-head', that nothing was changed or taken out.`,
		Args: cobra.NoArgs,
		RunE: ask(func(c *call, _ []string) error {
			var head headJSON
			if err := admin.Get(c.ctx, c.client, "/log", &head); err != nil {
				return err
			}
			return c.print(head, func(w io.Writer) { fmt.Fprint(w, head.Signed) })
		}),
	}
}

func newLogConsistency() *cobra.Command {
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "consistency --from SIZE [--to SIZE]",
		Short: "Print the proof that the log of one head begins with that of an older one",
		Long: `Print the proof that the log of --to events begins with that of --from events, as
'vouchmill verify-log --consistency' takes it. The sizes are those of the two heads:
of the one that was kept, and of the one in the answer to be verified.`,
		Args: cobra.NoArgs,
		RunE: ask(func(c *call, _ []string) error {
			var proof json.RawMessage
			query := url.Values{"from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(to, 10)}}
			if err := admin.Get(c.ctx, c.client, "/log/consistency?"+query.Encode(), &proof); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.cmd.OutOrStdout(), "%s\n", proof)
			return program.IOError(err)
		}),
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "events in the older head")
	cmd.Flags().Uint64Var(&to, "to", 0, "events in the newer head (default: the log as it is)")
	cobra.CheckErr(cmd.MarkFlagRequired("from"))
	return cmd
}

func (a *api) logHead(r *http.Request) (any, error) {
	signed, head, err := a.service.LogHead(r.Context())
	return headJSON{head.Size, head.Root.String(), string(signed)}, err
}

func (a *api) logConsistency(r *http.Request) (any, error) {
	from, fromErr := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64)
	to, toErr := strconv.ParseUint(r.URL.Query().Get("to"), 10, 64)
	if fromErr != nil || toErr != nil {
		return nil, admin.Errorf(http.StatusBadRequest, "from and to are numbers of events")
	}
	proof, err := a.service.LogConsistency(r.Context(), from, to)
	return json.RawMessage(proof), err
}
