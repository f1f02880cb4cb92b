package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
)

func TestRevocationList(t *testing.T) {
	entries := []ca.Revoked{
		{Serial: big.NewInt(300), At: begin.Add(1500 * time.Millisecond), Reason: ca.KeyCompromise},
		{Serial: big.NewInt(2), At: noon.In(time.FixedZone("", -3600))},
		{Serial: new(big.Int).Lsh(big.NewInt(1), 158), At: begin, Reason: ca.AACompromise},
	}
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			root, number := newRoot(t, kind), new(big.Int).Lsh(big.NewInt(1), 158)
			for _, part := range [][]ca.Revoked{nil, entries} {
				der := must[[]byte](t)(root.RevocationList(part, number, noon, noon.AddDate(0, 0, 7)))
				list := must[*x509.RevocationList](t)(x509.ParseRevocationList(der))
				if err := list.CheckSignatureFrom(root.Certificate()); err != nil {
					t.Error(err)
				}
				if list.Number.Cmp(number) != 0 || !bytes.Equal(list.AuthorityKeyId, root.Certificate().SubjectKeyId) || !bytes.Equal(list.RawIssuer, root.Certificate().RawSubject) {
					t.Errorf("number %v, issuer %v %x", list.Number, list.Issuer, list.AuthorityKeyId)
				}
				if !list.ThisUpdate.Equal(noon) || !list.NextUpdate.Equal(noon.AddDate(0, 0, 7)) || len(list.RevokedCertificateEntries) != len(part) {
					t.Errorf("%d entries from %v to %v", len(list.RevokedCertificateEntries), list.ThisUpdate, list.NextUpdate)
				}
				for i, e := range list.RevokedCertificateEntries {
					want := part[i]
					if e.SerialNumber.Cmp(want.Serial) != 0 || !e.RevocationTime.Equal(want.At.Truncate(time.Second)) || e.ReasonCode != int(want.Reason) || (want.Reason == 0) != (len(e.Extensions) == 0) {
						t.Errorf("entry %d: %v at %v for %d", i, e.SerialNumber, e.RevocationTime, e.ReasonCode)
					}
				}
			}
		})
	}
}

func TestRevocationListByOpenssl(t *testing.T) {
	o := openssl.New(t)
	for _, kind := range allKinds {
		root := newRoot(t, kind)
		good, bad := must[*x509.Certificate](t)(root.LDevID(ldevid(t, namesToKeep["UTF8String"]))), must[*x509.Certificate](t)(root.LDevID(ldevid(t, namesToKeep["UTF8String"])))
		der := must[[]byte](t)(root.RevocationList([]ca.Revoked{{Serial: bad.SerialNumber, At: noon, Reason: ca.Superseded}}, big.NewInt(7), noon, noon.AddDate(0, 0, 7)))
		o.Write("crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
		if out, err := verify(o, root, good, noon, "-crl_check", "-CRLfile", "crl.pem"); err != nil {
			t.Errorf("%s: %s", kind, out)
		}
		if out, err := verify(o, root, bad, noon, "-crl_check", "-CRLfile", "crl.pem"); err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("%s: a revoked certificate: %s", kind, out)
		}
		text := o.Run("crl", "-in", "crl.pem", "-CAfile", "ca.pem", "-noout", "-text")
		for _, want := range []string{"verify OK", "Version 2 (0x1)", "X509v3 CRL Number: \n                7\n", "X509v3 Authority Key Identifier:", "Superseded", strings.ToUpper(bad.SerialNumber.Text(16))} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", kind, want, text)
			}
		}
	}
}

func TestRevocationListRefusals(t *testing.T) {
	root := newRoot(t, ca.P256)
	one, large := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 159)
	tests := []struct {
		name     string
		entries  []ca.Revoked
		number   *big.Int
		from, to time.Time
		kind     error
	}{
		{"no number", nil, nil, noon, end, ca.ErrRevoked},
		{"negative number", nil, big.NewInt(-1), noon, end, ca.ErrRevoked},
		{"large number", nil, large, noon, end, ca.ErrRevoked},
		{"backwards", nil, one, noon, begin, ca.ErrValidity},
		{"no times", nil, one, time.Time{}, time.Time{}, ca.ErrValidity},
		{"no serial number", []ca.Revoked{{At: begin}}, one, noon, end, ca.ErrRevoked},
		{"serial number zero", []ca.Revoked{{Serial: new(big.Int), At: begin}}, one, noon, end, ca.ErrRevoked},
		{"large serial number", []ca.Revoked{{Serial: large, At: begin}}, one, noon, end, ca.ErrRevoked},
		{"no time", []ca.Revoked{{Serial: one}}, one, noon, end, ca.ErrRevoked},
		{"in the future", []ca.Revoked{{Serial: one, At: noon.Add(time.Second)}}, one, noon, end, ca.ErrRevoked},
		{"removeFromCRL", []ca.Revoked{{Serial: one, At: begin, Reason: 8}}, one, noon, end, ca.ErrRevoked},
		{"unknown reason", []ca.Revoked{{Serial: one, At: begin, Reason: 11}}, one, noon, end, ca.ErrRevoked},
		{"twice", []ca.Revoked{{Serial: one, At: begin}, {Serial: big.NewInt(1), At: noon}}, one, noon, end, ca.ErrRevoked},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := root.RevocationList(test.entries, test.number, test.from, test.to)
			wantKind(t, err, test.kind)
		})
	}
	key := newKey(t, ca.P256)
	issuing := must[*ca.Authority](t)(ca.New(certificate(t, key, func(*x509.Certificate) {}), key, ca.Options{}))
	_, err := issuing.RevocationList(nil, one, noon, end)
	wantKind(t, err, ca.ErrAuthority)
}
