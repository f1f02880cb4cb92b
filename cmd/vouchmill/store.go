package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/engine/store"
)

// withStore opens a store around work and closes it, whatever happens.
func withStore(cmd *cobra.Command, dir string, opts store.Options, work func(*store.Store) error) error {
	s, err := store.Open(dir, opts)
	if err != nil {
		return ioError(err)
	}
	if s.Recovered() {
		fmt.Fprintf(cmd.ErrOrStderr(), "store %s was not closed cleanly; it was recovered\n", dir)
	}
	err = work(s)
	if closeErr := s.Close(); closeErr != nil {
		err = errors.Join(err, ioError(closeErr))
	}
	return err
}

func newStore() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Look after a store", RunE: func(_ *cobra.Command, args []string) error {
		return usageError("store needs a sub-command, as check; %q is none", strings.Join(args, " "))
	}}
	cmd.AddCommand(newStoreCheck())
	return cmd
}

// storeFlag adds the flag all commands on a store need.
func storeFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "store", "", "directory of the store")
	cobra.CheckErr(cmd.MarkFlagRequired("store"))
}

func newStoreCheck() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "check --store DIR",
		Short: "Read everything in a store and report what is damaged",
		Long: `Read every page, index segment and record of a store and report whatever is not as
it was written. Signatures are not looked at: verify does that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, dir, store.Options{ReadOnly: true}, func(s *store.Store) error {
				checked, err := s.Check(cmd.Context(), func(damage error) {
					fmt.Fprintln(cmd.OutOrStdout(), damage)
				})
				if err != nil {
					return ioError(err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d runs, %d pages, %d vouchers read; %d damages\n", checked.Runs, checked.Pages, checked.Vouchers, checked.Damaged)
				if checked.Damaged > 0 {
					return &exitError{Code: exitIO}
				}
				return nil
			})
		},
	}
	storeFlag(cmd, &dir)
	return cmd
}
