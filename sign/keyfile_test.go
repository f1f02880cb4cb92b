package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/youmark/pkcs8"
)

func fixed(pass string) PassphraseFunc {
	return func() ([]byte, error) { return []byte(pass), nil }
}

func signingAlgorithms() []*Algorithm {
	return slices.DeleteFunc(Algorithms(), func(a *Algorithm) bool { return a.VerifyOnly })
}

func openssl(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}

func mustOpenssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	out, err := openssl(t, dir, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeysSurviveWritingAndReading(t *testing.T) {
	oneGoroutine(t)
	for _, alg := range signingAlgorithms() {
		key := newTestKey(t, alg)
		passphrases := []string{""}
		switch alg { // deriving keys is slow on purpose: one of each encoding
		case ES256, RS256, Ed448, MLDSA44:
			passphrases = append(passphrases, "correct horse")
		}
		for _, pass := range passphrases {
			text, err := MarshalKeyPEM(key, []byte(pass))
			if err != nil {
				t.Fatal(err)
			}
			back, err := LoadKey(text, fixed(pass))
			if err != nil || !samePublic(back.Public(), key.Public()) {
				t.Errorf("%v, passphrase %q: %v", alg, pass, err)
			}
			if strings.Contains(string(text), "ENCRYPTED") != (pass != "") {
				t.Errorf("%v, passphrase %q: %s", alg, pass, text)
			}
		}
	}
}

func TestEncryptedKeysAgainstOtherImplementations(t *testing.T) {
	oneGoroutine(t)
	dir := t.TempDir()
	algs := slices.DeleteFunc(signingAlgorithms(), func(a *Algorithm) bool { return parameterSetOf(a.key) != nil }) // which openssl 3.0 does not know
	if testing.Short() {
		algs = []*Algorithm{ES256, Ed448} // deriving keys is slow on purpose
	}
	for _, alg := range algs {
		key := newTestKey(t, alg)
		text, err := MarshalKeyPEM(key, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "ours.key", text)
		open := mustOpenssl(t, dir, "pkey", "-in", "ours.key", "-passin", "pass:secret")
		if back, err := LoadKey(open, nil); err != nil || !samePublic(back.Public(), key.Public()) {
			t.Errorf("%v: openssl reads another key: %v", alg, err)
		}
		write(t, dir, "open.key", open)
		for _, args := range [][]string{{"-v2", "aes-128-cbc"}, {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"}, {"-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1"}, {"-scrypt"}} {
			theirs := mustOpenssl(t, dir, append([]string{"pkcs8", "-topk8", "-in", "open.key", "-passout", "pass:other"}, args...)...)
			if back, err := LoadKey(theirs, fixed("other")); err != nil || !samePublic(back.Public(), key.Public()) {
				t.Errorf("%v, openssl pkcs8 %v: %v", alg, args, err)
			}
		}
		if alg == Ed448 {
			continue // youmark/pkcs8 does not know it
		}
		block, _ := pem.Decode(text)
		if theirs, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte("secret")); err != nil || !samePublic(theirs.(crypto.Signer).Public(), key.Public()) {
			t.Errorf("%v: youmark/pkcs8 reads another key: %v", alg, err)
		}
		der, err := pkcs8.MarshalPrivateKey(key, []byte("theirs"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := LoadKey(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), fixed("theirs")); err != nil || !samePublic(back.Public(), key.Public()) {
			t.Errorf("%v from youmark/pkcs8: %v", alg, err)
		}
	}
}

func TestSEC1KeysAndParametersBesideThem(t *testing.T) {
	dir := t.TempDir()
	for _, curve := range []string{"prime256v1", "secp384r1", "secp521r1"} {
		text := mustOpenssl(t, dir, "ecparam", "-genkey", "-name", curve)
		if !bytes.Contains(text, []byte("EC PARAMETERS")) {
			t.Fatalf("openssl wrote no parameters:\n%s", text)
		}
		if _, err := LoadKey(text, nil); err != nil {
			t.Errorf("%s: %v", curve, err)
		}
	}
}

func TestPassphrases(t *testing.T) {
	oneGoroutine(t)
	text, err := MarshalKeyPEM(newTestKey(t, ES256), []byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no terminal")
	for name, pass := range map[string]PassphraseFunc{
		"none": nil, "empty": fixed(""), "wrong": fixed("wrong"),
		"failing": func() ([]byte, error) { return nil, cause },
	} {
		if _, err := LoadKey(text, pass); !errors.Is(err, ErrPassphrase) || errors.Is(err, cause) != (name == "failing") {
			t.Errorf("%s passphrase: %v", name, err)
		}
	}
	given := []byte("right")
	if _, err := LoadKey(text, func() ([]byte, error) { return given, nil }); err != nil || !bytes.Equal(given, make([]byte, 5)) {
		t.Errorf("the passphrase remains: %q, %v", given, err)
	}
}

func TestBadKeyFilesAreRefusedWithARemedy(t *testing.T) {
	rsaDER, err := x509.MarshalPKCS8PrivateKey(rsaKey(t, 2048))
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"empty":        {nil, "no PEM block"},
		"no key":       {block("CERTIFICATE", nil), `"CERTIFICATE"`},
		"garbage":      {block("PRIVATE KEY", []byte("garbage")), "not a PKCS#8"},
		"bad SEC 1":    {block("EC PRIVATE KEY", []byte("garbage")), "SEC 1"},
		"bad Ed448":    {block("PRIVATE KEY", []byte("\x30\x0d\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x71\x04\x01\x04")), "Ed448"},
		"RSA":          {block("PRIVATE KEY", rsaDER), "ECDSA or Ed25519"},
		"old RSA":      {block("RSA PRIVATE KEY", nil), "ECDSA or Ed25519"},
		"too large":    {make([]byte, MaxPEMBytes+1), "more than"},
		"not PBES2":    {block("ENCRYPTED PRIVATE KEY", encryptedWith(t, asn1.ObjectIdentifier{1, 2, 3}, 1)), "openssl pkcs8 -topk8"},
		"iterations":   {block("ENCRYPTED PRIVATE KEY", encryptedWith(t, oidPBKDF2, pbkdf2Parameters{Salt: []byte{1}, Iterations: 1 << 30})), "iterations"},
		"no iteration": {block("ENCRYPTED PRIVATE KEY", encryptedWith(t, oidPBKDF2, pbkdf2Parameters{Salt: []byte{1}})), "iterations"},
		"scrypt N":     {block("ENCRYPTED PRIVATE KEY", encryptedWith(t, oidScrypt, scryptParameters{Salt: []byte{1}, N: 1 << 30, R: 8, P: 1})), "MiB"},
		"scrypt r":     {block("ENCRYPTED PRIVATE KEY", encryptedWith(t, oidScrypt, scryptParameters{Salt: []byte{1}, N: 2, R: 1 << 30, P: 1})), "MiB"},
		"scrypt p":     {block("ENCRYPTED PRIVATE KEY", encryptedWith(t, oidScrypt, scryptParameters{Salt: []byte{1}, N: 1 << 14, R: 8, P: 1 << 20})), "scrypt with p"},
		"old PEM":      {[]byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"), "openssl pkcs8 -topk8"},
	} {
		_, err := LoadKey(c.text, fixed("x"))
		var key *KeyError
		var alg *AlgorithmError
		if !errors.As(err, &key) && !errors.As(err, &alg) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// encryptedWith builds an encrypted key whose derivation asks for what it is
// given. An OID other than of a derivation becomes the scheme itself.
func encryptedWith(t *testing.T, oid asn1.ObjectIdentifier, derivation any) []byte {
	t.Helper()
	kdf, err := parameters(oid, derivation)
	if err != nil {
		t.Fatal(err)
	}
	enc, _ := parameters(oidAES256CBC, make([]byte, 16))
	scheme, _ := parameters(oidPBES2, pbes2Parameters{KeyDerivation: kdf, Encryption: enc})
	if !oid.Equal(oidPBKDF2) && !oid.Equal(oidScrypt) {
		scheme = pkix.AlgorithmIdentifier{Algorithm: oid}
	}
	der, err := asn1.Marshal(encryptedPrivateKeyInfo{Algorithm: scheme, Data: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestKeyFileWarnsOfLaxPermissions(t *testing.T) {
	text, err := MarshalKeyPEM(newTestKey(t, ES256), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, t.TempDir(), "masa.key", text)
	for mode, lax := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		file, err := LoadKeyFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if (file.Lax != nil) != lax || lax && !strings.Contains(file.Lax.String(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, file.Lax)
		}
	}
	if _, err := LoadKeyFile(path+".absent", nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "masa.key.absent") {
		t.Errorf("absent file: %v", err)
	}
	broken := write(t, t.TempDir(), "broken.key", []byte("nothing"))
	if _, err := LoadKeyFile(broken, nil); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("broken file: %v", err)
	}
}

func TestDestroyedKeyIsGone(t *testing.T) {
	for _, alg := range signingAlgorithms() {
		key := newTestKey(t, alg)
		DestroyKey(key)
		if _, err := NewSigner(alg, key, Options{}); err == nil {
			t.Errorf("%v: a destroyed key makes a signer", alg)
		}
	}
	DestroyKey(nil)
	DestroyKey((*ecdsa.PrivateKey)(nil))
}

func FuzzLoadKey(f *testing.F) {
	for _, alg := range signingAlgorithms() {
		key, err := GenerateKey(alg, nil)
		if err != nil {
			f.Fatal(err)
		}
		text, err := MarshalKeyPEM(key, nil)
		if err != nil {
			f.Fatal(err)
		}
		block, _ := pem.Decode(text)
		f.Add("PRIVATE KEY", block.Bytes)
	}
	f.Add("EC PRIVATE KEY", []byte{0x30, 0x03, 0x02, 0x01, 0x01})
	f.Fuzz(func(t *testing.T, kind string, der []byte) {
		key, err := LoadKey(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), nil)
		if err != nil {
			return
		}
		alg, err := ForKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSigner(alg, key, Options{})
		if err != nil {
			return // such as a public half that does not belong to the private one
		}
		if err := s.SignBatch(make([]byte, alg.SignatureSize), [][]byte{make([]byte, alg.DigestSize)}); err != nil {
			t.Error(err)
		}
	})
}
