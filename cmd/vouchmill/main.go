package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute is the whole program with its streams passed in. It returns the exit code.
func execute(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := interruptible(context.Background())
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitUsage, err} // what cobra itself refuses: flags and arguments
	}
	if exit.err != nil {
		fmt.Fprintf(errs, "vouchmill: %v\n", err)
	}
	return exit.code
}

// interruptible returns a context that the first SIGINT or SIGTERM cancels;
// from then on the signals have their usual effect, so a second one kills.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
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
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newKeygen(), newBenchKey(), newIssue(), newGet(), newExport(), newVerify(), newInspect(), newRuns(), newStore(), newDemo(), newVersion(), newMan())
	return root
}
