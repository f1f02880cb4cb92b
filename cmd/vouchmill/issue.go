package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

const issueLong = `Sign a nonceless voucher for every device of a list and keep them in a store.

A run that was cut short, by a signal, a full disk or a lost machine, continues
with the same command and ends with the same bytes. Every flag is a key of the
profile file as well (--profile); flags win.`

func newIssue() *cobra.Command {
	var profileFile string
	cmd := &cobra.Command{
		Use:   "issue --store DIR --devices FILE|- --key FILE --cert FILE --pin [NAME=]FILE --expires-on T|DURATION|never",
		Short: "Sign vouchers for a list of devices",
		Long:  issueLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := issueSettings(cmd, profileFile)
			if err != nil {
				return err
			}
			return issueVouchers(cmd, s)
		},
	}
	cmd.Flags().StringVar(&profileFile, "profile", "", "file of settings (YAML); see 'vouchmill issue --help-profile'")
	cmd.Flags().Bool("help-profile", false, "describe every key of a profile and stop")
	for _, k := range profile.Keys() {
		usage := k.Meaning + " (" + k.Values + "; default: " + k.Default + ")"
		if k.Name == "pin" {
			cmd.Flags().StringArray(k.Name, nil, usage)
			continue
		}
		cmd.Flags().String(k.Name, "", usage)
		if k.Values == "true or false" {
			cmd.Flags().Lookup(k.Name).NoOptDefVal = "true"
		}
	}
	return cmd
}

// issueSettings lays the flags over the profile.
func issueSettings(cmd *cobra.Command, profileFile string) (*profile.Settings, error) {
	s := new(profile.Settings)
	if profileFile != "" {
		text, err := readFile(profileFile, profile.MaxBytes)
		if err != nil {
			return nil, fmt.Errorf("--profile: %w", err)
		}
		if s, err = profile.Parse(text, profileFile); err != nil {
			return nil, usageError("%w", err)
		}
	}
	var flags profile.Settings
	for _, k := range profile.Keys() {
		f := cmd.Flags().Lookup(k.Name)
		if !f.Changed {
			continue
		}
		if err := setFlag(cmd, &flags, f); err != nil {
			return nil, usageError("--%s: %w", k.Name, err)
		}
	}
	s.Override(&flags)
	if err := s.Check(); err != nil {
		return nil, usageError("%w", err)
	}
	return s, nil
}

func setFlag(cmd *cobra.Command, s *profile.Settings, f *pflag.Flag) error {
	if f.Name != "pin" {
		return s.Set(f.Name, f.Value.String())
	}
	pins, err := cmd.Flags().GetStringArray("pin")
	if err != nil {
		return err
	}
	return s.SetPins(pins)
}

// issueVouchers runs the job that the settings describe.
func issueVouchers(cmd *cobra.Command, s *profile.Settings) error {
	if help, err := cmd.Flags().GetBool("help-profile"); err == nil && help {
		return profile.Describe(cmd.OutOrStdout())
	}
	if err := required(s); err != nil {
		return err
	}
	checkEvery := sign.CheckEvery
	if s.SelfCheck.Or("some") == "all" {
		checkEvery = 1
	}
	signer, chain, err := loadSigner(cmd, s.Key.Or(""), s.Cert.Or(""), s.KeyPassFile.Or(""), sign.Options{Hedged: s.Hedged.Or(false)}, checkEvery)
	if err != nil {
		return err
	}
	defer signer.Close()
	header, err := issueHeader(cmd, s, signer.Algorithm(), chain)
	if err != nil {
		return err
	}
	cfg := issue.Config{Header: *header, Signer: signer, Workers: s.Workers.Or(0), Meter: new(engine.Meter)}
	cfg.Devices = func() (*list.Reader, error) { return openDevices(cmd, s) }
	if s.OnError.Or("stop") == "skip" {
		cfg.OnError = issue.Skip
	}
	if path := s.Rejects.Or(""); path != "" {
		if cfg.Rejects, err = list.CreateRejects(path); err != nil {
			return ioError(err)
		}
		defer cfg.Rejects.Abort()
	}
	return withIssueStore(cmd, s, &cfg, func() error { return runIssue(cmd, s, cfg) })
}

func required(s *profile.Settings) error {
	for _, r := range []struct {
		set  bool
		flag string
	}{
		{s.Store.IsSet(), "store"}, {s.Devices.IsSet(), "devices"}, {s.Key.IsSet(), "key"}, {s.Cert.IsSet(), "cert"},
		{s.Pins.IsSet(), "pin"}, {s.ExpiresOn.IsSet(), "expires-on"},
	} {
		if !r.set {
			return usageError("issue needs --%s, or %s in the profile; see vouchmill issue --help", r.flag, r.flag)
		}
	}
	return nil
}

// openDevices opens the list. Standard input may have nothing to say for long:
// an interruption ends the wait.
func openDevices(cmd *cobra.Command, s *profile.Settings) (*list.Reader, error) {
	path, opts := s.Devices.Or(""), listOptions(s)
	if path != "-" {
		return list.Open(path, opts)
	}
	opts.Name = "standard input"
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, cmd.InOrStdin())
		out.CloseWithError(err)
	}()
	context.AfterFunc(cmd.Context(), func() { in.CloseWithError(context.Cause(cmd.Context())) })
	return list.NewReader(in, opts)
}

func listOptions(s *profile.Settings) list.Options {
	from, err := codec.ParseSerialSource(s.SerialFrom.Or("subject"))
	if err != nil { // the profile takes no other names
		from = codec.SerialFromSubject
	}
	return list.Options{Format: s.ListFormat.Or(list.FormatAuto), Delimiter: s.Delimiter.Or(0), MaxRowBytes: s.RowBytes.Or(0),
		MaxSerialBytes: s.SerialBytes.Or(0), MaxExpansion: s.MaxExpansion.Or(0), SerialFrom: from}
}

// issueHeader loads what the settings name and warns of what may surprise.
func issueHeader(cmd *cobra.Command, s *profile.Settings, alg *sign.Algorithm, chain []*x509.Certificate) (*run.Header, error) {
	var ders [][]byte
	for _, c := range chain {
		ders = append(ders, c.Raw)
	}
	var pins []run.Pin
	for _, p := range s.Pins.Or(nil) {
		certs, err := loadCertificates("--pin", []string{p.File})
		if err != nil {
			return nil, err
		}
		if len(certs) > 1 {
			warn(cmd, "--pin %s holds %d certificates; the first, %q, is pinned", p.File, len(certs), certs[0].Subject)
		}
		pins = append(pins, run.Pin{Name: p.Name, Cert: certs[0].Raw})
	}
	h, err := run.NewHeader(s, alg, ders, pins)
	if err != nil {
		return nil, usageError("%w", err)
	}
	if created := s.CreatedOn.Or(time.Time{}); created.After(time.Now().Add(verify.Skew)) {
		warn(cmd, "created-on %s lies ahead: devices with a clock refuse the vouchers until then", run.FormatTime(created))
	}
	expires := s.ExpiresOn.Or(profile.Expiry{}).From(s.CreatedOn.Or(time.Now()))
	switch notAfter := chain[0].NotAfter; {
	case expires.IsZero():
		warn(cmd, "these vouchers never expire: whoever holds one can use it as long as its device trusts the signer")
	case expires.After(notAfter):
		warn(cmd, "the vouchers outlive their signer: they expire on %s, its certificate on %s", run.FormatTime(expires), run.FormatTime(notAfter))
	}
	return h, nil
}

// withIssueStore opens the store, and the older run of a delta, around work. A
// dry run works without a store unless it needs the older run.
func withIssueStore(cmd *cobra.Command, s *profile.Settings, cfg *issue.Config, work func() error) error {
	dry, older := s.DryRun.Or(false), s.Delta.Or("")
	if dry && older == "" {
		return work()
	}
	return withStore(cmd, s.Store.Or(""), store.Options{Create: !dry, ReadOnly: dry}, func(st *store.Store) error {
		cfg.Store = st
		if older != "" {
			var err error
			if cfg.Delta, err = issue.OpenDelta(st, older); err != nil {
				return fmt.Errorf("--delta: %w", runError(err))
			}
		}
		return work()
	})
}

func runIssue(cmd *cobra.Command, s *profile.Settings, cfg issue.Config) error {
	mode, err := progress.ParseMode(s.Progress.Or("auto"))
	if err != nil {
		return usageError("--progress: %w", err)
	}
	var reporter *progress.Reporter
	cfg.Begun = func(b issue.Begun) (*progress.Reporter, error) {
		sayBegun(cmd, s, b)
		reporter, err = progress.Start(progress.Options{Job: "issue", Unit: "vouchers", Mode: mode, Out: cmd.ErrOrStderr(),
			Terminal: onTerminal(cmd), Resumed: b.Durable})
		return reporter, err
	}
	var result *issue.Result
	if s.DryRun.Or(false) {
		result, err = issue.DryRun(cmd.Context(), cfg, "")
	} else {
		result, err = issue.Run(cmd.Context(), cfg)
	}
	if reporter != nil {
		err = errors.Join(err, reporter.Stop())
	}
	if cfg.Rejects != nil && judgedList(result, err) {
		err = errors.Join(err, cfg.Rejects.Commit())
	}
	if err != nil {
		return issueFailed(result, err)
	}
	if err := printIssued(cmd, s, result); err != nil {
		return ioError(err)
	}
	if result.Rejected > 0 {
		return &exitError{Code: exitFailed, Err: fmt.Errorf("rows left out: %d", result.Rejected)}
	}
	return nil
}

// judgedList reports whether a job read its list to the end or to the row that
// stopped it. The rejects of a job that did not say nothing: what an earlier one
// wrote stays.
func judgedList(result *issue.Result, err error) bool {
	var row *issue.RowError
	return err == nil && !result.AlreadyComplete || errors.As(err, &row) || errors.Is(err, issue.ErrNoDevices)
}

func sayBegun(cmd *cobra.Command, s *profile.Settings, b issue.Begun) {
	switch {
	case s.DryRun.Or(false):
		fmt.Fprintln(cmd.ErrOrStderr(), "dry run: nothing is signed")
	case b.Resumed:
		fmt.Fprintf(cmd.ErrOrStderr(), "run %s: continuing, %d vouchers are durable\n", b.Name, b.Durable)
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "run %s\n", b.Name)
	}
}

// onTerminal reports whether the command's standard error is a terminal.
func onTerminal(cmd *cobra.Command) bool { return program.OnTerminal(cmd) }

// issueFailed gives a failed job its exit code and says what is safe.
func issueFailed(result *issue.Result, err error) error {
	var settings *issue.SettingsError
	var changed *issue.ListChangedError
	var row *issue.RowError
	var devices *list.ListError
	code := exitIO
	// Where the list is at fault, its own words say more than the pipeline's.
	switch {
	case errors.As(err, &row):
		err = row
	case errors.As(err, &changed):
		err = changed
	case errors.As(err, &devices) && !errors.Is(err, context.Canceled):
		err = devices
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &exitError{Code: exitInterrupted, Err: fmt.Errorf("interrupted: %d vouchers of run %s are durable; the same command continues", result.Vouchers, result.Run)}
	case errors.As(err, &row), errors.Is(err, issue.ErrNoDevices), errors.Is(err, list.ErrEmpty), errors.Is(err, list.ErrSyntax), errors.Is(err, list.ErrExpansion):
		code = exitFailed
	case errors.As(err, &settings), errors.As(err, &changed), errors.Is(err, run.ErrVariant), errors.Is(err, run.ErrHeader), errors.Is(err, list.ErrColumn):
		code = exitUsage
	}
	if result != nil && result.Run != "" && result.Vouchers > 0 {
		err = fmt.Errorf("%w\n%d vouchers of run %s are durable", err, result.Vouchers, result.Run)
	}
	return &exitError{Code: code, Err: err}
}
