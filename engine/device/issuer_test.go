package device_test

import (
	"crypto/ecdsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/device"
)

// Key identifiers that are digests of the issuer's key are told from those that
// whoever made the certificate just liked.
func TestNamesThatProveTheirKey(t *testing.T) {
	root := newCA(t)
	makers := []device.Manufacturer{{Name: "maker", Anchors: []*x509.Certificate{root.cert}}}
	bits := func(m *maker) []byte {
		point, err := m.key.Public().(*ecdsa.PublicKey).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return point
	}
	other := newCA(t)
	for name, c := range map[string]struct {
		keyID func(*maker) []byte
		want  bool
	}{
		"SHA-1":                   {func(m *maker) []byte { d := sha1.Sum(bits(m)); return d[:] }, true},
		"SHA-256":                 {func(m *maker) []byte { d := sha256.Sum256(bits(m)); return d[:20] }, true},
		"SHA-384":                 {func(m *maker) []byte { d := sha512.Sum384(bits(m)); return d[:20] }, true},
		"SHA-512":                 {func(m *maker) []byte { d := sha512.Sum512(bits(m)); return d[:20] }, true},
		"of the whole SPKI":       {func(m *maker) []byte { d := sha256.Sum256(m.cert.RawSubjectPublicKeyInfo); return d[:] }, true},
		"no identifier":           {func(*maker) []byte { return nil }, true},
		"part of a digest":        {func(m *maker) []byte { d := sha1.Sum(bits(m)); return d[:8] }, false},
		"of another key":          {func(*maker) []byte { d := sha1.Sum(bits(other)); return d[:] }, false},
		"a number":                {func(*maker) []byte { return []byte{1} }, false},
		"of twenty octets at all": {func(*maker) []byte { return make([]byte, 20) }, false},
	} {
		issuer := *root.cert
		issuer.SubjectKeyId = c.keyID(root)
		leaf := certify(t, &maker{&issuer, root.key}, &x509.Certificate{Subject: pkix.Name{SerialNumber: "SN-1"}})
		who, err := device.Identify([]*x509.Certificate{leaf.cert}, makers, time.Now())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := who.NamesIssuerKey(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
