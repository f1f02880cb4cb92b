package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullVoucher has every leaf of a voucher.
func fullVoucher() Voucher {
	return Voucher{
		Assertion: AssertionVerified, CreatedOn: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ExpiresOn: time.Date(2036, 1, 2, 3, 4, 5, 120_000_000, time.UTC), LastRenewalDate: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
		DomainCertRevocationChecks: BoolFalse, SerialNumber: []byte("SN \"é\\\u2028"), IDevIDIssuer: IssuerFromKeyID(bytes.Repeat([]byte{7}, 20)),
		PinnedDomainCert: bytes.Repeat([]byte{0x30, 0xff, 0xfe}, 200), PinnedDomainPubk: []byte{0x30, 1, 2}, PinnedDomainPubkSHA256: make([]byte, 32),
		Nonce: []byte("0123456789abcdef"), EstDomain: []byte("https://est.example"), AdditionalConfigurationURL: []byte("https://conf.example/?a=1&b=<2>"),
		Extensions: []Extension{{SID: 2600}, {Name: []byte("example.com:module")}}, ManufacturerProprietary: []byte{0xfb, 0xff, 0xfe, 1},
	}
}

// fullRequest has every leaf of a voucher-request.
func fullRequest() VoucherRequest {
	return VoucherRequest{
		Voucher: fullVoucher(), PriorSignedVoucherRequest: []byte("prior"), ProximityRegistrarCert: []byte("cert"), ProximityRegistrarPubk: []byte("pubk"),
		ProximityRegistrarPubkSHA256: bytes.Repeat([]byte{9}, 32), AgentProvidedProximityRegistrarCert: []byte("agent"), AgentSignedData: []byte("data"),
		AgentSignCert: [][]byte{[]byte("ee"), []byte("ca")},
	}
}

func TestEveryLeafSurvivesARoundTrip(t *testing.T) {
	var d PayloadDecoder
	v, r := fullVoucher(), fullRequest()
	for _, enc := range []Encoding{EncodingJSON, EncodingCBOR} {
		var v2 Voucher
		var r2 VoucherRequest
		var vb, rb []byte
		var err1, err2, err3, err4 error
		if enc == EncodingJSON {
			vb, err1 = AppendVoucherJSON(nil, &v)
			rb, err2 = AppendRequestJSON(nil, &r)
			if !json.Valid(vb) || !json.Valid(rb) {
				t.Error("encoding/json refuses what we wrote")
			}
			err3 = d.VoucherJSON(vb, &v2)
			v2.NonceText, v2.Extensions = nil, append([]Extension(nil), v2.Extensions...)
			var d2 PayloadDecoder
			err4 = d2.RequestJSON(rb, &r2)
			r2.NonceText = nil
		} else {
			vb, err1 = AppendVoucherCBOR(nil, &v)
			rb, err2 = AppendRequestCBOR(nil, &r)
			var d2, d3 PayloadDecoder
			err3, err4 = d2.VoucherCBOR(vb, &v2), d3.RequestCBOR(rb, &r2)
		}
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatalf("%v: %v", enc, err)
		}
		if enc == EncodingJSON { // the decoder's arena was not reused meanwhile
			if err := d.VoucherJSON(vb, &v2); err != nil {
				t.Fatal(err)
			}
			v2.NonceText = nil
		}
		if !reflect.DeepEqual(v, v2) {
			t.Errorf("%v voucher: got %+v, want %+v", enc, v2, v)
		}
		if !reflect.DeepEqual(r, r2) {
			t.Errorf("%v request: got %+v, want %+v", enc, r2, r)
		}
	}
}

func TestJSONMembersComeInTheFixedOrder(t *testing.T) {
	v := Voucher{SerialNumber: []byte("S1"), Nonce: []byte("12345678"), CreatedOn: time.Unix(0, 0), Assertion: AssertionLogged, PinnedDomainCert: []byte{1},
		IDevIDIssuer: []byte{2}, Unknown: []UnknownLeaf{{Encoding: EncodingJSON, Name: []byte("x"), Value: []byte("[1]")}}}
	got, err := AppendVoucherJSON([]byte("pre"), &v)
	want := `pre{"ietf-voucher:voucher":{"created-on":"1970-01-01T00:00:00Z","assertion":"logged","x":[1],"pinned-domain-cert":"AQ==","idevid-issuer":"Ag==","nonce":"MTIzNDU2Nzg=","serial-number":"S1"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestJSONIsReadAsEncodingJSONReadsIt(t *testing.T) {
	texts := []string{`"a"`, `"\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\"`, `"\ufffd"`, `"\uFFFD"`, "\"\u2028é\"", `""`, `"\u0000"`}
	for _, text := range texts {
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		var v Voucher
		var d PayloadDecoder
		if err := d.VoucherJSON([]byte(" {\r\n\t\"ietf-voucher:voucher\" : { \"serial\\u002dnumber\" : "+text+" } } "), &v); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if string(v.SerialNumber) != want || v.SerialNumber == nil {
			t.Errorf("%s: got %q, want %q", text, v.SerialNumber, want)
		}
	}
	for _, value := range []string{`1`, `-0`, `01`, `1.`, `1.5e+7`, `1e`, `-`, `tru`, `null`, `[1,]`, `[,1]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `"\x"`, "\"\n\"", `[1 2]`,
		`{"a":{"b":[{},[],"",true,false]}}`, `"\u12"`, `+1`, `.5`, `NaN`} {
		var v Voucher
		d := PayloadDecoder{Unknown: KeepUnknown}
		err := d.VoucherJSON([]byte(`{"ietf-voucher:voucher":{"x":`+value+`}}`), &v)
		if (err == nil) != json.Valid([]byte(value)) {
			t.Errorf("%s: %v, encoding/json says valid=%v", value, err, json.Valid([]byte(value)))
		}
	}
}

func TestBadJSONIsRefusedWithItsCause(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"duplicate leaf", `"nonce":"AAAAAAAAAAA=","nonce":"AAAAAAAAAAA="`, ErrDuplicate},
		{"duplicate by alias", `"manufacturer-private":"AA","manufacturer-proprietary":"AA"`, ErrDuplicate},
		{"duplicate by escape", `"x":1,"\u0078":2`, ErrDuplicate},
		{"duplicate deep", `"x":[{"y":{"z":1,"z":2}}]`, ErrDuplicate},
		{"too deep", `"x":` + deep(15), new(LimitError)},
		{"far too deep", `"x":` + strings.Repeat("[", 60000), new(LimitError)},
		{"bad UTF-8", "\"serial-number\":\"\xff\"", ErrSyntax},
		{"overlong UTF-8", "\"serial-number\":\"\xc0\xaf\"", ErrSyntax},
		{"lone surrogate", `"serial-number":"\ud800"`, ErrSyntax},
		{"bad pair", `"serial-number":"\ud800\u0041"`, ErrSyntax},
		{"raw control", "\"serial-number\":\"a\x01\"", ErrSyntax},
		{"number for text", `"serial-number":1`, ErrType},
		{"null", `"nonce":null`, ErrType},
		{"base64url pin", `"pinned-domain-cert":"-_8="`, ErrValue},
		{"unpadded pin", `"pinned-domain-cert":"AA"`, ErrValue},
		{"broken lines in pin", `"pinned-domain-cert":"AA\nAA"`, ErrValue},
		{"raw line break in pin", "\"pinned-domain-cert\":\"AAAA\nAAAA\"", ErrValue},
		{"stray bits in pin", `"pinned-domain-cert":"AB=="`, ErrValue},
		{"nonce not base64", `"nonce":"!!!!"`, ErrValue},
		{"assertion", `"assertion":"Logged"`, ErrValue},
		{"boolean text", `"domain-cert-revocation-checks":"yes"`, ErrValue},
		{"date", `"created-on":"2026-01-01"`, ErrValue},
		{"request leaf in voucher", `"proximity-registrar-cert":"AA=="`, nil},
		{"extensions", `"extensions":[1]`, ErrType},
	} {
		d := PayloadDecoder{Unknown: KeepUnknown}
		err := d.VoucherJSON([]byte(`{"ietf-voucher:voucher":{`+c.body+`}}`), new(Voucher))
		if !sameError(err, c.want) {
			t.Errorf("%s: got %v, want %T %v", c.name, err, c.want, c.want)
		}
	}
	for body, want := range map[string]error{
		``: ErrTruncated, `[]`: ErrSyntax, `{}`: ErrSyntax, "\ufeff{}": ErrSyntax,
		`{"ietf-voucher-request:voucher":{}}`:                     new(TopLevelError),
		`{"voucher":{}}`:                                          new(TopLevelError),
		`{"ietf-voucher:voucher":[]}`:                             ErrType,
		`{"ietf-voucher:voucher":{}} x`:                           ErrTrailing,
		`{"ietf-voucher:voucher":{},"y":1}`:                       ErrValue,
		`{"ietf-voucher:voucher":{"x":1}}`:                        new(UnknownLeafError),
		`{"ietf-voucher:voucher":{"` + strings.Repeat("x", 70000): new(LimitError),
	} {
		var d PayloadDecoder
		if err := d.VoucherJSON([]byte(body), new(Voucher)); !sameError(err, want) {
			t.Errorf("%.60s: got %v, want %T %v", body, err, want, want)
		}
	}
}

func TestTruncationAtEveryOctetIsRefused(t *testing.T) {
	v := fullVoucher()
	v.Unknown = []UnknownLeaf{{Encoding: EncodingJSON, Name: []byte("x"), Value: []byte(`{"a":[1,"\u00e9"]}`)}}
	js, err := AppendVoucherJSON(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	v.Unknown = []UnknownLeaf{{Encoding: EncodingCBOR, SID: 60000, Absolute: true, Value: []byte{0xa1, 1, 0x9f, 1, 0xff}}}
	cb, err := AppendVoucherCBOR(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	d := PayloadDecoder{Unknown: KeepUnknown}
	for i := range js {
		if err := d.VoucherJSON(js[:i], &v); !errors.Is(err, ErrSyntax) {
			t.Fatalf("JSON cut at %d: %v", i, err)
		}
	}
	for i := range cb {
		if err := d.VoucherCBOR(cb[:i], &v); !errors.Is(err, ErrTruncated) {
			t.Fatalf("CBOR cut at %d: %v", i, err)
		}
	}
}

func TestNonceTextIsKeptVerbatim(t *testing.T) {
	for _, text := range []string{"-_XE9zK9q8Ll1qylMtLKeg", "62a2e7693d82fcda2624de58fb6722e5", "TauvK+Y/cc2RfIFvpZzfKQ==", "-_XE9zK9q8Ll1qylMtLKeg=="} {
		var v Voucher
		var d PayloadDecoder
		if err := d.VoucherJSON([]byte(`{"ietf-voucher:voucher":{"nonce":"`+text+`","serial-number":"S","pinned-domain-cert":"AA=="}}`), &v); err != nil {
			t.Fatal(err)
		}
		want, _ := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(text))
		if !bytes.Equal(v.Nonce, want) || v.Validate(Rules{}) != nil {
			t.Errorf("%s: octets %x, want %x; %v", text, v.Nonce, want, v.Validate(Rules{}))
		}
		if out, err := AppendVoucherJSON(nil, &v); err != nil || !bytes.Contains(out, []byte(`"nonce":"`+text+`"`)) {
			t.Errorf("%s comes back as %s, %v", text, out, err)
		}
	}
}

func TestUnknownLeavesComeBackInTheSameEncodingOnly(t *testing.T) {
	in := `{"ietf-voucher:voucher":{"x y":{"b":[1,2.5e3,null]},"extension:example.com":{"q":"\u00e9"},"serial-number":"S"}}`
	d := PayloadDecoder{Unknown: KeepUnknown}
	var v Voucher
	if err := d.VoucherJSON([]byte(in), &v); err != nil {
		t.Fatal(err)
	}
	if out, err := AppendVoucherJSON(nil, &v); err != nil || string(out) != in {
		t.Errorf("got %s, %v", out, err)
	}
	var refused *EncodeError
	if _, err := AppendVoucherCBOR(nil, &v); !errors.As(err, &refused) {
		t.Errorf("JSON leaf written as CBOR: %v", err)
	}
	for _, u := range []UnknownLeaf{
		{Encoding: EncodingJSON, Name: []byte("nonce"), Value: []byte("1")},
		{Encoding: EncodingJSON, Name: []byte("x"), Value: []byte("{")},
		{Encoding: EncodingJSON, Value: []byte("1")},
		{Encoding: EncodingJSON, Name: []byte("\xff"), Value: []byte("1")},
	} {
		if _, err := AppendVoucherJSON(nil, &Voucher{Unknown: []UnknownLeaf{u}}); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", u, err)
		}
	}
}
