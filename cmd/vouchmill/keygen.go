package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/sign"
	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

const keygenLong = `Make a voucher signing key with a certificate authority of its own: ca.pem, the
trust anchor that pledges and buyers get; ca.key, to be kept offline; masa.pem, the
signer's certificate and its chain; masa.key, what issue signs with.

Keys are readable by their owner only. Nothing is ever overwritten.`

func newKeygen() *cobra.Command {
	var alg, cn, out, passFile, token string
	var days int
	var encrypt bool
	cmd := &cobra.Command{
		Use:   "keygen --out DIR",
		Short: "Make a voucher signing key and its certificates",
		Long:  keygenLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := keygenOptions(alg, cn, days)
			if err != nil {
				return err
			}
			if encrypt {
				pass, err := newPassphrase(cmd, passFile)
				if err != nil {
					return err
				}
				defer clear(pass)
				opts.Passphrase = pass
			}
			if token != "" {
				return keygenOnToken(cmd, opts, token, out)
			}
			if err := keygen(opts, out); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote ca.pem, ca.key, masa.pem and masa.key to %s, valid until %s\n", out, opts.NotAfter.Format(time.DateOnly))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&alg, "alg", "ES256", "signature algorithm of both keys")
	f.StringVar(&cn, "cn", "Vouchmill MASA", "common name of the signer; the authority has CA behind it")
	f.StringVar(&out, "out", "", "directory for the four files; made if it is not there")
	f.IntVar(&days, "days", 3650, "how long the certificates are valid")
	f.StringVar(&token, "pkcs11", "", "make the signing key on the token this URI names (RFC 7512; object is its label)")
	f.BoolVar(&encrypt, "encrypt", false, "encrypt both keys (PKCS#8, PBES2)")
	f.StringVar(&passFile, "key-pass-file", "", "file whose first line is the passphrase, instead of "+passEnv+" or a prompt")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}

func keygenOptions(alg, cn string, days int) (sign.DemoOptions, error) {
	a, err := sign.ByName(alg)
	if err != nil {
		return sign.DemoOptions{}, usageError("--alg: %w", err)
	}
	if days < 1 || days > 36500 {
		return sign.DemoOptions{}, usageError("--days %d: want 1 to 36500", days)
	}
	start := time.Now().UTC().Truncate(time.Second).Add(-time.Hour) // clocks of verifiers may be behind
	return sign.DemoOptions{Algorithm: a, CommonName: cn, NotBefore: start, NotAfter: start.AddDate(0, 0, days)}, nil
}

// keygen makes the four files in dir, or none.
func keygen(opts sign.DemoOptions, dir string) error {
	pki, err := sign.NewDemoPKI(opts)
	if err != nil {
		return usageError("keygen: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ioError(err)
	}
	var written []string
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{"ca.key", pki.CAKey, 0o600}, {"masa.key", pki.SignerKey, 0o600},
		{"ca.pem", pki.CA, 0o644}, {"masa.pem", pki.Signer, 0o644},
	} {
		if f.data == nil { // the key is on a token
			continue
		}
		path := filepath.Join(dir, f.name)
		if err = material.WriteNew(path, f.data, f.mode); err != nil {
			break
		}
		written = append(written, path)
	}
	if err == nil {
		return nil
	}
	for _, path := range written {
		err = errors.Join(err, os.Remove(path))
	}
	if errors.Is(err, fs.ErrExist) {
		return usageError("keygen: %w; keys are never overwritten: choose another --out", err)
	}
	return ioError(err)
}

// keygenOnToken makes the signing key on a token, and files for the rest.
func keygenOnToken(cmd *cobra.Command, opts sign.DemoOptions, uri, dir string) error {
	key, err := pkcs11.Generate(uri, opts.Algorithm, material.TokenOptions(cmd))
	if err != nil {
		return usageError("--pkcs11: %w", err)
	}
	opts.SignerKey = key.Public()
	err = keygen(opts, dir)
	if closeErr := key.Close(); closeErr != nil {
		err = errors.Join(err, ioError(closeErr))
	}
	if err != nil {
		return fmt.Errorf("%w; the key on the token stays: delete it there before the next attempt", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "made the signing key on the token; wrote ca.pem, ca.key and masa.pem to %s, valid until %s\n", dir, opts.NotAfter.Format(time.DateOnly))
	return nil
}
