package artefact_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
)

// An issuer is a certificate with its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate under parent, self-signed where that is nil.
func issue(t testing.TB, parent *issuer, name string, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign}
	if change != nil {
		change(template)
	}
	self := issuer{template, key}
	if parent == nil {
		parent = &self
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if self.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &self
}

func endEntity(c *x509.Certificate) {
	c.IsCA, c.MaxPathLen, c.KeyUsage = false, 0, x509.KeyUsageDigitalSignature
}

func TestPathHoldsWhatIssuedTheSignerAndNothingElse(t *testing.T) {
	now := time.Now()
	root := issue(t, nil, "domain CA", nil)
	middle := issue(t, root, "site CA", nil)
	ee := issue(t, middle, "registrar", endEntity)
	namesake := issue(t, nil, "site CA", nil)
	foreign := issue(t, nil, "foreign CA", nil)
	for name, c := range map[string]struct{ among, want []*issuer }{
		"whole":                    {[]*issuer{ee, middle, root}, []*issuer{ee, middle, root}},
		"any order":                {[]*issuer{root, middle, ee}, []*issuer{ee, middle, root}},
		"no root":                  {[]*issuer{ee, middle}, []*issuer{ee, middle}},
		"alone":                    {[]*issuer{ee}, []*issuer{ee}},
		"gap":                      {[]*issuer{ee, root}, []*issuer{ee}},
		"foreign appended":         {[]*issuer{ee, middle, root, foreign}, []*issuer{ee, middle, root}},
		"foreign prepended":        {[]*issuer{foreign, ee, middle, root}, []*issuer{ee, middle, root}},
		"same name, another key":   {[]*issuer{namesake, ee, middle, root}, []*issuer{ee, middle, root}},
		"same name in its place":   {[]*issuer{ee, namesake}, []*issuer{ee}},
		"certificates twice":       {[]*issuer{ee, ee, middle, middle, root, root}, []*issuer{ee, middle, root}},
		"end entity beside issuer": {[]*issuer{ee, issue(t, middle, "other", endEntity), middle}, []*issuer{ee, middle}},
	} {
		var among []*x509.Certificate
		for _, i := range c.among {
			among = append(among, i.cert)
		}
		got, err := artefact.Path(ee.cert, among, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.EqualFunc(got, c.want, func(a *x509.Certificate, b *issuer) bool { return a.Equal(b.cert) }) {
			t.Errorf("%s: path of %d certificates ends in %q", name, len(got), got[len(got)-1].Subject)
		}
	}
}

func TestPathsThatDoNotHold(t *testing.T) {
	now := time.Now()
	root := issue(t, nil, "domain CA", nil)
	for name, c := range map[string]struct {
		middle func(*x509.Certificate)
		signer func(*x509.Certificate)
		at     time.Time
	}{
		"expired issuer": {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, endEntity, now},
		"expired signer": {nil, func(c *x509.Certificate) { endEntity(c); c.NotAfter = now.Add(-time.Minute) }, now},
		"not yet valid":  {nil, endEntity, now.Add(-2 * time.Hour)},
		"name constraints": {func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.com"}
		}, func(c *x509.Certificate) { endEntity(c); c.DNSNames = []string{"registrar.example.net"} }, now},
	} {
		middle := issue(t, root, "site CA", c.middle)
		signer := issue(t, middle, "registrar", c.signer)
		_, err := artefact.Path(signer.cert, []*x509.Certificate{middle.cert, root.cert}, c.at)
		if !decision.Is(err, decision.ChainInconsistent) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	alone := issue(t, nil, "registrar alone", endEntity)
	for name, at := range map[string]time.Time{"not yet valid": now.Add(-2 * time.Hour), "expired": now.Add(2 * time.Hour)} {
		if _, err := artefact.Path(alone.cert, []*x509.Certificate{alone.cert}, at); !decision.Is(err, decision.ChainInconsistent) {
			t.Errorf("a signer alone, %s: error %v", name, err)
		}
	}
	short := issue(t, nil, "domain CA, no CA below", func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	middle := issue(t, short, "site CA", nil)
	signer := issue(t, middle, "registrar", endEntity)
	if _, err := artefact.Path(signer.cert, []*x509.Certificate{middle.cert, short.cert}, now); !decision.Is(err, decision.ChainInconsistent) {
		t.Errorf("path length: error %v", err)
	}
}

// A certificate that may not sign certificates issued nobody.
func TestNoIssuerWithoutTheRight(t *testing.T) {
	root := issue(t, nil, "domain CA", nil)
	for name, change := range map[string]func(*x509.Certificate){
		"no CA":             endEntity,
		"no keyCertSign":    func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign },
		"no CA, whole path": func(c *x509.Certificate) { endEntity(c); c.KeyUsage = x509.KeyUsageCertSign },
	} {
		middle := issue(t, root, "ldevid", change)
		signer := issue(t, middle, "registrar", endEntity)
		path, err := artefact.Path(signer.cert, []*x509.Certificate{middle.cert, root.cert}, time.Now())
		if err == nil && len(path) != 1 {
			t.Errorf("%s: path of %d certificates", name, len(path))
		}
	}
}

func TestPublishedRegistrarsPath(t *testing.T) {
	ee, root := vectors.Certificate(t, "http", "rfc8995", "jrc_prime256v1.crt"), vectors.Certificate(t, "http", "rfc8995", "ownerca_secp384r1.crt")
	path, err := artefact.Path(ee, []*x509.Certificate{ee, root}, spring2021)
	if err != nil || len(path) != 2 || !path[1].Equal(root) {
		t.Errorf("path %d, %v", len(path), err)
	}
}
