package est_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readVector reads a public vector: from where VOUCHMILL_VECTORS says, or from
// shared/vectors beside a folder above this one.
func readVector(t testing.TB, name string) []byte {
	t.Helper()
	root := os.Getenv("VOUCHMILL_VECTORS")
	dir, err := os.Getwd()
	must(t, err)
	for root == "" && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(dir, "shared", "vectors")); err == nil {
			root = filepath.Join(dir, "shared", "vectors")
		}
	}
	if root == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("public vectors are missing: set VOUCHMILL_VECTORS")
		}
		t.Skip("public vectors are not here: set VOUCHMILL_VECTORS")
	}
	b, err := os.ReadFile(filepath.Join(root, name))
	must(t, err)
	return b
}

// tlv puts one element together, whatever DER says of it.
func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	out, err := asn1.Marshal(asn1.RawValue{Tag: 4, Bytes: body})
	if err != nil {
		panic(err)
	}
	out[0] = tag
	return out
}

func seq(parts ...[]byte) []byte { return tlv(0x30, parts...) }
func set(parts ...[]byte) []byte { return tlv(0x31, parts...) }

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func oid(t testing.TB, dotted string) []byte {
	t.Helper()
	id, err := x509.ParseOID(dotted)
	must(t, err)
	body, err := id.MarshalBinary()
	must(t, err)
	return tlv(0x06, body)
}

// attribute is an Attribute with the given values.
func attribute(t testing.TB, dotted string, values ...[]byte) []byte {
	t.Helper()
	return seq(oid(t, dotted), set(values...))
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(t, err)
	return key
}

func spki(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	return b
}

var ecdsaWithSHA256 = unhex("30 0a 06 08 2a8648ce3d040302")

// signed makes a request of info.
func signed(t testing.TB, key *ecdsa.PrivateKey, info []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(info)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	must(t, err)
	request, err := est.AppendCSR(nil, info, ecdsaWithSHA256, signature)
	must(t, err)
	return request
}

func request(t testing.TB, key *ecdsa.PrivateKey, p est.CSRParams) *est.CSR {
	t.Helper()
	p.PublicKey = spki(t, key.Public())
	info, err := est.AppendCSRInfo(nil, p)
	must(t, err)
	r, err := est.ParseCSR(signed(t, key, info), est.Limits{})
	must(t, err)
	return r
}

// name is the DER of a Name with one attribute to an RDN: type, value, type, value.
func name(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var attrs []est.NameAttribute
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, est.NameAttribute{RDN: i / 2, ID: pairs[i], Tag: est.TagUTF8String, Value: []byte(pairs[i+1])})
	}
	b, err := est.AppendName(nil, attrs)
	must(t, err)
	return b
}

func certificate(t testing.TB, cn string) []byte {
	t.Helper()
	key := newKey(t, elliptic.P256())
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(cn))), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return cert
}

func openssl(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t testing.TB, dir, file string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, file), content, 0o600))
}

func read(t testing.TB, dir, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	must(t, err)
	return b
}

// refused holds that err is a refusal of malformed input that mentions text.
func refused(t testing.TB, err error, text string) {
	t.Helper()
	var e *est.DecodeError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), text) {
		t.Errorf("%T: %v, want a DecodeError about %q", err, err, text)
	}
}

// limited holds that err names the limit.
func limited(t testing.TB, err error, limit string, most int) {
	t.Helper()
	var e *codec.LimitError
	if !errors.As(err, &e) || e.Limit != limit || e.Max != most || e.Got <= most {
		t.Errorf("%T: %v, want limit %s of %d", err, err, limit, most)
	}
}
