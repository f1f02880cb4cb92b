package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes, the same for all programs that have no table of their own.
const (
	Done        = 0
	Failed      = 1 // some of the work failed, or was refused
	Usage       = 2 // usage or configuration
	IO          = 3 // store, I/O or network
	Interrupted = 4 // by a signal; what is durable stays
)

// An Error is an error together with the exit code it means. A nil Err exits
// silently: the sub-command has said what there is to say.
type Error struct {
	Code int
	Err  error
}

// Error returns the message, "" for a silent exit.
func (e *Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usagef makes an error of usage or configuration.
func Usagef(format string, a ...any) error {
	return &Error{Usage, fmt.Errorf(format, a...)}
}

// Failedf makes an error of work that was refused or failed.
func Failedf(format string, a ...any) error {
	return &Error{Failed, fmt.Errorf(format, a...)}
}

// IOError gives err the exit code of trouble with files, stores and the network,
// unless it has a code already or comes from an interruption.
func IOError(err error) error {
	var exit *Error
	switch {
	case err == nil || errors.As(err, &exit):
		return err
	case errors.Is(err, context.Canceled):
		return &Error{Interrupted, err}
	}
	return &Error{IO, err}
}

// Main runs a program with its streams passed in and returns its exit code. The
// first SIGINT or SIGTERM cancels the commands' context.
func Main(root *cobra.Command, args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := Interruptible(context.Background())
	defer stop()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return Done
	}
	var exit *Error
	if !errors.As(err, &exit) {
		exit = &Error{Usage, err} // what the flag library itself refuses: flags and arguments
	}
	if exit.Err != nil {
		fmt.Fprintf(errs, "%s: %v\n", root.Name(), err)
	}
	return exit.Code
}

// Interruptible returns a context that the first SIGINT or SIGTERM cancels;
// from then on the signals have their usual effect, so a second one kills.
func Interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Warn writes a warning to the command's standard error.
func Warn(cmd *cobra.Command, format string, a ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), "warning: "+format+"\n", a...)
}

// OnTerminal reports whether the command's standard error is a terminal.
func OnTerminal(cmd *cobra.Command) bool {
	f, ok := cmd.ErrOrStderr().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ReadFile reads a file of at most max octets.
func ReadFile(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, IOError(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, IOError(err)
	}
	if int64(len(b)) > max {
		return nil, Usagef("%s has more than %d octets; is it the right file?", path, max)
	}
	return b, nil
}
