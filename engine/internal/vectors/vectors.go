package vectors

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/vouchmill/vouchmill/sign"
)

// Folder returns the folder of the vectors.
func Folder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("VOUCHMILL_VECTORS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		beside := filepath.Join(dir, "shared", "vectors")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("public vectors are missing: set VOUCHMILL_VECTORS")
	}
	t.Skip("public vectors are not here: set VOUCHMILL_VECTORS")
	return ""
}

// File returns the octets of one vector.
func File(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{Folder(t)}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Certificate returns a certificate of the vectors, PEM or DER.
func Certificate(t testing.TB, parts ...string) *x509.Certificate {
	t.Helper()
	b := File(t, parts...)
	if cert, err := x509.ParseCertificate(b); err == nil {
		return cert
	}
	certs, err := sign.LoadCertificates(b)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Join(parts...), err)
	}
	return certs[0]
}
