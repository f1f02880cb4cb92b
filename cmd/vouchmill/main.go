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
		Use:   "vouchmill",
		Short: "Issue, keep, verify and hand out RFC 8366 vouchers by the million",
		Long: `Vouchmill signs nonceless vouchers (RFC 8366) for whole device lists and keeps
them in an embedded store, resumable and verified.

Results go to standard output, everything else to standard error.

Exit codes: 0 done; 1 some vouchers failed or a bad row stopped the run;
2 usage or configuration; 3 store or I/O; 4 interrupted by a signal, what is
durable stays and the same command continues.`,
	}
	root.AddCommand(newKeygen(), newBenchKey(), newIssue(), newGet(), newExport(), newVerify(), newVerifyLog(), newInspect(), newRuns(), newStore(), newDemo(), program.NewVersion(), program.NewMan())
	return root
}
