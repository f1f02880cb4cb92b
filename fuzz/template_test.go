package fuzz

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	cose "github.com/veraison/go-cose"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/sign"
)

// issuer signs vouchers by one algorithm.
type issuer struct {
	signer sign.Signer
	chain  [][]byte
	roots  *x509.CertPool
}

func newIssuer(f *testing.F, alg *sign.Algorithm) issuer {
	f.Helper()
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: alg, CommonName: "Example MASA", NotBefore: created, NotAfter: created.AddDate(30, 0, 0)})
	must(f, err)
	key, err := sign.LoadKey(pki.SignerKey, nil)
	must(f, err)
	signer, err := sign.NewSigner(alg, key, sign.Options{})
	must(f, err)
	chain, err := sign.LoadChain(pki.Signer)
	must(f, err)
	made := issuer{signer: signer, roots: x509.NewCertPool()}
	for _, cert := range chain {
		made.chain = append(made.chain, cert.Raw)
	}
	made.roots.AddCert(chain[len(chain)-1])
	return made
}

// FuzzTemplate issues a voucher as the engine does, by prefix and tail, and
// holds that the slower way gives the same octets, that they are read as what
// went in, and that the libraries of the field verify them.
func FuzzTemplate(f *testing.F) {
	var issuers []issuer
	for _, alg := range []*sign.Algorithm{sign.ES256, sign.ES384, sign.ES512, sign.Ed25519} {
		issuers = append(issuers, newIssuer(f, alg))
	}
	f.Add("JADA123456789", uint8(0), uint8(0), []byte{0x30, 0}, []byte(nil), int64(0))
	f.Add("Größe \"7\"\\", uint8(1), uint8(1), []byte{4}, []byte("nonce-of-16-octs"), int64(1))
	f.Add("1", uint8(2), uint8(3), bytes.Repeat([]byte{7}, 700), []byte("8 octets"), int64(-62135596800))
	f.Fuzz(func(t *testing.T, serial string, format, who uint8, pin, nonce []byte, at int64) {
		by := issuers[int(who)%len(issuers)]
		v := codec.Voucher{Assertion: codec.AssertionLogged, CreatedOn: created.Add(time.Duration(at % 1e18)).Truncate(time.Second), PinnedDomainCert: pin, Nonce: nonce}
		if len(nonce) == 0 {
			v.Nonce, v.ExpiresOn = nil, v.CreatedOn.AddDate(1, 0, 0)
		}
		p := codec.TemplateParams{Voucher: v, Envelope: codec.EnvelopeParams{
			Format: codec.FormatCMS + codec.Format(format%3), Algorithm: artefact.AlgorithmID(by.signer.Algorithm()), Chain: by.chain, DataContentType: format%3 == 0 && format&8 != 0}}
		template, err := codec.CompileTemplate(p)
		if err != nil {
			return // no voucher that may be signed
		}
		voucher, payload := issued(t, template, by.signer, serial)
		if voucher == nil {
			return
		}
		if len(voucher) > template.MaxEnvelopeSize(len(serial)) {
			t.Fatalf("%d octets, at most %d were promised", len(voucher), template.MaxEnvelopeSize(len(serial)))
		}
		v.SerialNumber = []byte(serial)
		holds(t, &p.Envelope, by, voucher, payload, &v)
	})
}

// issued makes a voucher out of a template; nil for a serial number it refuses.
func issued(t *testing.T, template *codec.Template, signer sign.Signer, serial string) (voucher, payload []byte) {
	t.Helper()
	message := template.AppendPrefix(nil, 0)
	if codec.CheckSerial([]byte(serial), 0) == nil {
		message = template.AppendPrefix(nil, template.Class([]byte(serial)))
	}
	message, err := template.AppendTail(message, []byte(serial))
	if err != nil {
		if codec.CheckSerial([]byte(serial), 0) == nil {
			t.Fatalf("a sound serial number is refused: %v", err)
		}
		return nil, nil
	}
	alg := signer.Algorithm()
	var digest []byte
	if prefix := template.AttributesPrefix(); prefix != nil {
		digest = alg.Hash.Append(nil, message)
		message = append(bytes.Clone(prefix), digest...)
	}
	if !alg.Message {
		message = alg.Hash.Append(nil, message)
	}
	signature := make([]byte, alg.SignatureSize)
	must(t, signer.SignBatch(signature, [][]byte{message}))
	voucher, err = template.AppendEnvelope(nil, []byte(serial), digest, signature)
	must(t, err)
	payload, err = template.AppendPayload(nil, []byte(serial))
	must(t, err)
	return voucher, payload
}

// holds checks a voucher that was issued.
func holds(t *testing.T, p *codec.EnvelopeParams, by issuer, voucher, payload []byte, want *codec.Voucher) {
	t.Helper()
	var d codec.EnvelopeDecoder
	var e codec.Envelope
	must(t, d.Decode(voucher, &e))
	if !bytes.Equal(e.Payload, payload) || len(e.Certificates) != len(by.chain) {
		t.Fatalf("the envelope holds %q and %d certificates", e.Payload, len(e.Certificates))
	}
	s := &e.Signers[0]
	must(t, verified(&e, s, nil))
	encoder, err := codec.NewEnvelopeEncoder(*p)
	must(t, err)
	again, err := encoder.AppendEnvelope(nil, payload, s.ContentDigest, s.Signature)
	must(t, err)
	if !bytes.Equal(again, voucher) {
		t.Fatalf("the template writes\n%x, the encoder\n%x", voucher, again)
	}
	form := voucherJSON
	if p.Format == codec.FormatCOSE {
		form = voucherCBOR
	}
	readsAs(t, payload, form, want)
	verifies(t, p.Format, by, voucher)
}

// verifies asks the library of the field for the format.
func verifies(t *testing.T, format codec.Format, by issuer, voucher []byte) {
	t.Helper()
	alg, public := by.signer.Algorithm(), by.signer.Public()
	switch format {
	case codec.FormatCMS:
		if alg.Message {
			return // unknown to smallstep/pkcs7
		}
		p7, err := parsePKCS7(voucher)
		must(t, err)
		must(t, p7.VerifyWithChainAtTime(by.roots, created.AddDate(1, 0, 0)))
	case codec.FormatJWS:
		signed, err := jose.ParseSignedJSON(string(voucher), joseAlgorithms)
		must(t, err)
		_, _, _, err = signed.VerifyMulti(public)
		must(t, err)
	default:
		var signed cose.Sign1Message
		must(t, signed.UnmarshalCBOR(voucher))
		verifier, err := cose.NewVerifier(cose.Algorithm(alg.COSE), public)
		must(t, err)
		must(t, signed.Verify(nil, verifier))
	}
}
