package kit

import (
	"bytes"
	"crypto/sha256"
	"strings"
)

// COSE header labels (RFC 9052 §3.1, RFC 9360 §2, RFC 9597 §2).
const (
	coseAlg     = 1
	coseCrit    = 2
	coseKID     = 4
	coseClaims  = 15
	coseX5Bag   = 32
	coseX5Chain = 33
	coseX5T     = 34
)

// coseMessage is a COSE_Sign1, put together as its fields say.
type coseMessage struct {
	by          *identity
	tags        []uint64 // outermost first
	protected   []byte   // the encoded map
	unprotected []byte
	payload     []byte // nil: detached
	signature   func(input []byte) []byte
}

func bag(chain ...[]byte) []byte {
	if len(chain) == 1 {
		return cborBytes(chain[0])
	}
	var items [][]byte
	for _, der := range chain {
		items = append(items, cborBytes(der))
	}
	return cborArray(items...)
}

// newCOSE is the message that the project itself writes for a payload.
func newCOSE(by *identity, payload []byte) *coseMessage {
	return &coseMessage{by: by, tags: []uint64{18}, payload: payload,
		protected: cborMap(cborUint(coseAlg), cborInt(by.alg.cose)), unprotected: cborMap(cborUint(coseX5Bag), bag(by.chain...))}
}

func (m *coseMessage) input(protected []byte) []byte {
	return cborArray(cborText("Signature1"), cborBytes(protected), cborBytes(nil), cborBytes(m.payload))
}

func (m *coseMessage) sign(input []byte) []byte {
	if m.signature != nil {
		return m.signature(input)
	}
	return m.by.alg.rawSignature(m.by.key, input)
}

func (m *coseMessage) encode() []byte {
	payload := cborBytes(m.payload)
	if m.payload == nil {
		payload = []byte{0xf6}
	}
	out := cborArray(cborBytes(m.protected), m.unprotected, payload, cborBytes(m.sign(m.input(m.protected))))
	for i := len(m.tags) - 1; i >= 0; i-- {
		out = cborTag(m.tags[i], out)
	}
	return out
}

func coseCase(name, about string) Case {
	return Case{File: "cose/" + name + ".vch", Kind: KindVoucher, About: about, Format: "cose", Encoding: "cbor"}
}

func (b *builder) coseCases() {
	b.coseGood()
	b.coseForms()
	b.cosePayloadForms()
	b.coseBadSignatures()
	b.coseBadHeaders()
	b.coseBadStructure()
	b.coseBadContent()
}

func (b *builder) coseGood() {
	p := b.pki
	v := p.voucher()
	for _, by := range []*identity{p.masa, p.masa384, p.masa512, p.masaEd, p.masaRSA} {
		b.good(newCOSE(by, v.voucherCBOR()).encode(), coseCase("good-"+strings.ToLower(by.alg.name), by.alg.name).says(v))
	}
	for _, c := range []struct {
		name, about string
		p           payload
	}{
		{"good-nonced", "with a nonce, without expires-on", p.nonced()},
		{"good-pin-pubk", "pins a public key", v.pinned("pinned-domain-pubk", p.owner)},
		{"good-pin-pubk-sha256", "pins the SHA-256 of a public key", v.pinned("pinned-domain-pubk-sha256", p.owner)},
		{"good-idevid-issuer", "names the issuer of the IDevID", v.with(binaryLeaf("idevid-issuer", issuerOf(p.vendor)))},
		{"good-serial-utf8", "a serial number beyond ASCII", v.with(textLeaf("serial-number", "Größe \"7\" \\ № 1"))},
	} {
		b.good(newCOSE(p.masa, c.p.voucherCBOR()).encode(), coseCase(c.name, c.about).says(c.p))
	}
	b.good(newCOSE(p.deep, v.voucherCBOR()).encode(), coseCase("good-deep-chain", "a certificate authority between signer and anchor").says(v))
	q := p.request()
	b.good(newCOSE(p.pledge, q.cbor(sidRequest, requestSIDs)).encode(),
		Case{File: "cose/request-pledge.vch", Kind: KindRequest, About: "a pledge's request", Format: "cose", Encoding: "cbor"}.says(q))
}

// coseForms adds envelopes that others write and readers take.
func (b *builder) coseForms() {
	p := b.pki
	v := p.voucher()
	form := func(name, about, helper string, change func(*coseMessage), oddities ...string) {
		m := newCOSE(p.masa, v.voucherCBOR())
		change(m)
		c := coseCase("form-"+name, about).says(v, oddities...)
		c.Helper = helper
		b.good(m.encode(), c)
	}
	const helper = "certs/masa.pem"
	form("x5bag-one", "the signer's certificate alone, in x5bag", "", func(m *coseMessage) {
		m.unprotected = cborMap(cborUint(coseX5Bag), bag(p.masa.chain[0]))
	}, "no-chain")
	form("x5chain", "the chain in x5chain", "", func(m *coseMessage) { m.unprotected = cborMap(cborUint(coseX5Chain), bag(p.masa.chain...)) })
	form("x5chain-protected", "x5chain in the protected header", "", func(m *coseMessage) {
		m.protected = cborMap(cborUint(coseAlg), cborInt(-7), cborUint(coseX5Chain), bag(p.masa.chain...))
		m.unprotected = cborMap()
	}, "protected-certificates")
	form("stripped", "without certificates, as a registrar forwards it", helper, func(m *coseMessage) { m.unprotected = cborMap() })
	form("kid", "a kid and no certificate", helper, func(m *coseMessage) { m.unprotected = cborMap(cborUint(coseKID), cborBytes([]byte("masa"))) })
	form("x5t", "x5t and no certificate", helper, func(m *coseMessage) {
		sum := sha256.Sum256(p.masa.chain[0])
		m.unprotected = cborMap(cborUint(coseX5T), cborArray(cborInt(-16), cborBytes(sum[:])))
	})
	form("issued-at", "CWT claims with iat in the protected header", "", func(m *coseMessage) {
		m.protected = cborMap(cborUint(coseAlg), cborInt(-7), cborUint(coseClaims), cborMap(cborUint(6), cborUint(1_795_514_400)))
	})
	form("self-described", "tag 55799 before tag 18", "", func(m *coseMessage) { m.tags = []uint64{55799, 18} }, "self-described")
	form("esp256", "ESP256 (-9), which is ES256 on P-256", "", func(m *coseMessage) { m.protected = cborMap(cborUint(coseAlg), cborInt(-9)) })
	form("unknown-header", "an unprotected header that is not known", "", func(m *coseMessage) {
		m.unprotected = cborMap(cborUint(coseX5Bag), bag(p.masa.chain...), cborText("future"), cborArray(cborUint(1)))
	}, "unknown-header")
	m := newCOSE(p.masa, v.voucherCBOR())
	loose := join([]byte{0xd2, 0x9f}, cborBytes(m.protected), append(append([]byte{0xbf}, m.unprotected[1:]...), 0xff), cborBytes(m.payload), cborBytes(m.sign(m.input(m.protected))), []byte{0xff})
	b.good(loose, coseCase("form-indefinite", "array and map of indefinite length").says(v, "indefinite-length"))
	m.tags = nil
	b.good(m.encode(), coseCase("form-untagged", "no tag 18: accepted where something else, such as the media type, says what it is").says(v, "untagged"))
}

// cosePayloadForms adds payloads that others write and readers take.
func (b *builder) cosePayloadForms() {
	p := b.pki
	v := p.voucher()
	form := func(name, about string, payload []byte, oddities ...string) {
		b.good(newCOSE(p.masa, payload).encode(), coseCase("form-"+name, about).says(v, oddities...))
	}
	var named, absolute, mixed [][]byte
	for i, name := range []string{"assertion", "created-on", "expires-on", "pinned-domain-cert", "serial-number"} {
		key := cborTag(47, cborUint(sidVoucher+voucherSIDs[name]))
		named = append(named, cborText(name), v[name].cbor)
		absolute = append(absolute, key, v[name].cbor)
		if i%2 == 0 {
			key = cborUint(voucherSIDs[name])
		}
		mixed = append(mixed, key, v[name].cbor)
	}
	form("names", "keyed with names", cborMap(cborText(topVoucher), cborMap(named...)))
	form("absolute-sids", "keyed with absolute SIDs under tag 47", cborMap(cborUint(sidVoucher), cborMap(absolute...)))
	form("mixed-keys", "some keys absolute, some not", cborMap(cborUint(sidVoucher), cborMap(mixed...)))
	inner := v.voucherCBOR()
	inner = inner[len(cborMap())+3:] // behind the map's head and the SID
	loose := join([]byte{0xbf, 0x1a, 0, 0, sidVoucher >> 8, sidVoucher & 0xff, 0xbf}, inner[1:], []byte{0xff, 0xff})
	form("payload-not-deterministic", "indefinite maps and a SID in more octets than it needs", loose)
}

func (b *builder) coseBadSignatures() {
	p := b.pki
	content := p.voucher().voucherCBOR()
	other := p.voucher().with(textLeaf("serial-number", "JADA999999999")).voucherCBOR()
	bad := func(name, about, check, reason string, change func(*coseMessage)) {
		m := newCOSE(p.masa, content)
		change(m)
		b.bad(m.encode(), check, reason, coseCase("bad-"+name, about))
	}
	sound := newCOSE(p.masa, content).encode()
	b.bad(bytes.Replace(sound, content, other, 1), "signature", "", coseCase("bad-payload-altered", "another serial number than was signed"))
	b.bad(bytes.Replace(sound, []byte{0x43, 0xa1, 0x01, 0x26}, []byte{0x45, 0xa2, 0x01, 0x26, 0x04, 0x40}, 1), "signature", "", coseCase("bad-header-altered", "a kid added to the protected header"))
	mend := func(change func([]byte) []byte) func(*coseMessage) {
		return func(m *coseMessage) {
			m.signature = func(input []byte) []byte { return change(es256.rawSignature(p.masa.key, input)) }
		}
	}
	bad("signature-altered", "one bit of the signature flipped", "signature", "", mend(func(s []byte) []byte { s[40] ^= 1; return s }))
	bad("signature-zero", "r and s are zero", "signature", "", mend(func([]byte) []byte { return make([]byte, 64) }))
	bad("signature-short", "r‖s without its last octet", "envelope", "signature-form", mend(func(s []byte) []byte { return s[:63] }))
	bad("signature-der", "DER as CMS has it, where COSE wants r‖s", "envelope", "signature-form", func(m *coseMessage) {
		m.signature = func(input []byte) []byte { return es256.derSignature(p.masa.key, input) }
	})
	bad("wrong-key", "signed by another key than the certificate has", "signature", "", func(m *coseMessage) {
		m.signature = func(input []byte) []byte { return es256.rawSignature(p.rogue.key, input) }
	})
	bad("context", "signed as the body of a COSE_Sign", "signature", "", func(m *coseMessage) {
		m.signature = func(input []byte) []byte {
			return es256.rawSignature(p.masa.key, bytes.Replace(input, append([]byte{0x6a}, "Signature1"...), append([]byte{0x69}, "Signature"...), 1))
		}
	})
	for _, c := range []struct {
		by          *identity
		name, about string
	}{
		{p.rogue, "untrusted", "signed under a CA of the anchor's name with another key"},
		{p.expired, "expired", "the signer's certificate ended in 2021"},
		{p.critical, "critical-extension", "the signer's certificate has a critical extension nobody knows"},
	} {
		b.bad(newCOSE(c.by, content).encode(), "chain", "", coseCase("bad-"+c.name, c.about))
	}
}

func (b *builder) coseBadHeaders() {
	p := b.pki
	content := p.voucher().voucherCBOR()
	bad := func(name, about, check, reason string, change func(*coseMessage)) {
		m := newCOSE(p.masa, content)
		change(m)
		b.bad(m.encode(), check, reason, coseCase("bad-"+name, about))
	}
	header := func(items ...[]byte) func(*coseMessage) {
		return func(m *coseMessage) { m.protected = cborMap(items...) }
	}
	alg, minus7 := cborUint(coseAlg), cborInt(-7)
	bad("no-alg", "no alg", "envelope", "algorithm", header())
	bad("alg-unprotected", "alg where nothing protects it", "envelope", "algorithm", func(m *coseMessage) {
		m.protected = cborMap()
		m.unprotected = cborMap(alg, minus7, cborUint(coseX5Bag), bag(p.masa.chain...))
	})
	bad("alg-mac", "alg HMAC 256/256", "algorithm", "", header(alg, cborInt(5)))
	bad("alg-text", "alg as a text that nobody registered", "envelope", "algorithm", header(alg, cborText("ES256")))
	bad("alg-other-key", "RS256 for an EC key", "algorithm", "", header(alg, cborInt(-257)))
	bad("alg-twice", "alg twice in the protected header", "envelope", "duplicate", header(alg, minus7, alg, minus7))
	bad("alg-both", "alg in both headers", "envelope", "duplicate", func(m *coseMessage) {
		m.unprotected = cborMap(alg, minus7, cborUint(coseX5Bag), bag(p.masa.chain...))
	})
	bad("crit", "a critical header nobody knows", "envelope", "critical-header", header(alg, minus7, cborUint(coseCrit), cborArray(cborInt(-70001)), cborInt(-70001), cborUint(1)))
	bad("crit-empty", "an empty crit", "envelope", "critical-header", header(alg, minus7, cborUint(coseCrit), cborArray()))
	bad("x5bag-empty", "an x5bag of no certificates", "envelope", "certificates", func(m *coseMessage) { m.unprotected = cborMap(cborUint(coseX5Bag), cborArray()) })
	bad("x5bag-text", "an x5bag that is text", "envelope", "certificates", func(m *coseMessage) { m.unprotected = cborMap(cborUint(coseX5Bag), cborText("certificate")) })
	bad("x5bag-garbage", "a certificate that is none", "chain", "", func(m *coseMessage) {
		m.unprotected = cborMap(cborUint(coseX5Bag), cborBytes([]byte("certificate")))
	})
	bad("x5bag-seventeen", "17 certificates, the limit is 16", "envelope", "limit", func(m *coseMessage) {
		m.unprotected = cborMap(cborUint(coseX5Bag), bag(append([][]byte{p.masa.chain[0]}, many(p.manufacturer.chain[0], 16)...)...))
	})
	bad("header-array", "the protected header is an array", "envelope", "malformed", func(m *coseMessage) { m.protected = cborArray() })
	bad("header-trailing", "an octet behind the protected map", "envelope", "trailing-octets", func(m *coseMessage) { m.protected = append(m.protected, 0) })
	bad("stripped", "no certificate, and none at hand", "chain", "", func(m *coseMessage) { m.unprotected = cborMap() })
}

func (b *builder) coseBadStructure() {
	p := b.pki
	m := newCOSE(p.masa, p.voucher().voucherCBOR())
	sound := m.encode()
	bad := func(name, about, reason string, content []byte) {
		b.bad(content, "envelope", reason, coseCase("bad-"+name, about))
	}
	bad("truncated", "the last octet is missing", "malformed", sound[:len(sound)-1])
	bad("half", "half of it, cut off within x5bag", "certificates", sound[:len(sound)/2])
	bad("trailing", "an octet too many", "trailing-octets", append(bytes.Clone(sound), 0))
	detached := *m
	detached.payload = nil
	bad("detached", "the content is not inside", "detached", detached.encode())
	for _, tag := range []struct {
		number uint64
		name   string
	}{{16, "tag-encrypt0"}, {17, "tag-mac0"}, {98, "tag-sign"}, {61, "tag-cwt"}} {
		other := *m
		other.tags = []uint64{tag.number}
		bad(tag.name, "the tag of something else", "wrong-kind", other.encode())
	}
	inside := *m
	inside.tags = []uint64{18, 18}
	bad("tag-twice", "tag 18 inside tag 18", "wrong-kind", inside.encode())
	parts := cborArray(cborBytes(m.protected), m.unprotected, cborBytes(m.payload), cborBytes(make([]byte, 64)), cborUint(0))
	bad("five-items", "an array of five", "wrong-kind", cborTag(18, parts))
	bad("three-items", "an array of three", "wrong-kind", cborTag(18, cborArray(cborBytes(m.protected), m.unprotected, cborBytes(m.payload))))
	bad("huge-length", "a byte string that says it has 2^63 octets", "malformed", []byte{0xd2, 0x84, 0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0})
	bad("deep", "300 levels of nesting in a header", "limit", join([]byte{0xd2, 0x84, 0x40, 0xa1, 0x18, 0x63}, bytes.Repeat([]byte{0x81}, 300), []byte{0xf6}))
	bad("reserved", "a head with the reserved value 28", "malformed", []byte{0xd2, 0x84, 0x5c, 0xa0, 0x40, 0x40})
}

// coseBadContent adds vouchers soundly signed whose content is none.
func (b *builder) coseBadContent() {
	p := b.pki
	v := p.voucher()
	bad := func(name, about, check string, content []byte) {
		b.bad(newCOSE(p.masa, content).encode(), check, "", coseCase("bad-content-"+name, about))
	}
	sound := v.voucherCBOR()
	serialItem := v["serial-number"].cbor
	bad("empty", "signed, and empty", "payload", []byte{})
	bad("json", "JSON inside COSE", "payload", v.json(topVoucher))
	bad("request", "a voucher-request where a voucher belongs", "payload", p.request().cbor(sidRequest, requestSIDs))
	bad("legacy-sids", "SIDs of drafts before 2021", "payload", v.cbor(1001150, voucherSIDs))
	bad("duplicate", "serial-number twice", "payload", cborPayload(sidVoucher, entry{8, v["pinned-domain-cert"].cbor}, entry{11, serialItem}, entry{11, serialItem}))
	bad("duplicate-forms", "serial-number twice, by delta and by name", "payload",
		cborMap(cborUint(sidVoucher), cborMap(cborUint(8), v["pinned-domain-cert"].cbor, cborUint(11), serialItem, cborText("serial-number"), serialItem)))
	bad("assertion-text", "the assertion as a text", "payload", v.with(leaf{"assertion", "", cborText("logged"), ""}).voucherCBOR())
	bad("assertion-9", "an assertion that is not defined", "payload", v.with(leaf{"assertion", "", cborUint(9), ""}).voucherCBOR())
	bad("tagged-date", "a date under tag 0", "payload", v.with(leaf{"created-on", "", cborTag(0, cborText("2026-11-24T10:00:00Z")), ""}).voucherCBOR())
	bad("serial-bytes", "the serial number as a byte string", "payload", v.with(leaf{"serial-number", "", cborBytes([]byte(serial)), ""}).voucherCBOR())
	bad("serial-not-utf8", "a serial number that is not UTF-8", "payload", v.with(leaf{"serial-number", "", []byte{0x62, 0xc3, 0x28}, ""}).voucherCBOR())
	bad("trailing", "an octet behind the payload", "payload", append(bytes.Clone(sound), 0))
	bad("truncated", "the payload's last octet is missing", "payload", sound[:len(sound)-1])
	bad("no-serial", "no serial-number", "rules", v.without("serial-number").voucherCBOR())
	bad("no-pin", "nothing pinned", "rules", v.without("pinned-domain-cert").voucherCBOR())
	bad("nonce-short", "a nonce of 7 octets", "rules", p.nonced().with(binaryLeaf("nonce", make([]byte, 7))).voucherCBOR())
	bad("expired", "expires-on has passed", "time", v.with(textLeaf("expires-on", "2026-11-25T00:00:00Z")).voucherCBOR())
}
