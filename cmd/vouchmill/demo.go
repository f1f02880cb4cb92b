package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// maxDemo keeps a slip of the finger from filling the disk: about 10 GB.
const maxDemo = 100_000_000

// A demo is one run of the demo command.
type demo struct {
	cmd    *cobra.Command
	n      uint64
	format codec.Format
	dir    string

	signer         sign.Signer
	key            crypto.Signer
	header         *run.Header
	trust          verify.Trust
	baseBefore     float64 // signatures a second by crypto/ecdsa, all processors
	issued, proven time.Duration
}

func newDemo() *cobra.Command {
	var n uint64
	var format, dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Issue and verify a million vouchers, keys and list included",
		Long: `Make keys and a device list, issue a voucher for every device into a store, verify
them all, and say how fast that was beside crypto/ecdsa signing as much in the same
run. Without --dir everything is gone afterwards.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d := &demo{cmd: cmd, n: n, dir: dir}
			if d.format, err = codec.ParseFormat(format); err != nil {
				return usageError("--format: %w", err)
			}
			if n < 1 || n > maxDemo {
				return usageError("--n %d: want 1 to %d", n, maxDemo)
			}
			if dir == "" {
				if d.dir, err = os.MkdirTemp("", "vouchmill-demo-"); err != nil {
					return ioError(err)
				}
				defer func() { err = errors.Join(err, ioError(os.RemoveAll(d.dir))) }()
			}
			return d.run()
		},
	}
	cmd.Flags().Uint64Var(&n, "n", 1_000_000, "how many devices")
	cmd.Flags().StringVar(&format, "format", "cms", "cms, jws or cose")
	cmd.Flags().StringVar(&dir, "dir", "", "keep keys, list and store in this directory, which must not have them yet")
	return cmd
}

func (d *demo) run() error {
	if err := d.prepare(); err != nil {
		return err
	}
	defer d.signer.Close()
	return withStore(d.cmd, filepath.Join(d.dir, "store"), store.Options{Create: true}, func(s *store.Store) error {
		d.say("signing with crypto/ecdsa for a second, to compare with")
		if err := d.baseline(&d.baseBefore); err != nil {
			return err
		}
		result, err := d.issue(s)
		if err != nil {
			return err
		}
		r, err := s.Run(result.Run)
		if err != nil {
			return ioError(err)
		}
		report, err := d.verify(r)
		if err != nil {
			return err
		}
		var baseAfter float64
		if err := d.baseline(&baseAfter); err != nil {
			return err
		}
		return d.sum(result, report, (d.baseBefore+baseAfter)/2)
	})
}

func (d *demo) say(format string, a ...any) {
	fmt.Fprintf(d.cmd.ErrOrStderr(), format+"\n", a...)
}

// prepare makes keys and list.
func (d *demo) prepare() error {
	keys, domain, devices := filepath.Join(d.dir, "keys"), filepath.Join(d.dir, "domain"), filepath.Join(d.dir, "devices.csv")
	opts, err := keygenOptions("ES256", "Demo MASA", 3650)
	if err != nil {
		return err
	}
	if err := keygen(opts, keys); err != nil {
		return err
	}
	opts.CommonName = "Demo Domain"
	if err := keygen(opts, domain); err != nil {
		return err
	}
	if err := writeSynthetic(devices, d.n); err != nil {
		return ioError(err)
	}
	d.say("made keys and a shuffled list of %d devices in %s", d.n, d.dir)
	return d.load(keys, domain)
}

func writeSynthetic(path string, n uint64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = (&list.Synthetic{Count: n, Seed: 1}).Write(f)
	return errors.Join(err, f.Close())
}

// load reads what prepare made, as issue and verify would.
func (d *demo) load(keys, domain string) error {
	signer, chain, err := loadSigner(d.cmd, filepath.Join(keys, "masa.key"), filepath.Join(keys, "masa.pem"), "", sign.Options{}, sign.CheckEvery)
	if err != nil {
		return err
	}
	d.signer = signer
	key, err := sign.LoadKeyFile(filepath.Join(keys, "masa.key"), nil)
	if err != nil {
		return ioError(err)
	}
	d.key = key.Key
	if d.trust.Anchors, err = loadCertificates("demo", []string{filepath.Join(keys, "ca.pem")}); err != nil {
		return err
	}
	pins, err := loadCertificates("demo", []string{filepath.Join(domain, "ca.pem")})
	if err != nil {
		return err
	}
	var ders [][]byte
	for _, c := range chain {
		ders = append(ders, c.Raw)
	}
	var s profile.Settings
	s.Format.Put(d.format)
	s.ExpiresOn.Put(profile.Expiry{After: 365 * 24 * time.Hour})
	d.header, err = run.NewHeader(&s, signer.Algorithm(), ders, []run.Pin{{Cert: pins[0].Raw}})
	return err
}

// baseline measures crypto/ecdsa, deterministic as our signatures are, on all
// processors for about a second.
func (d *demo) baseline(rate *float64) error {
	key, ok := d.key.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the demo's key is a %T", d.key)
	}
	workers := runtime.GOMAXPROCS(0)
	counts, errs := make([]int, workers), make([]error, workers)
	ctx, cancel := context.WithTimeout(d.cmd.Context(), time.Second)
	defer cancel()
	start := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var n [8]byte
			for ctx.Err() == nil && errs[w] == nil {
				binary.BigEndian.PutUint64(n[:], uint64(counts[w]))
				digest := sha256.Sum256(n[:])
				_, errs[w] = key.Sign(nil, digest[:], crypto.SHA256)
				counts[w]++
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	*rate = float64(total) / time.Since(start).Seconds()
	return errors.Join(append(errs, ioError(context.Cause(d.cmd.Context())))...)
}

func (d *demo) issue(s *store.Store) (*issue.Result, error) {
	cfg := issue.Config{Store: s, Header: *d.header, Signer: d.signer,
		Devices: func() (*list.Reader, error) {
			return list.Open(filepath.Join(d.dir, "devices.csv"), list.Options{})
		}}
	var reporter *progress.Reporter
	cfg.Begun = func(b issue.Begun) (*progress.Reporter, error) {
		d.say("run %s", b.Name)
		var err error
		reporter, err = progress.Start(progress.Options{Job: "issue", Unit: "vouchers", Out: d.cmd.ErrOrStderr(), Terminal: onTerminal(d.cmd), Total: d.n})
		return reporter, err
	}
	result, err := issue.Run(d.cmd.Context(), cfg)
	if reporter != nil {
		err = errors.Join(err, reporter.Stop())
	}
	if err != nil {
		return nil, issueFailed(result, err)
	}
	d.issued = result.Elapsed
	return result, nil
}

func (d *demo) verify(r *store.Run) (*verify.Report, error) {
	reader, err := run.NewReader(r)
	if err != nil {
		return nil, ioError(err)
	}
	start := time.Now()
	o := verifyOptions{total: d.n}
	report, err := o.check(d.cmd, verify.Config{Sources: []verify.Source{verify.StoredRun(reader)}, Trust: d.trust}, io.Discard)
	d.proven = time.Since(start)
	return report, err
}

// sum prints what the demo is for.
func (d *demo) sum(result *issue.Result, report *verify.Report, base float64) error {
	out := d.cmd.OutOrStdout()
	rate := float64(result.Vouchers) / d.issued.Seconds()
	fmt.Fprintf(out, "issued    %d %s vouchers, durable and indexed, in %s: %.0f a second\n", result.Vouchers, d.format, d.issued.Round(time.Millisecond), rate)
	fmt.Fprintf(out, "verified  %d of %d, manifest included, in %s: %.0f a second\n", report.Passed, report.Vouchers, d.proven.Round(time.Millisecond), float64(report.Vouchers)/d.proven.Seconds())
	fmt.Fprintf(out, "crypto/ecdsa makes %.0f bare signatures a second on the same %d processors: issuing, list to disk, is %.1f times as fast\n", base, runtime.GOMAXPROCS(0), rate/base)
	if !report.OK() {
		return &exitError{Code: exitFailed, Err: fmt.Errorf("%d vouchers failed to verify", report.Failed)}
	}
	return nil
}
