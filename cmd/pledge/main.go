package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

// exitPending is program.Interrupted under the name it has here: a registrar had
// not decided when time was up.
const exitPending = 4

func main() {
	os.Exit(program.Main(newRoot(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pledge",
		Short: "Join a domain as a device does, by a voucher of the maker (RFC 8995)",
		Long: `Pledge is a device that comes out of its box: it asks a registrar it has never
met for a voucher of its maker, checks that the voucher is for it and for that
registrar, and gets a certificate of the registrar's domain.

Results go to standard output, everything else to standard error.

Exit codes: 0 joined or done; 1 refused, by the registrar or by the device; 2
usage; 3 files or network; 4 the registrar has not decided yet, or a signal came:
what is durable stays and the same command tries again.`,
	}
	root.AddCommand(newIDevID(), newJoin(), newRenew(), newReset(), program.NewVersion(), program.NewMan())
	return root
}
