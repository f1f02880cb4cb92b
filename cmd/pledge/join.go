package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/pledge/client"
	"github.com/vouchmill/vouchmill/cmd/pledge/discover"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

const joinLong = `Join a domain: ask a registrar for a voucher, judge it, and get a certificate.

The device has its IDevID and key, and the trust anchors of its maker's vouchers;
of the registrar it knows nothing. What it has afterwards is in the state
directory, readable by its owner alone:

  voucher.vcj or voucher.vjj   the voucher as it came
  ldevid.pem, ldevid.key       the certificate of the domain, and its key
  cacerts.pem                  the CA certificates of the domain
  state.json                   what belongs together, and where it came from

A device that has joined stays as it is and asks nobody; 'pledge reset' takes it
back to factory state.

Registrars are asked a few seconds apart, each once. While one has not answered
or not decided, the device waits for it, up to the timeout, and asks the others.
With --wait, registrars that cannot be reached are tried again until then, less
and less often: for a device that is switched on before its registrar.`

type joinFlags struct {
	registrars         []string
	discover           bool
	domain             string
	idevid, key, trust string
	passFile, state    string
	format, label      string
	timeout            time.Duration
	wait, json         bool

	noClock, plainRegistrar, refuseNonceless bool
}

func newJoin() *cobra.Command {
	var o joinFlags
	cmd := &cobra.Command{
		Use:   "join (--registrar URL | --discover) --idevid FILE --key FILE --trust FILE --state DIR",
		Short: "Join a domain through a registrar",
		Long:  joinLong,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.registrars, "registrar", nil, "https://HOST:PORT of a registrar or join proxy; several are asked a few seconds apart")
	f.BoolVar(&o.discover, "discover", false, "find them: by multicast DNS on the link, then by DNS-SD in the domain")
	f.StringVar(&o.domain, "domain", "", "domain to search with --discover; default: the resolver's")
	f.StringVar(&o.idevid, "idevid", "", "the device's certificate and its chain (PEM)")
	f.StringVar(&o.key, "key", "", "its key: a file, or a pkcs11: URI")
	f.StringVar(&o.passFile, "key-pass-file", "", "file whose first line is the key's passphrase, instead of "+material.PassEnv+" or a prompt")
	f.StringVar(&o.trust, "trust", "", "trust anchors of the maker's vouchers (PEM)")
	f.StringVar(&o.state, "state", "", "directory for what the device keeps; made if it is not there")
	f.StringVar(&o.format, "format", "cms", "envelope of request and voucher: cms or jws")
	f.StringVar(&o.label, "label", "", "EST label to enrol under")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait for answers and decisions; with --wait, also for registrars that cannot be reached")
	f.BoolVar(&o.wait, "wait", false, "try registrars that cannot be reached again, until the timeout")
	f.BoolVar(&o.noClock, "no-clock", false, "do not trust this machine's clock: look at no date")
	f.BoolVar(&o.plainRegistrar, "allow-plain-registrar", false, "take a registrar without id-kp-cmcRA; every certificate of its domain can then play registrar")
	f.BoolVar(&o.refuseNonceless, "refuse-nonceless", false, "take no voucher without nonce")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	for _, name := range []string{"idevid", "key", "trust", "state"} {
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
	cmd.MarkFlagsOneRequired("registrar", "discover")
	cmd.MarkFlagsMutuallyExclusive("registrar", "discover")
	return cmd
}

func (o *joinFlags) run(cmd *cobra.Command) error {
	cfg, key, err := o.config(cmd)
	if err != nil {
		return err
	}
	defer key.Close()
	dir, err := client.OpenDir(o.state)
	if err != nil {
		return program.IOError(fmt.Errorf("--state: %w", err))
	}
	defer dir.Close()
	network := client.NewTransport(client.Options{})
	defer network.Close()
	cfg.Network, cfg.Storage, cfg.Clock, cfg.Once = network, dir, client.SystemClock{}, true
	if o.discover {
		cfg.Discover = func(ctx context.Context) ([]string, error) {
			return discover.Find(ctx, discover.Options{Domain: o.domain})
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if cfg.UntilReached = o.wait; o.wait {
		cfg.Observe = retrying(ctx, cmd)
	}
	p, err := pledge.New(*cfg)
	if err != nil {
		return program.Usagef("%w", err)
	}
	joined, err := p.Join(ctx, o.registrars...)
	if err != nil {
		return o.failed(cmd, p.SerialNumber(), err)
	}
	return reportJoined(cmd, o.json, o.state, joined)
}

// retrying tells whoever waits why it takes so long.
func retrying(ctx context.Context, cmd *cobra.Command) func(*pledge.Attempt) {
	joined := false
	return func(a *pledge.Attempt) {
		joined = joined || a.Err == nil
		if !joined && !a.Refused() && ctx.Err() == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s; trying again later\n", a.Registrar, printable(a.Err.Error()))
		}
	}
}

// config reads what the flags name, and checks them.
func (o *joinFlags) config(cmd *cobra.Command) (*pledge.Config, *material.Key, error) {
	for _, url := range o.registrars {
		if _, err := pledge.Origin(url); err != nil {
			return nil, nil, program.Usagef("--registrar: %w", err)
		}
	}
	format, err := codec.ParseFormat(o.format)
	if err != nil || format == codec.FormatCOSE {
		return nil, nil, program.Usagef("--format %q: want cms or jws", o.format)
	}
	if o.timeout <= 0 {
		return nil, nil, program.Usagef("--timeout %v: want a time to try for, such as 60s", o.timeout)
	}
	chain, err := readCertificates("--idevid", o.idevid, sign.LoadChain)
	if err != nil {
		return nil, nil, err
	}
	anchors, err := readCertificates("--trust", o.trust, sign.LoadCertificates)
	if err != nil {
		return nil, nil, err
	}
	key, err := material.OpenKey(cmd, "--key", o.key, material.Passphrase(cmd, o.passFile))
	if err != nil {
		return nil, nil, err
	}
	return &pledge.Config{IDevID: pledge.Identity{Chain: chain, Key: key.Signer}, VoucherAnchors: anchors, Format: format, Label: o.label,
		ClockTrusted: !o.noClock, AllowPlainRegistrar: o.plainRegistrar, RefuseNonceless: o.refuseNonceless}, key, nil
}

func readCertificates(flag, path string, load func([]byte) ([]*x509.Certificate, error)) ([]*x509.Certificate, error) {
	text, err := program.ReadFile(path, sign.MaxPEMBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	certs, err := load(text)
	if err != nil {
		return nil, program.Usagef("%s %s: %w", flag, path, err)
	}
	return certs, nil
}

// failed reports a join that came to nothing, and gives it its exit code.
func (o *joinFlags) failed(cmd *cobra.Command, serial string, err error) error {
	var failed *pledge.JoinError
	if !errors.As(err, &failed) {
		return decided(err)
	}
	if err := reportFailed(cmd, o.json, serial, failed); err != nil {
		return err
	}
	code := program.IO
	switch outcome := failed.Outcome(); {
	case outcome == pledge.Undecided || errors.Is(failed.Cause, context.Canceled):
		code = exitPending
	case outcome == pledge.Refused:
		code = program.Failed
	}
	text := failed.Error()
	if todo := remedy(failed); todo != "" {
		text += "; " + todo
	}
	return &program.Error{Code: code, Err: errors.New(text)}
}

// remedy is what there is to do about a join that came to nothing, as far as that
// can be told from here.
func remedy(failed *pledge.JoinError) string {
	var refused []decision.Kind
	for _, a := range failed.Attempts {
		var r *decision.Refusal
		if errors.As(a.Err, &r) {
			refused = append(refused, r.Kind)
		}
	}
	switch outcome := failed.Outcome(); {
	case outcome == pledge.Undecided:
		return "ask again when it has, or wait longer with --timeout"
	case outcome == pledge.NothingReached && len(failed.Attempts) > 0:
		return "see that a registrar runs there, and that host and port are right; with --wait it is tried again until the timeout"
	case slices.Contains(refused, decision.BadSignature):
		return "see that --trust holds the anchors of the vouchers of this device's maker"
	case slices.Contains(refused, pledge.RegistrarRefused):
		return "the registrar's operator is told why ('registrar devices explain' there)"
	}
	return ""
}
