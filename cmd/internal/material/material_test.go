package material_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	err = material.Build(filepath.Join(dir, "masa"), func(f *material.Folder) error {
		return f.Secret("audit.key", []byte("secret"))
	})
	info, _ := os.Stat(filepath.Join(dir, "masa", "audit.key"))
	fmt.Println(err, info.Mode())
	// Output: <nil> -rw-------
}

// pki is a CA and a server certificate under it.
func pki(t *testing.T) (root, server *x509.Certificate, rootKey, serverKey *ecdsa.PrivateKey) {
	t.Helper()
	keys := make([]*ecdsa.PrivateKey, 2)
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	a, err := ca.NewRoot(ca.RootParams{CommonName: "CA", Key: keys[0], NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names, err := ca.ParseServerNames("localhost")
	if err != nil {
		t.Fatal(err)
	}
	server, err = a.TLSServer(ca.EntityParams{CommonName: "server", PublicKey: keys[1].Public(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return a.Certificate(), server, keys[0], keys[1]
}

func build(t *testing.T) string {
	t.Helper()
	root, server, rootKey, serverKey := pki(t)
	dir := filepath.Join(t.TempDir(), "new", "masa")
	if err := material.Build(dir, func(f *material.Folder) error {
		return errors.Join(f.Key("ca.key", rootKey), f.Certificates("ca.pem", root), f.Key("tls.key", serverKey), f.Certificates("tls.pem", server, root), f.Mkdir("state"))
	}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAFolderAppearsWholeWithItsModes(t *testing.T) {
	dir := build(t)
	for name, mode := range map[string]fs.FileMode{"": 0o700, "state": 0o700, "ca.key": 0o600, "tls.key": 0o600, "ca.pem": 0o644, "tls.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), mode)
		}
	}
	left(t, filepath.Dir(dir), 1)
}

func left(t *testing.T, dir string, want int) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != want {
		t.Errorf("%s has %v, %v; want %d entries", dir, entries, err, want)
	}
}

func TestWhatExistsIsNotTouched(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{"empty", "file"} {
		path := filepath.Join(parent, name)
		if name == "file" {
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		var e *program.Error
		err := material.Build(path, func(*material.Folder) error { t.Error("it was begun"); return nil })
		if !errors.As(err, &e) || e.Code != program.Usage || !strings.Contains(err.Error(), "exists") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that appears while the folder is made is not touched either.
	late := filepath.Join(parent, "late")
	err := material.Build(late, func(f *material.Folder) error { return os.Mkdir(late, 0o755) })
	if err == nil {
		t.Error("a directory that appeared was replaced")
	}
	left(t, late, 0)
	left(t, parent, 3)
}

func TestAFailureLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	err := material.Build(filepath.Join(parent, "masa"), func(f *material.Folder) error {
		return errors.Join(f.Write("a", nil), f.Write("a", nil))
	})
	var e *program.Error
	if !errors.Is(err, fs.ErrExist) || !errors.As(err, &e) || e.Code != program.IO {
		t.Errorf("%v", err)
	}
	left(t, parent, 0)
}

func TestWhatWasWrittenLoads(t *testing.T) {
	dir := build(t)
	cmd := &cobra.Command{}
	flags := material.SignerFlags{Key: "tls-key", Cert: "tls-cert"}
	c, err := material.LoadTLS(cmd, flags, filepath.Join(dir, "tls.key"), filepath.Join(dir, "tls.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := material.LoadCertificates("trust", filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*c}}
	s.StartTLS()
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(roots[0])
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	signer, chain, err := material.LoadSigner(cmd, flags, filepath.Join(dir, "tls.key"), filepath.Join(dir, "tls.pem"), nil, sign.Options{}, 1)
	if err != nil || len(chain) != 2 {
		t.Fatalf("%v, %d certificates", err, len(chain))
	}
	signer.Close()
}

func TestWhatDoesNotBelongTogetherIsRefused(t *testing.T) {
	dir := build(t)
	cmd, path := &cobra.Command{}, func(name string) string { return filepath.Join(dir, name) }
	flags := material.SignerFlags{Key: "voucher-key", Cert: "voucher-cert"}
	for _, tc := range []struct {
		key, cert string
		code      int
		says      string
	}{
		{"ca.key", "tls.pem", program.Usage, "not the key"}, {"tls.pem", "tls.pem", program.Usage, "voucher-key"},
		{"none", "tls.pem", program.IO, "voucher-key"}, {"tls.key", "none", program.IO, "voucher-cert"}, {"tls.key", "tls.key", program.Usage, "voucher-cert"},
	} {
		_, err := material.LoadTLS(cmd, flags, path(tc.key), path(tc.cert), nil)
		_, _, err2 := material.LoadSigner(cmd, flags, path(tc.key), path(tc.cert), nil, sign.Options{}, 1)
		for _, err := range []error{err, err2} {
			var e *program.Error
			if !errors.As(err, &e) || e.Code != tc.code || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s and %s: %v", tc.key, tc.cert, err)
			}
		}
	}
	if _, err := material.LoadCertificates("trust"); err == nil {
		t.Error("no file is no error")
	}
	if _, err := material.LoadCertificates("trust", path("tls.key")); err == nil {
		t.Error("a key was taken for a certificate")
	}
}

func TestPassphrasesComeFromFileAndEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("first line\r\nsecond"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(material.PassEnv, "from the environment")
	for name, want := range map[string]string{file: "first line", "": "from the environment"} {
		if got, err := material.Passphrase(&cobra.Command{}, name)(); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}
