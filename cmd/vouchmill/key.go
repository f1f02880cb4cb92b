package main

import (
	"bytes"
	"crypto/x509"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/sign"
)

// passEnv is the environment variable that holds the passphrase of a key.
const passEnv = material.PassEnv

// passphrase returns how to come by the passphrase of an encrypted key: the
// file, the environment, or a prompt where there is a terminal to ask on.
func passphrase(cmd *cobra.Command, file string) sign.PassphraseFunc {
	return material.Passphrase(cmd, file)
}

// newPassphrase asks for a passphrase to encrypt with.
func newPassphrase(cmd *cobra.Command, file string) ([]byte, error) {
	pass, err := passphrase(cmd, file)()
	if err != nil {
		return nil, usageError("--encrypt: %w", err)
	}
	if _, set := os.LookupEnv(passEnv); file == "" && !set {
		again, err := material.Prompt(cmd, "once more: ")
		if err != nil || !bytes.Equal(pass, again) {
			return nil, usageError("--encrypt: the two passphrases differ")
		}
	}
	if len(pass) == 0 {
		return nil, usageError("--encrypt: the passphrase is empty")
	}
	return pass, nil
}

// loadSigner loads the key and its chain, checks that they belong together and
// returns a signer for them that verifies one in checkEvery of its signatures.
func loadSigner(cmd *cobra.Command, keyFile, certFile, passFile string, opts sign.Options, checkEvery int) (sign.Signer, []*x509.Certificate, error) {
	return material.LoadSigner(cmd, material.SignerFlags{Key: "--key", Cert: "--cert"}, keyFile, certFile, passphrase(cmd, passFile), opts, checkEvery)
}

// readFile reads a file of at most max octets.
func readFile(path string, max int64) ([]byte, error) { return program.ReadFile(path, max) }

// loadCertificates reads one or more files of trust anchors or pins.
func loadCertificates(flag string, files []string) ([]*x509.Certificate, error) {
	return material.LoadCertificates(flag, files...)
}

func warn(cmd *cobra.Command, format string, a ...any) { program.Warn(cmd, format, a...) }
