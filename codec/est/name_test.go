package est_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

func TestTextIsReadWhateverTheStringType(t *testing.T) {
	for _, c := range []struct {
		tag  byte
		in   string // hexadecimal
		want string
		ok   bool
	}{
		{est.TagUTF8String, "54c3bc72", "Tür", true},
		{est.TagUTF8String, "54fc72", "", false},
		{est.TagPrintableString, "54 5f 72", "T_r", true},
		{est.TagPrintableString, "54fc72", "", false},
		{est.TagIA5String, "40", "@", true},
		{est.TagNumericString, "31", "1", true},
		{est.TagVisibleString, "41", "A", true},
		{est.TagT61String, "54fc72", "Tür", true},
		{est.TagBMPString, "005400fc0072", "Tür", true},
		{est.TagBMPString, "0054fc", "", false},
		{est.TagBMPString, "d83dde00", "", false}, // a pair of surrogates: BMPString has none
		{est.TagUniversalString, "0001f600", "😀", true},
		{est.TagUniversalString, "7fffffff", "", false},
		{est.TagUniversalString, "ffffffff", "", false},
		{4, "41", "", false},
		{0x30, "", "", false},
	} {
		a := est.NameAttribute{Tag: c.tag, Value: unhex(c.in)}
		got, ok := a.Text()
		if ok != c.ok || ok && got != c.want {
			t.Errorf("tag %#x, %s: %q, %v", c.tag, c.in, got, ok)
		}
	}
}

func TestNamesAreTheSameByTextNotByStringType(t *testing.T) {
	utf8 := func(id, text string) []byte { return seq(oid(t, id), tlv(0x0c, []byte(text))) }
	printable := func(id, text string) []byte { return seq(oid(t, id), tlv(0x13, []byte(text))) }
	const o, cn, sn = est.OIDOrganization, est.OIDCommonName, est.OIDSerialNumber
	for _, c := range []struct {
		what string
		a, b []byte
		want bool
	}{
		{"both empty", seq(), seq(), true},
		{"one string type", seq(set(utf8(o, "x"))), seq(set(utf8(o, "x"))), true},
		{"two string types", seq(set(utf8(o, "x")), set(printable(sn, "1"))), seq(set(printable(o, "x")), set(utf8(sn, "1"))), true},
		{"BMPString", seq(set(seq(oid(t, o), tlv(0x1e, []byte{0, 'x'})))), seq(set(printable(o, "x"))), true},
		{"case is not folded", seq(set(utf8(o, "x"))), seq(set(utf8(o, "X"))), false},
		{"space is not folded", seq(set(utf8(o, "a b"))), seq(set(utf8(o, "a  b"))), false},
		{"another type", seq(set(utf8(o, "x"))), seq(set(utf8(cn, "x"))), false},
		{"another order", seq(set(utf8(o, "x")), set(utf8(cn, "y"))), seq(set(utf8(cn, "y")), set(utf8(o, "x"))), false},
		{"one more", seq(set(utf8(o, "x"))), seq(set(utf8(o, "x")), set(utf8(o, "x"))), false},
		{"another grouping", seq(set(utf8(o, "x"), utf8(cn, "y"))), seq(set(utf8(o, "x")), set(utf8(cn, "y"))), false},
		{"the order inside an RDN", seq(set(utf8(o, "x"), utf8(cn, "y"))), seq(set(printable(cn, "y"), utf8(o, "x"))), true},
		{"the same attribute counted twice", seq(set(utf8(o, "x"), utf8(o, "x"))), seq(set(utf8(o, "x"), utf8(o, "y"))), false},
		{"no text, one type", seq(set(seq(oid(t, o), tlv(4, []byte("x"))))), seq(set(seq(oid(t, o), tlv(4, []byte("x"))))), true},
		{"no text, two types", seq(set(seq(oid(t, o), tlv(4, []byte("x"))))), seq(set(utf8(o, "x"))), false},
	} {
		for _, pair := range [][2][]byte{{c.a, c.b}, {c.b, c.a}} {
			got, err := est.SameName(pair[0], pair[1])
			must(t, err)
			if got != c.want {
				t.Errorf("%s: %v", c.what, got)
			}
		}
	}
	for _, bad := range [][]byte{nil, set(), seq(set()), append(seq(), 0)} {
		if _, err := est.SameName(seq(), bad); err == nil {
			t.Errorf("%x is a name", bad)
		}
		if _, err := est.SameName(bad, seq()); err == nil {
			t.Errorf("%x is a name", bad)
		}
	}
	var many [][]byte
	for range 33 {
		many = append(many, set(utf8(o, "x")))
	}
	_, err := est.SameName(seq(many...), seq())
	limited(t, err, "RDNs", 32)
}

func TestNamesAreWrittenInDER(t *testing.T) {
	attrs := []est.NameAttribute{
		{RDN: 0, ID: est.OIDUnit, Tag: est.TagUTF8String, Value: []byte("zz")},
		{RDN: 0, ID: est.OIDCommonName, Tag: est.TagUTF8String, Value: []byte("a")},
		{RDN: 0, ID: est.OIDUnit, Tag: est.TagUTF8String, Value: []byte("b")},
		{RDN: 3, ID: est.OIDSerialNumber, Tag: est.TagPrintableString, Value: []byte("1")},
		{RDN: 4, ID: est.OIDSerialNumber, Tag: 4, Value: []byte("2")},
	}
	got, err := est.AppendName(nil, attrs)
	must(t, err)
	want := seq(
		set(seq(oid(t, "2.5.4.3"), tlv(0x0c, []byte("a"))), seq(oid(t, "2.5.4.11"), tlv(0x0c, []byte("b"))), seq(oid(t, "2.5.4.11"), tlv(0x0c, []byte("zz")))),
		set(seq(oid(t, "2.5.4.5"), tlv(0x13, []byte("1")))), set(seq(oid(t, "2.5.4.5"), tlv(4, []byte("2")))))
	if !bytes.Equal(got, want) {
		t.Errorf("written as\n%x, want\n%x", got, want)
	}
	back, err := est.ParseName(got, est.Limits{})
	must(t, err)
	if !slices.Equal(est.SerialNumbers(back), []string{"1", ""}) {
		t.Errorf("serial numbers %q", est.SerialNumbers(back))
	}
	for _, bad := range [][]est.NameAttribute{
		{{ID: est.OIDUnit}}, {{ID: "x", Tag: 12}}, {{ID: "1", Tag: 12}}, {{ID: "3.1", Tag: 12}}, {{ID: "1.40", Tag: 12}}, {{ID: "1.2.", Tag: 12}}, {{ID: "1.+2", Tag: 12}},
		{{RDN: 1, ID: "1.2", Tag: 12}, {RDN: 0, ID: "1.2", Tag: 12}},
	} {
		var e *est.EncodeError
		if out, err := est.AppendName([]byte("x"), bad); !errors.As(err, &e) || string(out) != "x" {
			t.Errorf("%+v: %q, %v", bad, out, err)
		}
	}
}

func TestObjectIdentifiersAreThoseOfCryptoX509(t *testing.T) {
	for _, dotted := range []string{"0.0", "0.39", "1.0", "1.39.1", "2.0", "2.39", "2.40.127", "2.999.128", "2.5.4.16383", "1.2.16384", "1.3.6.1.4.1.4294967296", "2.9223372036854775727"} {
		attr := []est.NameAttribute{{ID: dotted, Tag: 12}}
		got, err := est.AppendName(nil, attr)
		must(t, err)
		if want := seq(set(seq(oid(t, dotted), tlv(12)))); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", dotted, got, want)
		}
		back, err := est.ParseName(got, est.Limits{})
		must(t, err)
		if back[0].ID != dotted {
			t.Errorf("%s comes back as %s", dotted, back[0].ID)
		}
	}
}
