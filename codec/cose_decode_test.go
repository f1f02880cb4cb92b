package codec

import (
	"bytes"
	"testing"
	"time"
)

// coseParts is a COSE_Sign1 to be put together; headers are encoded maps.
type coseParts struct {
	tag                    []byte
	protected, unprotected []byte
}

var (
	cosePayloadOctets = []byte{0xa1, 0x19, 0x09, 0x93, 0xa1, 0x0b, 0x62, 'A', '1'}
	coseES256         = []byte{0xa1, 0x01, 0x26}
)

func (s *testSigner) cose(t testing.TB, p coseParts) []byte {
	t.Helper()
	signed := appendCBORBytes([]byte(coseSigned1), p.protected)
	signed = appendCBORBytes(append(signed, cborBytes), cosePayloadOctets)
	b := append(bytes.Clone(p.tag), cborArray|4)
	b = appendCBORBytes(b, p.protected)
	b = append(b, p.unprotected...)
	b = appendCBORBytes(b, cosePayloadOctets)
	return appendCBORBytes(b, s.sign(t, signed))
}

// cborMapOf joins encoded keys and values to a map.
func cborMapOf(items ...[]byte) []byte {
	return append(appendHead(nil, cborMap, uint64(len(items)/2)), bytes.Join(items, nil)...)
}

func cborInts(v ...int64) []byte {
	var b []byte
	for _, n := range v {
		b = appendCBORInt(b, n)
	}
	return b
}

func TestCOSEForms(t *testing.T) {
	s := newTestSigner(t, "ES256")
	leaf, ca := appendCBORBytes(nil, s.chain[0]), appendCBORBytes(nil, s.chain[1])
	two := append([]byte{cborArray | 2}, append(bytes.Clone(ca), leaf...)...)
	chain := append([]byte{cborArray | 2}, append(bytes.Clone(leaf), ca...)...)
	kid := appendCBORBytes(nil, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	x5t := append([]byte{cborArray | 2, 0x2f}, appendCBORBytes(nil, []byte("digest"))...)
	claims := cborMapOf(cborInts(1), []byte{0x61, 'i'}, cborInts(6), cborInts(1700000000))
	tag := []byte{0xd2}
	for name, c := range map[string]struct {
		p     coseParts
		index int
		odd   OddityCode
	}{
		"bare":                  {coseParts{tag, coseES256, []byte{0xa0}}, -1, ""},
		"self-described":        {coseParts{[]byte{0xd9, 0xd9, 0xf7, 0xd2}, coseES256, []byte{0xa0}}, -1, OddSelfDescribed},
		"bag in any order":      {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Bag), two)}, 1, ""},
		"bag and kid":           {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Bag), two, cborInts(coseKID), kid)}, 1, ""},
		"chain":                 {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Chain), chain)}, 0, ""},
		"one certificate":       {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Chain), leaf)}, 0, OddNoChain},
		"array of one":          {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Bag), append([]byte{cborArray | 1}, leaf...))}, 0, OddArrayOfOne},
		"protected bag":         {coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), cborInts(coseX5Bag), two), []byte{0xa0}}, 1, OddProtectedCerts},
		"x5t":                   {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5T), x5t)}, -1, ""},
		"x5u":                   {coseParts{tag, coseES256, cborMapOf(cborInts(coseX5U), []byte{0xd8, 32, 0x61, 'u'})}, -1, OddX5U},
		"crit understood":       {coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), cborInts(2), append([]byte{cborArray | 1}, cborInts(1)...)), []byte{0xa0}}, -1, ""},
		"signing time":          {coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), cborInts(coseCWT), claims), []byte{0xa0}}, -1, ""},
		"unknown headers":       {coseParts{tag, coseES256, cborMapOf([]byte{0x61, 'x'}, []byte{0x9f, 1, 0xff}, cborInts(-70000), []byte{0xf9, 0, 0})}, -1, OddUnknownHeader},
		"indefinite map":        {coseParts{tag, coseES256, []byte{0xbf, 0x18, 34, 0x82, 0x2f, 0x41, 1, 0xff}}, -1, OddIndefinite},
		"content type":          {coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), cborInts(3), []byte{0x19, 3, 0x44}), []byte{0xa0}}, -1, ""},
		"length not shortest":   {coseParts{[]byte{0xd8, 18}, coseES256, []byte{0xb8, 0}}, -1, OddLongForm},
		"key id and no bag":     {coseParts{tag, coseES256, cborMapOf(cborInts(coseKID), kid)}, -1, ""},
		"unprotected sign time": {coseParts{tag, coseES256, cborMapOf(cborInts(coseCWT), claims)}, -1, ""},
	} {
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode(s.cose(t, c.p), &e); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		signer := &e.Signers[0]
		if !s.verifies(signer.Signed, signer.Signature) || signer.COSE != -7 || !bytes.Equal(e.Payload, cosePayloadOctets) {
			t.Errorf("%s: does not verify by %d", name, signer.COSE)
		}
		if signer.CertIndex != c.index {
			t.Errorf("%s: certificate %d of %d, want %d", name, signer.CertIndex, len(e.Certificates), c.index)
		}
		if c.odd == "" && len(e.Oddities) != 0 || c.odd != "" && !hasOddity(&e, c.odd) {
			t.Errorf("%s: oddities %v, want %q", name, e.Oddities, c.odd)
		}
		if want := name == "signing time"; !signer.SigningTime.IsZero() != want || want && !signer.SigningTime.Equal(time.Unix(1700000000, 0)) {
			t.Errorf("%s: signing time %v", name, signer.SigningTime)
		}
		if name == "x5t" && (signer.X5TAlgorithm != -16 || string(signer.X5T) != "digest") {
			t.Errorf("x5t is %d %q", signer.X5TAlgorithm, signer.X5T)
		}
	}
}

func TestCOSERefusals(t *testing.T) {
	s := newTestSigner(t, "ES256")
	tag, none := []byte{0xd2}, []byte{0xa0}
	crit := func(list ...byte) coseParts {
		return coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), cborInts(2), list), none}
	}
	sound := s.cose(t, coseParts{tag, coseES256, none})
	nilPayload := append(bytes.Clone(sound[:7]), append([]byte{0xf6}, sound[7+1+len(cosePayloadOctets):]...)...)
	many := [][]byte{}
	for i := range int64(33) {
		many = append(many, cborInts(100+i), cborInts(0))
	}
	for name, c := range map[string]struct {
		b    []byte
		flaw Flaw
	}{
		"tag 17":                {s.cose(t, coseParts{[]byte{0xd1}, coseES256, none}), FlawKind},
		"tag 18 twice":          {s.cose(t, coseParts{[]byte{0xd2, 0xd2}, coseES256, none}), FlawKind},
		"untagged":              {s.cose(t, coseParts{nil, coseES256, none}), FlawUntagged},
		"three items":           {[]byte{0xd2, 0x83, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0x40}, FlawKind},
		"detached":              {nilPayload, FlawDetached},
		"alg missing, no map":   {s.cose(t, coseParts{tag, nil, none}), FlawAlgorithm},
		"alg missing":           {s.cose(t, coseParts{tag, []byte{0xa0}, none}), FlawAlgorithm},
		"alg unprotected":       {s.cose(t, coseParts{tag, nil, coseES256}), FlawAlgorithm},
		"alg in both":           {s.cose(t, coseParts{tag, coseES256, coseES256}), FlawDuplicate},
		"alg a text":            {s.cose(t, coseParts{tag, cborMapOf(cborInts(1), []byte{0x61, 'x'}), none}), FlawAlgorithm},
		"alg twice":             {s.cose(t, coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), cborInts(1), cborInts(-7)), none}), FlawDuplicate},
		"alg twice, long form":  {s.cose(t, coseParts{tag, cborMapOf(cborInts(1), cborInts(-7), []byte{0x18, 1}, cborInts(-8)), none}), FlawDuplicate},
		"alg of another size":   {s.cose(t, coseParts{tag, cborMapOf(cborInts(1), cborInts(-35)), none}), FlawSignature},
		"crit unknown":          {s.cose(t, crit(0x81, 0x18, 99)), FlawCritical},
		"crit text":             {s.cose(t, crit(0x81, 0x61, 'x')), FlawCritical},
		"crit not there":        {s.cose(t, crit(0x81, 4)), FlawCritical},
		"crit empty":            {s.cose(t, crit(0x80)), FlawCritical},
		"crit no array":         {s.cose(t, crit(1)), FlawMalformed},
		"crit unprotected":      {s.cose(t, coseParts{tag, coseES256, cborMapOf(cborInts(2), []byte{0x81, 1})}), FlawCritical},
		"protected with a tail": {s.cose(t, coseParts{tag, append(bytes.Clone(coseES256), 0), none}), FlawTrailing},
		"x5bag empty":           {s.cose(t, coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Bag), []byte{0x80})}), FlawCertificates},
		"x5bag of numbers":      {s.cose(t, coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Bag), []byte{0x81, 1})}), FlawCertificates},
		"x5bag a text":          {s.cose(t, coseParts{tag, coseES256, cborMapOf(cborInts(coseX5Bag), []byte{0x61, 'x'})}), FlawCertificates},
		"kid a text":            {s.cose(t, coseParts{tag, coseES256, cborMapOf(cborInts(coseKID), []byte{0x61, 'x'})}), FlawHeader},
		"x5t of three":          {s.cose(t, coseParts{tag, coseES256, cborMapOf(cborInts(coseX5T), []byte{0x83, 1, 1, 1})}), FlawHeader},
		"33 headers":            {s.cose(t, coseParts{tag, coseES256, cborMapOf(many...)}), FlawHeader},
		"huge map":              {append([]byte{0xd2, 0x84, 0x40, 0xbb}, bytes.Repeat([]byte{0xff}, 8)...), FlawMalformed},
		"break as a value":      {[]byte{0xd2, 0x84, 0x43, 0xa1, 0x01, 0xff, 0xa0, 0x40, 0x40}, FlawMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			var d EnvelopeDecoder
			var e Envelope
			wantFlaw(t, d.DecodeCOSE(c.b, &e), c.flaw)
		})
	}
}

func TestStrippingTouchesNothingButCertificates(t *testing.T) {
	s := newTestSigner(t, "ES256")
	leaf := appendCBORBytes(nil, s.chain[0])
	kid, x5t := append(cborInts(coseKID), 0x41, 9), append(cborInts(coseX5T), 0x82, 0x2f, 0x41, 1)
	bag, chain := append(cborInts(coseX5Bag), leaf...), append(cborInts(coseX5Chain), leaf...)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct{ unprotected, want []byte }{
		"nothing to strip": {join([]byte{0xa1}, kid), join([]byte{0xa1}, kid)},
		"bag":              {join([]byte{0xa1}, bag), []byte{0xa0}},
		"bag and chain":    {join([]byte{0xa4}, kid, bag, x5t, chain), join([]byte{0xa2}, kid, x5t)},
		"indefinite":       {join([]byte{0xbf}, bag, kid, []byte{0xff}), join([]byte{0xbf}, kid, []byte{0xff})},
		"long form kept":   {join([]byte{0xb8, 1}, kid), join([]byte{0xb8, 1}, kid)},
	} {
		p := coseParts{[]byte{0xd2}, coseES256, c.unprotected}
		with := s.cose(t, p)
		tail := with[bytes.Index(with, c.unprotected)+len(c.unprotected):]
		want := join([]byte{0xd2, 0x84, 0x43}, coseES256, c.want, tail)
		got, err := StripCertificates(nil, with)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x (%v)", name, got, want, err)
		}
	}
	template := s.issue(t, s.compile(t, FormatCOSE, nil), "A1")
	without := s.compile(t, FormatCOSE, func(p *TemplateParams) { p.Envelope.Chain = nil })
	stripped, err := StripCertificates(nil, template)
	if err != nil || len(stripped) > without.MaxEnvelopeSize(2) {
		t.Errorf("%d octets, %v", len(stripped), err)
	}
}
