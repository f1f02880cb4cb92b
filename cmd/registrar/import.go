package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func newImport(o *shared) *cobra.Command {
	var f devicelist.Flags
	var maker string
	cmd := &cobra.Command{
		Use:   "import FILE|DIR|- …",
		Short: "Put the devices of a list on the list of those that may join",
		Long: `Reads devices from CSV, NDJSON, CBOR, PEM or DER, told by content, or from a directory
of certificates. A row is an IDevID certificate, which must lead to a configured
manufacturer; or a serial number with an idevid-issuer; or a serial number alone,
which admits the first device of a configured manufacturer that has it.

With --manufacturer the devices are those of one manufacturer, and no other's are
taken for them. Without, a row with an idevid-issuer means the manufacturer whose
key the identifier is a digest of, or the only one that is configured; where it is
no digest and there are several, its device is refused until the list is imported
with --manufacturer: whoever makes a CA chooses its key identifier.

Importing twice changes nothing, and takes no refusal back.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importDevices(o, cmd, &f, maker, args) },
	}
	f.Register(cmd)
	cmd.Flags().StringVar(&maker, "manufacturer", "", "name of the manufacturer whose devices they are")
	return cmd
}

func importDevices(o *shared, cmd *cobra.Command, f *devicelist.Flags, maker string, sources []string) error {
	var also url.Values
	if maker != "" {
		also = url.Values{"manufacturer": {maker}}
	}
	return o.with(cmd, false, func(c *console) error {
		return f.Each(sources, func(source string) (uint64, error) {
			var report registrar.ImportReport
			rejected, err := f.Upload(cmd, c.Client, apiImport, also, source, &report)
			if err != nil {
				return 0, err
			}
			report.Rows += rejected - report.Rejected // files of a directory that never became rows
			report.Rejected = rejected
			return rejected, c.print(&report, func() string {
				changed := ""
				if report.Changed > 0 {
					changed = fmt.Sprintf("%d changed, ", report.Changed)
				}
				return fmt.Sprintf("%d rows: %d devices added, %s%d there before, %d rejected\n", report.Rows, report.Added, changed, report.Unchanged, report.Rejected)
			})
		})
	})
}

// importDevices is the API's side.
func (a api) importDevices(r *http.Request, im *devicelist.Import) (any, error) {
	report, err := a.s.ImportDevices(r.Context(), im.Devices, registrar.ImportOptions{Manufacturer: im.Query.Get("manufacturer"), Reject: im.Reject, Progress: im.Progress.Issued.Store})
	if err != nil {
		return nil, refused(err)
	}
	return report, nil
}
