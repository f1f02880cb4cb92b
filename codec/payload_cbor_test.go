package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCBORWeWriteIsCoreDeterministicToFxamacker(t *testing.T) {
	r := fullRequest()
	r.Unknown = []UnknownLeaf{{Encoding: EncodingCBOR, Name: []byte("zz"), Value: []byte{1}}, {Encoding: EncodingCBOR, SID: 60000, Absolute: true, Value: []byte{0xa0}},
		{Encoding: EncodingCBOR, SID: 2531, Value: []byte{0x81, 2}}, {Encoding: EncodingCBOR, SID: 2400, Value: []byte{0xf6}}, {Encoding: EncodingCBOR, Name: []byte("a"), Value: []byte{3}}}
	b, err := AppendRequestCBOR(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[uint64]map[any]any
	if err := cbor.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := mode.Marshal(tree)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("fxamacker writes %x, %v\nwe write %x", again, err, b)
	}
	d := PayloadDecoder{Unknown: KeepUnknown}
	var r2 VoucherRequest
	if err := d.RequestCBOR(b, &r2); err != nil || len(r2.Unknown) != 5 {
		t.Fatalf("%v, %d unknown leaves", err, len(r2.Unknown))
	}
	if c, err := AppendRequestCBOR(nil, &r2); err != nil || !bytes.Equal(c, b) {
		t.Errorf("round trip %x, %v", c, err)
	}
}

func TestCBORKeysNameALeafInEveryLegalWay(t *testing.T) {
	const serial = "625331"                                 // "S1"
	name := hex.EncodeToString([]byte("\x6dserial-number")) // text key
	top := "74" + hex.EncodeToString([]byte(nameVoucher))
	for how, in := range map[string]string{
		"delta":                  "a1190993a10b" + serial,
		"delta in long form":     "a1190993a119000b" + serial,
		"absolute":               "a1190993a1d82f19099e" + serial,
		"name":                   "a1190993a1" + name + serial,
		"SID absolute under top": "a1" + top + "a119099e" + serial,
		"name under name":        "a1" + top + "a1" + name + serial,
		"tagged top":             "a1d82f190993a10b" + serial,
		"indefinite":             "bf190993bf0b7f61536131ffffff",
	} {
		var d PayloadDecoder
		var v Voucher
		if err := d.VoucherCBOR(fromHex(t, in), &v); err != nil || string(v.SerialNumber) != "S1" {
			t.Errorf("%s: %v, serial %q", how, err, v.SerialNumber)
		}
	}
}

func TestBadCBORIsRefusedWithItsCause(t *testing.T) {
	name := hex.EncodeToString([]byte("\x6dserial-number"))
	qualified := "78" + "1a" + hex.EncodeToString([]byte("ietf-voucher:serial-number"))
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"empty", "", ErrTruncated},
		{"not a map", "80", ErrType},
		{"two artefacts", "a2190993a0", ErrValue},
		{"none", "a0", ErrValue},
		{"none, indefinite", "bfff", ErrValue},
		{"two artefacts, indefinite", "bf190993a01909c5a0ff", ErrValue},
		{"trailing", "a1190993a000", ErrTrailing},
		{"request", "a11909c5a0", new(TopLevelError)},
		{"other SID", "a11901a0a0", new(TopLevelError)},
		{"leaf by delta and absolute", "a1190993a20b6161d82f19099e6161", ErrDuplicate},
		{"leaf by delta and name", "a1190993a20b6161" + name + "6161", ErrDuplicate},
		{"leaf by name and qualified name", "a1190993a2" + name + "6161" + qualified + "6161", ErrDuplicate},
		{"unknown by delta and absolute", "a1190993a2182801d82f1909bb01", ErrDuplicate},
		{"duplicate deep", "a1190993a1182881a201020102", ErrDuplicate},
		{"container itself", "a1190993a10001", ErrValue},
		{"negative below zero", "a1190993a13a7fffffff01", ErrValue},
		{"SID overflow", "a1190993a11bffffffffffffffff01", ErrValue},
		{"array key", "a1190993a18001", ErrType},
		{"tagged date", "a1190993a102c074323032362d30312d30315430303a30303a30305a", ErrType},
		{"bytes for text", "a1190993a10b4161", ErrType},
		{"text for bytes", "a1190993a1076161", ErrType},
		{"null for a boolean", "a1190993a103f6", ErrType},
		{"boolean in two octets", "a1190993a103f815", ErrSyntax},
		{"bad UTF-8", "a1190993a10b61ff", ErrSyntax},
		{"mixed chunks", "a1190993a10b7f4161ff", ErrSyntax},
		{"nested chunks", "a1190993a10b7f7f6161ffff", ErrSyntax},
		{"stray break", "a1190993a10bff", ErrSyntax},
		{"reserved", "a1190993a10b1c", ErrSyntax},
		{"huge string", "a1190993a10b7bffffffffffffffff", ErrTruncated},
		{"huge map", "a1190993bbffffffffffffffff0b6161", ErrTruncated},
		{"too deep", "a1190993a11828" + "8181818181818181818181818181818180", new(LimitError)},
		{"tags too deep", "a1190993a11828" + "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c100", new(LimitError)},
	} {
		d := PayloadDecoder{Unknown: KeepUnknown}
		if err := d.VoucherCBOR(fromHex(t, c.in), new(Voucher)); !sameError(err, c.want) {
			t.Errorf("%s: got %v, want %T %v", c.name, err, c.want, c.want)
		}
	}
}

func TestDatesFollowRFC3339(t *testing.T) {
	for in, want := range map[string]string{
		"2021-04-13T17:43:23.747-04:00":             "2021-04-13T21:43:23.747Z",
		"2021-04-13T21:43:23-00:00":                 "2021-04-13T21:43:23Z",
		"2016-12-31T23:59:60Z":                      "2017-01-01T00:00:00Z",
		"1990-12-31T15:59:60-08:00":                 "1991-01-01T00:00:00Z",
		"2020-02-29T00:00:00.1234567899Z":           "2020-02-29T00:00:00.123456789Z",
		"9999-12-31T23:59:59Z":                      "9999-12-31T23:59:59Z",
		"0000-01-01T00:00:00Z":                      "0000-01-01T00:00:00Z",
		"2026-01-01T00:00:00.000000000000000+23:59": "2025-12-31T00:01:00Z",
	} {
		got, ok := parseDate([]byte(in))
		if out, err := appendDate(nil, "created-on", got); !ok || err != nil || string(out) != want {
			t.Errorf("%s: %s, %v, %v, want %s", in, out, ok, err, want)
		}
	}
	for _, in := range []string{"", "2026-01-01T00:00:00", "2026-01-01t00:00:00Z", "2026-01-01T00:00:00z", "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T12:00:60Z", "2016-12-30T23:59:60Z", "2026-01-01T00:00:61Z",
		"2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00Zx", "9999-12-31T23:59:59-00:01",
		"0000-01-01T00:00:00+00:01", "0001-01-01T00:00:00Z", "+026-01-01T00:00:00Z", "2026-01-01T00:00:00,5Z"} {
		if got, ok := parseDate([]byte(in)); ok {
			t.Errorf("%q is read as %v", in, got)
		}
	}
	if _, err := AppendVoucherJSON(nil, &Voucher{CreatedOn: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("year 10000 is written")
	}
}

func TestRulesNameLeafAndSource(t *testing.T) {
	good := func() Voucher {
		return Voucher{SerialNumber: []byte("S1"), PinnedDomainPubk: []byte{0x30}, Assertion: AssertionLogged,
			CreatedOn: time.Unix(1e9, 0), ExpiresOn: time.Unix(2e9, 0)}
	}
	for _, c := range []struct {
		name, leaf string
		lenientToo bool
		change     func(*Voucher)
	}{
		{"good", "", true, func(v *Voucher) {}},
		{"no serial", "serial-number", true, func(v *Voucher) { v.SerialNumber = nil }},
		{"empty serial", "serial-number", true, func(v *Voucher) { v.SerialNumber = []byte{} }},
		{"renewal without expiry", "last-renewal-date", true, func(v *Voucher) { v.ExpiresOn, v.LastRenewalDate, v.Nonce = time.Time{}, v.ExpiresOn, make([]byte, 8) }},
		{"short nonce", "nonce", true, func(v *Voucher) { v.Nonce = make([]byte, 7) }},
		{"long nonce", "nonce", true, func(v *Voucher) { v.Nonce = make([]byte, 33) }},
		{"nonce text of another nonce", "nonce", true, func(v *Voucher) { v.Nonce, v.NonceText = make([]byte, 8), []byte("AQAAAAAAAAA=") }},
		{"no pin", "pinned-domain-cert", true, func(v *Voucher) { v.PinnedDomainPubk = nil }},
		{"empty pin", "pinned-domain-cert", true, func(v *Voucher) { v.PinnedDomainCert = []byte{} }},
		{"short hash", "pinned-domain-pubk-sha256", true, func(v *Voucher) { v.PinnedDomainPubkSHA256 = make([]byte, 31) }},
		{"assertion", "assertion", true, func(v *Voucher) { v.Assertion = 9 }},
		{"nonce and expiry", "expires-on", false, func(v *Voucher) { v.Nonce = make([]byte, 16) }},
		{"neither", "expires-on", false, func(v *Voucher) { v.ExpiresOn = time.Time{} }},
		{"no date", "created-on", false, func(v *Voucher) { v.CreatedOn = time.Time{} }},
		{"no assertion", "assertion", false, func(v *Voucher) { v.Assertion = AssertionUnset }},
		{"expired at birth", "expires-on", false, func(v *Voucher) { v.ExpiresOn = time.Unix(1, 0) }},
	} {
		for _, strict := range []bool{true, false} {
			v := good()
			c.change(&v)
			var rule *RuleError
			err := v.Validate(Rules{Strict: strict})
			want := c.leaf != "" && (strict || c.lenientToo)
			if errors.As(err, &rule) != want || want && (rule.Leaf != c.leaf || rule.Source == "") {
				t.Errorf("%s, strict=%v: %v, want leaf %q", c.name, strict, err, c.leaf)
			}
		}
	}
	everlasting := good()
	everlasting.ExpiresOn = time.Time{}
	if err := everlasting.Validate(Rules{Strict: true, AllowNeverExpires: true}); err != nil {
		t.Errorf("allowed: %v", err)
	}
	q := VoucherRequest{Voucher: good(), PriorSignedVoucherRequest: []byte{1}, ProximityRegistrarCert: []byte{1}}
	q.PinnedDomainPubk = nil
	if q.Validate(Rules{}) != nil || q.Validate(Rules{Strict: true}) == nil {
		t.Errorf("proximity beside prior request: lenient %v, strict %v", q.Validate(Rules{}), q.Validate(Rules{Strict: true}))
	}
}

func TestSerialsAreBoundedPrintableUTF8(t *testing.T) {
	for _, good := range []string{"1", "PID:C9500-16X SN:FCW2117A56M", "é", "\u00a1\u0100", string(bytes.Repeat([]byte("x"), 64))} {
		if err := CheckSerial([]byte(good), 0); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " a", "a ", "a\u00a0", "a\x00", "a\x7f", "\u0085a", "a\u009fb", "\xff", "\xc2", string(bytes.Repeat([]byte("x"), 65))} {
		if CheckSerial([]byte(bad), 0) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if err := CheckSerial(bytes.Repeat([]byte("x"), 1024), 1024); err != nil {
		t.Error(err)
	}
}
