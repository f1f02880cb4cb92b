package sign

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// MaxPEMBytes is the largest key or chain file that is read.
const MaxPEMBytes = 1 << 20

// PassphraseFunc gives the passphrase of an encrypted key. It is called at most
// once, and only when the key is encrypted. The passphrase is overwritten
// after use.
type PassphraseFunc func() ([]byte, error)

// LoadKey reads the first private key of a PEM text: PKCS#8 ("PRIVATE KEY"),
// encrypted PKCS#8 ("ENCRYPTED PRIVATE KEY") or SEC 1 ("EC PRIVATE KEY"); other
// blocks beside it are passed over. pass may be nil when keys are not
// encrypted. The error is a [*KeyError], an [*AlgorithmError] for keys we do not sign with,
// or wraps [ErrPassphrase].
func LoadKey(text []byte, pass PassphraseFunc) (crypto.Signer, error) {
	if len(text) > MaxPEMBytes {
		return nil, &KeyError{Reason: fmt.Sprintf("the file has more than %d octets", MaxPEMBytes)}
	}
	found := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			defer clear(block.Bytes)
			return parsePKCS8(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return parseEncrypted(block.Bytes, pass)
		case "EC PRIVATE KEY":
			defer clear(block.Bytes)
			return parseSEC1(block)
		case "RSA PRIVATE KEY":
			return nil, &AlgorithmError{Identifier: "RS256", Key: "RSA", Reason: "RSA is read and never produced; use an ECDSA or Ed25519 key"}
		}
		found += fmt.Sprintf(" %q", block.Type)
	}
	if found == "" {
		return nil, &KeyError{Reason: "there is no PEM block in it; DER keys are made PEM by openssl pkey -inform DER"}
	}
	return nil, &KeyError{Reason: "there is no private key among its PEM blocks:" + found}
}

func parseSEC1(block *pem.Block) (crypto.Signer, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, &KeyError{Reason: "the old PEM encryption is not supported; rewrite the key with openssl pkcs8 -topk8 -v2 aes-256-cbc"}
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, &KeyError{Reason: "SEC 1 key not understood", Err: err}
	}
	return usableKey(key)
}

func parseEncrypted(der []byte, pass PassphraseFunc) (crypto.Signer, error) {
	if pass == nil {
		return nil, fmt.Errorf("%w: the key is encrypted", ErrPassphrase)
	}
	secret, err := pass()
	defer clear(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	if len(secret) == 0 {
		return nil, fmt.Errorf("%w: the key is encrypted and the passphrase empty", ErrPassphrase)
	}
	plain, err := decryptPKCS8(der, secret)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := parsePKCS8(plain)
	// One wrong passphrase in 256 leaves a padding that looks right.
	if bad := (*KeyError)(nil); errors.As(err, &bad) && len(plain) > 0 && plain[0] != 0x30 {
		return nil, ErrPassphrase
	}
	return key, err
}

// MarshalKeyPEM writes a private key as PKCS#8 PEM, encrypted if pass is not
// empty (PBKDF2 with HMAC-SHA-256, AES-256-CBC: openssl reads it). It belongs
// into a file of mode 0600.
func MarshalKeyPEM(key crypto.Signer, pass []byte) ([]byte, error) {
	der, err := marshalPKCS8(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	if len(pass) == 0 {
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
	encrypted, err := encryptPKCS8(der, pass)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: encrypted}), nil
}

// LaxPermissions warns that others than the owner may read or change a key
// file.
type LaxPermissions struct {
	Path string
	Mode fs.FileMode
}

// String is the warning with its remedy.
func (w *LaxPermissions) String() string {
	return fmt.Sprintf("key file %s has mode %04o: others can reach the private key; run chmod 600 on it", w.Path, w.Mode.Perm())
}

// KeyFile is a key read from a file.
type KeyFile struct {
	Key crypto.Signer
	// Lax is not nil when the file's permissions deserve a warning.
	Lax *LaxPermissions
}

// LoadKeyFile reads a key file as [LoadKey] does and looks at its permissions.
// Errors name the file; those of the file system are wrapped.
func LoadKeyFile(path string, pass PassphraseFunc) (*KeyFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sign: key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("sign: key file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxPEMBytes+1))
	defer clear(text)
	if err != nil {
		return nil, fmt.Errorf("sign: key file: %w", err)
	}
	key, err := LoadKey(text, pass)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	loaded := &KeyFile{Key: key}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		loaded.Lax = &LaxPermissions{Path: path, Mode: info.Mode()}
	}
	return loaded, nil
}

// MatchCertificate checks that a certificate is for this key. The error is a
// [*KeyError] that names the certificate's subject.
func MatchCertificate(key crypto.Signer, cert *x509.Certificate) error {
	pub, err := publicOf(key)
	if err != nil {
		return err
	}
	certified, err := CertificateKey(cert)
	if err != nil {
		return err
	}
	if samePublic(pub, certified) {
		return nil
	}
	have, want := "another type", "unknown"
	if kind, err := kindOf(pub); err == nil {
		have = kind.String()
	}
	if kind, err := kindOf(certified); err == nil {
		want = kind.String()
	}
	return &KeyError{Reason: fmt.Sprintf("it is not the key of the certificate %q (key of type %s, certificate for %s); give the certificate issued for this key, signer first", cert.Subject, have, want)}
}
