package kit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// lines cuts text into lines of n letters.
func lines(text string, n int) string {
	var out strings.Builder
	for len(text) > n {
		out.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return out.String() + text + "\n"
}

// wrappedCases adds vouchers in the text forms that tools and mails make of
// them. No protocol asks for one; whoever reads files may unwrap them.
func (b *builder) wrappedCases() {
	p := b.pki
	v := p.voucher()
	cms, jws := newCMS(p.masa, v.json(topVoucher)).encode(), newJWS(p.masa, v.json(topVoucher)).encode()
	cose := newCOSE(p.masa, v.voucherCBOR()).encode()
	wrapped := func(name, format, about string, oddity string, content []byte) {
		c := Case{File: "wrapped/" + name, Kind: KindVoucher, About: about, Format: format, Encoding: "json"}
		if format == "cose" {
			c.Encoding = "cbor"
		}
		b.good(content, c.says(v, oddity))
	}
	wrapped("cms.pem", "cms", "PEM with the label CMS", "pem", pemBlock("CMS", cms))
	wrapped("pkcs7.pem", "cms", "PEM with the label PKCS7", "pem", pemBlock("PKCS7", cms))
	wrapped("cms.b64", "cms", "base64 in lines of 64", "base64", []byte(lines(base64.StdEncoding.EncodeToString(cms), 64)))
	wrapped("cms-crlf.b64", "cms", "base64 in lines that end in CRLF", "base64", []byte(strings.ReplaceAll(lines(base64.StdEncoding.EncodeToString(cms), 64), "\n", "\r\n")))
	wrapped("cms-url.b64", "cms", "base64url without padding", "base64", []byte(base64.RawURLEncoding.EncodeToString(cms)))
	wrapped("jws.b64", "jws", "base64 of a JWS", "base64", []byte(base64.StdEncoding.EncodeToString(jws)))
	wrapped("cose.hex", "cose", "hexadecimal digits in lines", "hex", []byte(lines(hex.EncodeToString(cose), 64)))
	wrapped("cose-upper.hex", "cose", "capital hexadecimal digits", "hex", []byte(strings.ToUpper(hex.EncodeToString(cose))))
	wrapped("cose.b64", "cose", "base64 of a COSE_Sign1", "base64", []byte(base64.StdEncoding.EncodeToString(cose)))
	bad := func(name, format, about, reason string, content []byte) {
		b.bad(content, "envelope", reason, Case{File: "wrapped/" + name, Kind: KindVoucher, About: about, Format: format})
	}
	block := pemBlock("CMS", cms)
	bad("bad-end.pem", "cms", "PEM whose end is missing", "malformed", block[:len(block)-30])
	bad("bad-two.pem", "cms", "two PEM blocks", "trailing-octets", append(bytes.Clone(block), block...))
	bad("bad-letter.b64", "cms", "a letter within that is not of base64", "malformed", []byte(base64.StdEncoding.EncodeToString(cms[:600])+"!"+base64.StdEncoding.EncodeToString(cms[600:])))
	bad("bad-odd.hex", "cose", "an odd number of hexadecimal digits", "malformed", []byte(hex.EncodeToString(cose)+"0"))
	bad("bad-twice.b64", "cms", "base64 of base64", "unrecognised", []byte(base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(cms)))))
}
