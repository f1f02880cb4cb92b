package est_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

const (
	oidMACAddress    = "1.3.6.1.1.1.1.22"
	oidFriendlyName  = "1.2.840.113549.1.9.20"
	oidFavoriteDrink = "0.9.2342.19200300.100.1.5"
)

// published are the attributes of public vectors as they must be read.
var published = map[string]est.CSRAttrs{
	"realistic-acp": {Extensions: []est.Extension{{ID: est.OIDSubjectAltName, Critical: true, Value: acpSAN("rfc8994+fd739fc23c3440112233445500000000+@acp.example.com")}}},
	"rfc7030-example01": {
		ChallengePassword: true, Keys: []est.Key{est.P384}, Items: []est.Attribute{{ID: oidMACAddress}}, Signatures: []string{est.OIDECDSAWithSHA384},
	},
	"harkins01": {ChallengePassword: true, Keys: []est.Key{est.RSA(4096)}, Signatures: []string{est.OIDSHA256WithRSA}},
	"harkins02": {
		ChallengePassword: true, Keys: []est.Key{est.P384}, Items: []est.Attribute{{ID: est.OIDSerialNumber}}, Signatures: []string{est.OIDECDSAWithSHA384},
	},
	"potato-example": {
		ChallengePassword: true, Keys: []est.Key{est.P521},
		Items:      []est.Attribute{{ID: oidFriendlyName}, {ID: oidFavoriteDrink}, {ID: est.OIDSerialNumber}},
		Signatures: []string{est.OIDECDSAWithSHA512},
	},
	"template-derived": {Template: &est.Template{
		Subject: []est.NameAttribute{
			{RDN: 0, ID: est.OIDCommonName},
			{RDN: 1, ID: est.OIDUnit, Tag: est.TagUTF8String, Value: []byte("myDept")},
			{RDN: 2, ID: est.OIDUnit, Tag: est.TagUTF8String, Value: []byte("myGroup")},
		},
		Key: est.P256,
		Extensions: []est.Extension{
			{ID: est.OIDSubjectAltName, Value: unhex("301482107777772E6D795365727665722E636F6D8700")},
			{ID: est.OIDKeyUsage, Critical: true, Value: unhex("03020388")},
			{ID: est.OIDExtendedKeyUsage},
		},
	}},
}

// acpSAN is a subjectAltName with an AcpNodeName (RFC 8994 §6.2.2).
func acpSAN(node string) []byte {
	return seq(tlv(0xa0, unhex("06082B0601050507080A"), tlv(0xa0, tlv(0x16, []byte(node)))))
}

// plain returns attributes without what reading adds, the value octets of OIDs.
func plain(a *est.CSRAttrs) est.CSRAttrs {
	out := *a
	strip := func(list []est.Extension) []est.Extension {
		list = slices.Clone(list)
		for i := range list {
			list[i].OID = nil
		}
		return list
	}
	items := func(list []est.Attribute) []est.Attribute {
		list = slices.Clone(list)
		for i := range list {
			list[i].OID = nil
		}
		return list
	}
	out.Extensions, out.Items = strip(a.Extensions), items(a.Items)
	if a.Template != nil {
		t := *a.Template
		t.Extensions, t.Attributes, t.Subject = strip(t.Extensions), items(t.Attributes), slices.Clone(t.Subject)
		for i := range t.Subject {
			t.Subject[i].OID = nil
		}
		out.Template = &t
	}
	return out
}

func parseAttrs(t testing.TB, b []byte) *est.CSRAttrs {
	t.Helper()
	a, err := est.ParseCSRAttrs(b, est.Limits{})
	must(t, err)
	return a
}

func appendAttrs(t testing.TB, a *est.CSRAttrs) []byte {
	t.Helper()
	b, err := a.Append(nil)
	must(t, err)
	return b
}

func TestPublishedAttributesAreReadAndWritten(t *testing.T) {
	for name, want := range published {
		t.Run(name, func(t *testing.T) {
			b := readVector(t, "http/csrattrs/"+name+".csrattr.der")
			got := plain(parseAttrs(t, b))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read as\n%+v, want\n%+v", got, want)
			}
			if written := appendAttrs(t, &want); !bytes.Equal(written, b) {
				t.Errorf("written as\n%x, published as\n%x", written, b)
			}
		})
	}
}

func TestARequestIsNoAttributes(t *testing.T) {
	b := readVector(t, "http/csrattrs/ordinary-csr-not-a-template.der")
	_, err := est.ParseCSRAttrs(b, est.Limits{})
	refused(t, err, "certification request")
	if _, err := est.ParseCSR(b, est.Limits{}); err != nil {
		t.Errorf("as a request: %v", err)
	}
}

func TestAnEmptySequenceSaysNothing(t *testing.T) {
	a := parseAttrs(t, []byte{0x30, 0})
	if !a.Empty() {
		t.Errorf("%+v", a)
	}
	if b := appendAttrs(t, &est.CSRAttrs{}); !bytes.Equal(b, []byte{0x30, 0}) {
		t.Errorf("written as %x", b)
	}
	for name, a := range published {
		if a.Empty() {
			t.Errorf("%s says nothing", name)
		}
	}
}

// RFC 7030 §4.5.2 prints an example that RFC 9908 calls wrong, and libest's
// server answers with bare OIDs alone. Both are out there.
func TestOlderServersAreUnderstood(t *testing.T) {
	for text, want := range map[string]est.CSRAttrs{
		"MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==": {
			ChallengePassword: true, Keys: []est.Key{est.P384}, Signatures: []string{est.OIDECDSAWithSHA384},
			Items: []est.Attribute{{ID: est.OIDExtensionRequest, Values: unhex("06072b060101010116")}},
		},
		"MCYGBysGAQEBARYGCSqGSIb3DQEJBwYFK4EEACIGCWCGSAFlAwQCAg==": {
			ChallengePassword: true, Keys: []est.Key{est.P384}, Signatures: []string{est.OIDSHA384}, Items: []est.Attribute{{ID: oidMACAddress}},
		},
	} {
		b, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		if got := plain(parseAttrs(t, b)); !reflect.DeepEqual(got, want) {
			t.Errorf("read as\n%+v, want\n%+v", got, want)
		}
	}
}

func TestExtensionsOfOldStyleBecomeExtensions(t *testing.T) {
	san := acpSAN("node@example.com")
	want := []est.Extension{{ID: est.OIDSubjectAltName, Value: san}}
	for what, b := range map[string][]byte{
		"bare":            seq(attribute(t, est.OIDSubjectAltName, san)),
		"in OCTET STRING": seq(attribute(t, est.OIDSubjectAltName, tlv(4, san))),
	} {
		a := parseAttrs(t, b)
		if got := plain(a); !reflect.DeepEqual(got.Extensions, want) || len(got.Items) != 0 {
			t.Errorf("%s: %+v", what, got)
		}
		if got, want := appendAttrs(t, a), seq(attribute(t, est.OIDExtensionRequest, seq(seq(oid(t, est.OIDSubjectAltName), tlv(4, san))))); !bytes.Equal(got, want) {
			t.Errorf("%s: written in the old style: %x", what, got)
		}
	}
	a := parseAttrs(t, seq(attribute(t, "1.3.6.1.5.5.7.1.32", tlv(4, []byte("x")))))
	if len(a.Extensions) != 1 || !bytes.Equal(a.Extensions[0].Value, tlv(4, []byte("x"))) {
		t.Errorf("an extension that is an OCTET STRING itself: %+v", a)
	}
	if a := parseAttrs(t, seq(attribute(t, est.OIDSubjectAltName))); len(a.Items) != 1 || len(a.Extensions) != 0 {
		t.Errorf("no value: %+v", a)
	}
}

func TestDemandsForKeysAreReadAndWritten(t *testing.T) {
	ec, rsa, ed := est.Key{Algorithm: est.OIDECPublicKey}, est.RSA(0), est.Ed25519
	for _, c := range []struct {
		in   []byte
		want []est.Key
		out  []byte // nil: as in
	}{
		{seq(oid(t, est.OIDECPublicKey)), []est.Key{ec}, nil},
		{seq(attribute(t, est.OIDECPublicKey)), []est.Key{ec}, seq(oid(t, est.OIDECPublicKey))},
		{seq(attribute(t, est.OIDEd25519)), []est.Key{ed}, seq(oid(t, est.OIDEd25519))},
		{seq(oid(t, est.OIDP256)), []est.Key{est.P256}, seq(attribute(t, est.OIDECPublicKey, oid(t, est.OIDP256)))},
		{seq(attribute(t, est.OIDECPublicKey, oid(t, est.OIDP384), oid(t, est.OIDP256))), []est.Key{est.P384, est.P256}, seq(attribute(t, est.OIDECPublicKey, oid(t, est.OIDP384), oid(t, est.OIDP256)))},
		{seq(oid(t, est.OIDRSAPublicKey), attribute(t, est.OIDRSAPublicKey, unhex("02020800"))), []est.Key{rsa, est.RSA(2048)}, nil},
		{seq(attribute(t, est.OIDRSAPublicKey, unhex("02017f"))), []est.Key{est.RSA(127)}, nil},
		{seq(attribute(t, est.OIDRSAPublicKey, unhex("02020080"))), []est.Key{est.RSA(128)}, nil},
		{seq(attribute(t, est.OIDRSAPublicKey, unhex("0203008000"))), []est.Key{est.RSA(32768)}, nil},
		{seq(attribute(t, est.OIDRSAPublicKey, unhex("02037fffff"))), []est.Key{est.RSA(1<<23 - 1)}, nil},
	} {
		a := parseAttrs(t, c.in)
		if !slices.Equal(a.Keys, c.want) {
			t.Errorf("%x: %v, want %v", c.in, a.Keys, c.want)
		}
		if c.out == nil {
			c.out = c.in
		}
		if got := appendAttrs(t, a); !bytes.Equal(got, c.out) {
			t.Errorf("%x is written as %x, want %x", c.in, got, c.out)
		}
	}
}

func TestTemplatesReadBackAsWritten(t *testing.T) {
	for what, tmpl := range map[string]est.Template{
		"nothing":            {},
		"empty subject":      {Subject: []est.NameAttribute{}},
		"RSA of a size":      {Key: est.RSA(3072)},
		"RSA of any size":    {Key: est.RSA(0)},
		"EC of any curve":    {Key: est.Key{Algorithm: est.OIDECPublicKey}},
		"Ed25519":            {Key: est.Ed25519},
		"explicit parameter": {Key: est.Key{Algorithm: "1.2.3", Params: "\x05\x00"}},
		"all values given":   {Extensions: []est.Extension{{ID: est.OIDKeyUsage, Value: unhex("03020780")}}},
		"value left open":    {Extensions: []est.Extension{{ID: est.OIDKeyUsage}, {ID: est.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 0}}}},
		"other attributes":   {Attributes: []est.Attribute{{ID: oidFriendlyName, Values: tlv(0x1e, []byte{0, 'x'})}}},
	} {
		a := est.CSRAttrs{Template: &tmpl}
		back := plain(parseAttrs(t, appendAttrs(t, &a)))
		if !reflect.DeepEqual(*back.Template, tmpl) {
			t.Errorf("%s: %+v comes back as %+v", what, tmpl, *back.Template)
		}
	}
	// RFC 9908 §3.4: .62 is for what id-ExtensionReq cannot say.
	given := est.CSRAttrs{Template: &est.Template{Extensions: []est.Extension{{ID: est.OIDKeyUsage, Value: unhex("03020780")}}}}
	if b := appendAttrs(t, &given); !bytes.Contains(b, oid(t, est.OIDExtensionRequest)) || bytes.Contains(b, oid(t, est.OIDExtensionReqTemplate)) {
		t.Errorf("written as %x", b)
	}
}

// templateOf is attributes with one template of the given parts.
func templateOf(t testing.TB, parts ...[]byte) []byte {
	return seq(attribute(t, est.OIDRequestInfoTemplate, seq(parts...)))
}

func TestMalformedAttributesAreRefused(t *testing.T) {
	version, none := unhex("020100"), tlv(0xa1)
	usage := seq(oid(t, est.OIDKeyUsage), tlv(4, unhex("03020780")))
	given, open := attribute(t, est.OIDExtensionRequest, seq(usage)), attribute(t, est.OIDExtensionReqTemplate, seq(usage))
	for _, c := range []struct {
		what, want string
		in         []byte
	}{
		{"nothing", "", nil},
		{"a set", "tag", set()},
		{"octets behind", "left over", append(seq(), 0)},
		{"a number", "tag", seq(unhex("020100"))},
		{"an attribute without values", "end of its surroundings", seq(seq(oid(t, oidMACAddress)))},
		{"something behind the values", "left over", seq(seq(oid(t, oidMACAddress), set(), set()))},
		{"id-ExtensionReq twice", "twice", seq(given, given)},
		{"two values in it", "several values", seq(attribute(t, est.OIDExtensionRequest, seq(usage), seq(usage)))},
		{"no extension in it", "empty list", seq(attribute(t, est.OIDExtensionRequest, seq()))},
		{"an extension twice", "twice", seq(attribute(t, est.OIDExtensionRequest, seq(usage, usage)))},
		{"an extension in both styles", "twice", seq(given, attribute(t, est.OIDKeyUsage, unhex("03020780")))},
		{"a curve that is a number", "tag", seq(attribute(t, est.OIDECPublicKey, unhex("02020800")))},
		{"RSA of a negative size", "malformed", seq(attribute(t, est.OIDRSAPublicKey, unhex("0201ff")))},
		{"RSA of 2^24 bits", "malformed", seq(attribute(t, est.OIDRSAPublicKey, unhex("020401000000")))},
		{"Ed25519 of a size", "malformed", seq(attribute(t, est.OIDEd25519, unhex("02020800")))},
		{"template twice", "twice", seq(attribute(t, est.OIDRequestInfoTemplate, seq(version, none)), attribute(t, est.OIDRequestInfoTemplate, seq(version, none)))},
		{"two templates in one", "several values", seq(attribute(t, est.OIDRequestInfoTemplate, seq(version, none), seq(version, none)))},
		{"template without attributes", "attributes", templateOf(t, version)},
		{"template of version 1", "v1(0)", templateOf(t, unhex("020101"), none)},
		{"something behind its attributes", "left over", templateOf(t, version, none, none)},
		{"both lists of extensions", "second list", templateOf(t, version, tlv(0xa1, given, open))},
		{"extensions twice", "second list", templateOf(t, version, tlv(0xa1, given, given))},
		{"two values of .62", "several values", templateOf(t, version, tlv(0xa1, attribute(t, est.OIDExtensionReqTemplate, seq(usage), seq(usage))))},
		{"the single ExtensionTemplate of the prose", "unexpected tag", templateOf(t, version, tlv(0xa1, attribute(t, est.OIDExtensionReqTemplate, usage)))},
		{"open value in id-ExtensionReq", "", templateOf(t, version, tlv(0xa1, attribute(t, est.OIDExtensionRequest, seq(seq(oid(t, est.OIDKeyUsage))))))},
		{"key that is no bits", "subjectPKInfo", templateOf(t, version, tlv(0xa0, seq(oid(t, est.OIDRSAPublicKey)), unhex("0500")), none)},
		{"key with something behind", "subjectPKInfo", templateOf(t, version, tlv(0xa0, seq(oid(t, est.OIDECPublicKey)), unhex("03020001"), unhex("0500")), none)},
		{"tags as if explicit", "subjectPKInfo", templateOf(t, version, tlv(0xa0, seq(seq(oid(t, est.OIDECPublicKey)))), none)},
		{"RDN without attribute", "subject", templateOf(t, version, seq(set()), none)},
	} {
		_, err := est.ParseCSRAttrs(c.in, est.Limits{})
		if err == nil {
			t.Errorf("%s is accepted", c.what)
			continue
		}
		refused(t, err, c.want)
	}
}

func TestAttributesLimitsAreNamed(t *testing.T) {
	many := seq(bytes.Repeat(oid(t, oidMACAddress), 65))
	_, err := est.ParseCSRAttrs(many, est.Limits{})
	limited(t, err, "CSRAttrsItems", 64)
	_, err = est.ParseCSRAttrs(many, est.Limits{CSRAttrsBytes: 32})
	limited(t, err, "CSRAttrsBytes", 32)
	old := seq(attribute(t, est.OIDKeyUsage, unhex("03020780")), attribute(t, est.OIDBasicConstraints, seq()))
	_, err = est.ParseCSRAttrs(old, est.Limits{Extensions: 1})
	limited(t, err, "Extensions", 1)
	other := attribute(t, oidFriendlyName, seq())
	_, err = est.ParseCSRAttrs(templateOf(t, unhex("020100"), tlv(0xa1, other, other)), est.Limits{CSRAttributes: 1})
	limited(t, err, "CSRAttributes", 1)
	rdn := set(seq(oid(t, est.OIDUnit)))
	_, err = est.ParseCSRAttrs(templateOf(t, unhex("020100"), seq(rdn, rdn), tlv(0xa1)), est.Limits{RDNs: 1})
	limited(t, err, "RDNs", 1)
}

func TestAttributesThatCannotBeWrittenAreNamed(t *testing.T) {
	for want, a := range map[string]est.CSRAttrs{
		"template":         {Keys: []est.Key{{Algorithm: "1.2.3"}}},
		"named curve":      {Keys: []est.Key{{Algorithm: est.OIDECPublicKey, Params: "\x05\x00"}}},
		"2^23":             {Keys: []est.Key{est.RSA(1 << 23)}},
		"no value":         {Extensions: []est.Extension{{ID: est.OIDKeyUsage}}},
		"attribute x":      {Items: []est.Attribute{{ID: "x"}}},
		"signature":        {Signatures: []string{"x"}},
		"whole octets":     {Template: &est.Template{Key: est.RSA(2047)}},
		"its algorithm":    {Template: &est.Template{Key: est.Key{Algorithm: "x"}}},
		"its curve":        {Template: &est.Template{Key: est.Key{Algorithm: est.OIDECPublicKey, Curve: "x"}}},
		"has no values":    {Template: &est.Template{Attributes: []est.Attribute{{ID: oidFriendlyName}}}},
		"extension x":      {Template: &est.Template{Extensions: []est.Extension{{ID: "x"}}}},
		"attribute type x": {Template: &est.Template{Subject: []est.NameAttribute{{ID: "x"}}}},
	} {
		out, err := a.Append([]byte("x"))
		var e *est.EncodeError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || string(out) != "x" {
			t.Errorf("%s: %q, %v", want, out, err)
		}
	}
}
