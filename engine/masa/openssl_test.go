package masa_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
)

// signed is a voucher-request as a registrar or a device built on openssl makes it.
func signed(t *testing.T, o *openssl.Tool, name string, q *codec.VoucherRequest, by *entity, more ...*entity) []byte {
	t.Helper()
	payload, err := codec.AppendRequestJSON(nil, q)
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(by.key)
	must(t, err)
	o.Write(name+".json", payload)
	o.Write(name+".pem", []byte(pemOf(by)))
	o.Write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	args := []string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256", "-econtent_type", "1.2.840.113549.1.9.16.1.40",
		"-in", name + ".json", "-signer", name + ".pem", "-inkey", name + ".key", "-out", name + ".der"}
	if len(more) > 0 {
		o.Write(name+"-chain.pem", []byte(pemOf(more...)))
		args = append(args, "-certfile", name+"-chain.pem")
	}
	o.Run(args...)
	return o.Read(name + ".der")
}

func TestOpenSSLAsksAndVerifies(t *testing.T) {
	o := openssl.New(t)
	w := newWorld(t)
	j := w.join(0)
	j.request.PriorSignedVoucherRequest = signed(t, o, "pledge", &j.pledge, j.device)
	body := signed(t, o, "registrar", &j.request, w.registrar, w.domain)
	answer := w.send(&exchange.Request{Now: w.now, ContentType: codec.FormatCMS.MediaType(), Body: body})
	o.Write("voucher.vcj", answer.Body)
	o.Write("anchor.pem", []byte(pemOf(w.voucherCA)))
	o.Run("cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.vcj", "-purpose", "any",
		"-CAfile", "anchor.pem", "-attime", strconv.FormatInt(w.now.Unix(), 10), "-out", "voucher.json")
	payload := o.Read("voucher.json")
	var v codec.Voucher
	decoder := codec.PayloadDecoder{}
	must(t, decoder.VoucherJSON(payload, &v))
	if v.Assertion != codec.AssertionProximity || !bytes.Equal(v.PinnedDomainCert, w.domain.cert.Raw) || string(v.SerialNumber) != "SN-1" {
		t.Errorf("openssl reads %s", payload)
	}
}
