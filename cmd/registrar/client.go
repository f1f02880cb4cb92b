package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

// A console is a command's connection to the admin API.
type console struct {
	*http.Client
	cmd *cobra.Command
	o   *shared
}

// with calls f with the admin API of the configured registrar: that of the
// server, or one in this process where no server runs. keys says that the
// latter needs the private keys.
func (o *shared) with(cmd *cobra.Command, keys bool, f func(c *console) error) error {
	s, err := load(o.config)
	if err != nil {
		return err
	}
	client, done, err := admin.Client(cmd.Context(), s.adminSocket, func() (http.Handler, io.Closer, error) {
		r, err := openRole(cmd, s, use{keys: keys})
		if err != nil {
			return nil, nil, err
		}
		return newAPI(r.service, nil), r, nil
	})
	if err != nil {
		return program.IOError(err)
	}
	return devicelist.ExitCode(errors.Join(f(&console{client, cmd, o}), done()))
}

// print prints a result: as JSON, or as the text says it.
func (o *shared) print(cmd *cobra.Command, v any, text func() string) error {
	if o.asJSON {
		return program.IOError(json.NewEncoder(cmd.OutOrStdout()).Encode(v))
	}
	_, err := io.WriteString(cmd.OutOrStdout(), text())
	return program.IOError(err)
}

// print is that of the shared flags.
func (c *console) print(v any, text func() string) error { return c.o.print(c.cmd, v, text) }

// printList prints a listing as it comes in, page by page: JSON a line each, or
// columns under a heading. Columns are aligned within a page.
func printList[T any](c *console, path, heading string, row func(T) []string) error {
	out := c.cmd.OutOrStdout()
	if c.o.asJSON {
		enc := json.NewEncoder(out)
		return admin.Pages(c.cmd.Context(), c.Client, path, func(item T) error { return enc.Encode(item) })
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	n := 0
	err := admin.Pages(c.cmd.Context(), c.Client, path, func(item T) error {
		cells := row(item)
		for i := range cells {
			cells[i] = plain(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
		if n++; n%admin.DefaultPage == 0 {
			return w.Flush()
		}
		return nil
	})
	return errors.Join(err, w.Flush())
}

// plain makes text of strangers harmless to a terminal and keeps it on one line.
func plain(text string) string {
	if text == "" {
		return "-"
	}
	return oneLine(text)
}

func oneLine(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}
