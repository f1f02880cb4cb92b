package kit

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
)

func (b *builder) idevidCases() {
	p := b.pki
	issuer := hex.EncodeToString(issuerOf(p.vendor))
	made := func(name, about string, by *identity, facts Facts, change func(*x509.Certificate)) {
		id, err := issue(es256, "idevid "+name, "", by, func(t *x509.Certificate) {
			t.Subject = pkix.Name{Organization: []string{"Example"}, SerialNumber: serial}
			change(t)
		})
		if err != nil {
			panic(err) // the templates are the kit's own
		}
		b.good(id.chain[0], Case{File: "idevid/" + name + ".der", Kind: KindIDevID, About: about, Facts: &facts})
	}
	good := func(name, about string, facts Facts, change func(*x509.Certificate)) {
		made(name, about, p.vendor, facts, change)
	}
	one := []string{serial}
	made("self-signed", "no authority key identifier", nil, Facts{SerialNumbers: one}, func(*x509.Certificate) {})
	good("serial", "one serialNumber in the subject", Facts{SerialNumbers: one, Issuer: issuer}, func(*x509.Certificate) {})
	good("serial-twice", "two serialNumbers in the subject, of which none is the device's", Facts{SerialNumbers: []string{serial, "other"}, Issuer: issuer}, func(t *x509.Certificate) {
		number := asn1.ObjectIdentifier{2, 5, 4, 5}
		t.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: number, Value: serial}, {Type: number, Value: "other"}}
	})
	good("serial-none", "no serialNumber in the subject", Facts{Issuer: issuer}, func(t *x509.Certificate) {
		t.Subject = pkix.Name{CommonName: "device 7"}
	})
	good("serial-utf8", "a serialNumber in UTF-8", Facts{SerialNumbers: []string{"Gerät 7"}, Issuer: issuer}, func(t *x509.Certificate) {
		t.Subject.SerialNumber = "Gerät 7"
	})
	good("hardware-module", "a hardwareModuleName, and another serialNumber in the subject",
		Facts{SerialNumbers: one, HardwareModules: []string{"1.3.6.1.4.1.32473.7 0102ff"}, Issuer: issuer}, func(t *x509.Certificate) {
			module := sequence(oid(1, 3, 6, 1, 4, 1, 32473, 7), octetString([]byte{1, 2, 0xff}))
			name := tlv(tagExplicit0, oid(1, 3, 6, 1, 5, 5, 7, 8, 4), tlv(tagExplicit0, module))
			t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: sequence(name)}}
		})
	good("masa-url", "a MASA URL", Facts{SerialNumbers: one, Issuer: issuer, MASAURL: "https://masa.example.com/brski"}, func(t *x509.Certificate) {
		t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}, Value: tlv(0x16, []byte("https://masa.example.com/brski"))}}
	})
	good("never-expires", "valid until 99991231235959Z", Facts{SerialNumbers: one, Issuer: issuer}, func(t *x509.Certificate) {
		t.NotAfter = endOfTime
	})
	b.badIDevIDs()
}

func (b *builder) badIDevIDs() {
	sound := b.pki.pledge.chain[0]
	bad := func(name, about string, content []byte) {
		b.bad(content, "certificate", "", Case{File: "idevid/bad-" + name + ".der", Kind: KindIDevID, About: about})
	}
	bad("empty", "no octets", nil)
	bad("truncated", "the last octet is missing", sound[:len(sound)-1])
	bad("trailing", "an octet too many", append(append([]byte{}, sound...), 0))
	bad("other", "something else in DER", sequence(integer(1)))
}
