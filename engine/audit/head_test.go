package audit_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
)

func TestOpenSSLVerifiesAHead(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "d", "n"))
	text, signature, ok := strings.Cut(signedHead(t, b), "\n\n")
	if !ok {
		t.Fatal("the head is no note")
	}
	fields := strings.Fields(signature)
	sig, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || fields[1] != "masa.example.com/audit" {
		t.Fatal(signature, err)
	}
	key := b.log.Signer().VerifierKey()
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(key, "+", 3)[2]) // base64 has plus signs of its own
	if err != nil || len(raw) != 33 {
		t.Fatal(key, err)
	}
	dir := t.TempDir()
	spki := append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, raw[1:]...)
	for name, content := range map[string][]byte{"key": spki, "text": []byte(text + "\n"), "sig": sig[4:]} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	openssl.New(t).Run("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", at("key"), "-rawin", "-in", at("text"), "-sigfile", at("sig"))
}

func TestHeadsOfOthersAndForgedOnesAreRefused(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "d", "n"))
	signed := signedHead(t, b)
	if h, err := b.verifier.VerifyHead([]byte(signed)); err != nil || h != b.head() {
		t.Fatal(h, err)
	}
	text, signature, _ := strings.Cut(signed, "\n\n")
	for name, head := range map[string]string{
		"nothing":         "",
		"no signature":    text + "\n",
		"another size":    strings.Replace(signed, "\n1\n", "\n2\n", 1),
		"another origin":  strings.Replace(signed, "masa.", "nasa.", 1),
		"two texts":       text + "\n\n" + signed,
		"of another key":  signedHead(t, newBench(t)),
		"too long":        text + "\n" + strings.Repeat("x", audit.MaxHead) + "\n\n" + signature,
		"not UTF-8":       "\xff" + signed,
		"another's words": forge(t, b, "log.example.com\n1\n"+b.head().Root.String()+"\n"),
		"no root":         forge(t, b, "masa.example.com/audit\n1\n"),
		"a short root":    forge(t, b, "masa.example.com/audit\n1\nAAAA\n"),
		"size 01":         forge(t, b, "masa.example.com/audit\n01\n"+b.head().Root.String()+"\n"),
		"size -1":         forge(t, b, "masa.example.com/audit\n-1\n"+b.head().Root.String()+"\n"),
		"a huge size":     forge(t, b, "masa.example.com/audit\n281474976710657\n"+b.head().Root.String()+"\n"),
	} {
		if _, err := b.verifier.VerifyHead([]byte(head)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	more := forge(t, b, "masa.example.com/audit\n1\n"+b.head().Root.String()+"\nsomething else\n")
	if h, err := b.verifier.VerifyHead([]byte(more)); err != nil || h != b.head() {
		t.Errorf("a head with a further line: %v, %v", h, err)
	}
}

// forge signs any text with the key of a log.
func forge(t *testing.T, b *bench, text string) string {
	t.Helper()
	signer, err := note.NewSigner(b.secret)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func TestKeysThatAreNoneAreRefusedAndNotShown(t *testing.T) {
	for _, origin := range []string{"", "a b", "a+b", "a\nb", "\u00e9", strings.Repeat("x", 256)} {
		if _, _, err := audit.GenerateKey(rand.Reader, origin); err == nil {
			t.Errorf("origin %q passes", origin)
		}
	}
	secret, public, err := audit.GenerateKey(rand.Reader, "a.example")
	if err != nil {
		t.Fatal(err)
	}
	part := secret[len(secret)-20:]
	for _, key := range []string{"", public, secret[:len(secret)-4], strings.Replace(secret, "a.example", "b.example", 1), part} {
		if _, err := audit.NewSigner(key); err == nil || len(key) > 0 && strings.Contains(err.Error(), part) {
			t.Errorf("a key that is none: error %v", err)
		}
	}
	if _, err := audit.NewSigner(" " + secret + "\n"); err != nil {
		t.Errorf("a key as a file has it: %v", err)
	}
	_, other, err := audit.GenerateKey(rand.Reader, "b.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{nil, {""}, {secret}, {public, other}, {public[1:]}} {
		if _, err := audit.NewVerifier(keys...); err == nil || strings.Contains(err.Error(), part) {
			t.Errorf("%d verifier keys: error %v", len(keys), err)
		}
	}
}

func TestALogMayChangeItsKey(t *testing.T) {
	b, c := newBench(t), newBench(t)
	both, err := audit.NewVerifier(b.log.Signer().VerifierKey(), c.log.Signer().VerifierKey(), b.log.Signer().VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range []string{signedHead(t, b), signedHead(t, c)} {
		if _, err := both.VerifyHead([]byte(signed)); err != nil {
			t.Error(err)
		}
	}
}
