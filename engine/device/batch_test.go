package device_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/sign"
)

// TestABatchIsManyTimesIdentify: whatever is in a list, the outcome of each of
// its devices is that of Identify, whoever came before it.
func TestABatchIsManyTimesIdentify(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	authority := func(name string, parent *maker, change func(*x509.Certificate)) *maker {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		if change != nil {
			change(c)
		}
		return certify(t, parent, c)
	}
	serial := 0
	leaf := func(parent *maker, change func(*x509.Certificate)) *x509.Certificate {
		serial++
		c := &x509.Certificate{Subject: pkix.Name{SerialNumber: fmt.Sprintf("SN-%d", serial)}, NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 1, 0)}
		if change != nil {
			change(c)
		}
		return certify(t, parent, c).cert
	}
	first, second := authority("First", nil, nil), authority("Second", nil, nil)
	foreign := authority("First", nil, func(c *x509.Certificate) { c.SubjectKeyId = first.cert.SubjectKeyId })
	sub, presented := authority("Sub", first, nil), authority("Presented", first, nil)
	narrow := authority("Narrow", nil, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.org"}
	})
	old := authority("Old", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) })
	makers := []device.Manufacturer{
		{Name: "first", Anchors: []*x509.Certificate{first.cert, narrow.cert}, Intermediates: []*x509.Certificate{sub.cert}},
		{Name: "second", Anchors: []*x509.Certificate{second.cert, old.cert}, IgnoreLifetime: true},
	}
	tampered := leaf(first, nil)
	raw := slices.Clone(tampered.Raw)
	raw[len(raw)-1] ^= 1
	tampered, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	one := func(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c} }
	var chains [][]*x509.Certificate
	for range 3 {
		chains = append(chains, one(leaf(first, nil)), one(leaf(second, nil)), one(leaf(sub, nil)), one(leaf(foreign, nil)), one(tampered), nil,
			[]*x509.Certificate{leaf(presented, nil), presented.cert}, one(leaf(presented, nil)),
			one(leaf(narrow, func(c *x509.Certificate) { c.DNSNames = []string{"device.example.org"} })),
			one(leaf(narrow, func(c *x509.Certificate) { c.DNSNames = []string{"device.example.com"} })),
			one(leaf(first, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })),
			one(leaf(second, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })),
			one(leaf(old, func(c *x509.Certificate) { c.NotBefore = now.AddDate(0, -6, 0) })),
			one(leaf(first, func(c *x509.Certificate) { c.Subject.SerialNumber = "" })),
			one(leaf(first, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
			})), one(first.cert))
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := device.NewBatch(makers, now, verifier)
	for size := len(chains); size > 0; size /= 3 {
		for part := range slices.Chunk(chains, size) {
			identities, errs := batch.Identify(part)
			for i, chain := range part {
				want, wantErr := device.Identify(chain, makers, now)
				got, gotErr := identities[i], errs[i]
				if (gotErr == nil) != (wantErr == nil) || gotErr != nil && (got != nil || decision.Of(gotErr).Kind != decision.Of(wantErr).Kind) {
					t.Fatalf("device %d of %d: %v, alone %v", i, size, gotErr, wantErr)
				}
				if gotErr == nil && (got.ID != want.ID || got.Manufacturer != want.Manufacturer || got.SPKI != want.SPKI || !slices.EqualFunc(got.Chain, want.Chain, (*x509.Certificate).Equal)) {
					t.Fatalf("device %d of %d is %+v, alone %+v", i, size, got, want)
				}
			}
		}
	}
}
