package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vouchmill/vouchmill/sign"
)

// passEnv is the environment variable that holds the passphrase of a key.
const passEnv = "VOUCHMILL_KEY_PASS"

// passphrase returns how to come by the passphrase of an encrypted key: the
// file, the environment, or a prompt where there is a terminal to ask on.
func passphrase(cmd *cobra.Command, file string) sign.PassphraseFunc {
	return func() ([]byte, error) {
		switch env, set := os.LookupEnv(passEnv); {
		case file != "":
			return firstLine(file)
		case set:
			return []byte(env), nil
		case !term.IsTerminal(int(os.Stdin.Fd())):
			return nil, fmt.Errorf("the key is encrypted; give its passphrase by --key-pass-file or %s", passEnv)
		}
		return prompt(cmd, "passphrase of the key: ")
	}
}

func prompt(cmd *cobra.Command, text string) ([]byte, error) {
	fmt.Fprint(cmd.ErrOrStderr(), text)
	pass, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return pass, err
}

// newPassphrase asks for a passphrase to encrypt with.
func newPassphrase(cmd *cobra.Command, file string) ([]byte, error) {
	pass, err := passphrase(cmd, file)()
	if err != nil {
		return nil, usageError("--encrypt: %w", err)
	}
	if _, set := os.LookupEnv(passEnv); file == "" && !set {
		again, err := prompt(cmd, "once more: ")
		if err != nil || !bytes.Equal(pass, again) {
			return nil, usageError("--encrypt: the two passphrases differ")
		}
	}
	if len(pass) == 0 {
		return nil, usageError("--encrypt: the passphrase is empty")
	}
	return pass, nil
}

const maxPassphrase = 4096

func firstLine(file string) ([]byte, error) {
	text, err := readFile(file, maxPassphrase)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// loadSigner loads the key and its chain, checks that they belong together and
// returns a signer for them that verifies one in checkEvery of its signatures.
func loadSigner(cmd *cobra.Command, keyFile, certFile, passFile string, opts sign.Options, checkEvery int) (sign.Signer, []*x509.Certificate, error) {
	pem, err := readFile(certFile, sign.MaxPEMBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("--cert: %w", err)
	}
	chain, err := sign.LoadChain(pem)
	if err != nil {
		return nil, nil, usageError("--cert %s: %w", certFile, err)
	}
	key, err := sign.LoadKeyFile(keyFile, passphrase(cmd, passFile))
	if err != nil {
		return nil, nil, usageError("--key: %w", err)
	}
	if key.Lax != nil {
		warn(cmd, "%s", key.Lax)
	}
	signer, err := signerFor(key.Key, chain[0], opts)
	if err != nil {
		sign.DestroyKey(key.Key)
		return nil, nil, usageError("--key %s, --cert %s: %w", keyFile, certFile, err)
	}
	checked, err := sign.Checked(signer, checkEvery)
	if err != nil {
		return nil, nil, errors.Join(err, signer.Close())
	}
	return checked, chain, nil
}

func signerFor(key crypto.Signer, cert *x509.Certificate, opts sign.Options) (sign.Signer, error) {
	if err := sign.MatchCertificate(key, cert); err != nil {
		return nil, err
	}
	public, err := sign.CertificateKey(cert)
	if err != nil {
		return nil, err
	}
	alg, err := sign.ForKey(public)
	if err != nil {
		return nil, err
	}
	return sign.NewSigner(alg, key, opts)
}

// readFile reads a file of at most max octets.
func readFile(path string, max int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, ioError(err)
	}
	if info.Size() > max {
		return nil, usageError("%s has %d octets, at most %d are read; is it the right file?", path, info.Size(), max)
	}
	b, err := os.ReadFile(path)
	return b, ioError(err)
}

// loadCertificates reads one or more files of trust anchors or pins.
func loadCertificates(flag string, files []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, file := range files {
		b, err := readFile(file, sign.MaxPEMBytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		certs, err := sign.LoadCertificates(b)
		if err != nil {
			if der, derErr := x509.ParseCertificate(b); derErr == nil {
				certs, err = []*x509.Certificate{der}, nil
			}
		}
		if err != nil {
			return nil, usageError("%s %s: %w", flag, file, err)
		}
		all = append(all, certs...)
	}
	if len(all) == 0 {
		return nil, usageError("%s: no certificate given", flag)
	}
	return all, nil
}

func warn(cmd *cobra.Command, format string, a ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), "warning: "+format+"\n", a...)
}
