package main

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/engine/verify"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	store, run, at, serials, issuer string
	trust, helpers, pins            []string
	progress                        string
	total                           uint64 // vouchers, 0 while not known
	workers                         int
	asJSON                          bool
}

const verifyLong = `Verify vouchers of any format, from files, directories, bundles or a store, against
trust anchors: envelope, signature, chain, payload, the rules of RFC 8366, times,
and what is expected of them. A bundle's or run's manifest is verified with it.

Each failure is printed with its reason. Exit code 1: something failed, or there
was nothing to verify.`

func newVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify --trust ca.pem (--store DIR | FILE|DIR|- ...)",
		Short: "Verify vouchers against trust anchors",
		Long:  verifyLong,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := o.config()
			if err != nil {
				return err
			}
			switch {
			case (o.store == "") == (len(args) == 0):
				return usageError("verify takes either --store or files and directories")
			case o.store == "" && o.run != "":
				return usageError("--run names a run of a store; give --store too")
			case o.store != "":
				return withStore(cmd, o.store, store.Options{ReadOnly: true}, func(s *store.Store) error {
					if cfg.Sources, err = storedRuns(s, o.run); err != nil {
						return err
					}
					return o.verify(cmd, cfg)
				})
			}
			for _, path := range args {
				if path != "-" {
					if _, err := os.Stat(path); err != nil {
						return ioError(err)
					}
				}
				cfg.Sources = append(cfg.Sources, verify.File(path, bundle.ReadOptions{}))
			}
			return o.verify(cmd, cfg)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.trust, "trust", nil, "certificate of an authority, or of a signer, to be believed (PEM or DER; repeat for more)")
	f.StringArrayVar(&o.helpers, "helper", nil, "certificate that may complete a chain or name the signer of a voucher without certificates; not believed by itself")
	f.StringVar(&o.at, "at", "", "time of validation, RFC 3339 (default: now)")
	f.StringVar(&o.serials, "serials", "", "list of the devices: each must have a voucher, and no other")
	f.StringArrayVar(&o.pins, "pin", nil, "certificate the vouchers must pin, whole, by key or by hash (repeat for more)")
	f.StringVar(&o.issuer, "idevid-issuer", "", "issuer the vouchers must name, hexadecimal, in any of its forms")
	f.StringVar(&o.store, "store", "", "verify the runs of this store")
	f.StringVar(&o.run, "run", "", "only this run of the store")
	f.IntVar(&o.workers, "workers", 0, "how many goroutines check (default: one a processor)")
	f.StringVar(&o.progress, "progress", "auto", "how progress is shown on standard error: auto, bar, plain, json or none")
	f.BoolVar(&o.asJSON, "json", false, "print failures and the report as JSON, a line each")
	cobra.CheckErr(cmd.MarkFlagRequired("trust"))
	return cmd
}

// config turns flags into what engine/verify takes.
func (o *verifyOptions) config() (cfg verify.Config, err error) {
	cfg.Workers = o.workers
	if cfg.Trust.Anchors, err = loadCertificates("--trust", o.trust); err != nil {
		return cfg, err
	}
	if len(o.helpers) > 0 {
		if cfg.Trust.Helpers, err = loadCertificates("--helper", o.helpers); err != nil {
			return cfg, err
		}
	}
	if len(o.pins) > 0 {
		if cfg.Expect.Pins, err = loadCertificates("--pin", o.pins); err != nil {
			return cfg, err
		}
	}
	cfg.Trust.At = time.Now()
	if o.at != "" {
		if cfg.Trust.At, err = profile.ParseTime(o.at); err != nil {
			return cfg, usageError("--at: %w", err)
		}
	}
	if o.issuer != "" {
		raw, err := hex.DecodeString(o.issuer)
		if err == nil {
			cfg.Expect.IssuerKeyID, err = codec.IssuerKeyID(raw)
		}
		if err != nil {
			return cfg, usageError("--idevid-issuer: %w", err)
		}
	}
	if o.serials != "" {
		if cfg.Expect.Serials, err = expectedSerials(o.serials); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// expectedSerials reads the list of devices that are to have vouchers.
func expectedSerials(path string) (*verify.Serials, error) {
	r, err := list.Open(path, list.Options{})
	if err != nil {
		return nil, usageError("--serials: %w", err)
	}
	defer r.Close()
	set := new(verify.Serials)
	var rec list.Record
	for {
		switch err := r.Read(&rec); {
		case errors.Is(err, io.EOF):
			return set, nil
		case err != nil:
			return nil, usageError("--serials: %w", err)
		}
		var keyID []byte
		if rec.Issuer != nil {
			if keyID, err = codec.IssuerKeyID(rec.Issuer); err != nil {
				return nil, usageError("--serials: %s %d: %w", r.Unit(), rec.Line, err)
			}
		}
		if _, err := set.Add(rec.Serial, keyID); err != nil {
			return nil, usageError("--serials: %s %d: %w", r.Unit(), rec.Line, err)
		}
	}
}

// storedRuns returns the runs of a store as sources, the oldest first, or the
// one named.
func storedRuns(s *store.Store, name string) ([]verify.Source, error) {
	if name != "" {
		r, err := s.Run(name)
		if err != nil {
			return nil, runError(err)
		}
		reader, err := run.NewReader(r)
		if err != nil {
			return nil, ioError(err)
		}
		return []verify.Source{verify.StoredRun(reader)}, nil
	}
	infos, err := s.Runs()
	if err != nil {
		return nil, ioError(err)
	}
	var sources []verify.Source
	for i := len(infos) - 1; i >= 0; i-- {
		one, err := storedRuns(s, infos[i].Name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, one...)
	}
	return sources, nil
}

// verify runs the job and prints what it finds.
func (o *verifyOptions) verify(cmd *cobra.Command, cfg verify.Config) error {
	out := bufio.NewWriter(cmd.OutOrStdout())
	report, err := o.check(cmd, cfg, out)
	if err != nil {
		return errors.Join(err, out.Flush())
	}
	if o.asJSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		printReport(out, report)
	}
	if err = errors.Join(err, out.Flush()); err == nil && !report.OK() {
		return &exitError{Code: exitFailed}
	}
	return ioError(err)
}

// check runs the job; failures go to out as they are found.
func (o *verifyOptions) check(cmd *cobra.Command, cfg verify.Config, out io.Writer) (*verify.Report, error) {
	enc := json.NewEncoder(out)
	cfg.Failed = func(f *verify.Failure) error {
		if o.asJSON {
			return enc.Encode(f)
		}
		_, err := fmt.Fprintln(out, f)
		return err
	}
	mode, err := progress.ParseMode(cmp.Or(o.progress, "auto"))
	if err != nil {
		return nil, usageError("--progress: %w", err)
	}
	cfg.Progress, err = progress.Start(progress.Options{Job: "verify", Unit: "vouchers", Verb: "checked", Mode: mode,
		Out: cmd.ErrOrStderr(), Terminal: onTerminal(cmd), Total: o.total})
	if err != nil {
		return nil, ioError(err)
	}
	report, err := verify.Run(cmd.Context(), cfg)
	return report, ioError(errors.Join(err, cfg.Progress.Stop()))
}

func printReport(out io.Writer, r *verify.Report) {
	for _, note := range r.Notes {
		fmt.Fprintln(out, "note:", note)
	}
	for _, m := range r.Manifests {
		state := "does not hold"
		if m.Holds {
			state = fmt.Sprintf("holds, run %s, %d vouchers, root %s", m.Run, m.Count, m.Root)
		}
		fmt.Fprintf(out, "manifest of %s: %s\n", m.Source, state)
	}
	fmt.Fprintf(out, "checked at %s:", r.At.Format(time.RFC3339))
	for _, c := range r.Checks {
		fmt.Fprintf(out, " %s", c)
	}
	fmt.Fprintf(out, "\n%d vouchers: %d passed, %d failed, %d missing\n", r.Vouchers, r.Passed, r.Failed, r.Missing)
}
