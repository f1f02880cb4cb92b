package device_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
)

func TestPublishedIDevIDs(t *testing.T) {
	for _, c := range []struct {
		leaf, anchor []string
		at           time.Time
		serial       string
		issuer       string // key identifier, hexadecimal; "" where it is the SHA-256 of the CA's SPKI
		leafIssuer   string // idevid-issuer a registrar states
	}{
		{[]string{"http", "cbrski-certs", "pledge.der"}, []string{"http", "cbrski-certs", "masa_ca.der"}, time.Time{}, "JADA123456789",
			"cb8d98ca74c51b58dde7acef869a9443a8d666a6", "041830168014cb8d98ca74c51b58dde7acef869a9443a8d666a6"},
		{[]string{"http", "rfc8366bis", "00-D0-E5-F2-00-02.crt"}, []string{"http", "rfc8995", "vendor.crt"}, time.Time{}, "00-D0-E5-F2-00-02", "", ""},
	} {
		leaf, anchor := vectors.Certificate(t, c.leaf...), vectors.Certificate(t, c.anchor...)
		at := leaf.NotBefore.Add(time.Hour)
		if at.Before(anchor.NotBefore) {
			at = anchor.NotBefore.Add(time.Hour)
		}
		got, err := device.Identify([]*x509.Certificate{leaf}, []device.Manufacturer{{Name: "m", Anchors: []*x509.Certificate{anchor}}}, at)
		if err != nil {
			t.Errorf("%v: %v", c.leaf, err)
			continue
		}
		issuer := c.issuer
		if issuer == "" {
			sum := sha256.Sum256(anchor.RawSubjectPublicKeyInfo)
			issuer = hex.EncodeToString(sum[:])
		}
		if got.ID.Serial != c.serial || hex.EncodeToString([]byte(got.ID.IssuerKeyID)) != issuer {
			t.Errorf("%v is %s", c.leaf, got.ID)
		}
		if c.leafIssuer != "" && hex.EncodeToString(got.Issuer) != c.leafIssuer {
			t.Errorf("%v: idevid-issuer %x", c.leaf, got.Issuer)
		}
		if !artefact.IssuerMatches(got.Issuer, got.Facts, anchor) || got.SPKI != sha256.Sum256(leaf.RawSubjectPublicKeyInfo) || !got.Chain[0].Equal(leaf) {
			t.Errorf("%v: issuer %x, chain of %d", c.leaf, got.Issuer, len(got.Chain))
		}
	}
}

// maker is a manufacturer made for one test.
type maker struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func certify(t testing.TB, parent *maker, template *x509.Certificate) *maker {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self := &maker{template, key}
	if parent == nil {
		parent = self
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.BasicConstraintsValid = true
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if self.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return self
}

func newCA(t testing.TB) *maker {
	return certify(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "IDevID CA"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
}

// hardwareName is a subjectAltName with one hardwareModuleName (RFC 4108).
func hardwareName(t testing.TB, serial string) []byte {
	t.Helper()
	inner, err := asn1.Marshal(struct {
		Type   asn1.ObjectIdentifier
		Serial []byte
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}, []byte(serial)})
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner})
	if err != nil {
		t.Fatal(err)
	}
	oid, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4})
	if err != nil {
		t.Fatal(err)
	}
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(oid, value...)}})
	if err != nil {
		t.Fatal(err)
	}
	return san
}

func TestWhoIsADeviceHere(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	between := certify(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: "line 3"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	named := pkix.Name{SerialNumber: "A-1"}
	valid := certify(t, ca, &x509.Certificate{Subject: named})
	deep := certify(t, between, &x509.Certificate{Subject: named})
	past := certify(t, ca, &x509.Certificate{Subject: named, NotBefore: time.Now().Add(-30 * time.Minute), NotAfter: time.Now().Add(-time.Minute)})
	future := certify(t, ca, &x509.Certificate{Subject: named, NotBefore: time.Now().Add(time.Minute), NotAfter: time.Now().Add(30 * time.Minute)})
	module := certify(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: "x"}, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: hardwareName(t, "HW-7")}}})
	strange := certify(t, ca, &x509.Certificate{Subject: named, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2}, Critical: true, Value: []byte{5, 0}}}})
	twice := certify(t, ca, &x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "A"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "B"}}}})
	plain := []device.Manufacturer{{Name: "other", Anchors: []*x509.Certificate{other.cert}}, {Name: "acme", Anchors: []*x509.Certificate{ca.cert}}}
	lenient := []device.Manufacturer{{Name: "acme", Anchors: []*x509.Certificate{ca.cert}, IgnoreLifetime: true}}
	byModule := []device.Manufacturer{{Name: "acme", Anchors: []*x509.Certificate{ca.cert}, SerialFrom: codec.SerialFromHWModuleName}}
	for name, c := range map[string]struct {
		chain  []*x509.Certificate
		makers []device.Manufacturer
		serial string
		kind   decision.Kind
	}{
		"not yet valid": {[]*x509.Certificate{future.cert}, plain, "", decision.BadCertificate},
		"not yet valid, which is not having outlived": {[]*x509.Certificate{future.cert}, lenient, "", decision.BadCertificate},
		"known":                       {[]*x509.Certificate{valid.cert}, plain, "A-1", ""},
		"with its issuers":            {[]*x509.Certificate{deep.cert, between.cert, ca.cert}, plain, "A-1", ""},
		"issuer missing":              {[]*x509.Certificate{deep.cert}, plain, "", decision.UnknownManufacturer},
		"issuer known here":           {[]*x509.Certificate{deep.cert}, []device.Manufacturer{{Anchors: []*x509.Certificate{ca.cert}, Intermediates: []*x509.Certificate{between.cert}}}, "A-1", ""},
		"nothing presented":           {nil, plain, "", decision.NoCertificate},
		"no manufacturer":             {[]*x509.Certificate{valid.cert}, nil, "", decision.UnknownManufacturer},
		"another's":                   {[]*x509.Certificate{valid.cert}, plain[:1], "", decision.UnknownManufacturer},
		"manufacturer without anchor": {[]*x509.Certificate{valid.cert}, []device.Manufacturer{{Name: "empty"}}, "", decision.UnknownManufacturer},
		"expired":                     {[]*x509.Certificate{past.cert}, plain, "", decision.BadCertificate},
		"expired, ignored":            {[]*x509.Certificate{past.cert}, lenient, "A-1", ""},
		"a CA":                        {[]*x509.Certificate{ca.cert}, plain, "", decision.BadCertificate},
		"no serial number":            {[]*x509.Certificate{module.cert}, plain, "", decision.NoSerialNumber},
		"serial in a critical module": {[]*x509.Certificate{module.cert}, byModule, "HW-7", ""},
		"two serial numbers":          {[]*x509.Certificate{twice.cert}, plain, "", decision.NoSerialNumber},
		"critical extension unknown":  {[]*x509.Certificate{strange.cert}, plain, "", decision.UnknownManufacturer},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := device.Identify(c.chain, c.makers, time.Now())
			if c.kind != "" {
				if !decision.Is(err, c.kind) {
					t.Errorf("error %v, want kind %s", err, c.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ID.Serial != c.serial || got.Manufacturer.Name == "other" {
				t.Errorf("device %s of %q", got.ID, got.Manufacturer.Name)
			}
			if want := string(got.Chain[1].SubjectKeyId); len(want) > 0 && got.ID.IssuerKeyID != want {
				t.Errorf("issuer %x, want %x", got.ID.IssuerKeyID, want)
			}
		})
	}
}
