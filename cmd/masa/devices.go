package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/engine/masa"
)

func newDevices() *cobra.Command {
	return group("devices", "Put devices on record and look after them",
		newDevicesImport(), newDevicesList(), newDevicesShow(), newDevicesBlock(), newDevicesUnblock(), newDevicesOwn(), newDevicesSet(), newDevicesRelease())
}

func newDevicesImport() *cobra.Command {
	var f devicelist.Flags
	var pool, owner string
	var formats []string
	var exclusive, logged bool
	cmd := &cobra.Command{
		Use:   "import FILE|DIR|- …",
		Short: "Put the devices of a list on record",
		Long: `Put the devices of a list on record: IDevID certificates (PEM, DER, or a directory of
them), which must lead to a configured authority, or rows of CSV, NDJSON or CBOR with
serial number and idevid-issuer. The form is told by content. Importing a list again
changes nothing; it works while the server runs.`,
		Args: cobra.MinimumNArgs(1),
		RunE: ask(func(c *call, args []string) error {
			q := url.Values{}
			if len(formats) > 0 {
				q["voucher-format"] = formats
			}
			for name, value := range map[string]string{"pool": pool, "owner": owner, "exclusive": yes(exclusive, "true"), "logged-on-mismatch": yes(logged, "true")} {
				if value != "" {
					q.Set(name, value)
				}
			}
			return c.upload(&f, "/devices/import", q, args...)
		}),
	}
	f.Register(cmd)
	cmd.Flags().StringVar(&pool, "pool", "", "pool that the devices go into; see masa pools")
	cmd.Flags().StringVar(&owner, "owner", "", "customer that owns them")
	cmd.Flags().StringSliceVar(&formats, "voucher-format", nil, "formats of vouchers that the devices read: cms, jws or both; all for those of which nothing is known (default: as on record)")
	cmd.Flags().BoolVar(&exclusive, "exclusive", false, "refuse everybody but the owner of each")
	cmd.Flags().BoolVar(&logged, "logged-on-mismatch", false, "assert \"logged\" where a device's own request does not show the registrar that asks, instead of refusing")
	return cmd
}

// upload imports lists and prints what became of each.
func (c *call) upload(f *devicelist.Flags, path string, q url.Values, sources ...string) error {
	return f.Each(sources, func(source string) (uint64, error) {
		var done masa.Imported
		rejected, err := f.Upload(c.cmd, c.client, path, q, source, &done)
		if err != nil {
			return 0, err
		}
		return rejected, c.print(done, func(w io.Writer) {
			fmt.Fprintf(w, "%d rows: %d new, %d changed, %d unchanged, %d rejected\n", done.Rows, done.New, done.Changed, done.Unchanged, max(done.Rejected, rejected))
		})
	})
}

func newDevicesList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the devices", Args: cobra.NoArgs, RunE: ask(func(c *call, _ []string) error {
		return show(c, "/devices?limit=1000", "SERIAL NUMBER\tOWNER\tPOOL\tVOUCHERS\tREFUSED\tSTATE\tDEVICE", func(w io.Writer, d deviceJSON) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", d.Serial, or(d.Owner, "-"), or(d.Pool, "-"), d.Issued, d.Refused, deviceState(&d), d.Device)
		})
	})}
}

func deviceState(d *deviceJSON) string {
	switch {
	case d.Blocked:
		return "blocked"
	case d.Exclusive:
		return "exclusive"
	}
	return "open"
}

func newDevicesShow() *cobra.Command {
	return &cobra.Command{Use: "show DEVICE", Short: "Show all that is known of a device", Long: deviceHelp, Args: cobra.ExactArgs(1), RunE: ask(func(c *call, args []string) error {
		var d deviceJSON
		if err := admin.Get(c.ctx, c.client, "/device?"+url.Values{"name": args}.Encode(), &d); err != nil {
			return err
		}
		return c.print(d, func(out io.Writer) { showDevice(out, &d) })
	})}
}

const deviceHelp = `DEVICE is a serial number or, where several devices have it, ISSUER/SERIAL as the
listing shows.`

func showDevice(out io.Writer, d *deviceJSON) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "device\t%s\nserial number\t%s\nidevid-issuer\t%x\n", d.Device, d.Serial, d.Issuer)
	fmt.Fprintf(w, "imported\t%s, %s\n", showTime(d.Imported), map[bool]string{true: "with its IDevID", false: "from a list without certificates"}[d.Verified])
	fmt.Fprintf(w, "owner\t%s\npool\t%s\nstate\t%s %s\n", or(d.Owner, "nobody"), or(d.Pool, "none"), deviceState(d), d.BlockReason)
	if len(d.Formats) > 0 {
		fmt.Fprintf(w, "vouchers read\t%s\n", strings.Join(d.Formats, ", "))
	}
	if d.Claimed {
		fmt.Fprint(w, "claimed\tby the domain that came first\n")
	}
	fmt.Fprintf(w, "vouchers\t%d", d.Issued)
	if d.LastIssued != nil {
		fmt.Fprintf(w, ", the last on %s", showTime(*d.LastIssued))
	}
	fmt.Fprintf(w, "\nrefused\t%d\n", d.Refused)
	for _, r := range d.Refusals {
		fmt.Fprintf(w, "\t%s %s %s %s: %s\n", showTime(r.At), r.Op, or(r.Customer, "-"), r.Kind, r.Operator)
	}
	for _, o := range d.History {
		fmt.Fprintf(w, "owned\t%s by %s\n", showTime(o.Since), or(o.Customer, "nobody"))
	}
}

// change makes a command that changes one device and prints its full name.
func change(use, short, path, did string, in func(name string) any) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: short + ".\n\n" + deviceHelp, Args: cobra.ExactArgs(1), RunE: ask(func(c *call, args []string) error {
		var d done
		if err := admin.Post(c.ctx, c.client, path, in(args[0]), &d); err != nil {
			return err
		}
		return c.print(d, func(w io.Writer) { fmt.Fprintf(w, "%s %s\n", did, d.Device) })
	})}
}

func newDevicesBlock() *cobra.Command {
	var reason string
	cmd := change("block DEVICE --reason TEXT", "Refuse every further request for a device", "/devices/block", "blocked",
		func(name string) any { return blockJSON{name, reason} })
	cmd.Flags().StringVar(&reason, "reason", "blocked by the operator", "why, for the record")
	return cmd
}

func newDevicesUnblock() *cobra.Command {
	return change("unblock DEVICE", "Undo block", "/devices/unblock", "unblocked", func(name string) any { return blockJSON{Name: name} })
}

func newDevicesRelease() *cobra.Command {
	return change("release DEVICE", "Forget which domain came first to an exclusive device without owner", "/devices/release", "released",
		func(name string) any { return blockJSON{Name: name} })
}

func newDevicesSet() *cobra.Command {
	var exclusive, logged bool
	cmd := change("set DEVICE [--exclusive] [--logged-on-mismatch]", "Say what holds for a device by itself", "/devices/set", "set",
		func(name string) any { return policyJSON{name, exclusive, logged} })
	cmd.Flags().BoolVar(&exclusive, "exclusive", false, "refuse everybody but its owner")
	cmd.Flags().BoolVar(&logged, "logged-on-mismatch", false, "assert \"logged\" where its own request does not show the registrar that asks, instead of refusing")
	return cmd
}

func newDevicesOwn() *cobra.Command {
	var f devicelist.Flags
	var customer, devices string
	cmd := &cobra.Command{
		Use:   "own --customer NAME --devices FILE|DIR|-",
		Short: "Make a customer the owner of the devices of a list",
		Long:  "Make a customer the owner of the devices of a list, or nobody for an empty name. The\ndevices must be on record.",
		Args:  cobra.NoArgs,
		RunE: ask(func(c *call, _ []string) error {
			return c.upload(&f, "/devices/own", url.Values{"customer": {customer}}, devices)
		}),
	}
	f.Register(cmd)
	cmd.Flags().StringVar(&customer, "customer", "", "the new owner")
	cmd.Flags().StringVar(&devices, "devices", "", "list of the devices: a file, a directory of certificates, or -")
	cobra.CheckErr(cmd.MarkFlagRequired("customer"))
	cobra.CheckErr(cmd.MarkFlagRequired("devices"))
	return cmd
}

func newPools() *cobra.Command {
	return group("pools", "Look after what devices have in common", newPoolsSet(), newPoolsList())
}

func newPoolsSet() *cobra.Command {
	var p poolJSON
	cmd := &cobra.Command{Use: "set NAME [--exclusive] [--owner NAME] [--logged-on-mismatch]", Short: "Make a pool, or change it to what the flags say", Args: cobra.ExactArgs(1),
		RunE: ask(func(c *call, args []string) error {
			p.Name = args[0]
			if err := admin.Post(c.ctx, c.client, "/pools", p, nil); err != nil {
				return err
			}
			return c.print(p, func(w io.Writer) { fmt.Fprintf(w, "pool %s is set\n", p.Name) })
		})}
	cmd.Flags().BoolVar(&p.Exclusive, "exclusive", false, "refuse everybody but the owner")
	cmd.Flags().StringVar(&p.Owner, "owner", "", "customer that owns all devices of the pool that have no owner of their own")
	cmd.Flags().BoolVar(&p.LoggedOnMismatch, "logged-on-mismatch", false, "assert \"logged\" where a device's own request does not show the registrar that asks, instead of refusing")
	return cmd
}

func newPoolsList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the pools", Args: cobra.NoArgs, RunE: ask(func(c *call, _ []string) error {
		return show(c, "/pools", "NAME\tOWNER\tEXCLUSIVE\tLOGGED ON MISMATCH", func(w io.Writer, p poolJSON) {
			fmt.Fprintf(w, "%s\t%s\t%v\t%v\n", p.Name, or(p.Owner, "-"), p.Exclusive, p.LoggedOnMismatch)
		})
	})}
}
