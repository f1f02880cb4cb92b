package est_test

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

// breaks holds that err is a refusal about the item.
func breaks(t testing.TB, what string, err error, item string) {
	t.Helper()
	var e *est.PolicyError
	switch {
	case item == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case item != "" && (!errors.As(err, &e) || e.Item != item || e.Want == "" || e.Got == ""):
		t.Errorf("%s: %T %v, want a PolicyError about %s", what, err, err, item)
	}
}

// attr is an attribute of a name, in UTF-8; an empty text leaves it open.
func attr(rdn int, id, text string) est.NameAttribute {
	a := est.NameAttribute{RDN: rdn, ID: id}
	if text != "" {
		a.Tag, a.Value = est.TagUTF8String, []byte(text)
	}
	return a
}

func TestSubjectsAreHeldAgainstTheTemplate(t *testing.T) {
	const o, ou, cn, sn = est.OIDOrganization, est.OIDUnit, est.OIDCommonName, est.OIDSerialNumber
	template := []est.NameAttribute{attr(0, o, "Doors"), attr(1, ou, "A"), attr(2, sn, "")}
	printable := est.NameAttribute{RDN: 0, ID: o, Tag: est.TagPrintableString, Value: []byte("Doors")}
	key := newKey(t, elliptic.P256())
	for _, c := range []struct {
		what     string
		template []est.NameAttribute
		subject  []est.NameAttribute
		item     string // what the refusal is about; "" when there is none
	}{
		{"no demand", nil, []est.NameAttribute{attr(0, cn, "x")}, ""},
		{"empty", []est.NameAttribute{}, nil, ""},
		{"not empty", []est.NameAttribute{}, []est.NameAttribute{attr(0, cn, "x")}, "subject"},
		{"as asked", template, []est.NameAttribute{attr(0, o, "Doors"), attr(1, ou, "A"), attr(2, sn, "7")}, ""},
		{"another string type", template, []est.NameAttribute{printable, attr(1, ou, "A"), attr(2, sn, "7")}, ""},
		{"one more of another type", template, []est.NameAttribute{attr(0, o, "Doors"), attr(1, cn, "x"), attr(2, ou, "A"), attr(3, sn, "7")}, ""},
		{"another value", template, []est.NameAttribute{attr(0, o, "doors"), attr(1, ou, "A"), attr(2, sn, "7")}, "subject attribute " + o},
		{"not filled in", template, []est.NameAttribute{attr(0, o, "Doors"), attr(1, ou, "A"), {RDN: 2, ID: sn, Tag: 12}}, "subject attribute " + sn},
		{"one missing", template, []est.NameAttribute{attr(0, o, "Doors"), attr(1, ou, "A")}, "subject attribute " + sn},
		{"another order", template, []est.NameAttribute{attr(0, ou, "A"), attr(1, o, "Doors"), attr(2, sn, "7")}, "subject attribute " + o},
		{"one too many", template, []est.NameAttribute{attr(0, o, "Doors"), attr(1, ou, "A"), attr(2, sn, "7"), attr(3, o, "Windows")}, "subject attribute " + o},
		{"one too many in front", template, []est.NameAttribute{attr(0, sn, "8"), attr(1, o, "Doors"), attr(2, ou, "A"), attr(3, sn, "7")}, "subject attribute " + o},
		{"grouped", template, []est.NameAttribute{attr(0, o, "Doors"), attr(0, ou, "A"), attr(2, sn, "7")}, "subject attribute " + o},
		{"grouped with another type", template, []est.NameAttribute{attr(0, o, "Doors"), attr(0, cn, "x"), attr(1, ou, "A"), attr(2, sn, "7")}, "subject attribute " + o},
		{"group as asked", []est.NameAttribute{attr(0, ou, ""), attr(0, ou, "A")}, []est.NameAttribute{attr(0, ou, "A"), attr(0, ou, "B")}, ""},
		{"group with one value twice", []est.NameAttribute{attr(0, ou, "A"), attr(0, ou, "B")}, []est.NameAttribute{attr(0, ou, "A"), attr(0, ou, "A")}, "subject attribute " + ou},
	} {
		subject, err := est.AppendName(nil, c.subject)
		must(t, err)
		r := request(t, key, est.CSRParams{Subject: subject})
		a := est.CSRAttrs{Template: &est.Template{Subject: c.template}}
		breaks(t, c.what, a.Check(r), c.item)
	}
}

func TestExtensionsAreHeldAgainstTheTemplate(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1")
	san := func(dns []string, addresses ...netip.Addr) []est.Extension {
		return []est.Extension{{ID: est.OIDSubjectAltName, Value: est.AppendSubjectAltName(nil, dns, addresses)}}
	}
	usage := func(critical bool, value string) []est.Extension {
		return []est.Extension{{ID: est.OIDKeyUsage, Critical: critical, Value: unhex(value)}}
	}
	open := []est.Extension{{ID: est.OIDExtendedKeyUsage}}
	blanks := san([]string{"a.example.com", ""}, netip.Addr{})
	directory := []est.Extension{{ID: est.OIDSubjectAltName, Value: seq(tlv(0xa4, seq()))}}
	const sanItem, usageItem, ekuItem = "extension " + est.OIDSubjectAltName, "extension " + est.OIDKeyUsage, "extension " + est.OIDExtendedKeyUsage
	key := newKey(t, elliptic.P256())
	for _, c := range []struct {
		what      string
		want, got []est.Extension
		item      string
	}{
		{"none asked for", nil, usage(true, "03020780"), ""},
		{"as asked", usage(true, "03020780"), usage(true, "03020780"), ""},
		{"critical though not asked", usage(false, "03020780"), usage(true, "03020780"), ""},
		{"not critical though asked", usage(true, "03020780"), usage(false, "03020780"), usageItem},
		{"another value", usage(true, "03020780"), usage(true, "03020388"), usageItem},
		{"missing", usage(true, "03020780"), nil, usageItem},
		{"open and there", open, []est.Extension{{ID: est.OIDExtendedKeyUsage, Value: seq(oid(t, "1.3.6.1.5.5.7.3.2"))}}, ""},
		{"open and empty", open, []est.Extension{{ID: est.OIDExtendedKeyUsage, Value: []byte{}}}, ekuItem},
		{"open and missing", open, nil, ekuItem},
		{"names as asked", san([]string{"a.example.com"}), san([]string{"a.example.com"}), ""},
		{"another name", san([]string{"a.example.com"}), san([]string{"b.example.com"}), sanItem},
		{"blanks filled in", blanks, san([]string{"a.example.com", "b"}, v4), ""},
		{"blanks filled in with IPv6", blanks, san([]string{"a.example.com", "b"}, v6), ""},
		{"address left blank", blanks, san([]string{"a.example.com", "b"}, netip.Addr{}), sanItem},
		{"name left blank", blanks, san([]string{"a.example.com", ""}, v4), sanItem},
		{"fixed name changed", blanks, san([]string{"x.example.com", "b"}, v4), sanItem},
		{"one name more", blanks, san([]string{"a.example.com", "b"}, v4, v6), sanItem},
		{"one name less", blanks, san([]string{"a.example.com", "b"}), sanItem},
		{"address of three octets", blanks, []est.Extension{{ID: est.OIDSubjectAltName, Value: seq(tlv(0x82, []byte("a.example.com")), tlv(0x82, []byte("b")), tlv(0x87, []byte{1, 2, 3}))}}, sanItem},
		{"not names at all", blanks, []est.Extension{{ID: est.OIDSubjectAltName, Value: []byte{5, 0}}}, sanItem},
		{"directory name filled in", directory, []est.Extension{{ID: est.OIDSubjectAltName, Value: seq(tlv(0xa4, name(t, est.OIDCommonName, "x")))}}, ""},
		{"directory name left blank", directory, directory, sanItem},
	} {
		r := request(t, key, est.CSRParams{Extensions: c.got})
		a := est.CSRAttrs{Template: &est.Template{Extensions: c.want}}
		breaks(t, c.what, a.Check(r), c.item)
	}
}

func TestRequestsAreHeldAgainstTheList(t *testing.T) {
	san := []est.Extension{{ID: est.OIDSubjectAltName, Critical: true, Value: acpSAN("node")}}
	key := newKey(t, elliptic.P256())
	r := request(t, key, est.CSRParams{Subject: name(t, est.OIDSerialNumber, "1"), Extensions: san, ChallengePassword: []byte("x")})
	bare := request(t, key, est.CSRParams{})
	for _, c := range []struct {
		what  string
		attrs est.CSRAttrs
		r     *est.CSR
		item  string
	}{
		{"nothing", est.CSRAttrs{}, bare, ""},
		{"a kind of key", est.CSRAttrs{Keys: []est.Key{est.P256}}, bare, ""},
		{"one of two kinds", est.CSRAttrs{Keys: []est.Key{est.RSA(2048), {Algorithm: est.OIDECPublicKey}}}, bare, ""},
		{"another curve", est.CSRAttrs{Keys: []est.Key{est.P384}}, bare, "key"},
		{"RSA", est.CSRAttrs{Keys: []est.Key{est.RSA(0)}}, bare, "key"},
		{"extension there", est.CSRAttrs{Extensions: san}, r, ""},
		{"extension missing", est.CSRAttrs{Extensions: san}, bare, "extension " + est.OIDSubjectAltName},
		{"challengePassword there", est.CSRAttrs{ChallengePassword: true}, r, ""},
		{"challengePassword missing", est.CSRAttrs{ChallengePassword: true}, bare, "challengePassword"},
		{"signature algorithm", est.CSRAttrs{Signatures: []string{est.OIDECDSAWithSHA384, est.OIDECDSAWithSHA256}}, bare, ""},
		{"hash", est.CSRAttrs{Signatures: []string{est.OIDSHA256}}, bare, ""},
		{"another hash", est.CSRAttrs{Signatures: []string{est.OIDSHA384, est.OIDSHA512}}, bare, "signature algorithm"},
		{"serialNumber there", est.CSRAttrs{Items: []est.Attribute{{ID: est.OIDSerialNumber}}}, r, ""},
		{"serialNumber missing", est.CSRAttrs{Items: []est.Attribute{{ID: est.OIDSerialNumber}}}, bare, "subject attribute " + est.OIDSerialNumber},
		{"what nobody knows", est.CSRAttrs{Items: []est.Attribute{{ID: oidFavoriteDrink}, {ID: "1.2.3", Values: []byte{5, 0}}}}, bare, ""},
	} {
		breaks(t, c.what, c.attrs.Check(c.r), c.item)
	}
}

func TestATemplateCountsAlone(t *testing.T) {
	a := est.CSRAttrs{
		Template:   &est.Template{Key: est.P256},
		Keys:       []est.Key{est.P384},
		Extensions: []est.Extension{{ID: est.OIDKeyUsage, Value: unhex("03020780")}},
	}
	r := request(t, newKey(t, elliptic.P256()), est.CSRParams{})
	breaks(t, "the template", a.Check(r), "")
	breaks(t, "the list", a.List().Check(r), "key")
	d, err := a.Fill(&est.FillParams{SerialNumber: "1"})
	must(t, err)
	if d.Key != est.P256 || len(d.Extensions) != 0 {
		t.Errorf("filled in from the list: %+v", d)
	}
	other := request(t, newKey(t, elliptic.P384()), est.CSRParams{})
	breaks(t, "another key", a.Check(other), "key")
}

// What Fill says to ask for, Check lets pass: for every published set of attributes.
func TestFilledInRequestsPass(t *testing.T) {
	params := &est.FillParams{
		SerialNumber: "JADA123456789", CommonName: "Tür", DNSNames: []string{"door.example.com"},
		Addresses: []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7")}, Keys: []est.Key{est.P256, est.P384, est.P521},
	}
	keys := map[est.Key]elliptic.Curve{est.P256: elliptic.P256(), est.P384: elliptic.P384(), est.P521: elliptic.P521()}
	for file, a := range published {
		d, err := a.Fill(params)
		if file == "harkins01" {
			breaks(t, file, err, "key")
			continue
		}
		must(t, err)
		p := est.CSRParams{Subject: d.Subject, Extensions: d.Extensions}
		if d.ChallengePassword {
			p.ChallengePassword = []byte("x")
		}
		r := request(t, newKey(t, keys[d.Key]), p)
		r.SignatureID = append(d.Signatures, r.SignatureID)[0] // the test's signatures are all of one algorithm
		breaks(t, file, a.Check(r), "")
		name, err := est.ParseName(d.Subject, est.Limits{})
		must(t, err)
		if serials := est.SerialNumbers(name); a.Template == nil && (len(serials) != 1 || serials[0] != "JADA123456789") {
			t.Errorf("%s: serial numbers %q", file, serials)
		}
	}
	template := published["template-derived"]
	d, err := template.Fill(params)
	must(t, err)
	if want := name(t, est.OIDCommonName, "Tür", est.OIDUnit, "myDept", est.OIDUnit, "myGroup"); !bytes.Equal(d.Subject, want) {
		t.Errorf("subject %x, want %x", d.Subject, want)
	}
	if want := est.AppendSubjectAltName(nil, []string{"www.myServer.com"}, []netip.Addr{netip.MustParseAddr("192.0.2.7")}); !bytes.Equal(d.Extensions[0].Value, want) {
		t.Errorf("subjectAltName %x, want %x", d.Extensions[0].Value, want)
	}
	if want := seq(oid(t, "1.3.6.1.5.5.7.3.2")); !bytes.Equal(d.Extensions[2].Value, want) {
		t.Errorf("extendedKeyUsage %x, want %x", d.Extensions[2].Value, want)
	}
}

func TestClientsFillInWhatTheyHave(t *testing.T) {
	own := []est.Extension{{ID: "1.2.3", Value: []byte{5, 0}}, {ID: est.OIDKeyUsage, Value: unhex("03020388")}}
	params := &est.FillParams{SerialNumber: "A_1", Values: map[string]string{est.OIDUnit: "Gate"}, Extensions: own, DNSNames: []string{"a", "b"}}
	a := est.CSRAttrs{Template: &est.Template{
		Subject: []est.NameAttribute{attr(0, est.OIDUnit, ""), attr(1, est.OIDSerialNumber, "")},
		Extensions: []est.Extension{
			{ID: "1.2.3", Critical: true}, {ID: est.OIDKeyUsage}, {ID: est.OIDBasicConstraints},
			{ID: est.OIDSubjectAltName, Value: seq(tlv(0x82), tlv(0xa4, seq()), tlv(0x82))},
		},
	}}
	d, err := a.Fill(params)
	must(t, err)
	subject := name(t, est.OIDUnit, "Gate", est.OIDSerialNumber, "A_1")
	if !bytes.Equal(d.Subject, subject) {
		t.Errorf("subject %x, want %x", d.Subject, subject)
	}
	for i, want := range [][]byte{{5, 0}, unhex("03020388"), {0x30, 0}, seq(tlv(0x82, []byte("a")), tlv(0xa4, subject), tlv(0x82, []byte("b")))} {
		if !bytes.Equal(d.Extensions[i].Value, want) {
			t.Errorf("extension %s is %x, want %x", d.Extensions[i].ID, d.Extensions[i].Value, want)
		}
	}
	if !d.Extensions[0].Critical || a.Template.Extensions[0].Value != nil || a.Template.Subject[0].Tag != 0 {
		t.Error("criticality is lost, or the template was written to")
	}
	name, err := est.ParseName(d.Subject, est.Limits{})
	must(t, err)
	if name[1].Tag != est.TagUTF8String { // PrintableString has no underscore
		t.Errorf("serialNumber of tag %#x", name[1].Tag)
	}
	breaks(t, "filled in", a.Check(request(t, newKey(t, elliptic.P256()), est.CSRParams{Subject: d.Subject, Extensions: d.Extensions})), "")
}

func TestAnOpenSubjectAltNameGetsAllNames(t *testing.T) {
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1")}
	a := est.CSRAttrs{Template: &est.Template{Extensions: []est.Extension{{ID: est.OIDSubjectAltName}}}}
	d, err := a.Fill(&est.FillParams{SerialNumber: "1", DNSNames: []string{"a", "b"}, Addresses: addresses})
	must(t, err)
	if want := est.AppendSubjectAltName(nil, []string{"a", "b"}, addresses); !bytes.Equal(d.Extensions[0].Value, want) {
		t.Errorf("subjectAltName %x, want %x", d.Extensions[0].Value, want)
	}
	if want := seq(set(seq(oid(t, est.OIDSerialNumber), tlv(0x13, []byte("1"))))); !bytes.Equal(d.Subject, want) {
		t.Errorf("subject %x, want the serial number alone, %x", d.Subject, want)
	}
}

func TestWhatAClientCannotFillInIsNamed(t *testing.T) {
	open := func(id string) *est.Template { return &est.Template{Extensions: []est.Extension{{ID: id}}} }
	blank := func(names ...[]byte) *est.Template {
		return &est.Template{Subject: []est.NameAttribute{}, Extensions: []est.Extension{{ID: est.OIDSubjectAltName, Value: seq(names...)}}}
	}
	const san = "extension " + est.OIDSubjectAltName
	for _, c := range []struct {
		item  string
		attrs est.CSRAttrs
		can   est.FillParams
	}{
		{"subject attribute " + est.OIDCommonName, est.CSRAttrs{Template: &est.Template{Subject: []est.NameAttribute{{ID: est.OIDCommonName}}}}, est.FillParams{SerialNumber: "1"}},
		{"subject attribute " + est.OIDUnit, est.CSRAttrs{Template: &est.Template{Subject: []est.NameAttribute{{ID: est.OIDUnit}}}}, est.FillParams{}},
		{"subject attribute " + est.OIDSerialNumber, est.CSRAttrs{Items: []est.Attribute{{ID: est.OIDSerialNumber}}}, est.FillParams{}},
		{"key", est.CSRAttrs{Keys: []est.Key{est.P384}}, est.FillParams{Keys: []est.Key{est.P256, est.RSA(2048)}}},
		{"key", est.CSRAttrs{Template: &est.Template{Key: est.RSA(4096)}}, est.FillParams{Keys: []est.Key{est.RSA(2048)}}},
		{"extension 1.2.3", est.CSRAttrs{Template: open("1.2.3")}, est.FillParams{}},
		{san, est.CSRAttrs{Template: open(est.OIDSubjectAltName)}, est.FillParams{}},
		{san + ", an address", est.CSRAttrs{Template: blank(tlv(0x87))}, est.FillParams{Addresses: []netip.Addr{{}}}},
		{san + ", a DNS name", est.CSRAttrs{Template: blank(tlv(0x82), tlv(0x82))}, est.FillParams{DNSNames: []string{"a"}}},
		{san + ", a directory name", est.CSRAttrs{Template: blank(tlv(0xa4, seq()))}, est.FillParams{}},
	} {
		d, err := c.attrs.Fill(&c.can)
		if d != nil {
			t.Errorf("%s: %+v", c.item, d)
		}
		breaks(t, "filled in", err, c.item)
	}
}

func TestClientsChooseAmongTheKeysAskedFor(t *testing.T) {
	anyEC := est.Key{Algorithm: est.OIDECPublicKey}
	for _, c := range []struct {
		wanted, can []est.Key
		want        est.Key
	}{
		{nil, nil, est.Key{}},
		{nil, []est.Key{est.P384, est.P256}, est.P384},
		{[]est.Key{est.RSA(2048)}, nil, est.RSA(2048)},
		{[]est.Key{anyEC}, []est.Key{est.RSA(0), est.P256}, est.P256},
		{[]est.Key{est.RSA(4096)}, []est.Key{est.P256, est.RSA(0)}, est.RSA(4096)},
		{[]est.Key{est.P521, est.P256}, []est.Key{est.P256, est.P521}, est.P521},
	} {
		a := est.CSRAttrs{Keys: c.wanted}
		d, err := a.Fill(&est.FillParams{Keys: c.can})
		must(t, err)
		if d.Key != c.want {
			t.Errorf("of %v, able to make %v: %v, want %v", c.wanted, c.can, d.Key, c.want)
		}
	}
}

func TestRefusalsSayWhatIsWanted(t *testing.T) {
	a := est.CSRAttrs{Template: &est.Template{Subject: []est.NameAttribute{attr(0, est.OIDOrganization, "Doors")}}}
	r := request(t, newKey(t, elliptic.P256()), est.CSRParams{Subject: name(t, est.OIDOrganization, "Win\ndows"+strings.Repeat("!", 500))})
	text := a.Check(r).Error()
	if !strings.HasPrefix(text, `CSR attributes: subject attribute 2.5.4.10: want "Doors", found "Win\ndows!!!`) || len(text) > 200 {
		t.Errorf("%q", text)
	}
}
