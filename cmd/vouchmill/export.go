package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

// exportOptions are the flags of export.
type exportOptions struct {
	store, run, out, kind, progress string
	forPledge, unfinished           bool
	workers                         int
	asJSON                          bool
}

const exportLong = `Write the vouchers of a run as a bundle: a tar file, NDJSON, a CBOR sequence or a
directory, by the name of --out; .gz or .zst behind it compresses. The run's signed
manifest goes with it: in the tar file and the directory as manifest.json, beside
the others as FILE.manifest.json.

The bundle appears whole under its name or not at all. The same run gives the same
octets, whenever and wherever it is exported.`

func newExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export --store DIR --out FILE.tar|FILE.ndjson|FILE.cborseq|DIR/",
		Short: "Write the vouchers of a run as a bundle",
		Long:  exportLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, o.store, store.Options{ReadOnly: true}, func(s *store.Store) error { return o.export(cmd, s) })
		},
	}
	storeFlag(cmd, &o.store)
	f := cmd.Flags()
	f.StringVar(&o.run, "run", "", "the run (default: the only one of the store)")
	f.StringVar(&o.out, "out", "", "the bundle; a directory ends in /; - is standard output, in the form --kind says")
	f.StringVar(&o.kind, "kind", "", "form of the bundle where --out does not say it: tar, ndjson or cborseq")
	f.BoolVar(&o.forPledge, "for-pledge", false, "leave the certificates out of COSE vouchers, as a registrar does before a constrained pledge")
	f.BoolVar(&o.unfinished, "unfinished", false, "export an unfinished run as far as it came, without a manifest")
	f.IntVar(&o.workers, "workers", 0, "how many goroutines rebuild vouchers (default: one a processor)")
	f.StringVar(&o.progress, "progress", "auto", "how progress is shown on standard error: auto, bar, plain, json or none")
	f.BoolVar(&o.asJSON, "json", false, "print the result as JSON")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}

func (o *exportOptions) export(cmd *cobra.Command, s *store.Store) error {
	reader, err := o.reader(s)
	if err != nil {
		return err
	}
	info, err := reader.Run.Info()
	if err != nil {
		return ioError(err)
	}
	mode, err := progress.ParseMode(o.progress)
	if err != nil {
		return usageError("--progress: %w", err)
	}
	cfg := export.Config{Run: reader, Path: o.out, Unfinished: o.unfinished, ForPledge: o.forPledge, Workers: o.workers}
	if err := o.target(cmd, &cfg); err != nil {
		return err
	}
	cfg.Progress, err = progress.Start(progress.Options{Job: "export", Unit: "vouchers", Verb: "exported", Mode: mode,
		Out: cmd.ErrOrStderr(), Terminal: onTerminal(cmd), Total: info.Vouchers})
	if err != nil {
		return ioError(err)
	}
	result, err := export.Run(cmd.Context(), cfg)
	if err = errors.Join(err, cfg.Progress.Stop()); err != nil {
		return exportFailed(err)
	}
	return ioError(o.print(cmd, result))
}

// reader returns the run to be exported.
func (o *exportOptions) reader(s *store.Store) (*run.Reader, error) {
	if o.run == "" {
		infos, err := s.Runs()
		if err != nil {
			return nil, ioError(err)
		}
		if len(infos) == 0 {
			return nil, usageError("the store has no run; issue makes one")
		}
		if len(infos) != 1 {
			var names []string
			for _, info := range infos {
				names = append(names, info.Name)
			}
			return nil, usageError("the store has %d runs; say which with --run: %s", len(infos), strings.Join(names, ", "))
		}
		o.run = infos[0].Name
	}
	r, err := s.Run(o.run)
	if err != nil {
		return nil, runError(err)
	}
	reader, err := run.NewReader(r)
	return reader, ioError(err)
}

// target sets where the bundle goes and in which form.
func (o *exportOptions) target(cmd *cobra.Command, cfg *export.Config) error {
	if o.kind != "" {
		kind, _, err := bundle.KindOf("x." + o.kind)
		if err != nil {
			return usageError("--kind %s: want tar, ndjson or cborseq", o.kind)
		}
		cfg.Bundle.Kind = kind
	}
	if o.out != "-" {
		return nil
	}
	if o.kind == "" {
		return usageError("--out - needs --kind tar, ndjson or cborseq")
	}
	cfg.Stream, cfg.Path = cmd.OutOrStdout(), "standard output"
	cfg.NoManifest = cfg.Bundle.Kind != bundle.KindTar
	return nil
}

// exportFailed tells mistakes of the command from trouble with files.
func exportFailed(err error) error {
	for _, usage := range []error{bundle.ErrKind, bundle.ErrExists, bundle.ErrUsage, export.ErrUnfinished} {
		if errors.Is(err, usage) {
			return usageError("%w", err)
		}
	}
	return ioError(err)
}

func (o *exportOptions) print(cmd *cobra.Command, r *export.Result) error {
	var out io.Writer = cmd.OutOrStdout()
	if o.out == "-" {
		out = cmd.ErrOrStderr()
	}
	if o.asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	with := "with its manifest"
	if !r.Manifest {
		with = "without a manifest"
	}
	_, err := fmt.Fprintf(out, "run %s: %d vouchers exported to %s, %s\n", r.Run, r.Vouchers, o.out, with)
	return err
}
