package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

func TestRSASignersOfOthersAreRead(t *testing.T) {
	root := (*ca)(nil).certify(t, "Root", authority)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "RSA"},
		NotBefore: fixture.Epoch, NotAfter: fixture.Epoch.AddDate(1, 0, 0)}, root.cert, key.Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	v := voucher(fixture.NewPKI(t, sign.ES256), "SN-1")
	payload, err := codec.AppendVoucherJSON(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	sealed := func(alg string, opts crypto.SignerOpts) []byte {
		header := b64(fmt.Appendf(nil, `{"alg":%q,"x5c":[%q]}`, alg, base64.StdEncoding.EncodeToString(der)))
		sum := sha256.Sum256([]byte(header + "." + b64(payload)))
		sig, err := key.Sign(rand.Reader, sum[:], opts)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, b64(payload), header, b64(sig))
	}
	pss := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	cfg := verify.Config{Trust: verify.Trust{Anchors: []*x509.Certificate{root.cert}, At: at}}
	cfg.Sources = []verify.Source{vouchers(sealed("RS256", crypto.SHA256), sealed("PS256", pss))}
	mustHold(t, cfg, 2)
	mustFail(t, cfg, verify.CheckSignature, sealed("PS256", crypto.SHA256))
	mustFail(t, cfg, verify.CheckSignature, sealed("RS256", pss))
	mustFail(t, cfg, verify.CheckAlgorithm, sealed("EdDSA", crypto.SHA256))
}
