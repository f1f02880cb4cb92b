package kit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// jwsMessage is a JWS in general JSON serialisation, put together as it says.
type jwsMessage struct {
	payload string // base64url
	signers []*jwsSigner
}

type jwsSigner struct {
	by        *identity
	protected string // JSON
	header    string // JSON of the unprotected header, "" for none
	signature func(input []byte) []byte
}

// x5c is a chain as the header has it.
func x5c(chain ...[]byte) string {
	var quoted []string
	for _, der := range chain {
		quoted = append(quoted, `"`+b64(der)+`"`)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// newJWS is the message that the project itself writes for a payload.
func newJWS(by *identity, payload []byte) *jwsMessage {
	return &jwsMessage{b64url(payload), []*jwsSigner{newJWSSigner(by)}}
}

func newJWSSigner(by *identity) *jwsSigner {
	return &jwsSigner{by: by, protected: `{"alg":"` + by.alg.jose + `","typ":"voucher-jws+json","x5c":` + x5c(by.chain...) + `}`}
}

func (m *jwsMessage) entry(s *jwsSigner) string {
	protected := b64url([]byte(s.protected))
	input := []byte(protected + "." + m.payload)
	var signature []byte
	if s.signature != nil {
		signature = s.signature(input)
	} else {
		signature = s.by.alg.rawSignature(s.by.key, input)
	}
	out := `{"protected":"` + protected + `"`
	if s.header != "" {
		out += `,"header":` + s.header
	}
	return out + `,"signature":"` + b64url(signature) + `"}`
}

func (m *jwsMessage) encode() []byte {
	var entries []string
	for _, s := range m.signers {
		entries = append(entries, m.entry(s))
	}
	return []byte(`{"payload":"` + m.payload + `","signatures":[` + strings.Join(entries, ",") + `]}`)
}

func jwsCase(name, about string) Case {
	return Case{File: "jws/" + name + ".vjj", Kind: KindVoucher, About: about, Format: "jws", Encoding: "json"}
}

func (b *builder) jwsCases() {
	b.jwsGood()
	b.jwsForms()
	b.jwsBadSignatures()
	b.jwsBadHeaders()
	b.jwsBadStructure()
}

func (b *builder) jwsGood() {
	p := b.pki
	v := p.voucher()
	for _, by := range []*identity{p.masa, p.masa384, p.masa512, p.masaEd, p.masaRSA} {
		b.good(newJWS(by, v.json(topVoucher)).encode(), jwsCase("good-"+strings.ToLower(by.alg.name), by.alg.name).says(v))
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
		b.good(newJWS(p.masa, c.p.json(topVoucher)).encode(), jwsCase(c.name, c.about).says(c.p))
	}
	b.good(newJWS(p.deep, v.json(topVoucher)).encode(), jwsCase("good-deep-chain", "a certificate authority between signer and anchor").says(v))
	q := p.request()
	request := func(name, about string) Case {
		return Case{File: "jws/" + name + ".vjj", Kind: KindRequest, About: about, Format: "jws", Encoding: "json"}
	}
	pledge := newJWS(p.pledge, q.json(topRequest)).encode()
	b.good(pledge, request("request-pledge", "a pledge's request").says(q))
	ours := q.without("proximity-registrar-cert").with(binaryLeaf("prior-signed-voucher-request", pledge), binaryLeaf("idevid-issuer", issuerOf(p.vendor)))
	b.good(newJWS(p.registrar, ours.json(topRequest)).encode(), request("good-request-registrar", "a registrar's request around it").says(ours))
}

// jwsForms adds what others write and readers take.
func (b *builder) jwsForms() {
	p := b.pki
	v := p.voucher()
	form := func(name, about string, change func(*jwsMessage), oddities ...string) {
		m := newJWS(p.masa, v.json(topVoucher))
		change(m)
		b.good(m.encode(), jwsCase("form-"+name, about).says(v, oddities...))
	}
	form("no-typ", "no typ", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(m.signers[0].protected, `"typ":"voucher-jws+json",`, "", 1)
	}, "no-typ")
	form("typ-long", "typ with application/ before it, in other letter case", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(m.signers[0].protected, "voucher-jws", "Application/Voucher-JWS", 1)
	})
	form("no-chain", "the signer's certificate alone", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(m.signers[0].protected, x5c(p.masa.chain...), x5c(p.masa.chain[0]), 1)
	}, "no-chain")
	form("kid", "a kid beside x5c", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(m.signers[0].protected, "{", `{"kid":"masa",`, 1)
	})
	form("unknown-header", "a protected header that is not known, nor critical", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(m.signers[0].protected, "{", `{"future":{"a":[1]},`, 1)
	}, "unknown-header")
	form("unprotected-header", "something that does not matter in the unprotected header", func(m *jwsMessage) {
		m.signers[0].header = `{"kid":"masa"}`
	}, "unprotected-header")
	form("escaped-slashes", "x5c with \\/ for each slash", func(m *jwsMessage) {
		m.signers[0].protected = strings.ReplaceAll(m.signers[0].protected, "/", `\/`)
	})
	form("two-signers", "signed twice, as a registrar countersigns", func(m *jwsMessage) {
		m.signers = append(m.signers, newJWSSigner(p.registrar))
	}, "several-signers")
	sound := string(newJWS(p.masa, v.json(topVoucher)).encode())
	spaced := strings.NewReplacer(`{"`, "{\n \"", `","`, "\",\r\n\t\"", `"}`, "\" }").Replace(sound)
	b.good([]byte(spaced+"\n"), jwsCase("form-white-space", "white space wherever JSON has it").says(v))
	b.good([]byte(strings.Replace(sound, "{", `{"future":null,`, 1)), jwsCase("form-unknown-member", "a member of the outer object that is not known").says(v, "unknown-header"))
}

func (b *builder) jwsBadSignatures() {
	p := b.pki
	text := p.voucher().json(topVoucher)
	other := p.voucher().with(textLeaf("serial-number", "JADA999999999")).json(topVoucher)
	bad := func(name, about, check, reason string, change func(*jwsMessage)) {
		m := newJWS(p.masa, text)
		change(m)
		b.bad(m.encode(), check, reason, jwsCase("bad-"+name, about))
	}
	sound := string(newJWS(p.masa, text).encode())
	b.bad([]byte(strings.Replace(sound, b64url(text), b64url(other), 1)), "signature", "", jwsCase("bad-payload-altered", "another serial number than was signed"))
	protected := newJWSSigner(p.masa).protected
	b.bad([]byte(strings.Replace(sound, b64url([]byte(protected)), b64url([]byte(" "+protected)), 1)), "signature", "", jwsCase("bad-header-altered", "a space added to the protected header"))
	mend := func(change func([]byte) []byte) func(*jwsMessage) {
		return func(m *jwsMessage) {
			m.signers[0].signature = func(input []byte) []byte { return change(es256.rawSignature(p.masa.key, input)) }
		}
	}
	bad("signature-altered", "one bit of the signature flipped", "signature", "", mend(func(s []byte) []byte { s[40] ^= 1; return s }))
	bad("signature-zero", "r and s are zero", "signature", "", mend(func([]byte) []byte { return make([]byte, 64) }))
	bad("signature-short", "r‖s without its last octet", "envelope", "signature-form", mend(func(s []byte) []byte { return s[:63] }))
	bad("signature-empty", "a signature of no octets", "envelope", "signature-form", mend(func([]byte) []byte { return nil }))
	bad("signature-der", "DER as CMS has it, where JWS wants r‖s", "envelope", "signature-form", func(m *jwsMessage) {
		m.signers[0].signature = func(input []byte) []byte { return es256.derSignature(p.masa.key, input) }
	})
	bad("wrong-key", "signed by another key than the certificate has", "signature", "", func(m *jwsMessage) {
		m.signers[0].signature = func(input []byte) []byte { return es256.rawSignature(p.rogue.key, input) }
	})
	for _, c := range []struct {
		by          *identity
		name, about string
	}{
		{p.rogue, "untrusted", "signed under a CA of the anchor's name with another key"},
		{p.expired, "expired", "the signer's certificate ended in 2021"},
		{p.critical, "critical-extension", "the signer's certificate has a critical extension nobody knows"},
	} {
		b.bad(newJWS(c.by, text).encode(), "chain", "", jwsCase("bad-"+c.name, c.about))
	}
	// The confusion: the public key, known to all, as the key of a MAC.
	bad("algorithm-hs256", "HMAC under the octets of the public key", "envelope", "algorithm", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(protected, "ES256", "HS256", 1)
		m.signers[0].signature = func(input []byte) []byte {
			mac := hmac.New(sha256.New, p.masa.spki())
			mac.Write(input)
			return mac.Sum(nil)
		}
	})
	bad("algorithm-none", "alg none", "envelope", "algorithm", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(protected, "ES256", "none", 1)
	})
	bad("algorithm-other-key", "RS256 for an EC key", "algorithm", "", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(protected, "ES256", "RS256", 1)
	})
	bad("algorithm-other-curve", "ES384 for a P-256 key", "envelope", "signature-form", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(protected, "ES256", "ES384", 1)
	})
	bad("algorithm-letter-case", "es256 in small letters, which is no algorithm", "algorithm", "", func(m *jwsMessage) {
		m.signers[0].protected = strings.Replace(protected, "ES256", "es256", 1)
	})
}

func (b *builder) jwsBadHeaders() {
	p := b.pki
	text := p.voucher().json(topVoucher)
	protected := newJWSSigner(p.masa).protected
	bad := func(name, about, check, reason, header string) {
		m := newJWS(p.masa, text)
		m.signers[0].protected = header
		b.bad(m.encode(), check, reason, jwsCase("bad-"+name, about))
	}
	swap := func(old, with string) string { return strings.Replace(protected, old, with, 1) }
	bad("crit", "a critical header nobody knows", "envelope", "critical-header", swap("{", `{"crit":["future"],"future":1,`))
	bad("crit-b64", "b64, which vouchers do not use", "envelope", "critical-header", swap("{", `{"crit":["b64"],"b64":true,`))
	bad("crit-empty", "an empty crit", "envelope", "critical-header", swap("{", `{"crit":[],`))
	bad("no-alg", "no alg", "envelope", "algorithm", swap(`"alg":"ES256",`, ""))
	bad("alg-twice", "alg twice", "envelope", "duplicate", swap("{", `{"alg":"ES256",`))
	bad("alg-number", "alg is a number", "envelope", "malformed", swap(`"ES256"`, "7"))
	bad("typ", "typ JWT", "envelope", "content-type", swap("voucher-jws+json", "JWT"))
	bad("x5c-empty", "an empty x5c", "envelope", "certificates", swap(x5c(p.masa.chain...), "[]"))
	bad("x5c-url", "x5c in base64url", "envelope", "certificates", swap(x5c(p.masa.chain...), `["`+b64url(p.masa.chain[0])+`=-_"]`))
	bad("x5c-garbage", "a certificate that is none", "chain", "", swap(x5c(p.masa.chain...), x5c([]byte("certificate"))))
	bad("x5c-seventeen", "17 certificates, the limit is 16", "envelope", "limit", swap(x5c(p.masa.chain...), x5c(append([][]byte{p.masa.chain[0]}, many(p.manufacturer.chain[0], 16)...)...)))
	bad("header-array", "the protected header is an array", "envelope", "malformed", "[]")
	bad("header-trailing", "something behind the protected header's object", "envelope", "trailing-octets", protected+"{}")
	bad("header-deep", "30 levels of nesting in a header", "envelope", "limit", swap("{", `{"future":`+strings.Repeat("[", 30)+strings.Repeat("]", 30)+","))
	bad("header-not-utf8", "a header that is not UTF-8", "envelope", "malformed", swap("{", "{\"future\":\"\xff\","))
	bad("no-x5c", "no certificate", "chain", "", swap(`,"x5c":`+x5c(p.masa.chain...), ""))
	m := newJWS(p.masa, text)
	m.signers[0].protected = swap(`,"x5c":`+x5c(p.masa.chain...), "")
	c := jwsCase("form-no-x5c", "the same, accepted where the signer's certificate is at hand").says(p.voucher(), "no-signer-certificate")
	c.Helper = "certs/masa.pem"
	b.good(m.encode(), c)
	m = newJWS(p.masa, text)
	m.signers[0].protected, m.signers[0].header = swap(`,"x5c":`+x5c(p.masa.chain...), ""), `{"x5c":`+x5c(p.masa.chain...)+`}`
	b.bad(m.encode(), "envelope", "header", jwsCase("bad-x5c-unprotected", "x5c where nothing protects it"))
}

func many(item []byte, n int) [][]byte {
	var out [][]byte
	for range n {
		out = append(out, item)
	}
	return out
}

func (b *builder) jwsBadStructure() {
	p := b.pki
	text := p.voucher().json(topVoucher)
	m := newJWS(p.masa, text)
	sound := string(m.encode())
	entry := m.entry(m.signers[0])
	bad := func(name, about, reason, content string) {
		b.bad([]byte(content), "envelope", reason, jwsCase("bad-"+name, about))
	}
	bad("truncated", "the last octet is missing", "malformed", sound[:len(sound)-1])
	bad("half", "half of it", "malformed", sound[:len(sound)/2])
	bad("trailing", "a second object", "trailing-octets", sound+"{}")
	bad("payload-twice", "two payloads", "duplicate", strings.Replace(sound, "{", `{"payload":"e30",`, 1))
	bad("detached", "no payload inside", "detached", `{"signatures":[`+entry+`]}`)
	bad("no-signatures", "nobody signed", "no-signer", `{"payload":"`+m.payload+`","signatures":[]}`)
	bad("many-signatures", "9 signatures, the limit is 8", "limit", `{"payload":"`+m.payload+`","signatures":[`+strings.Repeat(entry+",", 8)+entry+`]}`)
	bad("flattened", "flattened serialisation", "serialisation", `{"payload":"`+m.payload+`",`+entry[1:])
	bad("compact", "compact serialisation", "serialisation", b64url([]byte(m.signers[0].protected))+"."+m.payload+"."+b64url(make([]byte, 64)))
	bad("padding", "base64url with padding", "malformed", strings.Replace(sound, m.payload, b64url([]byte("{}"))+"=", 1))
	bad("trailing-bits", "base64url whose last letter has bits too many", "malformed", strings.Replace(sound, m.payload, "e31", 1))
	bad("not-utf8", "an octet that is not UTF-8", "malformed", strings.Replace(sound, "{", "{\"\xff\":1,", 1))
	bad("trailing-comma", "a comma before the closing brace", "malformed", strings.TrimSuffix(sound, "}")+",}")
	for _, c := range []struct {
		name, about, check string
		content            []byte
	}{
		{"content-empty", "signed, and empty", "payload", nil},
		{"content-request", "a voucher-request where a voucher belongs", "payload", p.request().json(topRequest)},
		{"content-no-pin", "nothing pinned", "rules", p.voucher().without("pinned-domain-cert").json(topVoucher)},
		{"content-nonce-short", "a nonce of 7 octets", "rules", p.nonced().with(binaryLeaf("nonce", make([]byte, 7))).json(topVoucher)},
	} {
		b.bad(newJWS(p.masa, c.content).encode(), c.check, "", jwsCase("bad-"+c.name, c.about))
	}
}
