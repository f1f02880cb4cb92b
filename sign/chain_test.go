package sign

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"
)

func demoPKI(t testing.TB, alg *Algorithm) *DemoPKI {
	t.Helper()
	now := time.Now()
	pki, err := NewDemoPKI(DemoOptions{Algorithm: alg, CommonName: "Example MASA", NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

func TestDemoCertificatesAreWhatOthersExpect(t *testing.T) {
	for _, alg := range []*Algorithm{ES256, ES384, ES512, Ed25519} {
		pki := demoPKI(t, alg)
		chain, err := LoadChain(pki.Signer)
		if err != nil || len(chain) != 2 {
			t.Fatal(err)
		}
		signer, ca := chain[0], chain[1]
		if !bytes.Equal(signer.AuthorityKeyId, ca.SubjectKeyId) || len(signer.SubjectKeyId) != 20 || len(ca.AuthorityKeyId) != 20 {
			t.Errorf("%v: key identifiers %x, %x, %x", alg, signer.AuthorityKeyId, signer.SubjectKeyId, ca.SubjectKeyId)
		}
		if signer.KeyUsage != x509.KeyUsageDigitalSignature || len(signer.ExtKeyUsage) != 0 || signer.IsCA || !ca.IsCA || !ca.MaxPathLenZero {
			t.Errorf("%v: usages of signer %b, CA %b", alg, signer.KeyUsage, ca.KeyUsage)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		if _, err := signer.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err != nil {
			t.Errorf("%v: %v", alg, err)
		}
		for _, c := range []struct {
			key  []byte
			cert *x509.Certificate
		}{{pki.SignerKey, signer}, {pki.CAKey, ca}} {
			key, err := LoadKey(c.key, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := MatchCertificate(key, c.cert); err != nil {
				t.Errorf("%v: %v", alg, err)
			}
		}
		other, _ := LoadKey(pki.CAKey, nil)
		var mismatch *KeyError
		if err := MatchCertificate(other, signer); !errors.As(err, &mismatch) || !strings.Contains(err.Error(), "Example MASA") {
			t.Errorf("%v: another key: %v", alg, err)
		}
	}
}

func TestOpensslAcceptsTheDemoSigner(t *testing.T) {
	for _, alg := range []*Algorithm{ES256, ES384, ES512, Ed25519} {
		pki, dir := demoPKI(t, alg), t.TempDir()
		write(t, dir, "ca.pem", pki.CA)
		write(t, dir, "masa.pem", pki.Signer)
		write(t, dir, "masa.key", pki.SignerKey)
		write(t, dir, "message", []byte("a voucher"))
		mustOpenssl(t, dir, "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "smimesign", "masa.pem")
		if alg == Ed25519 {
			continue // openssl 3.0 cannot sign CMS with it; its certificate was accepted
		}
		mustOpenssl(t, dir, "cms", "-sign", "-binary", "-nodetach", "-in", "message", "-signer", "masa.pem", "-inkey", "masa.key",
			"-econtent_type", "1.2.840.113549.1.9.16.1.40", "-outform", "DER", "-out", "voucher.vcj")
		mustOpenssl(t, dir, "cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.vcj", "-CAfile", "ca.pem", "-out", "back")
	}
}

func TestDemoOptionsThatMakeNoCertificate(t *testing.T) {
	oneGoroutine(t)
	now := time.Now()
	good := DemoOptions{Algorithm: ES256, CommonName: "x", NotBefore: now, NotAfter: now.Add(time.Hour)}
	for name, change := range map[string]func(*DemoOptions){
		"RSA":       func(o *DemoOptions) { o.Algorithm = RS256 },
		"none":      func(o *DemoOptions) { o.Algorithm = nil },
		"no name":   func(o *DemoOptions) { o.CommonName = "" },
		"long name": func(o *DemoOptions) { o.CommonName = strings.Repeat("x", 62) },
		"no start":  func(o *DemoOptions) { o.NotBefore = time.Time{} },
		"backwards": func(o *DemoOptions) { o.NotAfter = now.Add(-time.Hour) },
	} {
		opts := good
		change(&opts)
		if _, err := NewDemoPKI(opts); err == nil {
			t.Errorf("%s: certificates were made", name)
		}
	}
	good.Passphrase = []byte("p")
	pki, err := NewDemoPKI(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{pki.CAKey, pki.SignerKey} {
		if _, err := LoadKey(text, nil); !errors.Is(err, ErrPassphrase) {
			t.Errorf("a key is open: %v", err)
		}
		if _, err := LoadKey(text, fixed("p")); err != nil {
			t.Error(err)
		}
	}
}

func TestChainsInDisorderAreExplained(t *testing.T) {
	a, b := demoPKI(t, ES256), demoPKI(t, ES256)
	signer := a.Signer[:len(a.Signer)-len(a.CA)]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"reversed":   {join(a.CA, signer), "put the signer first"},
		"other CA":   {join(signer, b.CA), "was not issued by certificate 2"},
		"mixed":      {join(signer, b.CA, a.CA), "comes as certificate 3"},
		"empty":      {nil, "no PEM block"},
		"only a key": {a.SignerKey, "no PEM block"},
		"garbage":    {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")}), "certificate 1: not understood"},
		"too many":   {bytes.Repeat(a.CA, MaxChain+1), "more than 16"},
		"too large":  {make([]byte, MaxPEMBytes+1), "more than 1048576"},
	} {
		var chain *ChainError
		if _, err := LoadChain(c.text); !errors.As(err, &chain) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if chain, err := LoadChain(join(a.SignerKey, signer)); err != nil || len(chain) != 1 {
		t.Errorf("a signer alone, a key beside it: %v", err)
	}
	if certs, err := LoadCertificates(join(a.CA, b.CA)); err != nil || len(certs) != 2 {
		t.Errorf("two anchors: %v", err)
	}
}

func TestEd448ChainsAndCertificates(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ca", "other", "masa"} {
		key, err := MarshalKeyPEM(newTestKey(t, Ed448), nil)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name+".key", key)
	}
	ca := mustOpenssl(t, dir, "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=ca", "-days", "2")
	other := mustOpenssl(t, dir, "req", "-x509", "-new", "-key", "other.key", "-subj", "/CN=ca", "-days", "2")
	write(t, dir, "ca.pem", ca)
	mustOpenssl(t, dir, "req", "-new", "-key", "masa.key", "-subj", "/CN=masa", "-out", "masa.csr")
	mustOpenssl(t, dir, "x509", "-req", "-in", "masa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "masa.pem")
	file, err := LoadKeyFile(dir+"/masa.key", nil)
	if err != nil {
		t.Fatal(err)
	}
	masa := mustOpenssl(t, dir, "x509", "-in", "masa.pem")
	chain, err := LoadChain(append(bytes.Clone(masa), ca...))
	if err != nil {
		t.Fatal(err)
	}
	if err := MatchCertificate(file.Key, chain[0]); err != nil {
		t.Error(err)
	}
	if err := MatchCertificate(file.Key, chain[1]); err == nil {
		t.Error("the CA's certificate matches the signer's key")
	}
	if _, err := LoadChain(append(bytes.Clone(masa), other...)); !errors.Is(err, ErrSignature) {
		t.Errorf("a CA of the same name: %v", err)
	}
}
