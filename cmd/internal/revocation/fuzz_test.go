package revocation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// FuzzList holds that a list says what its issuer signed, whatever octets come
// from an address that a stranger chose, and that no extension of the stranger's
// own makes a part pass for the whole.
func FuzzList(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Domain CA"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: epoch, NextUpdate: epoch.Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: epoch}}}, issuer, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list, []byte{0x30, 0})
	f.Add(list, []byte{0x30, 2, 0xa0, 0})
	f.Add([]byte{0x30, 0}, []byte{0x30, 3, 0x82, 1, 0xff})
	f.Add([]byte{0x30, 0}, []byte{0x30, 5, 0x87, 0, 0x82, 1, 0xff})
	f.Fuzz(func(t *testing.T, der, point []byte) {
		if r, err := parse(der, issuer); err == nil && (len(r.serials) != 1 || !r.serials["\x07"] || !r.thisUpdate.Equal(epoch)) {
			t.Errorf("a list that nobody signed is read: %+v", r)
		}
		var outer asn1.RawValue
		rest, err := asn1.Unmarshal(point, &outer)
		whole := err == nil && len(rest) == 0 && (len(outer.Bytes) == 0 || outer.Bytes[0]&^0x20 == 0x80)
		if complete(pkix.Extension{Id: oidDistribution, Critical: true, Value: point}) == nil && !whole {
			t.Errorf("%x passes for the whole list", point)
		}
	})
}
