package kit

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// cmsCase names a case about a voucher in CMS.
func cmsCase(name, about string) Case {
	return Case{File: "cms/" + name + ".vcj", Kind: KindVoucher, About: about, Format: "cms", Encoding: "json"}
}

// says adds the leaves that an accepted voucher has, and what is odd about it.
func (c Case) says(p payload, oddities ...string) Case {
	c.Leaves, c.Oddities = p.wants(), oddities
	return c
}

func (b *builder) cmsCases() {
	b.cmsGood()
	b.cmsForms()
	b.cmsBadSignatures()
	b.cmsBadSigners()
	b.cmsBadStructure()
	b.cmsBadContent()
	b.cmsRequests()
}

// cmsGood adds what the project writes itself, octet for octet.
func (b *builder) cmsGood() {
	p := b.pki
	v := p.voucher()
	for _, by := range []*identity{p.masa, p.masa384, p.masa512, p.masaEd, p.masaRSA} {
		b.good(newCMS(by, v.json(topVoucher)).encode(), cmsCase("good-"+strings.ToLower(by.alg.name), by.alg.name).says(v))
	}
	data := newCMS(p.masa, v.json(topVoucher)).data()
	b.good(data.encode(), cmsCase("good-id-data", "id-data as content type, for old pledges").says(v, "id-data"))
	timed := newCMS(p.masa, v.json(topVoucher))
	timed.signers[0].attributes = append(timed.signers[0].attributes, attribute(attrSigningTime, utcTime(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))))
	b.good(timed.encode(), cmsCase("good-signing-time", "with a signingTime").says(v))
	for _, c := range []struct {
		name, about string
		p           payload
		oddities    []string
	}{
		{"good-nonced", "with a nonce, without expires-on", p.nonced(), nil},
		{"good-pin-pubk", "pins a public key", v.pinned("pinned-domain-pubk", p.owner), nil},
		{"good-pin-pubk-sha256", "pins the SHA-256 of a public key", v.pinned("pinned-domain-pubk-sha256", p.owner), nil},
		{"good-idevid-issuer", "names the issuer of the IDevID", v.with(binaryLeaf("idevid-issuer", issuerOf(p.vendor))), nil},
		{"good-verified", "assertion verified", v.with(assertionLeaf("verified")), nil},
		{"good-never-expires", "neither nonce nor expires-on", v.without("expires-on"), []string{"never-expires"}},
		{"good-serial-utf8", "a serial number beyond ASCII", v.with(textLeaf("serial-number", "Größe \"7\" \\ № 1")), nil},
		{"good-serial-64", "the longest serial number there is by default", v.with(textLeaf("serial-number", strings.Repeat("7", 64))), nil},
		{"good-more-leaves", "every other leaf of a voucher", v.with(boolLeaf("domain-cert-revocation-checks", true),
			textLeaf("last-renewal-date", "2030-01-01T00:00:00Z"), textLeaf("est-domain", "https://est.example.com/"),
			textLeaf("additional-configuration-url", "https://example.com/more?a=1&b=<2>")), nil},
	} {
		b.good(newCMS(p.masa, c.p.json(topVoucher)).encode(), cmsCase(c.name, c.about).says(c.p, c.oddities...))
	}
	b.good(newCMS(p.deep, v.json(topVoucher)).encode(), cmsCase("good-deep-chain", "a certificate authority between signer and anchor").says(v))
}

// cmsForms adds what others write and readers take.
func (b *builder) cmsForms() {
	p := b.pki
	v := p.voucher()
	text := v.json(topVoucher)
	form := func(name, about string, change func(*cmsMessage), oddities ...string) {
		m := newCMS(p.masa, text)
		change(m)
		b.good(m.encode(), cmsCase(name, about).says(v, oddities...))
	}
	form("form-reversed-chain", "the CA's certificate before the signer's", func(m *cmsMessage) { slices.Reverse(m.certs) })
	form("form-no-chain", "the signer's certificate alone", func(m *cmsMessage) { m.certs = m.certs[:1] }, "no-chain")
	form("form-version-1", "version 1 beside a content type that asks for 3", func(m *cmsMessage) { m.version = 1 }, "cms-version")
	form("form-subject-key-identifier", "the signer named by its key identifier", func(m *cmsMessage) {
		m.signers[0].version, m.signers[0].sid = 3, tlv(tagImplicit0, p.masa.cert.SubjectKeyId)
	}, "subject-key-identifier")
	form("form-two-signers", "signed twice, by two who lead to the anchor", func(m *cmsMessage) {
		m.signers = append(m.signers, newCMSSigner(p.masa384, oidVoucher, text))
		m.certs = append(m.certs, p.masa384.chain[0])
	}, "several-signers")
	form("form-second-signer-counts", "the first signer leads nowhere, the second to the anchor", func(m *cmsMessage) {
		m.signers = []*cmsSigner{newCMSSigner(p.expired, oidVoucher, text), m.signers[0]}
		m.certs = append(m.certs, p.expired.chain[0])
	}, "several-signers")
	form("form-more-attributes", "a signed attribute that says nothing to a verifier", func(m *cmsMessage) {
		m.signers[0].attributes = append(m.signers[0].attributes, attribute(attrSigningCert, sequence(null)))
	})
	form("form-unsigned-attributes", "a counter-signature, unsigned", func(m *cmsMessage) {
		m.signers[0].unsigned = tlv(tagExplicit1, attribute(attrCounterSigning, sequence(null)))
	}, "unsigned-attributes")
	form("form-crls", "with a field for revocation lists", func(m *cmsMessage) { m.crls = tlv(tagExplicit1, sequence(null)) }, "crls")
	form("form-ber-indefinite", "BER: indefinite lengths", func(m *cmsMessage) { m.wrap = indefinite }, "ber")
	form("form-ber-chunked", "BER: the content in two pieces, as openssl cms -stream writes", func(m *cmsMessage) { m.wrap, m.chunked = indefinite, true }, "ber")
	form("form-ber-long-lengths", "BER: lengths in more octets than they need", func(m *cmsMessage) { m.wrap = longLength }, "ber")
	unknown := newCMS(p.masa, []byte(`{"ietf-voucher:voucher":{"future-leaf":{"a":[1,2]},`+v.members()+`}}`))
	c := cmsCase("form-unknown-leaf", "a leaf that is not in the module").says(v, "unknown-leaves")
	c.Leaves["future-leaf"] = binaryLeaf("", []byte(`{"a":[1,2]}`)).want
	b.good(unknown.encode(), c)
}

func (b *builder) cmsBadSignatures() {
	p := b.pki
	text := p.voucher().json(topVoucher)
	other := p.voucher().with(textLeaf("serial-number", "JADA999999999")).json(topVoucher)
	bad := func(name, about, check, reason string, change func(*cmsMessage)) {
		m := newCMS(p.masa, text)
		change(m)
		b.bad(m.encode(), check, reason, cmsCase("bad-"+name, about))
	}
	bad("payload-altered", "another serial number than was signed", "digest", "", func(m *cmsMessage) { m.payload = other })
	bad("attribute-altered", "content and digest swapped together, the signature is over the old digest", "signature", "", func(m *cmsMessage) {
		old := m.encode()
		signature := old[bytes.LastIndex(old, es256.signature)+len(es256.signature)+2:]
		m.payload = other
		m.signers[0] = newCMSSigner(p.masa, oidVoucher, other)
		m.signers[0].mend = func([]byte) []byte { return signature }
	})
	bad("signature-altered", "one bit of the signature flipped", "signature", "", func(m *cmsMessage) {
		m.signers[0].mend = func(s []byte) []byte { s[len(s)-1] ^= 1; return s }
	})
	bad("wrong-key", "signed by another key than the certificate has", "signature", "", func(m *cmsMessage) {
		liar := *p.masa
		liar.key = p.rogue.key
		m.signers[0].by = &liar
	})
	bad("signature-zero", "r and s are zero", "envelope", "signature-form", func(m *cmsMessage) {
		m.signers[0].mend = func([]byte) []byte { return sequence(integer(0), integer(0)) }
	})
	bad("signature-empty", "a signature of no octets", "envelope", "signature-form", func(m *cmsMessage) {
		m.signers[0].mend = func([]byte) []byte { return nil }
	})
	bad("signature-raw", "r‖s as JWS has it, where CMS wants DER", "envelope", "signature-form", func(m *cmsMessage) {
		m.signers[0].mend = func([]byte) []byte { return make([]byte, 64) }
	})
	bad("signature-not-der", "an INTEGER of the signature with a zero octet too many", "envelope", "signature-form", func(m *cmsMessage) {
		m.signers[0].mend = func(s []byte) []byte {
			r := s[4 : 4+int(s[3])]
			return sequence(tlv(tagInteger, []byte{0}, []byte{0}, r), s[4+int(s[3]):])
		}
	})
	bad("signature-trailing", "an octet behind the Ecdsa-Sig-Value", "envelope", "signature-form", func(m *cmsMessage) {
		m.signers[0].mend = func(s []byte) []byte { return append(s, 0) }
	})
	bad("digest-sha1", "SHA-1", "algorithm", "", func(m *cmsMessage) { m.signers[0].digest = sha1ID })
	bad("algorithm-other-hash", "ecdsa-with-SHA384 over a SHA-256 digest", "algorithm", "", func(m *cmsMessage) { m.signers[0].algorithm = es384.signature })
	bad("algorithm-other-key", "an RSA algorithm for an EC key", "algorithm", "", func(m *cmsMessage) { m.signers[0].algorithm = rs256.signature })
	bad("algorithm-unknown", "an algorithm from the arc of examples", "algorithm", "", func(m *cmsMessage) {
		m.signers[0].algorithm = sequence(oid(1, 3, 6, 1, 4, 1, 32473, 2))
	})
}

func (b *builder) cmsBadSigners() {
	p := b.pki
	text := p.voucher().json(topVoucher)
	for _, c := range []struct {
		by          *identity
		name, about string
	}{
		{p.rogue, "untrusted", "signed under a CA of the anchor's name with another key"},
		{p.expired, "expired", "the signer's certificate ended in 2021"},
		{p.future, "not-yet", "the signer's certificate begins in 2059"},
		{p.critical, "critical-extension", "the signer's certificate has a critical extension nobody knows"},
		{p.underLeaf, "issuer-not-ca", "the signer's issuer may not issue"},
		{p.noUse, "key-usage", "the signer's key is for key agreement"},
		{p.owner, "owner", "signed by the owner"},
	} {
		b.bad(newCMS(c.by, text).encode(), "chain", "", cmsCase("bad-"+c.name, c.about))
	}
	m := newCMS(p.masa, text)
	m.certs = nil
	b.bad(m.encode(), "chain", "", cmsCase("bad-no-certificates", "the signer's certificate is not there"))
	c := cmsCase("form-no-certificates", "the same, accepted where the signer's certificate is at hand").says(p.voucher(), "no-signer-certificate")
	c.Helper = "certs/masa.pem"
	b.good(m.encode(), c)
	m = newCMS(p.masa, text)
	for range 16 {
		m.certs = append(m.certs, p.manufacturer.chain[0])
	}
	b.bad(m.encode(), "envelope", "limit", cmsCase("bad-many-certificates", "18 certificates, the limit is 16"))
	m = newCMS(p.masa, text)
	for range 8 {
		m.signers = append(m.signers, m.signers[0])
	}
	b.bad(m.encode(), "envelope", "limit", cmsCase("bad-many-signers", "9 signers, the limit is 8"))
}

func (b *builder) cmsBadStructure() {
	p := b.pki
	text := p.voucher().json(topVoucher)
	sound := newCMS(p.masa, text).encode()
	bad := func(name, about, reason string, change func(*cmsMessage)) {
		m := newCMS(p.masa, text)
		change(m)
		b.bad(m.encode(), "envelope", reason, cmsCase("bad-"+name, about))
	}
	b.bad(nil, "envelope", "unrecognised", cmsCase("bad-empty", "no octets"))
	b.bad(sound[:len(sound)-1], "envelope", "malformed", cmsCase("bad-truncated", "the last octet is missing"))
	b.bad(sound[:len(sound)/2], "envelope", "malformed", cmsCase("bad-half", "half of it"))
	b.bad(append(slices.Clone(sound), 0), "envelope", "trailing-octets", cmsCase("bad-trailing", "an octet too many"))
	bad("content-info", "ContentInfo says envelopedData", "wrong-kind", func(m *cmsMessage) { m.contentType = oidEnvelopedData })
	bad("content-type", "the content is a time-stamp", "content-type", func(m *cmsMessage) { m.eType = oidTSTInfo })
	bad("detached", "the content is not inside", "detached", func(m *cmsMessage) { m.detached = true })
	bad("no-signers", "nobody signed", "no-signer", func(m *cmsMessage) { m.signers = nil })
	bad("no-signed-attributes", "the signature is over the bare content", "no-signed-attributes", func(m *cmsMessage) { m.signers[0].noAttributes = true })
	bad("content-type-attribute", "the contentType attribute says id-data, eContentType the voucher's", "signed-attribute", func(m *cmsMessage) {
		m.signers[0].attributes[0] = attribute(attrContentType, oidData)
	})
	bad("no-content-type-attribute", "contentType is missing among the signed attributes", "signed-attribute", func(m *cmsMessage) {
		m.signers[0].attributes = m.signers[0].attributes[1:]
	})
	bad("no-digest-attribute", "messageDigest is missing among the signed attributes", "signed-attribute", func(m *cmsMessage) {
		m.signers[0].attributes = m.signers[0].attributes[:1]
	})
	bad("digest-attribute-twice", "two messageDigest attributes", "duplicate", func(m *cmsMessage) {
		m.signers[0].attributes = append(m.signers[0].attributes, attribute(attrMessageDigest, octetString(make([]byte, 32))))
	})
	bad("digest-attribute-two-values", "a messageDigest attribute with two values", "signed-attribute", func(m *cmsMessage) {
		m.signers[0].attributes[1] = attribute(attrMessageDigest, octetString(es256.sum(text)), octetString(make([]byte, 32)))
	})
	deep := []byte{0x05, 0x00}
	for range 40 {
		deep = indefinite(tagSequence, deep)
	}
	bad("deep", "40 levels of nesting in BER", "limit", func(m *cmsMessage) {
		m.wrap = indefinite
		m.signers[0].unsigned = tlv(tagExplicit1, attribute(attrCounterSigning, deep))
	})
	big := p.voucher().with(textLeaf("est-domain", strings.Repeat("a", 64<<10)))
	b.bad(newCMS(p.masa, big.json(topVoucher)).encode(), "envelope", "limit", cmsCase("bad-oversize", "over the limit of 64 KiB"))
}

// cmsBadContent adds vouchers soundly signed whose content is none.
func (b *builder) cmsBadContent() {
	p := b.pki
	v := p.voucher()
	bad := func(name, about, check string, content []byte) {
		b.bad(newCMS(p.masa, content).encode(), check, "", cmsCase("bad-"+name, about))
	}
	bad("content-empty", "signed, and empty", "payload", nil)
	bad("content-cbor", "CBOR inside CMS", "payload", v.voucherCBOR())
	bad("content-request", "a voucher-request where a voucher belongs", "payload", p.request().json(topRequest))
	bad("content-duplicate", "serial-number twice", "payload", []byte(`{"ietf-voucher:voucher":{`+v.members()+`,"serial-number":"other"}}`))
	bad("content-no-serial", "no serial-number", "rules", v.without("serial-number").json(topVoucher))
	bad("content-no-pin", "nothing pinned", "rules", v.without("pinned-domain-cert").json(topVoucher))
	bad("content-serial-control", "a control character in the serial number", "rules", v.with(textLeaf("serial-number", "A\u0007B")).json(topVoucher))
	bad("content-serial-long", "a serial number of 65 octets", "rules", v.with(textLeaf("serial-number", strings.Repeat("7", 65))).json(topVoucher))
	bad("content-expired", "expires-on has passed", "time", v.with(textLeaf("created-on", "2024-01-01T00:00:00Z"), textLeaf("expires-on", "2025-01-01T00:00:00Z")).json(topVoucher))
	bad("content-not-yet", "created-on is to come", "time", v.with(textLeaf("created-on", "2030-01-01T00:00:00Z")).json(topVoucher))
	bad("content-outlives-pin", "expires-on is after the end of the pinned certificate", "rules", v.with(textLeaf("expires-on", "2070-01-01T00:00:00Z")).json(topVoucher))
	bad("content-pin-garbage", "the pinned certificate is none", "rules", v.with(binaryLeaf("pinned-domain-cert", []byte("certificate"))).json(topVoucher))
}

func (b *builder) cmsRequests() {
	p := b.pki
	request := func(name, about string) Case {
		return Case{File: "cms/" + name + ".vcj", Kind: KindRequest, About: about, Format: "cms", Encoding: "json"}
	}
	q := p.request()
	pledge := newCMS(p.pledge, q.json(topRequest))
	b.good(pledge.encode(), request("request-pledge", "a pledge's request").says(q))
	prior := q.without("proximity-registrar-cert").with(binaryLeaf("prior-signed-voucher-request", pledge.encode()))
	b.good(newCMS(p.registrar, prior.json(topRequest)).encode(), request("request-registrar", "a registrar's request around it").says(prior))
	ours := prior.with(binaryLeaf("idevid-issuer", issuerOf(p.vendor)))
	b.good(newCMS(p.registrar, ours.json(topRequest)).encode(), request("good-request-registrar", "the same with the issuer of the IDevID").says(ours))
	altered := newCMS(p.pledge, q.json(topRequest))
	altered.payload = q.with(textLeaf("serial-number", "other")).json(topRequest)
	b.bad(altered.encode(), "digest", "", request("bad-request-altered", "another serial number than was signed"))
	b.bad(newCMS(p.pledge, p.voucher().json(topVoucher)).encode(), "payload", "", request("bad-request-voucher", "a voucher where a request belongs"))
}
