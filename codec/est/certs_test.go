package est_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/vouchmill/vouchmill/codec/est"
)

const (
	oidSignedData = "1.2.840.113549.1.7.2"
	oidData       = "1.2.840.113549.1.7.1"
)

func sorted(certs [][]byte) [][]byte {
	certs = slices.Clone(certs)
	slices.SortFunc(certs, bytes.Compare)
	return certs
}

func equal(a, b [][]byte) bool {
	return slices.EqualFunc(a, b, func(x, y []byte) bool { return bytes.Equal(x, y) })
}

func TestCertsOnlyIsReadByOthers(t *testing.T) {
	certs := [][]byte{certificate(t, "leaf"), certificate(t, "a much longer name, so that the lengths differ"), certificate(t, "ca")}
	for n := 1; n <= len(certs); n++ {
		message, err := est.AppendCertsOnly(nil, certs[:n])
		must(t, err)
		back, err := est.ParseCertsOnly(message, est.Limits{})
		must(t, err)
		if !equal(back, sorted(certs[:n])) {
			t.Errorf("%d certificates come back as %d", n, len(back))
		}
		p7, err := pkcs7.Parse(message)
		must(t, err)
		if len(p7.Certificates) != n || len(p7.Signers) != 0 {
			t.Errorf("pkcs7 finds %d certificates, %d signers", len(p7.Certificates), len(p7.Signers))
		}
		dir := t.TempDir()
		write(t, dir, "certs.p7", message)
		printed := openssl(t, dir, "pkcs7", "-inform", "DER", "-in", "certs.p7", "-print_certs")
		var theirs [][]byte
		for block, rest := pem.Decode(printed); block != nil; block, rest = pem.Decode(rest) {
			theirs = append(theirs, block.Bytes)
		}
		if !equal(theirs, sorted(certs[:n])) {
			t.Errorf("openssl prints %d certificates of %d", len(theirs), n)
		}
	}
}

func TestCertsOnlyOfOthersIsRead(t *testing.T) {
	certs := [][]byte{certificate(t, "leaf"), certificate(t, "ca")}
	dir := t.TempDir()
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	write(t, dir, "certs.pem", text)
	openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "certs.pem", "-outform", "DER", "-out", "certs.p7")
	got, err := est.ParseCertsOnly(read(t, dir, "certs.p7"), est.Limits{})
	must(t, err)
	if !equal(sorted(got), sorted(certs)) {
		t.Error("certificates of openssl are not those put in")
	}
	theirs, err := pkcs7.DegenerateCertificate(bytes.Join(certs, nil))
	must(t, err)
	got, err = est.ParseCertsOnly(theirs, est.Limits{})
	must(t, err)
	if !equal(sorted(got), sorted(certs)) {
		t.Error("certificates of pkcs7 are not those put in")
	}
}

// message is a certs-only message in parts, for what others write and for what
// is none.
type message struct {
	kind, version, digests, encap, certs, crls, signers, trailing []byte
}

func (m *message) bytes() []byte {
	return append(seq(m.kind, tlv(0xa0, seq(m.version, m.digests, m.encap, m.certs, m.crls, m.signers))), m.trailing...)
}

func goodMessage(t testing.TB, certs ...[]byte) message {
	return message{
		kind: oid(t, oidSignedData), version: unhex("020101"), digests: set(), encap: seq(oid(t, oidData)),
		certs: tlv(0xa0, certs...), signers: set(),
	}
}

func TestCertsOnlyComesInSeveralForms(t *testing.T) {
	a, b := certificate(t, "a"), certificate(t, "b")
	for what, change := range map[string]func(m *message){
		"as it should be":          func(*message) {},
		"version 3":                func(m *message) { m.version = unhex("020103") },
		"a digest algorithm":       func(m *message) { m.digests = set(seq(oid(t, est.OIDSHA256))) },
		"empty content":            func(m *message) { m.encap = seq(oid(t, oidData), tlv(0xa0, tlv(4))) },
		"an attribute certificate": func(m *message) { m.certs = tlv(0xa0, b, tlv(0xa2, []byte{5, 0}), a) },
		"CRLs":                     func(m *message) { m.crls = tlv(0xa1, seq()) },
	} {
		m := goodMessage(t, b, a)
		change(&m)
		got, err := est.ParseCertsOnly(m.bytes(), est.Limits{})
		must(t, err)
		if !equal(got, [][]byte{b, a}) {
			t.Errorf("%s: %d certificates, or in another order", what, len(got))
		}
	}
}

func TestCertsOnlyMayBeBER(t *testing.T) {
	a := certificate(t, "a")
	inner := bytes.Join([][]byte{unhex("3080"), unhex("020101"), unhex("3100"), seq(oid(t, oidData)), unhex("a080"), a, unhex("0000"), unhex("3100"), unhex("0000")}, nil)
	ber := bytes.Join([][]byte{unhex("3080"), oid(t, oidSignedData), unhex("a080"), inner, unhex("0000 0000")}, nil)
	got, err := est.ParseCertsOnly(ber, est.Limits{})
	must(t, err)
	if !equal(got, [][]byte{a}) {
		t.Errorf("%x", got)
	}
	if _, err := x509.ParseCertificate(got[0]); err != nil {
		t.Error(err)
	}
	_, err = est.ParseCertsOnly(bytes.Repeat([]byte{0x30, 0x80}, 1000), est.Limits{})
	refused(t, err, "deep")
}

func TestWhatIsNotCertsOnlyIsRefused(t *testing.T) {
	a := certificate(t, "a")
	for what, c := range map[string]struct {
		want   string
		change func(m *message)
	}{
		"enveloped data":    {"contentType", func(m *message) { m.kind = oid(t, "1.2.840.113549.1.7.3") }},
		"signed":            {"signerInfos", func(m *message) { m.signers = set(seq()) }},
		"no signerInfos":    {"signerInfos", func(m *message) { m.signers = nil }},
		"content":           {"eContent", func(m *message) { m.encap = seq(oid(t, oidData), tlv(0xa0, tlv(4, []byte("x")))) }},
		"another content":   {"eContentType", func(m *message) { m.encap = seq(oid(t, oidSignedData)) }},
		"no certificates":   {"there is none", func(m *message) { m.certs = nil }},
		"empty set":         {"there is none", func(m *message) { m.certs = tlv(0xa0) }},
		"broken one":        {"certificates", func(m *message) { m.certs = tlv(0xa0, seq(seq())) }},
		"octets behind":     {"left over", func(m *message) { m.trailing = []byte{0} }},
		"version no number": {"version", func(m *message) { m.version = unhex("0200") }},
	} {
		m := goodMessage(t, a)
		c.change(&m)
		_, err := est.ParseCertsOnly(m.bytes(), est.Limits{})
		if err == nil {
			t.Errorf("%s is accepted", what)
			continue
		}
		refused(t, err, c.want)
	}
	whole := goodMessage(t, a)
	for n := range whole.bytes() {
		if _, err := est.ParseCertsOnly(whole.bytes()[:n], est.Limits{}); err == nil {
			t.Errorf("accepted when cut to %d octets", n)
		}
	}
}

// A signed message without its content has certificates too.
func TestDetachedSignaturesAreNotCertsOnly(t *testing.T) {
	for _, name := range []string{"rvr-detached", "voucher-detached"} {
		_, err := est.ParseCertsOnly(readVector(t, "http/cms-detached/"+name+".cms.der"), est.Limits{})
		refused(t, err, "signerInfos")
	}
}

func TestCertsOnlyLimitsAreNamed(t *testing.T) {
	a, b := certificate(t, "a"), certificate(t, "b")
	m := goodMessage(t, a, b)
	_, err := est.ParseCertsOnly(m.bytes(), est.Limits{Certificates: 1})
	limited(t, err, "Certificates", 1)
	_, err = est.ParseCertsOnly(m.bytes(), est.Limits{CertsBytes: 100})
	limited(t, err, "CertsBytes", 100)
	for _, bad := range [][][]byte{nil, {a, a}, {seq()}, {append(slices.Clone(a), 0)}} {
		var e *est.EncodeError
		if out, err := est.AppendCertsOnly([]byte("x"), bad); !errors.As(err, &e) || string(out) != "x" {
			t.Errorf("%q, %v", out, err)
		}
	}
}
