package kit

import (
	"bytes"
	"strings"
)

func payloadCase(name, kind, about string) Case {
	encoding := "json"
	if strings.HasSuffix(name, ".cbor") {
		encoding = "cbor"
	}
	return Case{File: "payload/" + name, Kind: kind, About: about, Encoding: encoding}
}

func (b *builder) payloadCases() {
	b.jsonPayloads()
	b.jsonRefused()
	b.jsonRules()
	b.cborPayloads()
	b.requestPayloads()
}

func (b *builder) jsonPayloads() {
	p := b.pki
	v := p.voucher()
	nonce := binaryLeaf("nonce", stream("nonce", 16))
	good := func(name, about string, content []byte, want payload) {
		b.good(content, payloadCase(name+".json", KindPayload, about).says(want))
	}
	good("voucher", "a voucher without a nonce", v.json(topVoucher), v)
	good("nonced", "a voucher with a nonce", p.nonced().json(topVoucher), p.nonced())
	url := p.nonced().with(leaf{"nonce", quote(b64url(stream("nonce", 16))), nil, nonce.want})
	good("nonce-base64url", "a nonce in base64url without padding, as published examples have it", url.json(topVoucher), url)
	text := v.with(leaf{"domain-cert-revocation-checks", `"false"`, nil, "false"})
	good("boolean-text", "a boolean as a text, as RFC 8366 section 5.2 shows it", text.json(topVoucher), text)
	zone := v.with(leaf{"created-on", `"2026-11-24T12:30:00+02:30"`, nil, "2026-11-24T10:00:00Z"})
	good("date-offset", "a date with an offset", zone.json(topVoucher), zone)
	fraction := v.with(leaf{"created-on", `"2026-11-24T10:00:00.250Z"`, nil, "2026-11-24T10:00:00.25Z"})
	good("date-fraction", "a date with a fraction of a second", fraction.json(topVoucher), fraction)
	leap := v.with(leaf{"created-on", `"2016-12-31T23:59:60Z"`, nil, "2017-01-01T00:00:00Z"})
	good("date-leap-second", "a leap second, which is the first of the next day for clocks that have none", leap.json(topVoucher), leap)
	escaped := v.with(leaf{"serial-number", `"A\u00e9\ud83d\ude00\/\""`, nil, "Aé😀/\""})
	good("escapes", "escapes of every kind in the serial number", escaped.json(topVoucher), escaped)
	spaced := strings.NewReplacer("{", " {\n", ":\"", " :\t\"", ",", ",\r\n").Replace(string(v.json(topVoucher)))
	good("white-space", "white space wherever JSON has it", []byte(spaced+"\n"), v)
	extensions := v.with(leaf{"extensions", `["a-module","b-module"]`, nil, "a-module b-module"})
	good("extensions", "a leaf-list", extensions.json(topVoucher), extensions)
}

// jsonRefused adds what is no voucher in JSON, or none that is safe to read.
func (b *builder) jsonRefused() {
	v := b.pki.voucher()
	m := v.members()
	sound := string(v.json(topVoucher))
	swap := func(old, with string) string { return strings.Replace(sound, old, with, 1) }
	for _, c := range []struct{ name, about, content string }{
		{"empty", "no octets", ""},
		{"truncated", "the last octet is missing", sound[:len(sound)-1]},
		{"trailing", "a second object", sound + "{}"},
		{"bom", "a byte order mark", "\ufeff" + sound},
		{"array", "an array", "[" + sound + "]"},
		{"no-members", "an empty object", "{}"},
		{"two-top-level", "two top-level members", `{"ietf-voucher:voucher":{` + m + `},"ietf-voucher:more":{}}`},
		{"other-top-level", "a top-level member of another module", `{"ietf-other:voucher":{` + m + `}}`},
		{"duplicate", "serial-number twice", `{"ietf-voucher:voucher":{` + m + `,"serial-number":"other"}}`},
		{"duplicate-escaped", "serial-number twice, once with an escape in its name", `{"ietf-voucher:voucher":{` + m + `,"serial\u002dnumber":"other"}}`},
		{"duplicate-deep", "a member twice within an unknown leaf", `{"ietf-voucher:voucher":{` + m + `,"future":{"a":1,"a":2}}}`},
		{"trailing-comma", "a comma before the closing brace", `{"ietf-voucher:voucher":{` + m + `,}}`},
		{"single-quotes", "single quotes", strings.ReplaceAll(sound, `"`, "'")},
		{"comment", "a comment", "/* */" + sound},
		{"nan", "a number that JSON does not have", `{"ietf-voucher:voucher":{` + m + `,"future":NaN}}`},
		{"number-zeros", "a number with a zero before it", `{"ietf-voucher:voucher":{` + m + `,"future":01}}`},
		{"serial-number-number", "the serial number as a number", swap(`"`+serial+`"`, "123456789")},
		{"serial-null", "the serial number null", swap(`"`+serial+`"`, "null")},
		{"not-utf8", "a serial number that is not UTF-8", swap(serial, "A\xff")},
		{"overlong-utf8", "an overlong form of a slash", swap(serial, "A\xc0\xaf")},
		{"half-surrogate", "half a surrogate pair", swap(serial, `A\ud83d`)},
		{"raw-control", "a line feed within a string", swap(serial, "A\nB")},
		{"unknown-escape", "an escape that JSON does not have", swap(serial, `A\x41`)},
		{"deep", "1,000 levels of nesting", `{"ietf-voucher:voucher":{` + m + `,"future":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`},
		{"assertion", "an assertion that is not defined", swap(`"logged"`, `"maybe"`)},
		{"assertion-number", "the assertion as a number", swap(`"logged"`, `1`)},
		{"date-no-zone", "a date without its zone", swap("2026-11-24T10:00:00Z", "2026-11-24T10:00:00")},
		{"date-space", "a space for the T of a date", swap("2026-11-24T10:00:00Z", "2026-11-24 10:00:00Z")},
		{"date-february-30", "a day that is none", swap("2026-11-24T10:00:00Z", "2026-02-30T10:00:00Z")},
		{"date-number", "a date as a number", swap(`"2026-11-24T10:00:00Z"`, "1795514400")},
		{"base64-letter", "a letter that is not of base64", swap(`"pinned-domain-cert":"M`, `"pinned-domain-cert":"*`)},
		{"base64-line-break", "a line break in base64", swap(`"pinned-domain-cert":"M`, `"pinned-domain-cert":"M\n`)},
		{"boolean", "a boolean that is none", `{"ietf-voucher:voucher":{` + m + `,"domain-cert-revocation-checks":"maybe"}}`},
	} {
		b.bad([]byte(c.content), "payload", "", payloadCase("bad-"+c.name+".json", KindPayload, c.about))
	}
}

// jsonRules adds vouchers that can be read and break a rule.
func (b *builder) jsonRules() {
	p := b.pki
	v := p.voucher()
	for _, c := range []struct {
		name, about, leaf string
		p                 payload
	}{
		{"no-serial", "no serial-number", "serial-number", v.without("serial-number")},
		{"serial-empty", "an empty serial-number", "serial-number", v.with(textLeaf("serial-number", ""))},
		{"serial-65", "a serial-number of 65 octets", "serial-number", v.with(textLeaf("serial-number", strings.Repeat("7", 65)))},
		{"serial-10000", "a serial-number of 10,000 octets", "serial-number", v.with(textLeaf("serial-number", strings.Repeat("7", 10000)))},
		{"serial-control", "a control character in the serial-number", "serial-number", v.with(textLeaf("serial-number", "A\u0085B"))},
		{"serial-blank", "a blank after the serial-number", "serial-number", v.with(textLeaf("serial-number", "A "))},
		{"serial-wide-blank", "a no-break space before the serial-number", "serial-number", v.with(textLeaf("serial-number", "\u00a0A"))},
		{"no-pin", "nothing pinned", "pinned-domain-cert", v.without("pinned-domain-cert")},
		{"pin-empty", "an empty pinned certificate", "pinned-domain-cert", v.with(binaryLeaf("pinned-domain-cert", nil))},
		{"pin-short-digest", "a SHA-256 of 31 octets", "pinned-domain-pubk-sha256", v.with(binaryLeaf("pinned-domain-pubk-sha256", make([]byte, 31)))},
		{"nonce-7", "a nonce of 7 octets", "nonce", p.nonced().with(binaryLeaf("nonce", make([]byte, 7)))},
		{"nonce-33", "a nonce of 33 octets", "nonce", p.nonced().with(binaryLeaf("nonce", make([]byte, 33)))},
		{"renewal-alone", "last-renewal-date without expires-on", "last-renewal-date", p.nonced().with(textLeaf("last-renewal-date", "2030-01-01T00:00:00Z"))},
	} {
		b.bad(c.p.json(topVoucher), "rules", c.leaf, payloadCase("rule-"+c.name+".json", KindPayload, c.about))
	}
}

func (b *builder) cborPayloads() {
	p := b.pki
	v := p.voucher()
	sound := v.voucherCBOR()
	b.good(sound, payloadCase("voucher.cbor", KindPayload, "a voucher without a nonce").says(v))
	b.good(p.nonced().voucherCBOR(), payloadCase("nonced.cbor", KindPayload, "a voucher with a nonce").says(p.nonced()))
	chunks := v.with(leaf{"serial-number", "", []byte{0x7f, 0x62, 'A', '1', 0x62, 'B', '2', 0xff}, "A1B2"})
	b.good(chunks.voucherCBOR(), payloadCase("chunked-text.cbor", KindPayload, "a text in pieces").says(chunks))
	date := v["created-on"].cbor
	for _, c := range []struct {
		name, about string
		content     []byte
	}{
		{"empty", "no octets", nil},
		{"truncated", "the last octet is missing", sound[:len(sound)-1]},
		{"trailing", "an octet too many", append(bytes.Clone(sound), 0)},
		{"array", "an array", cborArray(sound)},
		{"no-members", "an empty map", cborMap()},
		{"legacy-1001100", "SIDs of the drafts before 2021", v.cbor(1001100, voucherSIDs)},
		{"legacy-1001150", "SIDs of other drafts before 2021", v.cbor(1001150, voucherSIDs)},
		{"other-sid", "a SID of another module", v.cbor(3000, voucherSIDs)},
		{"duplicate", "created-on twice", cborPayload(sidVoucher, entry{2, date}, entry{2, date})},
		{"duplicate-wide", "created-on twice, the second key in more octets", cborMap(cborUint(sidVoucher), join([]byte{0xa2}, cborUint(2), date, []byte{0x18, 2}, date))},
		{"duplicate-absolute", "created-on twice, by delta and absolute", cborMap(cborUint(sidVoucher), cborMap(cborUint(2), date, cborTag(47, cborUint(sidVoucher+2)), date))},
		{"date-tag", "a date under tag 0", v.with(leaf{"created-on", "", cborTag(0, date), ""}).voucherCBOR()},
		{"date-number", "a date as a number", v.with(leaf{"created-on", "", cborTag(1, cborUint(1795514400)), ""}).voucherCBOR()},
		{"assertion-text", "the assertion as a text", v.with(leaf{"assertion", "", cborText("logged"), ""}).voucherCBOR()},
		{"assertion-negative", "a negative assertion", v.with(leaf{"assertion", "", cborInt(-1), ""}).voucherCBOR()},
		{"assertion-float", "an assertion as a floating-point number", v.with(leaf{"assertion", "", []byte{0xf9, 0x3c, 0}, ""}).voucherCBOR()},
		{"boolean-number", "a boolean as a number", v.with(leaf{"domain-cert-revocation-checks", "", cborUint(1), ""}).voucherCBOR()},
		{"not-utf8", "a serial number that is not UTF-8", v.with(leaf{"serial-number", "", []byte{0x62, 0xc3, 0x28}, ""}).voucherCBOR()},
		{"text-chunk-bytes", "a text with a piece of octets in it", v.with(leaf{"serial-number", "", []byte{0x7f, 0x42, 'A', '1', 0xff}, ""}).voucherCBOR()},
		{"huge-map", "a map that says it has 2^32 entries", []byte{0xa1, 0x19, 0x09, 0x93, 0xba, 0xff, 0xff, 0xff, 0xff}},
		{"huge-text", "a text that says it has 2^63 octets", []byte{0xa1, 0x19, 0x09, 0x93, 0xa1, 0x0b, 0x7b, 0x80, 0, 0, 0, 0, 0, 0, 0}},
		{"deep", "1,000 levels of nesting", join([]byte{0xa1, 0x19, 0x09, 0x93, 0xa1, 0x18, 0x63}, bytes.Repeat([]byte{0x81}, 1000), []byte{0xf6})},
		{"break", "a break outside of anything", []byte{0xff}},
		{"reserved", "a head with the reserved value 28", []byte{0xa1, 0x1c}},
	} {
		b.bad(c.content, "payload", "", payloadCase("bad-"+c.name+".cbor", KindPayload, c.about))
	}
	b.bad(v.without("serial-number").voucherCBOR(), "rules", "serial-number", payloadCase("rule-no-serial.cbor", KindPayload, "no serial-number"))
	b.bad(p.nonced().with(binaryLeaf("nonce", make([]byte, 33))).voucherCBOR(), "rules", "nonce", payloadCase("rule-nonce-33.cbor", KindPayload, "a nonce of 33 octets"))
}

func (b *builder) requestPayloads() {
	p := b.pki
	q := p.request()
	good := func(name, about string, q payload) {
		b.good(q.json(topRequest), payloadCase(name+".json", KindRequestPayload, about).says(q))
		b.good(q.cbor(sidRequest, requestSIDs), payloadCase(name+".cbor", KindRequestPayload, about).says(q))
	}
	good("request", "a pledge's request", q)
	good("request-pubk", "a pledge's request that names the registrar's key", q.pinnedRequest("proximity-registrar-pubk", p.registrar.spki()))
	good("request-prior", "a registrar's request", q.pinnedRequest("prior-signed-voucher-request", newCMS(p.pledge, q.json(topRequest)).encode()))
	b.bad(p.voucher().json(topVoucher), "payload", "", payloadCase("bad-request-voucher.json", KindRequestPayload, "a voucher where a request belongs"))
	b.bad(p.voucher().voucherCBOR(), "payload", "", payloadCase("bad-request-voucher.cbor", KindRequestPayload, "a voucher where a request belongs"))
	b.bad(q.json(topRequest), "payload", "", payloadCase("bad-voucher-request.json", KindPayload, "a request where a voucher belongs"))
	b.bad(q.without("serial-number").json(topRequest), "rules", "serial-number", payloadCase("rule-request-no-serial.json", KindRequestPayload, "no serial-number"))
	b.bad(q.with(binaryLeaf("proximity-registrar-cert", nil)).json(topRequest), "rules", "proximity-registrar-cert", payloadCase("rule-request-empty-cert.json", KindRequestPayload, "an empty certificate"))
}

// pinnedRequest has the registrar named in another leaf.
func (p payload) pinnedRequest(name string, value []byte) payload {
	return p.without("proximity-registrar-cert").with(binaryLeaf(name, value))
}
