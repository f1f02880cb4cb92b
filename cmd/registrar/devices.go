package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func newDevices(o *shared) *cobra.Command {
	listed := func(cmd *cobra.Command, _ []string) error { return listDevices(o, cmd) }
	cmd := &cobra.Command{Use: "devices", Short: "Say which devices may join, and see what became of them", Args: cobra.NoArgs, RunE: listed}
	cmd.AddCommand(newImport(o),
		&cobra.Command{Use: "list", Short: "List the devices on record", Args: cobra.NoArgs, RunE: listed},
		&cobra.Command{Use: "show DEVICE", Short: "Show all that is known of a device", Long: deviceNames, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return showDevice(o, cmd, args[0]) }},
		&cobra.Command{Use: "approve DEVICE", Short: "Let a device join, with the key it came with last", Long: deviceNames, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return decideDevice(o, cmd, apiApprove, args[0]) }},
		&cobra.Command{Use: "refuse DEVICE", Short: "Keep a device out, and from being renewed", Long: deviceNames + `
Certificates it has stay valid; see 'registrar certificates revoke'.`, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return decideDevice(o, cmd, apiRefuse, args[0]) }},
		newExplain(o))
	return cmd
}

const deviceNames = `DEVICE is a serial number or, where several devices have it, ISSUER/SERIAL as the
listing shows it.`

func query(path, device string) string { return path + "?" + url.Values{"device": {device}}.Encode() }

func listDevices(o *shared, cmd *cobra.Command) error {
	return o.with(cmd, false, func(c *console) error {
		return printList(c, apiDevices, "DEVICE\tMANUFACTURER\tSTANDING\tLAST SEEN\tVOUCHER\tVERDICT", func(d registrar.DeviceInfo) []string {
			return []string{d.Device, d.Manufacturer, standing(&d), clock(d.LastSeen), clock(d.VoucherAt), string(d.Verdict)}
		})
	})
}

// standing says what was decided, and to what end where it no longer fits.
func standing(d *registrar.DeviceInfo) string {
	if d.KeyChanged {
		return string(d.Standing) + ", for another key"
	}
	return string(d.Standing)
}

func clock(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func showDevice(o *shared, cmd *cobra.Command, name string) error {
	return o.with(cmd, false, func(c *console) error {
		var d registrar.DeviceInfo
		if err := admin.Get(cmd.Context(), c.Client, query(apiDevice, name), &d); err != nil {
			return err
		}
		return c.print(&d, func() string { return describeDevice(&d) })
	})
}

func decideDevice(o *shared, cmd *cobra.Command, path, name string) error {
	return o.with(cmd, false, func(c *console) error {
		var d registrar.DeviceInfo
		if err := admin.Post(cmd.Context(), c.Client, path, named{name}, &d); err != nil {
			return err
		}
		return c.print(&d, func() string { return fmt.Sprintf("device %s is %s\n", plain(d.Device), plain(standing(&d))) })
	})
}

// describeDevice is a device for people, a fact a line.
func describeDevice(d *registrar.DeviceInfo) string {
	var b strings.Builder
	for _, fact := range []struct{ name, value string }{
		{"device", d.Device}, {"serial number", d.Serial}, {"issuer", d.Issuer}, {"manufacturer", d.Manufacturer}, {"standing", standing(d)},
		{"key", d.Key}, {"first seen", clock(d.FirstSeen)}, {"last seen", clock(d.LastSeen)}, {"voucher", clock(d.VoucherAt)},
		{"audit log", string(d.Verdict)}, {"because", d.Reason},
	} {
		if fact.value != "" {
			fmt.Fprintf(&b, "%-14s %s\n", fact.name, oneLine(fact.value))
		}
	}
	for _, c := range d.Certificates {
		fmt.Fprintf(&b, "%-14s %s\n", "certificate", oneLine(describeCertificate(&c)))
	}
	for _, r := range d.Reports {
		outcome := "success"
		if !r.OK {
			outcome = "failure"
		}
		fmt.Fprintf(&b, "%-14s %s %s: %s %s\n", "it reported", clock(&r.At), oneLine(r.Operation), outcome, oneLine(r.Text))
	}
	return b.String()
}

func describeCertificate(c *registrar.CertificateInfo) string {
	text := fmt.Sprintf("%s, from %s to %s", c.Serial, clock(&c.IssuedAt), clock(&c.NotAfter))
	if c.Label != "" {
		text += ", label " + c.Label
	}
	if c.Revoked != nil {
		text += ", revoked " + clock(c.Revoked)
	}
	return text
}
