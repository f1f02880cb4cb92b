package sign

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// foreignAlgorithms are those whose keys crypto/x509 does not know.
var foreignAlgorithms = []*Algorithm{Ed448, MLDSA44, MLDSA65, MLDSA87, SLHDSA128s, SLHDSA128f}

func TestDemoPKIOfKeysUnknownToX509(t *testing.T) {
	oneGoroutine(t)
	for _, alg := range foreignAlgorithms {
		pki := demoPKI(t, alg)
		chain, err := LoadChain(pki.Signer)
		if err != nil {
			t.Fatalf("%v: %v", alg, err)
		}
		signer, ca := chain[0], chain[1]
		key, err := LoadKey(pki.SignerKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := MatchCertificate(key, signer); err != nil {
			t.Errorf("%v: %v", alg, err)
		}
		if err := MatchCertificate(key, ca); err == nil {
			t.Errorf("%v: the CA's certificate matches the signer's key", alg)
		}
		// The same marks as the certificates that crypto/x509 makes.
		if signer.KeyUsage != x509.KeyUsageDigitalSignature || signer.IsCA || !signer.BasicConstraintsValid || len(signer.Extensions) != 4 ||
			ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || !ca.IsCA || !ca.MaxPathLenZero || len(ca.SubjectKeyId) != 20 ||
			!slices.Equal(signer.AuthorityKeyId, ca.SubjectKeyId) || !slices.Equal(ca.AuthorityKeyId, ca.SubjectKeyId) {
			t.Errorf("%v: signer %+v, CA %+v", alg, signer, ca)
		}
		found, err := VerifyChain(signer, ChainOptions{Roots: []*x509.Certificate{ca}})
		if err != nil || len(found) != 2 || !found[0].Equal(signer) || !found[1].Equal(ca) {
			t.Errorf("%v: %v, %v", alg, found, err)
		}
		if err := CheckSignatureFrom(ca, ca); err != nil {
			t.Errorf("%v: the CA did not sign itself: %v", alg, err)
		}
	}
}

// TestHugeRSAKeysAreNotVerifiedWith: one signature by such a key, which nobody
// needs to be able to make, takes seconds to refuse.
func TestHugeRSAKeysAreNotVerifiedWith(t *testing.T) {
	root := issueTest(t, "Root", ES256, nil, nil)
	leaf := issueTest(t, "Leaf", ES256, root, func(c *x509.Certificate) { c.IsCA = false })
	huge := *root.cert
	huge.Raw, huge.PublicKeyAlgorithm = append([]byte{0}, root.cert.Raw...), x509.RSA
	huge.PublicKey = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), MaxRSABits, 1), E: 1<<31 - 1}
	var refused *KeyError
	if err := CheckSignatureFrom(leaf.cert, &huge); !errors.As(err, &refused) || !strings.Contains(err.Error(), "8193 bits") {
		t.Errorf("error %v", err)
	}
	var unknown x509.UnknownAuthorityError
	_, err := VerifyChain(leaf.cert, ChainOptions{Roots: []*x509.Certificate{issueTest(t, "Other", ES256, nil, nil).cert}, Intermediates: []*x509.Certificate{&huge}, At: root.cert.NotBefore.Add(time.Minute)})
	if !errors.As(err, &unknown) || strings.Contains(err.Error(), "possibly because") {
		t.Errorf("error %v, want one that says nothing of an issuer that was tried", err)
	}
}

func TestOpensslReadsOurEd448Certificates(t *testing.T) {
	pki, dir := demoPKI(t, Ed448), t.TempDir()
	write(t, dir, "ca.pem", pki.CA)
	write(t, dir, "masa.pem", pki.Signer)
	mustOpenssl(t, dir, "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "smimesign", "masa.pem")
}

func TestCertificatesBeyond2049(t *testing.T) {
	pki, err := NewDemoPKI(DemoOptions{Algorithm: MLDSA44, CommonName: "far", NotBefore: time.Now(),
		NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := LoadChain(pki.Signer)
	if err != nil || chain[0].NotAfter.Year() != 9999 {
		t.Errorf("%v, %v", chain[0].NotAfter, err)
	}
}

// authority issues test certificates by any algorithm.
type authority struct {
	alg  *Algorithm
	key  crypto.Signer
	cert *x509.Certificate
}

// issueTest makes a certificate that change has made different; issuer nil
// makes it self-signed.
func issueTest(t *testing.T, name string, alg *Algorithm, issuer *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	key := newTestKey(t, alg)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte(name), AuthorityKeyId: []byte(name),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLen: 3,
	}
	if change != nil {
		change(template)
	}
	if !template.IsCA {
		template.MaxPathLen = -1
	}
	own := &authority{alg: alg, key: key, cert: template}
	if issuer == nil {
		issuer = own
	}
	var der []byte
	var err error
	if issuer.alg.key.knownToX509() && alg.key.knownToX509() {
		der, err = x509.CreateCertificate(rand.Reader, template, issuer.cert, key.Public(), issuer.key)
	} else {
		der, err = createCertificate(issuer.alg, template, issuer.cert, key.Public(), issuer.key)
	}
	if err != nil {
		t.Fatal(err)
	}
	if own.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return own
}

func TestChainsOfMixedAlgorithms(t *testing.T) {
	root := issueTest(t, "root", MLDSA65, nil, nil)
	middle := issueTest(t, "middle", ES256, root, nil)
	low := issueTest(t, "low", ES256, middle, nil)
	leaf := issueTest(t, "leaf", ES384, low, func(c *x509.Certificate) { c.IsCA = false })
	decoy := issueTest(t, "low", ES256, middle, nil) // same name and key identifier
	opts := ChainOptions{Roots: []*x509.Certificate{root.cert}, Intermediates: []*x509.Certificate{decoy.cert, low.cert, middle.cert}}
	chain, err := VerifyChain(leaf.cert, opts)
	if err != nil || len(chain) != 4 || chain[1] != low.cert {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	// A trusted certificate is a chain by itself, wherever it stands.
	opts = ChainOptions{Roots: []*x509.Certificate{leaf.cert}}
	if chain, err := VerifyChain(leaf.cert, opts); err != nil || len(chain) != 1 {
		t.Errorf("a trusted leaf: %v", err)
	}
	classic := demoPKI(t, ES256)
	certs, err := LoadChain(classic.Signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyChain(certs[0], ChainOptions{Roots: certs[1:]}); err != nil {
		t.Errorf("a chain of crypto/x509's own: %v", err)
	}
}

func TestChainsThatDoNotHold(t *testing.T) {
	root := issueTest(t, "root", MLDSA44, nil, func(c *x509.Certificate) { c.MaxPathLen = 1 })
	namesake := issueTest(t, "root", MLDSA44, nil, nil)
	stranger := issueTest(t, "stranger", MLDSA44, nil, nil)
	middle := issueTest(t, "middle", MLDSA44, root, nil)
	deep := issueTest(t, "deep", MLDSA44, middle, nil)
	leafOf := func(a *authority, change func(*x509.Certificate)) *x509.Certificate {
		return issueTest(t, "leaf", MLDSA44, a, func(c *x509.Certificate) {
			c.IsCA = false
			if change != nil {
				change(c)
			}
		}).cert
	}
	old := issueTest(t, "old", MLDSA44, root, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	plain := issueTest(t, "plain", MLDSA44, root, func(c *x509.Certificate) { c.IsCA = false })
	wrongUse := issueTest(t, "wrong use", MLDSA44, root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	tampered := leafOf(middle, nil)
	der := slices.Clone(tampered.Raw)
	der[len(der)-1] ^= 1
	tampered, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	between := []*x509.Certificate{middle.cert, deep.cert, old.cert, plain.cert, wrongUse.cert}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	for name, c := range map[string]struct {
		cert *x509.Certificate
		root *x509.Certificate
		as   any
		says string
	}{
		"no root":       {leafOf(middle, nil), stranger.cert, &unknown, "unknown authority"},
		"namesake":      {leafOf(middle, nil), namesake.cert, &unknown, "does not fit"},
		"tampered":      {tampered, root.cert, &unknown, "does not fit"},
		"expired leaf":  {leafOf(middle, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), root.cert, &invalid, "expired"},
		"expired CA":    {leafOf(old, nil), root.cert, &invalid, "expired"},
		"path too long": {leafOf(deep, nil), root.cert, &invalid, "intermediates"},
		"no CA":         {leafOf(plain, nil), root.cert, &unknown, "no certificate authority"},
		"wrong use":     {leafOf(wrongUse, nil), root.cert, &unknown, "no certificate authority"},
	} {
		chain, err := VerifyChain(c.cert, ChainOptions{Roots: []*x509.Certificate{c.root}, Intermediates: between})
		if err == nil || !errors.As(err, c.as) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d certificates, %v", name, len(chain), err)
		}
	}
	good := leafOf(middle, nil)
	if _, err := VerifyChain(good, ChainOptions{Roots: []*x509.Certificate{root.cert}, Intermediates: between}); err != nil {
		t.Errorf("a good chain among bad candidates: %v", err)
	}
	if _, err := VerifyChain(good, ChainOptions{Roots: []*x509.Certificate{root.cert}, Intermediates: between, At: time.Now().Add(24 * time.Hour)}); !errors.As(err, &invalid) {
		t.Errorf("tomorrow: %v", err)
	}
	if _, err := VerifyChain(nil, ChainOptions{}); err == nil {
		t.Error("nothing has a chain")
	}
	if _, err := VerifyChain(good, ChainOptions{}); !errors.As(err, &unknown) {
		t.Errorf("without roots: %v", err)
	}
}

// Constraints that are not evaluated must not be passed over.
func TestConstraintsAreNotPassedOver(t *testing.T) {
	for id, refused := range map[int]bool{30: true, 33: true, 36: true, 54: true, 31: false} {
		w := &chainWalk{opts: &ChainOptions{At: time.Now()}}
		cert := &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), MaxPathLen: -1,
			Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, id}}}}
		if err := w.usable(cert, 1); (err != nil) != refused {
			t.Errorf("extension 2.5.29.%d: %v", id, err)
		}
	}
	w := &chainWalk{opts: &ChainOptions{At: time.Now()}}
	cert := &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		UnhandledCriticalExtensions: []asn1.ObjectIdentifier{{1, 2, 3}}}
	var critical x509.UnhandledCriticalExtension
	if err := w.usable(cert, 0); !errors.As(err, &critical) {
		t.Errorf("an unknown critical extension: %v", err)
	}
}

// Many certificates of one name, each of whose signatures would have to be
// tried against all others, end at a bounded number of checks.
func TestTheSearchForAChainIsBounded(t *testing.T) {
	root := issueTest(t, "root", MLDSA44, nil, nil)
	var between []*x509.Certificate
	first := issueTest(t, "same", MLDSA44, nil, nil)
	for range 40 {
		between = append(between, issueTest(t, "same", MLDSA44, first, nil).cert)
	}
	leaf := issueTest(t, "same", MLDSA44, first, func(c *x509.Certificate) { c.IsCA = false }).cert
	w := &chainWalk{opts: &ChainOptions{Roots: []*x509.Certificate{root.cert}, Intermediates: append(between, first.cert), At: time.Now()}, checks: maxChainChecks}
	if chain := w.extend([]*x509.Certificate{leaf}); chain != nil || w.checks < 0 {
		t.Errorf("%d certificates, %d checks left", len(chain), w.checks)
	}
}

func TestSignatureAlgorithmsMustBeTheIssuersOwn(t *testing.T) {
	root := issueTest(t, "root", MLDSA44, nil, nil)
	leaf := issueTest(t, "leaf", MLDSA44, root, nil)
	if err := CheckSignatureFrom(leaf.cert, root.cert); err != nil {
		t.Fatal(err)
	}
	// id-ml-dsa-65 for id-ml-dsa-44, inside and out.
	der := []byte(strings.ReplaceAll(string(leaf.cert.Raw), string(MLDSA44.SignatureOID)+"\x30", string(MLDSA65.SignatureOID)+"\x30"))
	der = []byte(strings.ReplaceAll(string(der), string(MLDSA44.SignatureOID)+"\x03\x82\x09\x75", string(MLDSA65.SignatureOID)+"\x03\x82\x09\x75"))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	var refused *AlgorithmError
	if err := CheckSignatureFrom(cert, root.cert); !errors.As(err, &refused) {
		t.Errorf("another algorithm's name: %v", err)
	}
}

func TestChainsWithoutAClock(t *testing.T) {
	for name, alg := range map[string]*Algorithm{"crypto/x509": ES256, "own walk": MLDSA44} {
		past := func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
		}
		root := issueTest(t, "root", alg, nil, past)
		middle := issueTest(t, "middle", alg, root, nil)
		leaf := issueTest(t, "leaf", alg, middle, func(c *x509.Certificate) { past(c); c.IsCA = false }).cert
		plain := issueTest(t, "plain", alg, root, func(c *x509.Certificate) { c.IsCA = false })
		under := issueTest(t, "under plain", alg, plain, func(c *x509.Certificate) { c.IsCA = false }).cert
		opts := ChainOptions{Roots: []*x509.Certificate{root.cert}, Intermediates: []*x509.Certificate{middle.cert, plain.cert}}
		if _, err := VerifyChain(leaf, opts); err == nil {
			t.Errorf("%s: a chain that expired holds", name)
		}
		opts.AnyTime = true
		chain, err := VerifyChain(leaf, opts)
		if err != nil || !slices.Equal(chain, []*x509.Certificate{leaf, middle.cert, root.cert}) {
			t.Errorf("%s, any time: %d certificates, %v", name, len(chain), err)
		}
		if _, err := VerifyChain(under, opts); err == nil {
			t.Errorf("%s, any time: a certificate issued by no CA has a chain", name)
		}
	}
}
