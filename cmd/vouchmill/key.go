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
	"github.com/vouchmill/vouchmill/sign/pkcs11"
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
	key, err := openKey(cmd, keyFile, passFile)
	if err != nil {
		return nil, nil, err
	}
	signer, err := key.signer(chain[0], opts)
	if err != nil {
		return nil, nil, usageError("--key %s, --cert %s: %w", keyFile, certFile, errors.Join(err, key.close()))
	}
	checked, err := sign.Checked(signer, checkEvery)
	if err != nil {
		return nil, nil, errors.Join(err, signer.Close())
	}
	return checked, chain, nil
}

// A signingKey is a private key from a file or on a token.
type signingKey struct {
	crypto.Signer
	token *pkcs11.Key // nil for a key from a file
}

// openKey opens a key and warns of permissions that are too lax.
func openKey(cmd *cobra.Command, name, passFile string) (*signingKey, error) {
	if pkcs11.IsURI(name) {
		key, err := pkcs11.Open(name, tokenOptions(cmd))
		if err != nil {
			return nil, usageError("--key: %w", err)
		}
		if lax := key.LaxPIN(); lax != nil {
			warn(cmd, "%s", lax)
		}
		return &signingKey{key, key}, nil
	}
	key, err := sign.LoadKeyFile(name, passphrase(cmd, passFile))
	if err != nil {
		return nil, usageError("--key: %w", err)
	}
	if key.Lax != nil {
		warn(cmd, "%s", key.Lax)
	}
	return &signingKey{key.Key, nil}, nil
}

func tokenOptions(cmd *cobra.Command) pkcs11.Options {
	return pkcs11.Options{Waiting: func(cause error) { warn(cmd, "waiting for the token: %v", cause) }}
}

// signer makes the batch signer; closing it closes the key. cert, where not
// nil, must be the key's.
func (k *signingKey) signer(cert *x509.Certificate, opts sign.Options) (sign.Signer, error) {
	if cert != nil {
		if err := sign.MatchCertificate(k.Signer, cert); err != nil {
			return nil, err
		}
	}
	if k.token != nil {
		s, err := k.token.NewSigner(nil)
		return tokenSigner{s, k.token}, err
	}
	alg, err := sign.ForKey(k.Public())
	if err != nil {
		return nil, err
	}
	return sign.NewSigner(alg, k.Signer, opts)
}

// close gives a key up that no signer has taken over.
func (k *signingKey) close() error {
	if k.token != nil {
		return k.token.Close()
	}
	sign.DestroyKey(k.Signer)
	return nil
}

// A tokenSigner closes the key with the signer.
type tokenSigner struct {
	sign.Signer
	key *pkcs11.Key
}

// Close ends the session with the token too.
func (s tokenSigner) Close() error { return errors.Join(s.Signer.Close(), s.key.Close()) }

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
