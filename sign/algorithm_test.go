package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"testing"
)

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keysOfAllKinds is one public key for each algorithm, by name.
func keysOfAllKinds(t *testing.T) map[string]crypto.PublicKey {
	t.Helper()
	keys := map[string]crypto.PublicKey{}
	public := &rsaKey(t, 2048).PublicKey
	for _, alg := range Algorithms() {
		if alg.VerifyOnly {
			keys[alg.Name] = public
		} else {
			keys[alg.Name] = newTestKey(t, alg).Public()
		}
	}
	return keys
}

func TestIdentifiersAreTheOnesOfTheStandards(t *testing.T) {
	for _, c := range []struct {
		alg               *Algorithm
		signature, digest string
	}{
		{ES256, "300a06082a8648ce3d040302", "300b0609608648016503040201"},
		{ES384, "300a06082a8648ce3d040303", "300b0609608648016503040202"},
		{ES512, "300a06082a8648ce3d040304", "300b0609608648016503040203"},
		{Ed25519, "300506032b6570", "300b0609608648016503040203"},
		{Ed448, "300506032b6571", "300f060960864801650304021202020200"},
		{MLDSA44, "300b0609608648016503040311", "300b0609608648016503040203"},
		{MLDSA65, "300b0609608648016503040312", "300b0609608648016503040203"},
		{MLDSA87, "300b0609608648016503040313", "300b0609608648016503040203"},
		{SLHDSA128s, "300b0609608648016503040314", "300b0609608648016503040201"},
		{SLHDSA128f, "300b0609608648016503040315", "300b0609608648016503040201"},
		{RS256, "300d06092a864886f70d01010b0500", "300b0609608648016503040201"},
		{PS256, "303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120", "300b0609608648016503040201"},
	} {
		if got := hex.EncodeToString(c.alg.SignatureOID); got != c.signature {
			t.Errorf("%v signature %s, want %s", c.alg, got, c.signature)
		}
		if got := hex.EncodeToString(c.alg.DigestOID); got != c.digest {
			t.Errorf("%v digest %s, want %s", c.alg, got, c.digest)
		}
		for _, der := range [][]byte{c.alg.SignatureOID, c.alg.DigestOID} {
			var id pkix.AlgorithmIdentifier
			if rest, err := asn1.Unmarshal(der, &id); err != nil || len(rest) != 0 {
				t.Errorf("%v: %x is no AlgorithmIdentifier: %v", c.alg, der, err)
			}
		}
		if c.alg.Hash.Size() != c.alg.DigestSize {
			t.Errorf("%v: digest of %d octets, its hash has %d", c.alg, c.alg.DigestSize, c.alg.Hash.Size())
		}
	}
}

func TestEveryNameLeadsToTheRowThatFitsTheKey(t *testing.T) {
	oneGoroutine(t)
	keys := keysOfAllKinds(t)
	for _, alg := range Algorithms() {
		key := keys[alg.Name]
		for _, name := range append([]string{alg.JOSE}, alg.JOSEAliases...) {
			if name == "" {
				continue // none is registered
			}
			if got, err := ByJOSE(name, key); got != alg {
				t.Errorf("JOSE %s: %v, %v", name, got, err)
			}
		}
		for _, label := range append([]int64{alg.COSE}, alg.COSEAliases...) {
			if label == 0 {
				continue // none is registered
			}
			if got, err := ByCOSE(label, key); got != alg {
				t.Errorf("COSE %d: %v, %v", label, got, err)
			}
		}
		for _, signature := range alg.signatureOIDs {
			for _, digest := range alg.digestOIDs {
				if got, err := ByOID(signature, digest, key); got != alg {
					t.Errorf("OID %s: %v, %v", oidText(signature), got, err)
				}
			}
		}
		if got, err := ByName(alg.Name); got != alg {
			t.Errorf("name %s: %v, %v", alg.Name, got, err)
		}
	}
	for label, alg := range map[int64]*Algorithm{-48: MLDSA44, -49: MLDSA65, -50: MLDSA87} {
		if got, _ := ByCOSE(label, keys[alg.Name]); got != alg {
			t.Errorf("COSE %d is %v", label, got)
		}
	}
	if got, _ := ByCOSE(-9, keys["ES256"]); got != ES256 {
		t.Error("COSE -9 is not ES256")
	}
	if got, _ := ByCOSE(-19, keys["Ed25519"]); got != Ed25519 {
		t.Error("COSE -19 is not Ed25519")
	}
	if got, _ := ByName("eddsa"); got != Ed25519 {
		t.Error("eddsa is not Ed25519")
	}
}

func TestAlgorithmAndKeyMustFit(t *testing.T) {
	oneGoroutine(t)
	keys := keysOfAllKinds(t)
	var refused *AlgorithmError
	for _, alg := range Algorithms() {
		for name, key := range keys {
			if name == alg.Name || alg.key == keyRSA && (name == "RS256" || name == "PS256") {
				continue
			}
			if _, err := PreparePublicKey(alg, key); !errors.As(err, &refused) {
				t.Errorf("%v with a key for %s: %v", alg, name, err)
			}
			if alg.JOSE != "EdDSA" {
				if got, err := ByJOSE(alg.JOSE, key); err == nil {
					t.Errorf("JOSE %s with a key for %s gives %v", alg.JOSE, name, got)
				}
			}
			if got, err := ByOID(alg.signatureOIDs[0], alg.digestOIDs[0], key); err == nil {
				t.Errorf("OID of %v with a key for %s gives %v", alg, name, got)
			}
		}
	}
	for _, name := range []string{"none", "HS256", "", "es256", "ESP256"} {
		if _, err := ByJOSE(name, keys["ES256"]); !errors.As(err, &refused) {
			t.Errorf("JOSE %q: %v", name, err)
		}
	}
	sha1, sha1WithRSA := []byte{0x2b, 0x0e, 0x03, 0x02, 0x1a}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05}
	for _, c := range [][2][]byte{{oidRSAEncryption, sha1}, {sha1WithRSA, oidSHA256}, {sha1WithRSA, sha1}, {oidRSAWithSHA256, oidSHA512}, {nil, nil}} {
		if _, err := ByOID(c[0], c[1], keys["RS256"]); !errors.As(err, &refused) {
			t.Errorf("OIDs %s, %s: %v", oidText(c[0]), oidText(c[1]), err)
		}
	}
}

func TestUnusableKeysAreRefused(t *testing.T) {
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	good := newTestKey(t, ES256).(*ecdsa.PrivateKey)
	//lint:ignore SA1019 the constructors refuse what is to be refused here
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: good.X, Y: good.X}
	for name, c := range map[string]struct {
		alg *Algorithm
		key crypto.PublicKey
	}{
		"P-224": {ES256, &p224.PublicKey}, "nil": {ES256, nil}, "nil pointer": {ES256, (*ecdsa.PublicKey)(nil)},
		"off the curve": {ES256, off}, "RSA 1024": {RS256, &rsaKey(t, 1024).PublicKey}, "empty RSA": {PS256, &rsa.PublicKey{}}, "a string": {ES256, "key"},
	} {
		var refused *KeyError
		if _, err := PreparePublicKey(c.alg, c.key); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *AlgorithmError
	if _, err := NewSigner(RS256, rsaKey(t, 2048), Options{}); !errors.As(err, &refused) {
		t.Errorf("an RSA signer: %v", err)
	}
	strange := *good
	strange.PublicKey = newTestKey(t, ES256).(*ecdsa.PrivateKey).PublicKey
	for _, impl := range Implementations(ES256, good) {
		s, err := NewSigner(ES256, &strange, Options{Impl: impl})
		if err == nil {
			err = s.SignBatch(make([]byte, 64), [][]byte{make([]byte, 32)})
		}
		if err == nil {
			t.Errorf("%s signs with a key whose halves do not belong together", impl)
		}
	}
	for _, key := range []crypto.Signer{nil, (*ecdsa.PrivateKey)(nil), &ecdsa.PrivateKey{}} {
		if _, err := NewSigner(ES256, key, Options{}); err == nil {
			t.Errorf("a signer from %#v", key)
		}
	}
}

func TestRawAndDERAreInverse(t *testing.T) {
	for _, size := range []int{64, 96, 132} {
		for _, fill := range [][2]byte{{0x01, 0xff}, {0x80, 0x7f}, {0x7f, 0x80}} {
			raw := bytes.Repeat(fill[:1], size)
			copy(raw[size/2:], bytes.Repeat(fill[1:], size/2))
			for _, zeros := range []int{0, 1, size/2 - 1} {
				clear(raw[:zeros])
				back := make([]byte, size)
				if err := rawFromDER(back, appendDER(nil, raw)); err != nil || !bytes.Equal(back, raw) {
					t.Errorf("%x: %x, %v", raw, back, err)
				}
			}
		}
	}
}
