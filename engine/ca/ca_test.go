package ca_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/sign"
)

// The times all tests use: nothing here reads the clock.
var (
	begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	end   = begin.AddDate(20, 0, 0)
	noon  = begin.Add(12 * time.Hour)
)

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey makes a key of a kind; RSA keys, which are slow to make, only once.
func newKey(t testing.TB, kind ca.KeyKind) crypto.Signer {
	t.Helper()
	algs := map[ca.KeyKind]*sign.Algorithm{ca.P256: sign.ES256, ca.P384: sign.ES384, ca.P521: sign.ES512, ca.Ed25519: sign.Ed25519}
	key, err := crypto.Signer(nil), error(nil)
	if kind == ca.RSA {
		key, err = rsaKey()
	} else {
		key, err = sign.GenerateKey(algs[kind], nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var allKinds = []ca.KeyKind{ca.P256, ca.P384, ca.P521, ca.RSA, ca.Ed25519}

// newRoot makes a CA with a key of a kind, valid from begin to end.
func newRoot(t testing.TB, kind ca.KeyKind) *ca.Authority {
	t.Helper()
	root, err := ca.NewRoot(ca.RootParams{CommonName: "Test CA", Organization: "Example", Key: newKey(t, kind), NotBefore: begin, NotAfter: end}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// must passes on what was made.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantKind checks that an error is an *ca.Error of a kind and says something.
func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	var e *ca.Error
	if !errors.As(err, &e) || !errors.Is(err, kind) {
		t.Fatalf("error %v, want kind %v", err, kind)
	}
	if text := e.Error(); !strings.Contains(text, e.Kind.Error()) || !strings.HasPrefix(text, e.Subject) {
		t.Errorf("error text %q", text)
	}
}

// at is the option that sets the time of a verification.
func at(when time.Time) string { return strconv.FormatInt(when.Unix(), 10) }

// verify writes a chain of two and has openssl verify it by its strictest rules.
func verify(o *openssl.Tool, root *ca.Authority, cert *x509.Certificate, when time.Time, options ...string) (string, error) {
	o.Write("ca.pem", ca.ChainPEM(root.Certificate()))
	o.Write("cert.pem", ca.ChainPEM(cert))
	args := append([]string{"verify", "-x509_strict", "-attime", at(when), "-CAfile", "ca.pem"}, options...)
	return o.Try(append(args, "cert.pem")...)
}

// extension is the value of an extension and whether it is critical.
func extension(cert *x509.Certificate, oid string) (value []byte, critical, found bool) {
	for _, ext := range cert.Extensions {
		if ext.Id.String() == oid {
			return ext.Value, ext.Critical, true
		}
	}
	return nil, false, false
}

const (
	oidKeyUsage         = "2.5.29.15"
	oidSAN              = "2.5.29.17"
	oidBasicConstraints = "2.5.29.19"
	oidExtKeyUsage      = "2.5.29.37"
	oidMASAURL          = "1.3.6.1.5.5.7.1.32"
	oidCMCRA            = "1.3.6.1.5.5.7.3.28"
)

// isEndEntity checks what all certificates that are not a CA's have in common.
func isEndEntity(t *testing.T, root *ca.Authority, cert *x509.Certificate) {
	t.Helper()
	if cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		t.Error("the certificate may issue others")
	}
	if value, critical, _ := extension(cert, oidBasicConstraints); !critical || !bytes.Equal(value, []byte{0x30, 0}) {
		t.Errorf("basicConstraints %x, critical %v", value, critical)
	}
	if !bytes.Equal(cert.AuthorityKeyId, root.Certificate().SubjectKeyId) {
		t.Error("the authority key identifier is not the authority's")
	}
	if n := cert.SerialNumber.BitLen(); n != 159 || cert.SerialNumber.Sign() != 1 {
		t.Errorf("a serial number of %d bits", n)
	}
	if cert.Version != 3 || cert.NotBefore.Nanosecond()+cert.NotAfter.Nanosecond() != 0 {
		t.Error("not X.509 version 3 in whole seconds")
	}
	if err := cert.CheckSignatureFrom(root.Certificate()); err != nil {
		t.Error(err)
	}
}
