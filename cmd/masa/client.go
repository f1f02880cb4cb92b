package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/config"
	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/status"
)

// A call is a command that asks the API.
type call struct {
	cmd    *cobra.Command
	ctx    context.Context
	client *http.Client
	json   bool
}

// ask makes a command's RunE: it finds the API, a server's or in-process, and
// gives errors their exit codes.
func ask(f func(c *call, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		s, _, err := loadSettings(cmd)
		if err != nil {
			return err
		}
		asJSON, err := cmd.Flags().GetBool("json")
		if err != nil {
			return err
		}
		open := func() (http.Handler, io.Closer, error) {
			r, err := openRole(cmd, s, false, nil, nil)
			if err != nil {
				return nil, nil, err
			}
			return (&api{service: r.service, serialFrom: serialFrom(s)}).handler(), r, nil
		}
		client, done, err := admin.Client(cmd.Context(), s.AdminSocket, open)
		if err != nil {
			return program.IOError(err)
		}
		defer func() { err = errors.Join(err, program.IOError(done())) }()
		return devicelist.ExitCode(f(&call{cmd, cmd.Context(), client, asJSON}, args))
	}
}

// print prints a result: as JSON, else by text.
func (c *call) print(v any, text func(w io.Writer)) error {
	out := c.cmd.OutOrStdout()
	if c.json {
		return program.IOError(json.NewEncoder(out).Encode(v))
	}
	text(out)
	return nil
}

// show prints a listing: JSON, a line an item, else a table. The widths are those
// of a screenful, so that a long listing does not have to be held.
func show[T any](c *call, path, header string, row func(w io.Writer, item T)) error {
	out := c.cmd.OutOrStdout()
	if c.json {
		e := json.NewEncoder(out)
		return admin.Pages(c.ctx, c.client, path, func(item T) error { return program.IOError(e.Encode(item)) })
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, header)
	n := 0
	if err := admin.Pages(c.ctx, c.client, path, func(item T) error {
		row(w, item)
		if n++; n%admin.DefaultPage == 0 {
			return program.IOError(w.Flush())
		}
		return nil
	}); err != nil {
		return err
	}
	return program.IOError(w.Flush())
}

func showTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func showDuration(d time.Duration) string { return config.ShowDuration(d) }

func yes(b bool, text string) string {
	if b {
		return text
	}
	return ""
}

func or(text, none string) string {
	if text == "" {
		return none
	}
	return text
}

func newStatus() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Show what the server that runs has counted", Args: cobra.NoArgs, RunE: ask(func(c *call, _ []string) error {
		var s statusJSON
		if err := admin.Get(c.ctx, c.client, "/status", &s); err != nil {
			return err
		}
		if c.json {
			return c.print(s, nil)
		}
		return program.IOError(status.Print(c.cmd.OutOrStdout(), append(s.Facts(), status.Counts(s.Vouchers)...)))
	})}
}
