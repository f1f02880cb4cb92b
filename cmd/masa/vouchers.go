package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/progress"
)

func newVouchers() *cobra.Command {
	return group("vouchers", "Serve vouchers that were issued in advance", newVouchersImport(), newVouchersList())
}

func newVouchersImport() *cobra.Command {
	var dir, run, mode string
	cmd := &cobra.Command{
		Use:   "import --store DIR --run NAME",
		Short: "Verify and copy a run of vouchers, and serve it to the devices' owners",
		Long: `Verify and copy a run made by vouchmill issue, so that its vouchers are served to the
owners of their devices. All devices must be on record; a run that holds others, or
devices that are blocked or another customer's, is refused with the list of them.`,
		Args: cobra.NoArgs,
		RunE: ask(func(c *call, _ []string) error {
			path, err := filepath.Abs(dir) // the server may be elsewhere
			if err != nil {
				return program.IOError(err)
			}
			m, err := progress.ParseMode(mode)
			if err != nil {
				return program.Usagef("--progress: %w", err)
			}
			shown, err := progress.Start(progress.Options{Job: "import", Unit: "vouchers", Verb: "verified", Mode: m, Out: c.cmd.ErrOrStderr(), Terminal: program.OnTerminal(c.cmd)})
			if err != nil {
				return program.Usagef("--progress: %w", err)
			}
			done, err := c.importRun(importRunJSON{path, run}, shown)
			if stopErr := shown.Stop(); err == nil {
				err = program.IOError(stopErr)
			}
			if err != nil {
				return err
			}
			return c.print(done, func(w io.Writer) {
				fmt.Fprintf(w, "imported run %s: %d vouchers, event %d of the audit log\n", done.Name, done.Vouchers, done.Event)
			})
		}),
	}
	cmd.Flags().StringVar(&dir, "store", "", "directory of the store")
	cmd.Flags().StringVar(&run, "run", "", "name of the run")
	cmd.Flags().StringVar(&mode, "progress", "auto", "how progress is shown on standard error: auto, bar, plain, json or none")
	cobra.CheckErr(cmd.MarkFlagRequired("store"))
	cobra.CheckErr(cmd.MarkFlagRequired("run"))
	return cmd
}

func (c *call) importRun(in importRunJSON, shown *progress.Reporter) (*runJSON, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var done runJSON
	return &done, admin.Upload(c.ctx, c.client, "/vouchers/import", bytes.NewReader(body), &done, func(_ string, data json.RawMessage) error {
		var p struct{ Done, Total uint64 }
		if err := json.Unmarshal(data, &p); err != nil {
			return err
		}
		shown.Issued.Store(p.Done)
		shown.SetTotal(p.Total)
		return nil
	})
}

func newVouchersList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the runs that were imported", Args: cobra.NoArgs, RunE: ask(func(c *call, _ []string) error {
		return show(c, "/vouchers", "RUN\tVOUCHERS\tFORMAT\tEXPIRES\tIMPORTED\tEVENT", func(w io.Writer, r runJSON) {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%d\n", r.Name, r.Vouchers, r.Format, date(r.ExpiresOn), showTime(r.Imported), r.Event)
		})
	})}
}

func date(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.DateOnly)
}
