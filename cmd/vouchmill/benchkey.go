package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/sign"
)

// keyRate is what a key does at one batch size: a line of bench-key, stable.
type keyRate struct {
	Batch     int     `json:"batch"`
	PerSecond float64 `json:"signatures-per-second"`
	Run       float64 `json:"run-seconds"` // for a run of --n vouchers, signatures alone
}

func newBenchKey() *cobra.Command {
	var keyFile, passFile string
	var n uint64
	var duration time.Duration
	var workers int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench-key --key FILE|pkcs11:...",
		Short: "Measure how fast a key signs and how long a run would take",
		Long: `Sign random digests with a key, in batches of several sizes, and print how many
signatures it makes a second and how long those of a run of --n vouchers would take.
Issuing signs in batches of 256.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case duration < time.Millisecond || duration > time.Minute:
				return usageError("--for %s: want 1ms to 1m", duration)
			case workers < 0 || workers > 1024:
				return usageError("--workers %d: want 1 to 1024", workers)
			}
			if workers == 0 {
				workers = runtime.GOMAXPROCS(0)
			}
			signer, err := loadBareSigner(cmd, keyFile, passFile)
			if err != nil {
				return err
			}
			defer signer.Close()
			var rates []keyRate
			for _, batch := range []int{1, 16, 64, 256} {
				perSecond, err := measureKey(cmd.Context(), signer, batch, workers, duration)
				if err != nil {
					return ioError(err)
				}
				rates = append(rates, keyRate{batch, perSecond, float64(n) / perSecond})
			}
			return ioError(printKeyRates(cmd, signer, rates, n, asJSON))
		},
	}
	f := cmd.Flags()
	f.StringVar(&keyFile, "key", "", "private key: a PEM file, or a pkcs11: URI (RFC 7512)")
	f.StringVar(&passFile, "key-pass-file", "", "file whose first line decrypts the key, instead of "+passEnv+" or a prompt")
	f.Uint64Var(&n, "n", 1_000_000, "vouchers of the run to be estimated")
	f.DurationVar(&duration, "for", 2*time.Second, "how long to sign at each batch size")
	f.IntVar(&workers, "workers", 0, "how many goroutines sign (default: one a processor)")
	f.BoolVar(&asJSON, "json", false, "print JSON, a line a batch size")
	cobra.CheckErr(cmd.MarkFlagRequired("key"))
	return cmd
}

// loadBareSigner loads a key without its certificate.
func loadBareSigner(cmd *cobra.Command, keyFile, passFile string) (sign.Signer, error) {
	key, err := material.OpenKey(cmd, "--key", keyFile, passphrase(cmd, passFile))
	if err != nil {
		return nil, err
	}
	signer, err := key.NewSigner(nil, sign.Options{})
	if err != nil {
		return nil, usageError("--key %s: %w", keyFile, errors.Join(err, key.Close()))
	}
	return signer, nil
}

// measureKey signs for a while on all workers and returns signatures a second.
func measureKey(parent context.Context, signer sign.Signer, batch, workers int, duration time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(parent, duration)
	defer cancel()
	counts, errs := make([]int, workers), make([]error, workers)
	start := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { counts[w], errs[w] = signFor(ctx, signer, batch, uint64(w)) })
	}
	wg.Wait()
	elapsed, total := time.Since(start), 0
	for w := range workers {
		if errs[w] != nil {
			return 0, errs[w]
		}
		total += counts[w]
	}
	return float64(total) / elapsed.Seconds(), context.Cause(parent)
}

// signFor signs batches of random digests until ctx ends.
func signFor(ctx context.Context, signer sign.Signer, batch int, seed uint64) (int, error) {
	alg := signer.Algorithm()
	inputs, sigs := make([][]byte, batch), make([]byte, batch*alg.SignatureSize)
	digests := make([]byte, batch*alg.DigestSize)
	for i := range inputs {
		inputs[i] = digests[i*alg.DigestSize : (i+1)*alg.DigestSize]
	}
	random := rand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), seed)))
	count := 0
	for ctx.Err() == nil {
		if _, err := random.Read(digests); err != nil {
			return count, err
		}
		if err := signer.SignBatch(sigs, inputs); err != nil {
			return count, err
		}
		count += batch
	}
	return count, nil
}

func printKeyRates(cmd *cobra.Command, signer sign.Signer, rates []keyRate, n uint64, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		enc := json.NewEncoder(out)
		for _, r := range rates {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(out, "%s, reproducible: %s\n", signer.Algorithm(), yesNo(signer.Deterministic()))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "batch\tsignatures/s\ta run of %d\t\n", n)
	for _, r := range rates {
		fmt.Fprintf(w, "%d\t%.0f\t%s\t\n", r.Batch, r.PerSecond, time.Duration(r.Run*float64(time.Second)).Round(time.Millisecond))
	}
	return w.Flush()
}
