package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute is the whole program with its streams passed in. It returns the exit code.
func execute(args []string, in io.Reader, out, errs io.Writer) int {
	return program.Main(newRoot(), args, in, out, errs)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "masa",
		Short: "Sign vouchers for devices when their registrars ask (RFC 8995)",
		Long: `The Manufacturer Authorized Signing Authority of RFC 8995: it signs vouchers for the
devices of a manufacturer when registrars ask, and keeps the audit log of them.

All commands but init and serve reach a server that runs through its admin
socket, and work on the files themselves where none runs.

Results go to standard output, everything else to standard error.

Exit codes: 0 done; 1 refused or some rows left out; 2 usage or configuration;
3 files, store or network; 4 interrupted by a signal.`,
	}
	root.PersistentFlags().String("config", "masa.yaml", "configuration file; see masa serve --print-config")
	root.PersistentFlags().Bool("json", false, "print results as JSON, a line an item")
	root.AddCommand(newInit(), newServe(), newDevices(), newPools(), newCustomers(), newVouchers(), newAuditLog(), newStatus(), program.NewVersion(), program.NewMan())
	return root
}

// group makes a command that has nothing but sub-commands.
func group(name, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return program.Usagef("%s needs a sub-command; see %s --help", name, cmd.CommandPath())
		}
		return program.Usagef("%s has no sub-command %q; see %s --help", name, args[0], cmd.CommandPath())
	}}
	cmd.AddCommand(subs...)
	return cmd
}
