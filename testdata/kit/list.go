package kit

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"strings"
)

func listCase(name, about string, rows ...Row) Case {
	return Case{File: "lists/" + name, Kind: KindList, About: about, Rows: rows}
}

// row is a device with nothing but a serial number.
func row(line uint64, serial string) Row { return Row{Line: line, Serial: serial} }

// refused is a row that cannot be used.
func refused(line uint64, column string) Row { return Row{Line: line, Refused: column} }

func (b *builder) listCases() {
	b.csvLists()
	b.csvRefused()
	b.ndjsonLists()
	b.cborLists()
	b.certificateLists()
}

func (b *builder) csvLists() {
	issuer := hex.EncodeToString(issuerOf(b.pki.vendor))
	plain := "serial-number\nA1\nA2\nA3\n"
	three := []Row{row(2, "A1"), row(3, "A2"), row(4, "A3")}
	good := func(name, about, content string, rows ...Row) {
		b.good([]byte(content), listCase(name+".csv", about, rows...))
	}
	good("plain", "one column", plain, three...)
	good("crlf", "lines that end in CRLF", strings.ReplaceAll(plain, "\n", "\r\n"), three...)
	good("bom", "a byte order mark before the header", "\ufeff"+plain, three...)
	good("no-last-line-end", "the last line has no end", strings.TrimSuffix(plain, "\n"), three...)
	good("empty-lines", "empty lines between rows", "serial-number\n\nA1\n\n\nA2\n", row(3, "A1"), row(6, "A2"))
	good("header-alone", "no device", "serial-number\n")
	good("quotes", "quoted values, with a quote, a comma and a doubled quote", "serial-number,expires-on\n\"A\"\"1\",10y\n\"A,2\",\n", Row{Line: 2, Serial: `A"1`, ExpiresOn: "10y"}, row(3, "A,2"))
	good("semicolons", "semicolons between columns", "serial-number;expires-on\nA1;never\n", Row{Line: 2, Serial: "A1", ExpiresOn: "never"})
	good("tabs", "tabs between columns", "serial-number\texpires-on\nA1\t2031-12-31\n", Row{Line: 2, Serial: "A1", ExpiresOn: "2031-12-31"})
	good("columns", "all columns, in another order", "expires-on,pinned-domain-cert,idevid-issuer,serial-number\n2031-12-31T00:00:00Z,acme,"+issuer+",A1\n,,,A2\n",
		Row{Line: 2, Serial: "A1", Issuer: issuer, Pin: "acme", ExpiresOn: "2031-12-31T00:00:00Z"}, row(3, "A2"))
	good("issuer-forms", "idevid-issuer in its three forms", "serial-number,idevid-issuer\nA1,"+issuer+"\nA2,"+issuer[4:]+"\nA3,"+issuer[12:]+"\n",
		Row{Line: 2, Serial: "A1", Issuer: issuer}, Row{Line: 3, Serial: "A2", Issuer: issuer}, Row{Line: 4, Serial: "A3", Issuer: issuer})
	good("utf8", "serial numbers beyond ASCII", "serial-number\nGröße 7\n№1\n", row(2, "Größe 7"), row(3, "№1"))
	good("serial-64", "the longest serial number there is by default", "serial-number\n"+strings.Repeat("7", 64)+"\n", row(2, strings.Repeat("7", 64)))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(plain))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // writing to memory
	}
	b.good(packed.Bytes(), listCase("plain.csv.gz", "compressed by gzip", three...))
	b.bad(packed.Bytes()[:packed.Len()-4], "list", "", listCase("bad-truncated.csv.gz", "gzip without its last octets", three...))
}

func (b *builder) csvRefused() {
	long := strings.Repeat("7", 65)
	some := func(name, about, content string, rows ...Row) {
		b.good([]byte(content), listCase("rows-"+name+".csv", about, rows...))
	}
	some("values", "rows that cannot be used between rows that can",
		"serial-number,expires-on\nA1,\n,\nA\x07,\n"+long+",\n A2,\nA\xff,\nA3,10y\n",
		row(2, "A1"), refused(3, "serial-number"), refused(4, "serial-number"), refused(5, "serial-number"), refused(6, "serial-number"), refused(7, "serial-number"), Row{Line: 8, Serial: "A3", ExpiresOn: "10y"})
	some("expiries", "an expires-on that is no time, and one whose day there is not: that shows when it is put to use", "serial-number,expires-on\nA1,soon\nA2,2026-02-30\nA3,never\n",
		refused(2, "expires-on"), Row{Line: 3, Serial: "A2", ExpiresOn: "2026-02-30"}, Row{Line: 4, Serial: "A3", ExpiresOn: "never"})
	some("issuers", "an idevid-issuer that is none", "serial-number,idevid-issuer\nA1,zz\nA2,0405\nA3,\n",
		refused(2, "idevid-issuer"), refused(3, "idevid-issuer"), row(4, "A3"))
	some("fields", "rows of too many and too few fields", "serial-number,expires-on\nA1\nA2,,\nA3,\n", refused(2, "row"), refused(3, "row"), row(4, "A3"))
	some("quotes", "quotes that break RFC 4180", "serial-number\nA\"1\n\"A2\"x\nA3\n", refused(2, "row"), refused(3, "row"), row(4, "A3"))
	some("open-quote", "a quote that is never closed costs one line", "serial-number\n\"A1\nA2\n", refused(2, "row"), row(3, "A2"))
	for _, c := range []struct{ name, about, content string }{
		{"empty", "no octets", ""},
		{"unknown-column", "a column that is not known", "serial-number,colour\nA1,red\n"},
		{"no-serial", "no column for the serial number", "expires-on\nnever\n"},
		{"column-twice", "a column twice", "serial-number,serial-number\nA1,A2\n"},
		{"no-header", "no header", "A1\nA2\n"},
	} {
		b.bad([]byte(c.content), "list", "", listCase("bad-"+c.name+".csv", c.about))
	}
}

func (b *builder) ndjsonLists() {
	issuer := hex.EncodeToString(issuerOf(b.pki.vendor))
	b.good([]byte(`{"serial-number":"A1"}`+"\n\n"+`{ "expires-on" : null, "serial-number" : "A2" }`+"\r\n"+`{"serial-number":"A\u00e9\ud83d\ude00","idevid-issuer":"`+issuer+`","pinned-domain-cert":"acme","expires-on":"10y"}`),
		listCase("plain.ndjson", "objects, one a line", row(1, "A1"), row(3, "A2"), Row{Line: 4, Serial: "Aé😀", Issuer: issuer, Pin: "acme", ExpiresOn: "10y"}))
	text := strings.Join([]string{`{"serial-number":"A1"}`, `{"serial-number":7}`, `{"serial-number":"A2"`, `{"serial-number":"A3","serial-number":"A4"}`,
		`{"serial-number":"A5","colour":"red"}`, `{"expires-on":"10y"}`, `["A6"]`, `{"serial-number":"A7"}{}`, `{"serial-number":"A\ud83d"}`, `{"serial-number":["A8"]}`, `{"serial-number":"A9"}`, ""}, "\n")
	b.good([]byte(text), listCase("rows.ndjson", "lines that cannot be used between lines that can",
		row(1, "A1"), refused(2, "serial-number"), refused(3, "row"), refused(4, "serial-number"), refused(5, "row"), refused(6, "serial-number"),
		refused(7, "row"), refused(8, "row"), refused(9, "serial-number"), refused(10, "serial-number"), row(11, "A9")))
}

func (b *builder) cborLists() {
	device := func(items ...[]byte) []byte { return cborMap(items...) }
	name := cborText("serial-number")
	issuer := issuerOf(b.pki.vendor)
	one, two := device(name, cborText("A1")), device(name, cborText("A2"), cborText("idevid-issuer"), cborBytes(issuer))
	b.good(append(bytes.Clone(one), two...), listCase("plain.cborseq", "maps, one behind the other", row(1, "A1"), Row{Line: 2, Serial: "A2", Issuer: hex.EncodeToString(issuer)}))
	broken := join(nil, one, device(name, cborUint(7)), device(name, cborText("A2"), name, cborText("A3")), device(cborText("colour"), cborText("red"), name, cborText("A4")), device(name, cborText("A5")))
	b.good(broken, listCase("rows.cborseq", "items that cannot be used between items that can",
		row(1, "A1"), refused(2, "serial-number"), refused(3, "serial-number"), refused(4, "row"), row(5, "A5")))
	b.bad(append(bytes.Clone(one), two[:len(two)-1]...), "list", "", listCase("bad-truncated.cborseq", "the last octet is missing", row(1, "A1")))
	b.bad(append(bytes.Clone(one), 0xff), "list", "", listCase("bad-break.cborseq", "a break between items", row(1, "A1")))
}

func (b *builder) certificateLists() {
	p := b.pki
	issuer := hex.EncodeToString(issuerOf(p.vendor))
	pledge, ca := p.pledge.chain[0], p.owner.chain[0]
	b.good(chainPEM(pledge, pledge), listCase("idevids.pem", "a bundle of IDevID certificates", Row{Line: 1, Serial: serial, Issuer: issuer}, Row{Line: 2, Serial: serial, Issuer: issuer}))
	b.good(append(bytes.Clone(pledge), pledge...), listCase("idevids.der", "IDevID certificates, one behind the other", Row{Line: 1, Serial: serial, Issuer: issuer}, Row{Line: 2, Serial: serial, Issuer: issuer}))
	b.good(chainPEM(ca, pledge), listCase("rows.pem", "a certificate without a serial number", refused(1, "row"), Row{Line: 2, Serial: serial, Issuer: issuer}))
	b.good(chainPEM(b.files["idevid/serial-twice.der"], pledge), listCase("rows-serial-twice.pem", "a certificate with two serial numbers", refused(1, "row"), Row{Line: 2, Serial: serial, Issuer: issuer}))
	alone := b.files["idevid/self-signed.der"]
	b.good(alone, listCase("self-signed.der", "a certificate without an authority key identifier: the SHA-1 of its own key stands for its issuer",
		Row{Line: 1, Serial: serial, Issuer: hex.EncodeToString(issuerOfKey(keyIDOf(alone)))}))
	b.bad(append(bytes.Clone(pledge), pledge[:100]...), "list", "", listCase("bad-truncated.der", "the second certificate is cut off", Row{Line: 1, Serial: serial, Issuer: issuer}))
}
