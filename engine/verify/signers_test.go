package verify_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// jwsOf puts the signatures of several JWS over the same payload into one.
func jwsOf(t testing.TB, list ...[]byte) []byte {
	t.Helper()
	type general struct {
		Payload    string            `json:"payload"`
		Signatures []json.RawMessage `json:"signatures"`
	}
	var all general
	for _, b := range list {
		var one general
		if err := json.Unmarshal(b, &one); err != nil {
			t.Fatal(err)
		}
		all.Payload, all.Signatures = one.Payload, append(all.Signatures, one.Signatures...)
	}
	out, err := json.Marshal(&all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOneSignerOfSeveralIsEnough(t *testing.T) {
	p, q := fixture.NewPKI(t, sign.ES256), fixture.NewPKI(t, sign.ES384)
	v := voucher(p, "SN-1")
	ours, theirs := makerOf(p).sealVoucher(t, codec.FormatJWS, v), makerOf(q).sealVoucher(t, codec.FormatJWS, v)
	broken := (&maker{sign.ES256, fixture.NewPKI(t, sign.ES256).Signer, p.Chain}).sealVoucher(t, codec.FormatJWS, v)
	cfg := verify.Config{Trust: trust(p)}
	cfg.Sources = []verify.Source{vouchers(jwsOf(t, ours, theirs), jwsOf(t, theirs, ours), jwsOf(t, broken, theirs, ours), jwsOf(t, ours, broken))}
	mustHold(t, cfg, 4)
	// Of those that fail, the signer that came furthest explains it.
	if f := mustFail(t, cfg, verify.CheckSignature, jwsOf(t, theirs, broken)); !strings.Contains(f.Reason, "Test MASA") {
		t.Error(&f)
	}
	mustFail(t, cfg, verify.CheckChain, jwsOf(t, theirs, theirs))
}

func keyed(c *x509.Certificate) { c.SubjectKeyId = []byte(c.Subject.CommonName) }

// writePEM writes blocks to a file.
func writePEM(t testing.TB, name string, blocks ...[]byte) {
	t.Helper()
	if err := os.WriteFile(name, bytes.Join(blocks, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSeveralSignersOfOpenSSLHold(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("openssl is not here")
	}
	dir := t.TempDir()
	root, other := (*ca)(nil).certify(t, "Root", authority), (*ca)(nil).certify(t, "Other", authority)
	for name, a := range map[string]*ca{"a": root.certify(t, "A", keyed), "b": other.certify(t, "B", keyed)} {
		key, err := sign.MarshalKeyPEM(a.key, nil)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), key)
	}
	v := voucher(fixture.NewPKI(t, sign.ES256), "SN-1")
	payload, err := codec.AppendVoucherJSON(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	content := filepath.Join(dir, "content")
	if err := os.WriteFile(content, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	sealed := func(args ...string) []byte {
		out := filepath.Join(dir, "out")
		cmd := exec.Command(openssl, append([]string{"cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-md", "sha256", "-outform", "DER",
			"-econtent_type", "1.2.840.113549.1.9.16.1.40", "-in", content, "-out", out}, args...)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b := filepath.Join(dir, "a.pem"), filepath.Join(dir, "b.pem")
	both := sealed("-signer", a, "-signer", b)
	for _, anchor := range []*ca{root, other} {
		mustHold(t, verify.Config{Sources: []verify.Source{vouchers(both, sealed("-signer", a, "-signer", b, "-keyid"))},
			Trust: verify.Trust{Anchors: []*x509.Certificate{anchor.cert}, At: at}}, 2)
	}
	// Without certificates inside the signer is found by what names it.
	bare := sealed("-signer", a, "-nocerts")
	cfg := verify.Config{Trust: verify.Trust{Anchors: []*x509.Certificate{root.cert}, At: at}}
	if f := mustFail(t, cfg, verify.CheckChain, bare); !strings.Contains(f.Remedy, "helper") {
		t.Error(&f)
	}
	certs, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Trust.Helpers, err = sign.LoadCertificates(certs); err != nil {
		t.Fatal(err)
	}
	cfg.Sources = []verify.Source{vouchers(bare)}
	mustHold(t, cfg, 1)
}

func TestCOSEWithoutCertificatesIsVerifiedByKnownSigners(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	strangers := []*x509.Certificate{fixture.NewPKI(t, sign.ES256).Chain[0], fixture.NewPKI(t, sign.ES384).Chain[0]}
	const n = 300
	r := p.Issue(t, fixture.Store(t), p.Header("cose"), fixture.Serials(n))
	file := verify.File(exported(t, r, "b.tar", export.Config{ForPledge: true}), bundle.ReadOptions{})
	cfg := verify.Config{Trust: trust(p), Sources: []verify.Source{file}}
	cfg.Trust.Helpers = append(strangers, p.Chain[0])
	report := mustHold(t, cfg, n)
	if len(report.Manifests) != 1 || !report.Manifests[0].Holds {
		t.Error("taking out certificates must not change the tree")
	}
	// The signer itself as anchor.
	cfg.Trust = verify.Trust{Anchors: append(strangers, p.Chain[0]), At: at}
	mustHold(t, cfg, n)
	// Nobody who can have signed it.
	stripped, err := codec.StripCertificates(nil, makerOf(p).sealVoucher(t, codec.FormatCOSE, voucher(p, "SN-1")))
	if err != nil {
		t.Fatal(err)
	}
	cfg = verify.Config{Trust: trust(p)}
	if f := mustFail(t, cfg, verify.CheckChain, stripped); !strings.Contains(f.Remedy, "helper") {
		t.Error(&f)
	}
	cfg.Trust.Anchors = append(cfg.Trust.Anchors, strangers...)
	if f := mustFail(t, cfg, verify.CheckSignature, stripped); !strings.Contains(f.Remedy, "helper") {
		t.Error(&f)
	}
}

// headed makes a COSE_Sign1 of a voucher with a header of any content.
func headed(t testing.TB, m *maker, v codec.Voucher, unprotected map[int]any) []byte {
	t.Helper()
	payload, err := codec.AppendVoucherCBOR(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(x any) []byte {
		b, err := cbor.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	protected := marshal(map[int]int64{1: m.alg.COSE})
	sig := make([]byte, m.alg.SignatureSize)
	input := m.alg.Hash.Append(nil, marshal([]any{"Signature1", protected, []byte{}, payload}))
	if err := m.key.SignBatch(sig, [][]byte{input}); err != nil {
		t.Fatal(err)
	}
	return marshal(cbor.Tag{Number: 18, Content: []any{protected, unprotected, payload, sig}})
}

func TestHeadersOfCOSENameTheSigner(t *testing.T) {
	root := (*ca)(nil).certify(t, "Root", authority)
	named := root.certify(t, "Named", func(c *x509.Certificate) { c.SubjectKeyId = []byte("named") })
	other := root.certify(t, "Other", func(c *x509.Certificate) { c.SubjectKeyId = []byte("other") })
	m := named.maker(t)
	v := voucher(fixture.NewPKI(t, sign.ES256), "SN-1")
	sum := func(a *ca) []byte { s := sha256.Sum256(a.cert.Raw); return s[:] }
	cfg := verify.Config{Trust: verify.Trust{Anchors: []*x509.Certificate{root.cert}, Helpers: []*x509.Certificate{other.cert, named.cert}, At: at}}
	good := []map[int]any{
		{},
		{4: []byte("named")},
		{4: []byte("a name of the issuer's own")},
		{34: []any{-16, sum(named)}},
		{34: []any{-15, sum(named)[:8]}},
		{34: []any{-16, sum(named)}, 4: []byte("named")},
		{32: [][]byte{other.cert.Raw, named.cert.Raw}}, // neither issued the other
		{33: [][]byte{named.cert.Raw, root.cert.Raw}},
		{32: named.cert.Raw},
	}
	var list [][]byte
	for _, h := range good {
		list = append(list, headed(t, m, v, h))
	}
	cfg.Sources = []verify.Source{vouchers(list...)}
	mustHold(t, cfg, uint64(len(list)))
	for _, c := range []struct {
		check  verify.Check
		header map[int]any
	}{
		{verify.CheckSignature, map[int]any{4: []byte("other")}},
		{verify.CheckSignature, map[int]any{34: []any{-16, sum(other)}}},
		{verify.CheckChain, map[int]any{34: []any{-16, make([]byte, 32)}}},
		{verify.CheckChain, map[int]any{34: []any{-99, sum(named)}}},
		{verify.CheckSignature, map[int]any{33: [][]byte{other.cert.Raw}}},
		{verify.CheckChain, map[int]any{32: []byte("no certificate")}},
	} {
		if f := mustFail(t, cfg, c.check, headed(t, m, v, c.header)); f.Remedy == "" {
			t.Errorf("%v: %v", c.header, &f)
		}
	}
}

func TestHeadersOfJWSNameTheSigner(t *testing.T) {
	root := (*ca)(nil).certify(t, "Root", authority)
	named := root.certify(t, "Named", func(c *x509.Certificate) { c.SubjectKeyId = []byte("named") })
	other := root.certify(t, "Other", nil)
	m := named.maker(t)
	v := voucher(fixture.NewPKI(t, sign.ES256), "SN-1")
	payload, err := codec.AppendVoucherJSON(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	sealed := func(header string) []byte {
		input := b64([]byte(header)) + "." + b64(payload)
		sig := make([]byte, 64)
		if err := m.key.SignBatch(sig, [][]byte{m.alg.Hash.Append(nil, []byte(input))}); err != nil {
			t.Fatal(err)
		}
		return []byte(`{"payload":"` + b64(payload) + `","signatures":[{"protected":"` + b64([]byte(header)) + `","signature":"` + b64(sig) + `"}]}`)
	}
	sum := sha256.Sum256(named.cert.Raw)
	cfg := verify.Config{Trust: verify.Trust{Anchors: []*x509.Certificate{root.cert}, Helpers: []*x509.Certificate{other.cert, named.cert}, At: at}}
	cfg.Sources = []verify.Source{vouchers(sealed(`{"alg":"ES256"}`), sealed(`{"alg":"ES256","x5t#S256":"`+b64(sum[:])+`"}`),
		sealed(`{"alg":"ES256","kid":"`+base64.StdEncoding.EncodeToString([]byte("named"))+`"}`))}
	mustHold(t, cfg, 3)
	sum[0] ^= 1
	mustFail(t, cfg, verify.CheckChain, sealed(`{"alg":"ES256","x5t#S256":"`+b64(sum[:])+`"}`))
	mustFail(t, cfg, verify.CheckEnvelope, sealed(`{"alg":"ES256","crit":["unheard-of"],"unheard-of":1}`))
}
