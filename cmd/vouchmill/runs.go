package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

// runJSON is one run as runs --json prints it: stable.
type runJSON struct {
	Name         string      `json:"name"`
	State        string      `json:"state"`
	CreatedOn    string      `json:"created-on"`
	Vouchers     uint64      `json:"vouchers"`
	Format       string      `json:"format,omitempty"`
	Algorithm    string      `json:"algorithm,omitempty"`
	ExpiresOn    string      `json:"expires-on,omitempty"`
	Reproducible bool        `json:"reproducible"`
	ManifestRoot string      `json:"manifest-root,omitempty"`
	Header       *run.Header `json:"header,omitempty"`
}

// runsPage is how many runs are listed at a time.
const runsPage = 100

func newRuns() *cobra.Command {
	var dir string
	var asJSON bool
	var page int
	list := func(cmd *cobra.Command, _ []string) error {
		if page < 1 {
			return usageError("--page %d: pages are counted from 1", page)
		}
		return withStore(cmd, dir, store.Options{ReadOnly: true}, func(s *store.Store) error { return listRuns(cmd, s, page, asJSON) })
	}
	cmd := &cobra.Command{Use: "runs", Short: "List, show and delete the runs of a store", Args: cobra.NoArgs, RunE: list}
	cmd.PersistentFlags().StringVar(&dir, "store", "", "directory of the store")
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.PersistentFlags().IntVar(&page, "page", 1, fmt.Sprintf("page of a long list, %d runs each", runsPage))
	cobra.CheckErr(cmd.MarkPersistentFlagRequired("store"))
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "List the runs, newest first", Args: cobra.NoArgs, RunE: list})
	cmd.AddCommand(&cobra.Command{Use: "show NAME", Short: "Show the settings of a run", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, dir, store.Options{ReadOnly: true}, func(s *store.Store) error { return showRun(cmd, s, args[0]) })
		}})
	cmd.AddCommand(newRunsDelete(&dir))
	return cmd
}

func newRunsDelete(dir *string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "delete NAME --yes", Short: "Delete a run with all its vouchers", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usageError("runs delete %s removes all its vouchers for good; say --yes if that is meant", args[0])
			}
			return withStore(cmd, *dir, store.Options{}, func(s *store.Store) error {
				if err := s.DeleteRun(args[0]); err != nil {
					return runError(err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "run %s is deleted\n", args[0])
				return nil
			})
		}}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm")
	return cmd
}

// runError gives a run that is not there the exit code of wrong usage.
func runError(err error) error {
	var missing *store.RunNotFoundError
	if errors.As(err, &missing) {
		return usageError("%w; see vouchmill runs", err)
	}
	return ioError(err)
}

func describeRun(s *store.Store, info store.RunInfo) (*runJSON, error) {
	j := &runJSON{Name: info.Name, State: info.State.String(), CreatedOn: info.Created.Format(time.RFC3339), Vouchers: info.Vouchers}
	if info.State == store.Deleting {
		return j, nil
	}
	r, err := s.Run(info.Name)
	if err != nil {
		return nil, err
	}
	h, err := run.ParseHeader(r.Header())
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", info.Name, err)
	}
	j.Format, j.Algorithm, j.Reproducible, j.Header = h.Format, h.Algorithm, h.Reproducible, h
	created, err := h.Created()
	if err != nil {
		return nil, err
	}
	if j.ExpiresOn, err = run.ResolveExpiry(h.ExpiresOn, created); err != nil {
		return nil, fmt.Errorf("run %s: %w", info.Name, err)
	}
	if final := r.Final(); len(final) > 0 {
		m, err := manifest.Parse(final)
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", info.Name, err)
		}
		root := m.Manifest.Root()
		j.ManifestRoot = hex.EncodeToString(root[:])
	}
	return j, nil
}

func listRuns(cmd *cobra.Command, s *store.Store, page int, asJSON bool) error {
	infos, listErr := s.Runs()
	all := len(infos)
	page = min(page, all/runsPage+2) // one behind the last is as good as any
	infos = infos[min(all, (page-1)*runsPage):min(all, page*runsPage)]
	listed, err := describeRuns(cmd, s, infos, asJSON)
	if left := all - page*runsPage; left > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d more runs: --page %d\n", left, page+1)
	}
	if all > 0 && listed == 0 && err == nil && listErr == nil {
		return usageError("--page %d: the list ends before", page)
	}
	return ioError(errors.Join(listErr, err))
}

// describeRuns prints runs, a line each, and returns how many.
func describeRuns(cmd *cobra.Command, s *store.Store, infos []store.RunInfo, asJSON bool) (int, error) {
	var listErr error
	var all []*runJSON
	for _, info := range infos {
		j, err := describeRun(s, info)
		if err != nil {
			listErr = errors.Join(listErr, err)
			continue
		}
		j.Header = nil
		all = append(all, j)
	}
	out := cmd.OutOrStdout()
	if asJSON {
		enc := json.NewEncoder(out)
		for _, j := range all {
			listErr = errors.Join(listErr, enc.Encode(j))
		}
		return len(all), listErr
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tSTATE\tVOUCHERS\tFORMAT\tALGORITHM\tCREATED-ON\tEXPIRES-ON\tREPRODUCIBLE")
	for _, j := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", j.Name, j.State, j.Vouchers, j.Format, j.Algorithm, j.CreatedOn, j.ExpiresOn, yesNo(j.Reproducible))
	}
	return len(all), errors.Join(listErr, w.Flush())
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func showRun(cmd *cobra.Command, s *store.Store, name string) error {
	r, err := s.Run(name)
	if err != nil {
		return runError(err)
	}
	info, err := r.Info()
	if err != nil {
		return ioError(err)
	}
	j, err := describeRun(s, info)
	if err != nil {
		return ioError(err)
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return ioError(enc.Encode(j))
}
