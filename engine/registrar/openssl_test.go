package registrar_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/sign"
)

// A tool is openssl in a folder of its own.
type tool struct {
	t    *testing.T
	path string
	dir  string
}

func openssl(t *testing.T) *tool {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no openssl to check with: %v", err)
	}
	return &tool{t, path, t.TempDir()}
}

func (o *tool) write(name string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o *tool) read(name string) []byte {
	o.t.Helper()
	return must[[]byte](o.t)(os.ReadFile(filepath.Join(o.dir, name)))
}

func (o *tool) key(name string, key crypto.Signer) {
	o.t.Helper()
	o.write(name, must[[]byte](o.t)(sign.MarshalKeyPEM(key, nil)))
}

func (o *tool) run(args ...string) []byte {
	o.t.Helper()
	cmd := exec.Command(o.path, args...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

// openssl in place of a pledge gets a voucher and a certificate, and reads both.
func TestOpenSSLJoins(t *testing.T) {
	o := openssl(t)
	w := newSite(t)
	p := w.pledge("SN-0001")
	o.key("idevid.key", p.key)
	o.write("idevid.pem", ca.ChainPEM(p.cert))
	o.write("voucher-ca.pem", ca.ChainPEM(w.vouchers.Certificate()))
	o.write("domain-ca.pem", ca.ChainPEM(w.domain.Certificate()))
	o.write("request.json", fmt.Appendf(nil, `{"ietf-voucher-request:voucher":{"assertion":"proximity","created-on":"2026-03-02T09:30:00Z","serial-number":"SN-0001","nonce":"%s","proximity-registrar-cert":"%s"}}`,
		base64.StdEncoding.EncodeToString([]byte("sixteen octets!!")), base64.StdEncoding.EncodeToString(w.chain[0].Raw)))
	o.run("cms", "-sign", "-binary", "-nodetach", "-in", "request.json", "-signer", "idevid.pem", "-inkey", "idevid.key", "-outform", "DER", "-out", "pvr.der",
		"-econtent_type", "1.2.840.113549.1.9.16.1.40", "-md", "sha256")
	answer, err := w.registrar.RequestVoucher(t.Context(), w.request(p.peer(), codec.FormatCMS.MediaType(), o.read("pvr.der")))
	if err != nil {
		t.Fatal(err)
	}
	o.write("voucher.der", answer.Body)
	o.run("cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.der", "-CAfile", "voucher-ca.pem", "-purpose", "any", "-attime", fmt.Sprint(epoch.Unix()), "-out", "voucher.json")
	if !bytes.Contains(o.read("voucher.json"), []byte(`"serial-number":"SN-0001"`)) {
		t.Errorf("%s", o.read("voucher.json"))
	}
	for name, generate := range map[string][]string{
		"P-256": {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
		"P-384": {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
		"RSA":   {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
	} {
		t.Run(name, func(t *testing.T) {
			o.run(append(generate, "-out", "ldevid.key")...)
			o.run("req", "-new", "-key", "ldevid.key", "-subj", "/O=Example/serialNumber=SN-0001/CN=pump 7", "-outform", "DER", "-out", "csr.der")
			cert, err := w.issued(w.registrar.SimpleEnroll(t.Context(), w.request(p.peer(), exchange.TypePKCS10, est.AppendBody(nil, o.read("csr.der")))))
			if err != nil {
				t.Fatal(err)
			}
			o.write("ldevid.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
			o.run("verify", "-CAfile", "domain-ca.pem", "-purpose", "sslclient", "-attime", fmt.Sprint(epoch.Unix()), "ldevid.pem")
			if public := o.run("x509", "-in", "ldevid.pem", "-noout", "-pubkey"); !bytes.Equal(public, o.run("pkey", "-in", "ldevid.key", "-pubout")) {
				t.Error("a certificate for another key")
			}
		})
	}
}
