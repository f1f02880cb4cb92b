package material

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/sign"
	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

// PassEnv is the environment variable that holds the passphrase of a key.
const PassEnv = "VOUCHMILL_KEY_PASS"

// maxPassphrase bounds a passphrase file, in octets.
const maxPassphrase = 4096

// Passphrase returns how to come by the passphrase of an encrypted key: the
// file, the environment, or a prompt where there is a terminal to ask on.
func Passphrase(cmd *cobra.Command, file string) sign.PassphraseFunc {
	return func() ([]byte, error) {
		switch env, set := os.LookupEnv(PassEnv); {
		case file != "":
			return firstLine(file)
		case set:
			return []byte(env), nil
		case !term.IsTerminal(int(os.Stdin.Fd())):
			return nil, fmt.Errorf("the key is encrypted; give its passphrase by --key-pass-file or %s", PassEnv)
		}
		return Prompt(cmd, "passphrase of the key: ")
	}
}

// Prompt asks for a passphrase on the terminal.
func Prompt(cmd *cobra.Command, text string) ([]byte, error) {
	fmt.Fprint(cmd.ErrOrStderr(), text)
	pass, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return pass, err
}

func firstLine(file string) ([]byte, error) {
	text, err := program.ReadFile(file, maxPassphrase)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// A Key is a private key from a file or on a token.
type Key struct {
	crypto.Signer
	token *pkcs11.Key // nil for a key from a file
}

// OpenKey opens a key, a file or a pkcs11: URI, and warns of permissions that
// are too lax. flag is what errors call it.
func OpenKey(cmd *cobra.Command, flag, name string, pass sign.PassphraseFunc) (*Key, error) {
	if pkcs11.IsURI(name) {
		key, err := pkcs11.Open(name, TokenOptions(cmd))
		if err != nil {
			return nil, program.Usagef("%s: %w", flag, err)
		}
		if lax := key.LaxPIN(); lax != nil {
			program.Warn(cmd, "%s", lax)
		}
		return &Key{key, key}, nil
	}
	key, err := sign.LoadKeyFile(name, pass)
	var unread *fs.PathError
	if errors.As(err, &unread) {
		return nil, &program.Error{Code: program.IO, Err: fmt.Errorf("%s: %w", flag, err)}
	}
	if err != nil {
		return nil, program.Usagef("%s: %w", flag, err)
	}
	if key.Lax != nil {
		program.Warn(cmd, "%s", key.Lax)
	}
	return &Key{key.Key, nil}, nil
}

// TokenOptions say on the command's standard error what a token waits for.
func TokenOptions(cmd *cobra.Command) pkcs11.Options {
	return pkcs11.Options{Waiting: func(cause error) { program.Warn(cmd, "waiting for the token: %v", cause) }}
}

// NewSigner makes the batch signer; closing it closes the key. cert, where not
// nil, must be the key's.
func (k *Key) NewSigner(cert *x509.Certificate, opts sign.Options) (sign.Signer, error) {
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

// Close gives a key up that no signer has taken over.
func (k *Key) Close() error {
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

// SignerFlags are what errors call a signer's key and certificate.
type SignerFlags struct{ Key, Cert string }

// LoadSigner loads a key and its chain, checks that they belong together and
// returns a signer for them that verifies one in checkEvery of its signatures.
func LoadSigner(cmd *cobra.Command, flags SignerFlags, keyFile, certFile string, pass sign.PassphraseFunc, opts sign.Options, checkEvery int) (sign.Signer, []*x509.Certificate, error) {
	pem, err := program.ReadFile(certFile, sign.MaxPEMBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", flags.Cert, err)
	}
	chain, err := sign.LoadChain(pem)
	if err != nil {
		return nil, nil, program.Usagef("%s %s: %w", flags.Cert, certFile, err)
	}
	key, err := OpenKey(cmd, flags.Key, keyFile, pass)
	if err != nil {
		return nil, nil, err
	}
	signer, err := key.NewSigner(chain[0], opts)
	if err != nil {
		return nil, nil, program.Usagef("%s %s, %s %s: %w", flags.Key, keyFile, flags.Cert, certFile, errors.Join(err, key.Close()))
	}
	checked, err := sign.Checked(signer, checkEvery)
	if err != nil {
		return nil, nil, errors.Join(err, signer.Close())
	}
	return checked, chain, nil
}

// LoadCertificates reads one or more files of certificates, PEM or one in DER.
// flag is what errors call them.
func LoadCertificates(flag string, files ...string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, file := range files {
		b, err := program.ReadFile(file, sign.MaxPEMBytes)
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
			return nil, program.Usagef("%s %s: %w", flag, file, err)
		}
		all = append(all, certs...)
	}
	if len(all) == 0 {
		return nil, program.Usagef("%s: no certificate given", flag)
	}
	return all, nil
}

// LoadTLS loads the certificate of a TLS server or client, its chain and its key.
func LoadTLS(cmd *cobra.Command, flags SignerFlags, keyFile, certFile string, pass sign.PassphraseFunc) (*tls.Certificate, error) {
	pem, err := program.ReadFile(certFile, sign.MaxPEMBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flags.Cert, err)
	}
	chain, err := sign.LoadChain(pem)
	if err != nil {
		return nil, program.Usagef("%s %s: %w", flags.Cert, certFile, err)
	}
	key, err := OpenKey(cmd, flags.Key, keyFile, pass)
	if err != nil {
		return nil, err
	}
	if err := sign.MatchCertificate(key.Signer, chain[0]); err != nil {
		return nil, program.Usagef("%s %s, %s %s: %w", flags.Key, keyFile, flags.Cert, certFile, errors.Join(err, key.Close()))
	}
	c := &tls.Certificate{PrivateKey: key.Signer, Leaf: chain[0]}
	for _, cert := range chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c, nil
}
