package codec

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// cmsParts is a SignedData to be put together, sound or not.
type cmsParts struct {
	kind, eType []byte
	version     byte
	content     []byte // nil: detached
	certs       [][]byte
	signers     [][]byte
}

func seq(tag byte, parts ...[]byte) []byte { return der.Append(nil, tag, bytes.Join(parts, nil)) }
func oid(body []byte) []byte               { return der.Append(nil, der.TagOID, body) }

func (p cmsParts) bytes() []byte {
	encap := oid(p.eType)
	if p.content != nil {
		encap = append(encap, seq(der.ContextConstructed, der.Append(nil, der.TagOctetString, p.content))...)
	}
	signed := seq(der.TagSequence, []byte{der.TagInteger, 1, p.version}, seq(der.TagSet),
		seq(der.TagSequence, encap), seq(der.ContextConstructed, p.certs...), seq(der.TagSet, p.signers...))
	return seq(der.TagSequence, oid(p.kind), seq(der.ContextConstructed, signed))
}

// attribute is one attribute with the given values.
func attribute(id []byte, values ...[]byte) []byte {
	return seq(der.TagSequence, oid(id), seq(der.TagSet, values...))
}

// signerInfo signs attributes in the order given. sid is a whole element.
func (s *testSigner) signerInfo(t testing.TB, sid []byte, attrs ...[]byte) []byte {
	t.Helper()
	raw := s.sign(t, seq(der.TagSet, attrs...))
	signature := der.Append(nil, der.TagOctetString, der.AppendECDSA(nil, raw))
	return seq(der.TagSequence, []byte{der.TagInteger, 1, 1}, sid, s.id.DigestOID,
		seq(der.ContextConstructed, attrs...), s.id.SignatureOID, signature)
}

func (s *testSigner) issuerAndSerial(t testing.TB) []byte {
	t.Helper()
	c, err := der.ParseCertificate(s.chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return seq(der.TagSequence, c.Issuer, der.Append(nil, der.TagInteger, c.Serial))
}

// soundCMS returns parts that decode, with their two attributes.
func (s *testSigner) soundCMS(t testing.TB) (p cmsParts, contentType, digest []byte) {
	t.Helper()
	content := []byte(`{"ietf-voucher:voucher":{"serial-number":"A1"}}`)
	contentType = attribute(oidContentType, oid(oidVoucher))
	digest = attribute(oidMessageDigest, der.Append(nil, der.TagOctetString, s.digest(content)))
	p = cmsParts{kind: oidSignedData, eType: oidVoucher, version: 3, content: content, certs: s.chain}
	p.signers = [][]byte{s.signerInfo(t, s.issuerAndSerial(t), contentType, digest)}
	return p, contentType, digest
}

func TestCMSForms(t *testing.T) {
	s, other := newTestSigner(t, "ES256"), newTestSigner(t, "ES384")
	sound, contentType, digest := s.soundCMS(t)
	sid := s.issuerAndSerial(t)
	for name, c := range map[string]struct {
		with    func(p *cmsParts)
		signers int
		odd     []OddityCode
	}{
		"as it should be": {func(*cmsParts) {}, 1, nil},
		"version 1":       {func(p *cmsParts) { p.version = 1 }, 1, []OddityCode{OddVersion}},
		"version 5":       {func(p *cmsParts) { p.version = 5 }, 1, []OddityCode{OddVersion}},
		"two signers": {func(p *cmsParts) {
			otherDigest := attribute(oidMessageDigest, der.Append(nil, der.TagOctetString, other.digest(p.content)))
			p.certs = append(slices.Clone(p.certs), other.chain[0])
			p.signers = append(slices.Clone(p.signers), other.signerInfo(t, other.issuerAndSerial(t), contentType, otherDigest))
		}, 2, []OddityCode{OddSeveralSigners}},
		"subject key identifier": {func(p *cmsParts) {
			id := der.Append(nil, der.ContextPrimitive, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
			p.signers = [][]byte{s.signerInfo(t, id, contentType, digest)}
		}, 1, []OddityCode{OddKeyIdentifier}},
		"attributes out of order": {func(p *cmsParts) {
			p.signers = [][]byte{s.signerInfo(t, sid, digest, contentType)}
		}, 1, []OddityCode{OddAttributeOrder}},
		"attribute nobody knows": {func(p *cmsParts) {
			p.signers = [][]byte{s.signerInfo(t, sid, attribute([]byte{0x2a, 3}, []byte{5, 0}), contentType, digest)}
		}, 1, nil},
		"certificates in another order": {func(p *cmsParts) { p.certs = [][]byte{s.chain[1], s.chain[0]} }, 1, nil},
		"an attribute certificate":      {func(p *cmsParts) { p.certs = append([][]byte{seq(0xa2)}, p.certs...) }, 1, []OddityCode{OddOtherCertificates}},
		"no certificates":               {func(p *cmsParts) { p.certs = nil }, 1, []OddityCode{OddNoSignerCert}},
	} {
		p := sound
		c.with(&p)
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode(p.bytes(), &e); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(e.Signers) != c.signers || !bytes.Equal(e.Payload, sound.content) {
			t.Errorf("%s: %d signers, payload %q", name, len(e.Signers), e.Payload)
		}
		for i, by := range []*testSigner{s, other}[:len(e.Signers)] {
			signer := &e.Signers[i]
			if !by.verifies(signer.Signed, signer.Signature) {
				t.Errorf("%s: signature %d does not verify", name, i)
			}
			if name != "no certificates" && !bytes.Equal(e.Certificates[signer.CertIndex], by.chain[0]) {
				t.Errorf("%s: certificate %d is not that of signer %d", name, signer.CertIndex, i)
			}
		}
		var codes []OddityCode
		for _, o := range e.Oddities {
			codes = append(codes, o.Code)
		}
		if !slices.Equal(codes, c.odd) {
			t.Errorf("%s: oddities %v, want %v", name, codes, c.odd)
		}
	}
}

func TestCMSRefusals(t *testing.T) {
	s := newTestSigner(t, "ES256")
	sound, contentType, digest := s.soundCMS(t)
	sid := s.issuerAndSerial(t)
	signed := func(attrs ...[]byte) func(*cmsParts) {
		return func(p *cmsParts) { p.signers = [][]byte{s.signerInfo(t, sid, attrs...)} }
	}
	sequenceOfTwo := der.AppendECDSA(nil, bytes.Repeat([]byte{0x11}, 64))
	withSignature := func(sig []byte) func(*cmsParts) {
		return func(p *cmsParts) {
			p.signers = [][]byte{seq(der.TagSequence, []byte{der.TagInteger, 1, 1}, sid, s.id.DigestOID,
				seq(der.ContextConstructed, contentType, digest), s.id.SignatureOID, der.Append(nil, der.TagOctetString, sig))}
		}
	}
	many := make([][]byte, 0, 40)
	for i := range byte(40) {
		many = append(many, attribute([]byte{0x2a, i}))
	}
	for name, c := range map[string]struct {
		with func(p *cmsParts)
		flaw Flaw
	}{
		"enveloped data":           {func(p *cmsParts) { p.kind = append(slices.Clone(oidSignedData[:8]), 3) }, FlawKind},
		"another content type":     {func(p *cmsParts) { p.eType = []byte{0x2a, 3} }, FlawContentType},
		"detached":                 {func(p *cmsParts) { p.content = nil }, FlawDetached},
		"no signers":               {func(p *cmsParts) { p.signers = nil }, FlawNoSigner},
		"contentType twice":        {signed(contentType, contentType, digest), FlawDuplicate},
		"messageDigest twice":      {signed(contentType, digest, digest), FlawDuplicate},
		"unknown attribute twice":  {signed(attribute([]byte{0x2a, 3}), attribute([]byte{0x2a, 3}), contentType, digest), FlawDuplicate},
		"contentType missing":      {signed(digest), FlawAttribute},
		"messageDigest missing":    {signed(contentType), FlawAttribute},
		"contentType id-data":      {signed(attribute(oidContentType, oid(oidData)), digest), FlawAttribute},
		"contentType of two":       {signed(attribute(oidContentType, oid(oidVoucher), oid(oidVoucher)), digest), FlawAttribute},
		"messageDigest no string":  {signed(contentType, attribute(oidMessageDigest, []byte{5, 0})), FlawAttribute},
		"signingTime of nonsense":  {signed(contentType, attribute(oidSigningTime, der.Append(nil, der.TagUTCTime, []byte("261324103059Z"))), digest), FlawAttribute},
		"forty attributes":         {signed(many...), FlawAttribute},
		"signature with a tail":    {withSignature(append(slices.Clone(sequenceOfTwo), 0)), FlawSignature},
		"signature raw":            {withSignature(bytes.Repeat([]byte{0x11}, 64)), FlawSignature},
		"signature empty":          {withSignature(nil), FlawSignature},
		"signature with padding":   {withSignature([]byte{0x30, 8, 2, 2, 0, 1, 2, 2, 0, 1}), FlawSignature},
		"signature negative":       {withSignature([]byte{0x30, 6, 2, 1, 0x80, 2, 1, 1}), FlawSignature},
		"signature of zero":        {withSignature([]byte{0x30, 6, 2, 1, 0, 2, 1, 1}), FlawSignature},
		"signature beyond P-256":   {withSignature(der.AppendECDSA(nil, bytes.Repeat([]byte{0x11}, 66))), FlawSignature},
		"a certificate that is an": {func(p *cmsParts) { p.certs = [][]byte{{0x30, 0x05, 1}} }, FlawMalformed},
	} {
		p := sound
		c.with(&p)
		var d EnvelopeDecoder
		var e Envelope
		err := d.Decode(p.bytes(), &e)
		var refused *EnvelopeError
		if !errors.As(err, &refused) || refused.Flaw != c.flaw {
			t.Errorf("%s: %v, want flaw %q", name, err, c.flaw)
		}
	}
}

func TestTooManySignersAreRefused(t *testing.T) {
	s := newTestSigner(t, "ES256")
	p, _, _ := s.soundCMS(t)
	for len(p.signers) < 9 {
		p.signers = append(p.signers, p.signers[0])
	}
	var d EnvelopeDecoder
	var e Envelope
	var limit *LimitError
	if err := d.Decode(p.bytes(), &e); !errors.As(err, &limit) || limit.Limit != "Signatures" {
		t.Errorf("nine signers: %v", err)
	}
}

// toBER writes DER with indefinite lengths, and octet strings in pieces.
func toBER(t testing.TB, b []byte) []byte {
	t.Helper()
	var out []byte
	for c := (der.Cursor{Rest: b}); !c.Empty(); {
		e, err := c.Any()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Tag&0x20 != 0:
			out = append(append(append(out, e.Tag, 0x80), toBER(t, e.Body)...), 0, 0)
		case e.Tag == der.TagOctetString && len(e.Body) > 40:
			out = append(out, 0x24, 0x80)
			out = der.Append(out, der.TagOctetString, e.Body[:7])
			out = append(out, 0x24, 0x80)
			out = der.Append(out, der.TagOctetString, e.Body[7:20])
			out = append(out, 0, 0)
			out = append(out, der.TagOctetString, 0x83, 0, byte(len(e.Body[20:])>>8), byte(len(e.Body[20:])))
			out = append(append(out, e.Body[20:]...), 0, 0)
		default:
			out = append(out, e.Raw...)
		}
	}
	return out
}

// Even the certificates are in BER here, which no one should do: DER comes out.
func TestBERDecodesToWhatDERDoes(t *testing.T) {
	s := newTestSigner(t, "ES256")
	voucher := s.issue(t, s.compile(t, FormatCMS, nil), "JADA123456789")
	ber := toBER(t, voucher)
	back, err := der.Normalize(nil, ber, 16)
	if err != nil || !bytes.Equal(back, voucher) {
		t.Fatalf("normalized BER differs from the DER it was made of: %v", err)
	}
	var d EnvelopeDecoder
	var e Envelope
	if err := d.Decode(ber, &e); err != nil {
		t.Fatal(err)
	}
	signer := &e.Signers[0]
	if !s.verifies(signer.Signed, signer.Signature) || !bytes.Equal(e.Certificates[0], s.chain[0]) || !bytes.Equal(signer.ContentDigest, s.digest(e.Payload)) {
		t.Error("BER voucher does not verify")
	}
	if !hasOddity(&e, OddBER) || len(e.Oddities) != 1 {
		t.Errorf("oddities %v", e.Oddities)
	}
	for n := range ber {
		if err := d.Decode(ber[:n], &e); err == nil {
			t.Fatalf("BER cut to %d octets is taken", n)
		}
	}
	deep := append(bytes.Repeat([]byte{0x30, 0x80}, 5000), make([]byte, 10000)...)
	if err := d.Decode(deep, &e); err == nil {
		t.Error("nesting of 5000 is taken")
	}
}
