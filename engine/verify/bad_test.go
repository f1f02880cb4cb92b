package verify_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// contents returns what a voucher says, without any check.
func contents(t testing.TB, b []byte) (payload, signature, attributes []byte) {
	t.Helper()
	d := codec.EnvelopeDecoder{AllowUntagged: true, AllowWrapped: true}
	var e codec.Envelope
	if err := d.Decode(b, &e); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(e.Payload), bytes.Clone(e.Signers[0].Signature), bytes.Clone(e.Signers[0].Signed)
}

// replace exchanges a stretch of octets that occurs exactly once.
func replace(t testing.TB, b, old, by []byte) []byte {
	t.Helper()
	if bytes.Count(b, old) != 1 {
		t.Fatalf("%x occurs %d times", old, bytes.Count(b, old))
	}
	return bytes.Replace(b, old, by, 1)
}

func TestNoFlippedBitChangesWhatPasses(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	for _, format := range formats {
		t.Run(format.String(), func(t *testing.T) {
			good := m.sealVoucher(t, format, voucher(p, "SN-1"))
			want, _, _ := contents(t, good)
			var list [][]byte
			for i := range good {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << (i % 8)
				list = append(list, bad)
			}
			report, failures := check(t, verify.Config{Sources: []verify.Source{vouchers(list...)}, Trust: trust(p)})
			failed := map[string]bool{}
			for _, f := range failures {
				failed[f.Place] = true
			}
			for i, b := range list {
				if failed["memory, entry "+itoa(i)] {
					continue
				}
				if got, _, _ := contents(t, b); !bytes.Equal(got, want) {
					t.Errorf("a bit flipped in octet %d changes the content and passes", i)
				}
			}
			if report.Failed < uint64(len(list))/2 {
				t.Errorf("only %d of %d fail", report.Failed, len(list))
			}
		})
	}
}

func itoa(i int) string {
	var b [8]byte
	n := len(b)
	for {
		n--
		b[n] = byte('0' + i%10)
		if i /= 10; i == 0 {
			return string(b[n:])
		}
	}
}

func TestAlteredPartsAreNamed(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	cfg := verify.Config{Trust: trust(p)}
	good := m.sealVoucher(t, codec.FormatCMS, voucher(p, "SN-1"))
	_, _, attributes := contents(t, good)

	f := mustFail(t, cfg, verify.CheckDigest, replace(t, good, []byte("SN-1"), []byte("SN-2")))
	if !strings.Contains(f.Reason, "messageDigest") && !strings.Contains(f.Reason, "signed attributes") || f.Remedy == "" {
		t.Errorf("altered content: %v", &f)
	}
	// The digest in the attributes made to fit the altered content.
	forged := replace(t, good, []byte("SN-1"), []byte("SN-2"))
	payload, _, _ := contents(t, forged)
	old := attributes[len(attributes)-32:]
	forged = replace(t, forged, old, sign.SHA256.Append(nil, payload))
	if f := mustFail(t, cfg, verify.CheckSignature, forged); !strings.Contains(f.Reason, "Test MASA") {
		t.Errorf("altered attribute: %v", &f)
	}
	// Another content type in the attributes than around the content.
	mustFail(t, cfg, verify.CheckEnvelope, bytes.Replace(good, []byte{0x10, 0x01, 0x28}, []byte{0x10, 0x01, 0x29}, 1))

	cose := m.sealVoucher(t, codec.FormatCOSE, voucher(p, "SN-1"))
	mustFail(t, cfg, verify.CheckSignature, replace(t, cose, []byte("SN-1"), []byte("SN-2")))
	cose[len(cose)-1] ^= 1
	mustFail(t, cfg, verify.CheckSignature, cose)

	jws := m.sealVoucher(t, codec.FormatJWS, voucher(p, "SN-1"))
	payload, _, _ = contents(t, jws)
	altered := bytes.Replace(payload, []byte("SN-1"), []byte("SN-2"), 1)
	b64 := base64.RawURLEncoding.EncodeToString
	mustFail(t, cfg, verify.CheckSignature, replace(t, jws, []byte(b64(payload)), []byte(b64(altered))))
}

func TestSignaturesOfOthersFail(t *testing.T) {
	p, q := fixture.NewPKI(t, sign.ES256), fixture.NewPKI(t, sign.ES256)
	cfg := verify.Config{Trust: trust(p)}
	for _, format := range formats {
		stranger := makerOf(q).sealVoucher(t, format, voucher(p, "SN-1"))
		if f := mustFail(t, cfg, verify.CheckChain, stranger); !strings.Contains(f.Reason, "no trust anchor") || f.Serial != "" {
			t.Errorf("%v: a stranger's voucher: %v", format, &f)
		}
		// Another's key under our certificate.
		impostor := &maker{sign.ES256, q.Signer, p.Chain}
		mustFail(t, cfg, verify.CheckSignature, impostor.sealVoucher(t, format, voucher(p, "SN-1")))
	}
}

func TestAlgorithmsMustFitTheKey(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	cfg := verify.Config{Trust: trust(p)}
	v := voucher(p, "SN-1")
	json, err := codec.AppendVoucherJSON(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	cbor, err := codec.AppendVoucherCBOR(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"RS256", "PS256", "EdDSA", "ES999"} {
		b := m.seal(t, codec.FormatJWS, json, func(p *codec.EnvelopeParams) { p.Algorithm.JOSE = alg })
		mustFail(t, cfg, verify.CheckAlgorithm, b)
	}
	for _, alg := range []string{"none", "HS256"} {
		b := m.seal(t, codec.FormatJWS, json, nil)
		_, _, signed := contents(t, b)
		protected, _, _ := strings.Cut(string(signed), ".")
		header, err := base64.RawURLEncoding.DecodeString(protected)
		if err != nil {
			t.Fatal(err)
		}
		header = replace(t, header, []byte("ES256"), []byte(alg))
		mustFail(t, cfg, verify.CheckEnvelope, replace(t, b, []byte(protected), []byte(base64.RawURLEncoding.EncodeToString(header))))
	}
	for _, alg := range []int64{-257, -8, -999, 5} {
		b := m.seal(t, codec.FormatCOSE, cbor, func(p *codec.EnvelopeParams) { p.Algorithm.COSE = alg })
		mustFail(t, cfg, verify.CheckAlgorithm, b)
	}
	sha1 := []byte{0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a}
	for name, change := range map[string]func(*codec.EnvelopeParams){
		"SHA-1 as digest":   func(p *codec.EnvelopeParams) { p.Algorithm.DigestOID = sha1 },
		"SHA-384 as digest": func(p *codec.EnvelopeParams) { p.Algorithm.DigestOID = sign.ES384.DigestOID },
		"RSA as signature": func(p *codec.EnvelopeParams) {
			p.Algorithm.SignatureOID = sign.RS256.SignatureOID
			p.Algorithm.ECDSA = false
		},
		"EdDSA as signature": func(p *codec.EnvelopeParams) { p.Algorithm.SignatureOID = sign.Ed25519.SignatureOID },
	} {
		if f := mustFail(t, cfg, verify.CheckAlgorithm, m.seal(t, codec.FormatCMS, json, change)); f.Remedy == "" {
			t.Errorf("%s: %v", name, &f)
		}
	}
}

func TestChainsThatDoNotHoldAreExplained(t *testing.T) {
	root := (*ca)(nil).certify(t, "Root", authority)
	anchors := verify.Trust{Anchors: []*x509.Certificate{root.cert}, At: at}
	p := fixture.NewPKI(t, sign.ES256)
	v := voucher(p, "SN-1")
	sub := root.certify(t, "Sub", authority)
	expiredSub := root.certify(t, "Old Sub", func(c *x509.Certificate) { authority(c); c.NotAfter = at.AddDate(0, -1, 0) })
	plain := root.certify(t, "Not a CA", nil)
	cases := []struct {
		name, says string
		maker      *maker
	}{
		{"expired signer", "not at 2026-04-01T12:00:00Z", root.certify(t, "Old", func(c *x509.Certificate) { c.NotAfter = at.AddDate(0, -1, 0) }).maker(t)},
		{"signer of the future", "is valid from", root.certify(t, "New", func(c *x509.Certificate) { c.NotBefore = at.AddDate(0, 1, 0) }).maker(t)},
		{"expired CA", "Old Sub", expiredSub.certify(t, "Signer", nil).maker(t, expiredSub)},
		{"missing CA", "no trust anchor", sub.certify(t, "Signer", nil).maker(t)},
		{"issuer is no CA", "cannot sign this kind", plain.certify(t, "Signer", nil).maker(t, plain)},
		{"critical extension", "1.2.3.4.5", root.certify(t, "Odd", func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, criticalUnknown) }).maker(t)},
		{"key usage", "key usage", root.certify(t, "Keys", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }).maker(t)},
	}
	for _, c := range cases {
		for _, format := range formats {
			f := mustFail(t, verify.Config{Trust: anchors}, verify.CheckChain, c.maker.sealVoucher(t, format, v))
			if !strings.Contains(f.Reason, c.says) || f.Remedy == "" {
				t.Errorf("%s, %v: %v", c.name, format, &f)
			}
		}
	}
	good := sub.certify(t, "Signer", nil).maker(t)
	b := good.sealVoucher(t, codec.FormatCMS, v)
	anchors.Helpers = []*x509.Certificate{sub.cert}
	mustHold(t, verify.Config{Trust: anchors, Sources: []verify.Source{vouchers(b)}}, 1)
	anchors = verify.Trust{Anchors: []*x509.Certificate{good.chain[0]}, At: at}
	mustHold(t, verify.Config{Trust: anchors, Sources: []verify.Source{vouchers(b)}}, 1)
	anchors = verify.Trust{Anchors: []*x509.Certificate{p.CA}, Helpers: []*x509.Certificate{root.cert, sub.cert}, At: at}
	mustFail(t, verify.Config{Trust: anchors}, verify.CheckChain, b) // helpers are not believed
}

func TestContentsAreCheckedInOrder(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	key := bytes.Repeat([]byte{0xab}, 20)
	edit := func(change func(*codec.Voucher)) codec.Voucher {
		v := voucher(p, "SN-1")
		change(&v)
		return v
	}
	cases := []struct {
		check  verify.Check
		says   string
		expect verify.Expectation
		v      codec.Voucher
	}{
		{verify.CheckRules, "pinned-domain-cert", verify.Expectation{}, edit(func(v *codec.Voucher) { v.PinnedDomainCert = nil })},
		{verify.CheckRules, "notAfter", verify.Expectation{}, edit(func(v *codec.Voucher) { v.ExpiresOn = p.Domain.NotAfter.Add(time.Hour) })},
		{verify.CheckRules, "serial-number", verify.Expectation{}, edit(func(v *codec.Voucher) { v.SerialNumber = bytes.Repeat([]byte("9"), 65) })},
		{verify.CheckRules, "idevid-issuer", verify.Expectation{}, edit(func(v *codec.Voucher) { v.IDevIDIssuer = []byte{} })},
		{verify.CheckTime, "created-on", verify.Expectation{}, edit(func(v *codec.Voucher) { v.CreatedOn = at.Add(verify.Skew + time.Second) })},
		{verify.CheckTime, "expired", verify.Expectation{}, edit(func(v *codec.Voucher) { v.ExpiresOn = at.Add(-verify.Skew - time.Second) })},
		{verify.CheckPin, "Test Domain", verify.Expectation{Pins: []*x509.Certificate{p.CA}}, edit(func(v *codec.Voucher) {})},
		{verify.CheckPin, "public key", verify.Expectation{Pins: []*x509.Certificate{p.CA}}, edit(func(v *codec.Voucher) {
			v.PinnedDomainCert, v.PinnedDomainPubk = nil, p.Domain.RawSubjectPublicKeyInfo
		})},
		{verify.CheckPin, "SHA-256", verify.Expectation{Pins: []*x509.Certificate{p.CA}}, edit(func(v *codec.Voucher) {
			v.PinnedDomainCert, v.PinnedDomainPubkSHA256 = nil, bytes.Repeat([]byte{1}, 32)
		})},
		{verify.CheckIssuer, "carries no idevid-issuer", verify.Expectation{IssuerKeyID: key}, edit(func(v *codec.Voucher) {})},
		{verify.CheckIssuer, "abab", verify.Expectation{IssuerKeyID: key}, edit(func(v *codec.Voucher) { v.IDevIDIssuer = codec.IssuerFromKeyID(key[:19]) })},
		// Of two things wrong the first in the order is told.
		{verify.CheckTime, "expired", verify.Expectation{Pins: []*x509.Certificate{p.CA}}, edit(func(v *codec.Voucher) { v.ExpiresOn = at.AddDate(0, 0, -1) })},
	}
	for _, c := range cases {
		for _, format := range formats {
			f := mustFail(t, verify.Config{Trust: trust(p), Expect: c.expect}, c.check, m.sealVoucher(t, format, c.v))
			if !strings.Contains(f.Reason, c.says) || f.Remedy == "" || f.Serial != string(c.v.SerialNumber) {
				t.Errorf("%v, want %s: %v", format, c.says, &f)
			}
		}
	}
	// What a payload says counts for nothing under a bad signature.
	expired := m.sealVoucher(t, codec.FormatCOSE, edit(func(v *codec.Voucher) { v.ExpiresOn = at.AddDate(0, 0, -1) }))
	expired[len(expired)-1] ^= 1
	if f := mustFail(t, verify.Config{Trust: trust(p)}, verify.CheckSignature, expired); f.Serial != "" {
		t.Errorf("a serial number nobody signed is told: %v", &f)
	}
}

func TestExpectedPinsAndIssuersAreFound(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	key := bytes.Repeat([]byte{0xab}, 20)
	sum := sign.SHA256.Append(nil, p.Domain.RawSubjectPublicKeyInfo)
	expect := verify.Expectation{Pins: []*x509.Certificate{p.CA, p.Domain}, IssuerKeyID: key}
	for _, format := range formats {
		var list [][]byte
		for _, change := range []func(*codec.Voucher){
			func(v *codec.Voucher) {},
			func(v *codec.Voucher) { v.PinnedDomainPubk = p.Domain.RawSubjectPublicKeyInfo },
			func(v *codec.Voucher) {
				v.PinnedDomainCert, v.PinnedDomainPubk = nil, p.Domain.RawSubjectPublicKeyInfo
			},
			func(v *codec.Voucher) { v.PinnedDomainCert, v.PinnedDomainPubkSHA256 = nil, sum },
			func(v *codec.Voucher) { v.CreatedOn, v.ExpiresOn = at.Add(verify.Skew), at.AddDate(0, 1, 0) },
			func(v *codec.Voucher) { v.ExpiresOn = at.Add(-verify.Skew) },
			func(v *codec.Voucher) { v.ExpiresOn, v.Nonce = time.Time{}, bytes.Repeat([]byte{7}, 16) },
		} {
			v := voucher(p, "SN-1")
			v.IDevIDIssuer = codec.IssuerFromKeyID(key)
			change(&v)
			list = append(list, m.sealVoucher(t, format, v))
		}
		mustHold(t, verify.Config{Trust: trust(p), Expect: expect, Sources: []verify.Source{vouchers(list...)}}, uint64(len(list)))
	}
	// One pin of two is wrong.
	v := voucher(p, "SN-1")
	v.PinnedDomainPubk = p.CA.RawSubjectPublicKeyInfo
	mustFail(t, verify.Config{Trust: trust(p), Expect: verify.Expectation{Pins: expect.Pins[1:]}}, verify.CheckPin, m.sealVoucher(t, codec.FormatCMS, v))
}

func TestPayloadsThatAreNoVouchersFail(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	for _, payload := range []string{"", "{}", "[1]", `{"ietf-voucher-request:voucher":{"serial-number":"1","nonce":"AAAAAAAAAAA="}}`,
		`{"ietf-voucher:voucher":{"serial-number":"1","serial-number":"2"}}`, `{"ietf-voucher:voucher":{"serial-number":"1"}} `, "\xff"} {
		want := verify.CheckPayload
		if strings.HasSuffix(payload, " ") {
			want = verify.CheckRules // white space is no harm, the missing pin is
		}
		mustFail(t, verify.Config{Trust: trust(p)}, want, m.seal(t, codec.FormatCMS, []byte(payload), nil))
	}
}

func TestInputThatIsNoEnvelopeFails(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	good := makerOf(p).sealVoucher(t, codec.FormatCMS, voucher(p, "SN-1"))
	var list [][]byte
	for i := range good {
		list = append(list, good[:i])
	}
	list = append(list, append(bytes.Clone(good), 0), []byte("hello"), bytes.Repeat([]byte{'['}, 5000), make([]byte, 65<<10))
	report, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{vouchers(list...)}})
	if report.Failures[verify.CheckEnvelope] != uint64(len(list)) {
		t.Errorf("%v of %d", report.Failures, len(list))
	}
	for i := range failures {
		if failures[i].Remedy == "" {
			t.Error(&failures[i])
		}
	}
	text := "-----BEGIN CMS-----\n" + base64.StdEncoding.EncodeToString(good) + "\n-----END CMS-----\n"
	mustHold(t, verify.Config{Trust: trust(p), Sources: []verify.Source{vouchers([]byte(text), []byte(base64.StdEncoding.EncodeToString(good)))}}, 2)
}

func TestLongSerialNumbersNeedTheirLimit(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	long := strings.Repeat("7", 1024)
	b := makerOf(p).sealVoucher(t, codec.FormatJWS, voucher(p, long))
	mustFail(t, verify.Config{Trust: trust(p)}, verify.CheckRules, b)
	mustHold(t, verify.Config{Trust: trust(p), Limits: codec.Limits{SerialBytes: 1024}, Sources: []verify.Source{vouchers(b)}}, 1)
	h := p.Header("cose")
	h.SerialBytes = 1024
	r := p.Issue(t, fixture.Store(t), h, "serial-number\n"+long+"\n")
	mustHold(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.StoredRun(r)}}, 1)
}
