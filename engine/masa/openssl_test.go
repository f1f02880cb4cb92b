package masa_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// openssl runs it in a folder of the test's own.
type openssl struct {
	t    *testing.T
	path string
	dir  string
}

func newOpenssl(t *testing.T) *openssl {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no openssl to compare with: %v", err)
	}
	return &openssl{t, path, t.TempDir()}
}

func (o *openssl) write(name string, content []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	must(o.t, os.WriteFile(path, content, 0o600))
	return path
}

func (o *openssl) run(args ...string) []byte {
	o.t.Helper()
	command := exec.Command(o.path, args...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, problems.Bytes())
	}
	return out.Bytes()
}

// sign makes a voucher-request as a registrar or a device built on openssl does.
func (o *openssl) sign(name string, q *codec.VoucherRequest, by *entity, more ...*entity) []byte {
	o.t.Helper()
	payload, err := codec.AppendRequestJSON(nil, q)
	must(o.t, err)
	key, err := x509.MarshalPKCS8PrivateKey(by.key)
	must(o.t, err)
	args := []string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256", "-econtent_type", "1.2.840.113549.1.9.16.1.40",
		"-in", o.write(name+".json", payload), "-signer", o.write(name+".pem", []byte(pemOf(by))),
		"-inkey", o.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))}
	if len(more) > 0 {
		args = append(args, "-certfile", o.write(name+"-chain.pem", []byte(pemOf(more...))))
	}
	return o.run(args...)
}

func TestOpenSSLAsksAndVerifies(t *testing.T) {
	o := newOpenssl(t)
	w := newWorld(t)
	j := w.join(0)
	j.request.PriorSignedVoucherRequest = o.sign("pledge", &j.pledge, j.device)
	body := o.sign("registrar", &j.request, w.registrar, w.domain)
	answer := w.send(&exchange.Request{Now: w.now, ContentType: codec.FormatCMS.MediaType(), Body: body})
	payload := o.run("cms", "-verify", "-binary", "-inform", "DER", "-in", o.write("voucher.vcj", answer.Body), "-purpose", "any",
		"-CAfile", o.write("anchor.pem", []byte(pemOf(w.voucherCA))), "-attime", strconv.FormatInt(w.now.Unix(), 10))
	var v codec.Voucher
	decoder := codec.PayloadDecoder{}
	must(t, decoder.VoucherJSON(payload, &v))
	if v.Assertion != codec.AssertionProximity || !bytes.Equal(v.PinnedDomainCert, w.domain.cert.Raw) || string(v.SerialNumber) != "SN-1" {
		t.Errorf("openssl reads %s", payload)
	}
}
