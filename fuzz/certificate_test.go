package fuzz

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

func FuzzIDevID(f *testing.F) {
	seeds(f, "idevid", "certs")
	vectorSeeds(f, ".crt.der", ".der")
	f.Fuzz(func(t *testing.T, der []byte) {
		var c *codec.IDevID
		var err error
		frugal(t, len(der), func() { c, err = codec.ParseIDevID(der) })
		parsed, stdErr := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if stdErr != nil {
			t.Fatalf("crypto/x509 refuses what was accepted: %v", stdErr)
		}
		if !bytes.Equal(c.SubjectPublicKey, parsed.RawSubjectPublicKeyInfo) || !c.NotAfter.Equal(parsed.NotAfter) {
			t.Fatal("key or validity are not those crypto/x509 reads")
		}
		if c.KeyIdentifier != nil && !bytes.Equal(c.KeyIdentifier, parsed.AuthorityKeyId) {
			t.Fatalf("key identifier %x, crypto/x509 has %x", c.KeyIdentifier, parsed.AuthorityKeyId)
		}
		for source := codec.SerialFromSubject; source <= codec.SerialFromCommonName; source++ {
			if serial, err := c.Serial(source); err != nil && !isA[*codec.SerialError](err) || err == nil && serial == nil {
				t.Fatalf("serial %q, error of type %T", serial, err)
			}
		}
		if issuer := c.Issuer(); issuer != nil {
			canonical, err := codec.NormalizeIssuer(issuer)
			if err == nil && !bytes.Equal(canonical, issuer) {
				t.Fatalf("issuer %x is not canonical: %x", issuer, canonical)
			}
			if keyID, err := codec.IssuerKeyID(issuer); err == nil && !bytes.Equal(keyID, c.KeyIdentifier) {
				t.Fatalf("issuer leads to %x, the certificate to %x", keyID, c.KeyIdentifier)
			}
		}
	})
}

func FuzzIssuer(f *testing.F) {
	f.Add([]byte{0x04, 0x06, 0x30, 0x04, 0x80, 0x02, 1, 2})
	f.Add([]byte{0x30, 0x0a, 0x80, 0x08, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte("twenty octets of key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		canonical, err := codec.NormalizeIssuer(b)
		keyID, keyErr := codec.IssuerKeyID(b)
		if err != nil {
			if keyErr == nil {
				t.Fatalf("%x is no issuer (%v) and has the key identifier %x", b, err, keyID)
			}
			return
		}
		again, err := codec.NormalizeIssuer(canonical)
		must(t, err)
		if !bytes.Equal(again, canonical) {
			t.Fatalf("%x becomes %x and then %x", b, canonical, again)
		}
		if keyErr != nil {
			return // an AuthorityKeyIdentifier without keyIdentifier names its issuer otherwise
		}
		keyAgain, err := codec.IssuerKeyID(canonical)
		must(t, err)
		if !bytes.Equal(keyAgain, keyID) {
			t.Fatalf("key identifier %x in %x, %x in its canonical form", keyID, b, keyAgain)
		}
		if len(keyID) <= 64 {
			made, err := codec.IssuerKeyID(codec.IssuerFromKeyID(keyID))
			must(t, err)
			if !bytes.Equal(made, keyID) {
				t.Fatalf("key identifier %x comes back as %x", keyID, made)
			}
		}
	})
}

func FuzzKey(f *testing.F) {
	seeds(f, "keys")
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := sign.LoadKey(text, nil)
		if err != nil {
			if !isA[*sign.KeyError](err) && !isA[*sign.AlgorithmError](err) && !errors.Is(err, sign.ErrPassphrase) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		alg, err := sign.ForKey(key.Public())
		must(t, err)
		must(t, alg.Fits(key.Public()))
		written, err := sign.MarshalKeyPEM(key, nil)
		must(t, err)
		back, err := sign.LoadKey(written, nil)
		must(t, err)
		if public, ok := back.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
			t.Fatal("the key written and read again is another")
		}
		signs(t, alg, back)
	})
}

// signs holds that a key that was loaded makes a signature that verifies.
func signs(t *testing.T, alg *sign.Algorithm, key crypto.Signer) {
	t.Helper()
	signer, err := sign.NewSigner(alg, key, sign.Options{})
	must(t, err)
	input := alg.Hash.Append(nil, []byte("message"))
	signature := make([]byte, alg.SignatureSize)
	must(t, signer.SignBatch(signature, [][]byte{input}))
	public, err := sign.PreparePublicKey(alg, key.Public())
	must(t, err)
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	must(t, err)
	must(t, verifier.VerifyBatch([]sign.VerifyItem{{Key: public, Input: input, Signature: signature}}))
	must(t, signer.Close())
}

func FuzzChain(f *testing.F) {
	seeds(f, "certs")
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := sign.LoadChain(text)
		if err != nil {
			if !isA[*sign.ChainError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if len(chain) == 0 || len(chain) > sign.MaxChain {
			t.Fatalf("a chain of %d", len(chain))
		}
		var written []byte
		for _, c := range chain {
			written = append(written, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		back, err := sign.LoadChain(written)
		must(t, err)
		anchors, err := sign.LoadCertificates(text)
		must(t, err)
		if len(back) != len(chain) || len(anchors) != len(chain) {
			t.Fatalf("%d certificates become %d, and %d anchors", len(chain), len(back), len(anchors))
		}
	})
}
