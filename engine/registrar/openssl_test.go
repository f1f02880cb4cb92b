package registrar_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/sign"
)

// openssl in place of a pledge gets a voucher and a certificate, and reads both.
func TestOpenSSLJoins(t *testing.T) {
	o := openssl.New(t)
	w := newSite(t)
	p := w.pledge("SN-0001")
	o.Write("idevid.key", must[[]byte](t)(sign.MarshalKeyPEM(p.key, nil)))
	o.Write("idevid.pem", ca.ChainPEM(p.cert))
	o.Write("voucher-ca.pem", ca.ChainPEM(w.vouchers.Certificate()))
	o.Write("domain-ca.pem", ca.ChainPEM(w.domain.Certificate()))
	o.Write("request.json", fmt.Appendf(nil, `{"ietf-voucher-request:voucher":{"assertion":"proximity","created-on":"2026-03-02T09:30:00Z","serial-number":"SN-0001","nonce":"%s","proximity-registrar-cert":"%s"}}`,
		base64.StdEncoding.EncodeToString([]byte("sixteen octets!!")), base64.StdEncoding.EncodeToString(w.chain[0].Raw)))
	o.Run("cms", "-sign", "-binary", "-nodetach", "-in", "request.json", "-signer", "idevid.pem", "-inkey", "idevid.key", "-outform", "DER", "-out", "pvr.der",
		"-econtent_type", "1.2.840.113549.1.9.16.1.40", "-md", "sha256")
	answer, err := w.registrar.RequestVoucher(t.Context(), w.request(p.peer(), codec.FormatCMS.MediaType(), o.Read("pvr.der")))
	if err != nil {
		t.Fatal(err)
	}
	o.Write("voucher.der", answer.Body)
	o.Run("cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.der", "-CAfile", "voucher-ca.pem", "-purpose", "any", "-attime", fmt.Sprint(epoch.Unix()), "-out", "voucher.json")
	if !bytes.Contains(o.Read("voucher.json"), []byte(`"serial-number":"SN-0001"`)) {
		t.Errorf("%s", o.Read("voucher.json"))
	}
	for name, generate := range map[string][]string{
		"P-256": {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
		"P-384": {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
		"RSA":   {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Run(append(generate, "-out", "ldevid.key")...)
			o.Run("req", "-new", "-key", "ldevid.key", "-subj", "/O=Example/serialNumber=SN-0001/CN=pump 7", "-outform", "DER", "-out", "csr.der")
			cert, err := w.issued(w.registrar.SimpleEnroll(t.Context(), w.request(p.peer(), exchange.TypePKCS10, est.AppendBody(nil, o.Read("csr.der")))))
			if err != nil {
				t.Fatal(err)
			}
			o.Write("ldevid.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
			o.Run("verify", "-CAfile", "domain-ca.pem", "-purpose", "sslclient", "-attime", fmt.Sprint(epoch.Unix()), "ldevid.pem")
			if public := o.Run("x509", "-in", "ldevid.pem", "-noout", "-pubkey"); public != o.Run("pkey", "-in", "ldevid.key", "-pubout") {
				t.Error("a certificate for another key")
			}
		})
	}
}
