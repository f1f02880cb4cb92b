package artefact_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/sign"
)

// signer is a demonstration PKI: a signer with its chain, and its anchor.
type signer struct {
	artefact.Signer
	chain  []*x509.Certificate
	anchor []*x509.Certificate
	pemCA  []byte
}

func newSigner(t testing.TB, alg *sign.Algorithm) *signer {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: alg, CommonName: "Example MASA", NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.LoadKey(pki.SignerKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := sign.NewSigner(alg, key, sign.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{Signer: artefact.Signing(batch), pemCA: pki.CA}
	if s.chain, err = sign.LoadChain(pki.Signer); err != nil {
		t.Fatal(err)
	}
	if s.anchor, err = sign.LoadCertificates(pki.CA); err != nil {
		t.Fatal(err)
	}
	return s
}

func exampleVoucher(pin []byte) *codec.Voucher {
	now := time.Now().UTC().Truncate(time.Second)
	return &codec.Voucher{Assertion: codec.AssertionLogged, CreatedOn: now, ExpiresOn: now.Add(20 * time.Minute),
		SerialNumber: []byte("JADA123456789"), PinnedDomainCert: pin}
}

func TestWhatIsSealedOpens(t *testing.T) {
	for _, alg := range []*sign.Algorithm{sign.ES256, sign.ES384, sign.ES512, sign.Ed25519, sign.Ed448, sign.MLDSA44} {
		s := newSigner(t, alg)
		for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS, codec.FormatCOSE} {
			t.Run(alg.Name+" "+format.String(), func(t *testing.T) {
				sealer, err := artefact.NewSealer(artefact.SealerParams{Format: format, Signer: s, Chain: s.chain})
				if err != nil {
					t.Fatal(err)
				}
				b, err := sealer.Voucher(t.Context(), exampleVoucher(s.anchor[0].Raw), false)
				if err != nil {
					t.Fatal(err)
				}
				v, err := opener(t).Voucher(t.Context(), format, b, artefact.Trust{Anchors: s.anchor, At: time.Now()})
				if err != nil {
					t.Fatal(err)
				}
				if string(v.Leaves.SerialNumber) != "JADA123456789" || !v.Signer.Equal(s.chain[0]) {
					t.Errorf("voucher for %q by %q", v.Leaves.SerialNumber, v.Signer.Subject)
				}
				r, err := sealer.Request(t.Context(), &codec.VoucherRequest{Voucher: codec.Voucher{CreatedOn: time.Now().UTC().Truncate(time.Second),
					SerialNumber: []byte("JADA123456789"), Nonce: []byte("0123456789abcdef")}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := opener(t).Request(t.Context(), format, r); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestASealerRefusesWhatIsNoVoucher(t *testing.T) {
	s := newSigner(t, sign.ES256)
	sealer, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: s, Chain: s.chain})
	if err != nil {
		t.Fatal(err)
	}
	forever := exampleVoucher(s.anchor[0].Raw)
	forever.ExpiresOn = time.Time{}
	both := exampleVoucher(s.anchor[0].Raw)
	both.Nonce = []byte("0123456789abcdef")
	nameless := exampleVoucher(s.anchor[0].Raw)
	nameless.SerialNumber = nil
	for name, v := range map[string]*codec.Voucher{"valid for ever": forever, "nonce and expires-on": both, "no serial number": nameless, "no pin": exampleVoucher(nil)} {
		var rule *codec.RuleError
		if _, err := sealer.Voucher(t.Context(), v, false); !errors.As(err, &rule) {
			t.Errorf("%s: error %v, want a *codec.RuleError", name, err)
		}
	}
	if _, err := sealer.Voucher(t.Context(), forever, true); err != nil {
		t.Errorf("valid for ever, by policy: %v", err)
	}
}

func TestOpensslVerifiesWhatIsSealed(t *testing.T) {
	o := openssl.New(t)
	s := newSigner(t, sign.ES256)
	for _, data := range []bool{false, true} {
		sealer, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: s, Chain: s.chain, DataContentType: data})
		if err != nil {
			t.Fatal(err)
		}
		b, err := sealer.Voucher(t.Context(), exampleVoucher(s.anchor[0].Raw), false)
		if err != nil {
			t.Fatal(err)
		}
		o.Write("voucher.vcj", b)
		o.Write("ca.pem", s.pemCA)
		if out, err := o.Try("cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.vcj", "-CAfile", "ca.pem", "-purpose", "any"); err != nil {
			t.Errorf("id-data %t: %v\n%s", data, err, out)
		}
	}
}

// TestTheEnvelopeAloneDoesNotChooseTheAlgorithm (RFC 8725 §3.1): what it states
// must be one of the signer's key.
func TestTheEnvelopeAloneDoesNotChooseTheAlgorithm(t *testing.T) {
	s := newSigner(t, sign.ES256)
	payload, err := codec.AppendVoucherJSON(nil, exampleVoucher(s.chain[0].Raw))
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(stated string) []byte {
		t.Helper()
		id := artefact.AlgorithmID(s.Algorithm())
		id.JOSE = stated
		encoder, err := codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: codec.FormatJWS, Algorithm: id, Chain: [][]byte{s.chain[0].Raw}})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := s.Sign(t.Context(), s.Algorithm().Hash.Append(nil, encoder.AppendSigned1(nil, payload)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := encoder.AppendEnvelope(nil, payload, nil, signature)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	o := opener(t)
	trust := artefact.Trust{Anchors: s.anchor, At: time.Now()}
	if _, err := o.Voucher(t.Context(), codec.FormatJWS, sealed("ES256"), trust); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"PS256", "EdDSA"} {
		if _, err := o.Voucher(t.Context(), codec.FormatJWS, sealed(other), trust); !decision.Is(err, decision.BadSignature) {
			t.Errorf("stated is %s: error %v", other, err)
		}
	}
}
