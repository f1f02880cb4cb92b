package kit

import "strings"

func (b *builder) profileCases() {
	c := func(name, about string) Case {
		return Case{File: "profiles/" + name + ".yaml", Kind: KindProfile, About: about}
	}
	const full = `# for ACME's order of March
format: cms
key: masa.key
key-pass-file: masa.pass
cert: masa.pem
hedged: false
econtent: anima
signing-time: none
pin:
  acme: acme-ca.pem
  other: other-ca.pem
pin-as: cert
created-on: 2026-03-01T00:00:00Z
expires-on: 10y
last-renewal-date: 9y
assertion: logged
include-issuer: true
idevid-issuer: 04:18:30:16:80:14:00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13
domain-cert-revocation-checks: false
est-domain: https://est.example.com/
additional-configuration-url: https://example.com/more
extensions: [a-module, 2600]
manufacturer-proprietary: AAEC
devices: march.csv
list-format: csv
delimiter: semicolon
serial-from: subject
serial-bytes: 64
row-bytes: 65536
max-expansion: 250
store: /srv/vouchers
run: march
on-error: skip
rejects: rejects.csv
workers: 2
progress: plain
stats: true
json: false
`
	b.good([]byte(full), c("full", "every key that goes with the others"))
	b.good(nil, c("empty", "nothing is set"))
	b.good([]byte("# nothing yet\n"), c("comment", "a comment alone"))
	b.good([]byte("pin: domain-ca.pem\nexpires-on: never\nformat: cose\n"), c("one-pin", "one pin without a name"))
	b.good([]byte("expires-on: P10Y\ncreated-on: 2026-03-01\n"), c("iso-duration", "an ISO 8601 duration, a date"))
	for _, bad := range []struct{ name, about, text string }{
		{"unknown-key", "a key that is not known", "formt: cms\n"},
		{"key-twice", "a key twice", "format: cms\nformat: jws\n"},
		{"value", "a value its key does not take", "format: pkcs7\n"},
		{"assertion", "an assertion that states what nobody observed", "assertion: proximity\n"},
		{"months", "a duration in months", "expires-on: P3M\n"},
		{"fraction", "a time with a fraction of a second", "created-on: 2026-03-01T00:00:00.5Z\n"},
		{"no-zone", "a time without its zone", "created-on: 2026-03-01T00:00:00\n"},
		{"anchor", "an anchor and an alias", "key: &a masa.key\ncert: *a\n"},
		{"tag", "a tag", "format: !!str cms\n"},
		{"merge", "a merge", "<<: {format: cms}\n"},
		{"sequence", "a sequence where a mapping belongs", "- format: cms\n"},
		{"two-documents", "two documents", "format: cms\n---\nformat: jws\n"},
		{"pin-twice", "two pins of one name", "pin:\n  a: x.pem\n  a: y.pem\n"},
		{"tab", "a tab for indentation", "pin:\n\ta: x.pem\n"},
		{"not-utf8", "an octet that is not UTF-8", "run: \xff\n"},
		{"deep", "100 levels of nesting", "pin: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "\n"},
	} {
		b.bad([]byte(bad.text), "profile", "", c("bad-"+bad.name, bad.about))
	}
}
