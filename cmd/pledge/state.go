package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/pledge/client"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

func newReset() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reset --state DIR",
		Short: "Take a device back to factory state",
		Long: `Take a device back to factory state: its voucher, certificate and key of the
domain are deleted, and it can join again. The IDevID is no part of the state.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := openState(state)
			if err != nil {
				return err
			}
			defer dir.Close()
			if err := pledge.Reset(dir); err != nil {
				return decided(err)
			}
			return printResult(cmd, asJSON, result{Outcome: "reset"}, "the device is in factory state\n")
		},
	}
	stateFlags(cmd, &state, &asJSON)
	return cmd
}

func newRenew() *cobra.Command {
	var state string
	var asJSON, noClock bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "renew --state DIR",
		Short: "Renew the certificate of the domain",
		Long: `Get a new certificate for a new key from the registrar the device enrolled at
(RFC 7030 §4.2.2), authenticated by the one it has. That one stays in force until
the new one is on disk.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return renew(cmd, state, timeout, !noClock, asJSON)
		},
	}
	stateFlags(cmd, &state, &asJSON)
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to try")
	cmd.Flags().BoolVar(&noClock, "no-clock", false, "do not trust this machine's clock: look at no date")
	return cmd
}

func stateFlags(cmd *cobra.Command, state *string, asJSON *bool) {
	cmd.Flags().StringVar(state, "state", "", "directory of what the device keeps")
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object")
	cobra.CheckErr(cmd.MarkFlagRequired("state"))
}

// openState opens a state directory that is there already.
func openState(path string) (*client.Dir, error) {
	_, err := os.Stat(path)
	if err == nil {
		var dir *client.Dir
		if dir, err = client.OpenDir(path); err == nil {
			return dir, nil
		}
	}
	return nil, program.IOError(fmt.Errorf("--state: %w", err))
}

func renew(cmd *cobra.Command, state string, timeout time.Duration, clockTrusted, asJSON bool) error {
	if timeout <= 0 {
		return program.Usagef("--timeout %v: want a time to try for, such as 60s", timeout)
	}
	dir, err := openState(state)
	if err != nil {
		return err
	}
	defer dir.Close()
	network := client.NewTransport(client.Options{})
	defer network.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	var trail decision.Trail
	cfg := pledge.Config{Network: network, Storage: dir, Clock: client.SystemClock{}, ClockTrusted: clockTrusted}
	joined, err := pledge.Renew(ctx, cfg, &trail)
	if err != nil {
		printChecks(cmd, trail.Checks())
		return decided(err)
	}
	r := joinedResult("renewed", state, joined)
	return printResult(cmd, asJSON, r, "%s renewed its certificate at %s; the new one is valid until %s\n", r.SerialNumber, r.Registrar, r.ValidUntil)
}

// decided gives an error the exit code it means.
func decided(err error) error {
	var refusal *decision.Refusal
	switch {
	case decision.Is(err, decision.Pending):
		return &program.Error{Code: exitPending, Err: err}
	case errors.As(err, &refusal):
		return &program.Error{Code: program.Failed, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &program.Error{Code: program.IO, Err: err}
	}
	return program.IOError(err)
}
