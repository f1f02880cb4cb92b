package sign

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"
)

var (
	latticeAlgorithms = []*Algorithm{MLDSA44, MLDSA65, MLDSA87}
	hashAlgorithms    = []*Algorithm{SLHDSA128s, SLHDSA128f}
	pqAlgorithms      = append(append([]*Algorithm{}, latticeAlgorithms...), hashAlgorithms...)
)

func oracleOf(alg *Algorithm) mldsa.Parameters {
	switch alg {
	case MLDSA44:
		return mldsa.MLDSA44()
	case MLDSA65:
		return mldsa.MLDSA65()
	}
	return mldsa.MLDSA87()
}

func TestMLDSAIsWhatAnotherImplementationMakes(t *testing.T) {
	for _, alg := range latticeAlgorithms {
		for n := range 8 {
			seed := bytes.Repeat([]byte{byte(n)}, 32)
			theirs, err := mldsa.NewPrivateKey(oracleOf(alg), seed)
			if err != nil {
				t.Fatal(err)
			}
			key, err := GenerateKey(alg, bytes.NewReader(seed))
			if err != nil {
				t.Fatal(err)
			}
			s := newTestSigner(t, alg, key, Options{})
			message := bytes.Repeat([]byte{0x5a}, 100*n)
			sig := make([]byte, alg.SignatureSize)
			if err := s.SignBatch(sig, [][]byte{message}); err != nil {
				t.Fatal(err)
			}
			want, err := theirs.SignDeterministic(message, nil)
			if err != nil || !bytes.Equal(sig, want) {
				t.Fatalf("%v, seed %d: another signature, %v", alg, n, err)
			}
			hedged, err := theirs.Sign(nil, message, nil)
			if err != nil {
				t.Fatal(err)
			}
			spki, err := mldsax509.MarshalPKIXPublicKey(theirs.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			if ours, err := MarshalPublicKey(s.Public()); err != nil || !bytes.Equal(ours, spki) {
				t.Fatalf("%v: another public key, %v", alg, err)
			}
			checkOne(t, prepared(t, alg, spki), message, hedged, true)
			checkOne(t, prepared(t, alg, spki), append(message, 0), hedged, false)
		}
	}
}

// checkOne verifies one signature by the best verifier.
func checkOne(t *testing.T, key *PublicKey, message, sig []byte, good bool) {
	t.Helper()
	v, err := NewVerifier(VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.VerifyBatch([]VerifyItem{{Key: key, Input: message, Signature: sig}}); (err == nil) != good {
		t.Errorf("%v: %v, good is %v", key.Algorithm(), err, good)
	}
}

func TestMLDSAKeysTravelToAnotherImplementation(t *testing.T) {
	for _, alg := range latticeAlgorithms {
		key := newTestKey(t, alg)
		text, err := MarshalKeyPEM(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		theirs, err := mldsax509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		der, err := mldsax509.MarshalPKCS8PrivateKey(theirs)
		if err != nil || !bytes.Equal(der, block.Bytes) {
			t.Errorf("%v: the encodings differ: %v", alg, err)
		}
	}
}

func TestHedgedPostQuantumSignaturesDifferAndVerify(t *testing.T) {
	oneGoroutine(t)
	for _, alg := range pqAlgorithms {
		s := newTestSigner(t, alg, newTestKey(t, alg), Options{Hedged: true})
		if s.Deterministic() {
			t.Errorf("%v: hedged and deterministic", alg)
		}
		pub, err := PreparePublicKey(alg, s.Public())
		if err != nil {
			t.Fatal(err)
		}
		message, size := []byte("a voucher"), alg.SignatureSize
		sigs := make([]byte, 2*size)
		if err := s.SignBatch(sigs, [][]byte{message, message}); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(sigs[:size], sigs[size:]) {
			t.Errorf("%v: hedged signatures are equal", alg)
		}
		checkOne(t, pub, message, sigs[:size], true)
		checkOne(t, pub, message, sigs[size:], true)
	}
}

func TestFailingRandomnessFailsHedgedItems(t *testing.T) {
	s := newTestSigner(t, SLHDSA128f, newTestKey(t, SLHDSA128f), Options{Hedged: true, Rand: strings.NewReader("too short")})
	sig := bytes.Repeat([]byte{1}, SLHDSA128f.SignatureSize)
	var batch *BatchError
	if err := s.SignBatch(sig, [][]byte{nil}); !errors.As(err, &batch) || !bytes.Equal(sig, make([]byte, len(sig))) {
		t.Errorf("signed without randomness: %v", err)
	}
}

func TestSLHDSAHasNoNameInJOSEAndCOSE(t *testing.T) {
	for _, alg := range hashAlgorithms {
		pub := newTestKey(t, alg).Public()
		var refused *AlgorithmError
		for _, name := range []string{alg.Name, "", "EdDSA", "ML-DSA-44"} {
			if _, err := ByJOSE(name, pub); !errors.As(err, &refused) {
				t.Errorf("%v as JOSE %q: %v", alg, name, err)
			}
		}
		for _, label := range []int64{0, -51, -52, -53, -48} {
			if _, err := ByCOSE(label, pub); !errors.As(err, &refused) {
				t.Errorf("%v as COSE %d: %v", alg, label, err)
			}
		}
		if _, err := ByJOSE(alg.Name, pub); !strings.Contains(err.Error(), "none yet in JOSE and COSE") {
			t.Errorf("the refusal does not say why: %v", err)
		}
		if got, err := ByName(alg.Name); got != alg {
			t.Errorf("by name: %v, %v", got, err)
		}
	}
	if _, err := ByName(""); err == nil {
		t.Error("the empty name is an algorithm")
	}
}

func TestPreparedKeysOutliveThePrivateKey(t *testing.T) {
	for _, alg := range pqAlgorithms {
		key := newTestKey(t, alg)
		s := newTestSigner(t, alg, key, Options{})
		pub, err := PreparePublicKey(alg, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, alg.SignatureSize)
		if err := s.SignBatch(sig, [][]byte{[]byte("x")}); err != nil {
			t.Fatal(err)
		}
		DestroyKey(key)
		checkOne(t, pub, []byte("x"), sig, true)
		later, err := PreparePublicKey(alg, s.Public())
		if err != nil {
			t.Fatal(err)
		}
		checkOne(t, later, []byte("x"), sig, true)
	}
}

func TestCirclKeysThatCannotBeUsedAreRefused(t *testing.T) {
	shakePublic, shake, err := slhdsa.GenerateKey(nil, slhdsa.SHAKE_128f)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"nil ML-DSA-44": (*mldsa44.PrivateKey)(nil), "nil ML-DSA-65": (*mldsa65.PrivateKey)(nil), "nil ML-DSA-87": (*mldsa87.PrivateKey)(nil),
		"empty ML-DSA": &mldsa44.PrivateKey{}, "nil SLH-DSA": (*slhdsa.PrivateKey)(nil), "empty SLH-DSA": &slhdsa.PrivateKey{},
		"SLH-DSA without octets": &slhdsa.PrivateKey{ID: slhdsa.SHA2_128f}, "another set": &shake, "another set, by value": shake,
	} {
		for _, alg := range []*Algorithm{MLDSA44, SLHDSA128f} {
			if _, err := NewSigner(alg, key, Options{}); err == nil {
				t.Errorf("%s: a signer of %v", name, alg)
			}
		}
		if _, err := MarshalKeyPEM(key, nil); err == nil && name != "empty ML-DSA" {
			t.Errorf("%s: it was written", name)
		}
		DestroyKey(key)
	}
	for name, key := range map[string]crypto.PublicKey{
		"nil": (*mldsa44.PublicKey)(nil), "empty": slhdsa.PublicKey{}, "no octets": slhdsa.PublicKey{ID: slhdsa.SHA2_128f}, "another set": shakePublic,
	} {
		for _, alg := range []*Algorithm{MLDSA44, SLHDSA128f} {
			if _, err := PreparePublicKey(alg, key); err == nil {
				t.Errorf("public key, %s: prepared for %v", name, alg)
			}
		}
	}
}

// A key by value, as circl's own functions give it, signs as well.
func TestSLHDSAKeysByValueSign(t *testing.T) {
	pub, key, err := slhdsa.GenerateKey(nil, slhdsa.SHA2_128f)
	if err != nil {
		t.Fatal(err)
	}
	s := newTestSigner(t, SLHDSA128f, key, Options{})
	sig := make([]byte, SLHDSA128f.SignatureSize)
	if err := s.SignBatch(sig, [][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	if !slhdsa.Verify(&pub, slhdsa.NewMessage([]byte("x")), sig, nil) {
		t.Error("circl does not accept it")
	}
}

// keyInfo is a PKCS#8 key with the given contents of its privateKey field, and
// a public key beside it unless that is nil.
func keyInfo(t *testing.T, set *parameterSet, contents, public []byte) []byte {
	t.Helper()
	der, err := marshalKeyInfo(set.dotted(), bytes.Clone(contents))
	if err != nil {
		t.Fatal(err)
	}
	if public == nil {
		return der
	}
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	field, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: append([]byte{0}, public...)})
	if err != nil {
		t.Fatal(err)
	}
	der, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(outer.Bytes, field...)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAllFormsOfMLDSAKeysAreRead(t *testing.T) {
	for _, alg := range latticeAlgorithms {
		set := parameterSetOf(alg.key)
		seed := bytes.Repeat([]byte{7}, 32)
		derived, key := set.scheme.DeriveKey(seed)
		expanded, _ := key.MarshalBinary()
		public, _ := derived.MarshalBinary()
		long, _ := asn1.Marshal(expanded)
		both, _ := asn1.Marshal(struct{ Seed, Expanded []byte }{seed, expanded})
		short := append([]byte{0x80, 32}, seed...)
		for name, contents := range map[string][]byte{"seed": short, "expanded": long, "both": both} {
			for _, beside := range [][]byte{nil, public} {
				back, err := parsePKCS8(keyInfo(t, set, contents, beside))
				if err != nil || !samePublic(back.Public(), derived) {
					t.Errorf("%v, %s, public key beside it: %v: %v", alg, name, beside != nil, err)
					continue
				}
				text, err := marshalPKCS8(back)
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool][]byte{false: short, true: long}[name == "expanded"]; !bytes.Contains(text, want) {
					t.Errorf("%v, %s: written in another form", alg, name)
				}
			}
		}
	}
}

func TestPostQuantumKeysThatContradictThemselvesAreRefused(t *testing.T) {
	oneGoroutine(t)
	for _, alg := range latticeAlgorithms {
		set := parameterSetOf(alg.key)
		seed := bytes.Repeat([]byte{7}, 32)
		derived, key := set.scheme.DeriveKey(seed)
		public, _ := derived.MarshalBinary()
		changed := func(at int, value byte) []byte {
			octets, _ := key.MarshalBinary()
			octets[at] ^= value
			return octets
		}
		wrap := func(v any) []byte {
			der, err := asn1.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return der
		}
		type pair struct{ Seed, Expanded []byte }
		last := len(changed(0, 0)) - 1
		outOfRange := changed(0, 0)
		outOfRange[128] = 0xff
		beside := bytes.Clone(public)
		beside[100] ^= 1
		for name, c := range map[string]struct{ contents, public []byte }{
			"both, two keys":         {wrap(pair{bytes.Repeat([]byte{8}, 32), changed(0, 0)}), nil},
			"both, one bit":          {wrap(pair{seed, changed(last, 1)}), nil},
			"coefficient too large":  {wrap(outOfRange), nil},
			"another matrix":         {wrap(changed(0, 1)), nil},
			"another hash":           {wrap(changed(64, 1)), nil},
			"another t0":             {wrap(changed(last, 0x40)), nil},
			"another t0, lowest bit": {wrap(changed(last-416*set.k+1, 1)), nil},
			"another s2":             {wrap(changed(last-416*set.k, 0x40)), nil},
			"another s1":             {wrap(changed(128, 1)), nil},
			"short seed":             {append([]byte{0x80, 31}, seed[:31]...), nil},
			"short key":              {wrap(changed(0, 0)[:last]), nil},
			"octets after the seed":  {append(append([]byte{0x80, 32}, seed...), 0), nil},
			"neither":                {[]byte{0x02, 0x01, 0x00}, nil},
			"nothing":                {nil, nil},
			"bare seed":              {seed, nil},
			"another public key":     {append([]byte{0x80, 32}, seed...), beside},
			"an empty public key":    {append([]byte{0x80, 32}, seed...), []byte{}},
			"public key, other size": {append([]byte{0x80, 32}, seed...), public[1:]},
		} {
			var refused *KeyError
			if _, err := parsePKCS8(keyInfo(t, set, c.contents, c.public)); !errors.As(err, &refused) {
				t.Errorf("%v, %s: %v", alg, name, err)
			}
		}
	}
	for _, alg := range hashAlgorithms {
		set := parameterSetOf(alg.key)
		octets, _, err := pqPrivateOctets(newTestKey(t, alg))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, octets[:63], append([]byte{4, 64}, octets...), append(bytes.Clone(octets[:63]), octets[63]^1)} {
			if _, err := parsePKCS8(keyInfo(t, set, bad, nil)); err == nil {
				t.Errorf("%v of %d octets was read", alg, len(bad))
			}
		}
		if _, err := parsePKCS8(keyInfo(t, set, octets, octets[32:])); err != nil {
			t.Errorf("%v with its public key: %v", alg, err)
		}
	}
}

func TestPostQuantumIdentifiersTakeNoParameters(t *testing.T) {
	for _, alg := range pqAlgorithms {
		pub := newTestKey(t, alg).Public()
		spki, err := MarshalPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParsePublicKey(spki); err != nil || !samePublic(back, pub) {
			t.Errorf("%v: %v", alg, err)
		}
		var info subjectPublicKeyInfo
		if _, err := asn1.Unmarshal(spki, &info); err != nil {
			t.Fatal(err)
		}
		info.Algorithm.Parameters = asn1.NullRawValue
		odd, _ := asn1.Marshal(info)
		var refused *KeyError
		if _, err := ParsePublicKey(odd); !errors.As(err, &refused) {
			t.Errorf("%v with parameters: %v", alg, err)
		}
		info.Algorithm.Parameters = asn1.RawValue{}
		info.PublicKey.Bytes = info.PublicKey.Bytes[1:]
		info.PublicKey.BitLength -= 8
		odd, _ = asn1.Marshal(info)
		if _, err := ParsePublicKey(odd); !errors.As(err, &refused) {
			t.Errorf("%v, an octet short: %v", alg, err)
		}
	}
}

func TestWycheproofMLDSA(t *testing.T) {
	for _, c := range []struct {
		file string
		alg  *Algorithm
	}{{"mldsa_44_verify_test", MLDSA44}, {"mldsa_65_verify_test", MLDSA65}} {
		t.Run(c.file, func(t *testing.T) {
			set, tests, ran := parameterSetOf(c.alg.key), 0, 0
			file := loadWycheproofMLDSA(t, c.file)
			for _, group := range file.TestGroups {
				key, err := set.parsePublic(unhex(t, group.PublicKey))
				for _, test := range group.Tests {
					tests++
					if err != nil {
						if test.Result == "valid" {
							t.Errorf("%d: its key was refused: %v", test.TcID, err)
						}
						continue
					}
					if test.Ctx != "" {
						continue // our context is empty
					}
					ran++
					pub, err := PreparePublicKey(c.alg, key)
					if err != nil {
						t.Fatal(err)
					}
					item := VerifyItem{Key: pub, Input: unhex(t, test.Msg), Signature: unhex(t, test.Sig)}
					if got := verifyOne(&item); (got == nil) != (test.Result == "valid") {
						t.Errorf("%d %s: %v, want %s", test.TcID, test.Comment, got, test.Result)
					}
				}
			}
			if tests != file.NumberOfTests || ran < tests/2 {
				t.Errorf("%d of %d tests were run, the file has %d", ran, tests, file.NumberOfTests)
			}
		})
	}
}

func TestWycheproofMLDSASigning(t *testing.T) {
	oneGoroutine(t)
	for _, c := range []struct {
		file string
		alg  *Algorithm
	}{{"mldsa_44_sign_seed_test", MLDSA44}, {"mldsa_65_sign_seed_test", MLDSA65}} {
		t.Run(c.file, func(t *testing.T) {
			file, ran := loadWycheproofMLDSA(t, c.file), 0
			for _, group := range file.TestGroups {
				if len(group.PrivateSeed) != 64 {
					continue // a seed of a wrong size; the key format refuses it
				}
				key, err := GenerateKey(c.alg, bytes.NewReader(unhex(t, group.PrivateSeed)))
				if group.PrivateKeyPkcs8 != "" {
					key, err = parsePKCS8(unhex(t, group.PrivateKeyPkcs8))
				}
				if err != nil {
					t.Fatal(err)
				}
				s := newTestSigner(t, c.alg, key, Options{})
				if octets, err := pqPublicOctets(s.Public()); err != nil || hex.EncodeToString(octets) != group.PublicKey {
					t.Fatalf("another public key: %v", err)
				}
				for _, test := range group.Tests {
					if test.Ctx != "" || test.Rnd != "" || slices.Contains(test.Flags, "Internal") {
						continue // contexts, given randomness and given message hashes are not our interface
					}
					ran++
					sig := make([]byte, c.alg.SignatureSize)
					if err := s.SignBatch(sig, [][]byte{unhex(t, test.Msg)}); err != nil || hex.EncodeToString(sig) != test.Sig {
						t.Errorf("%d %s: another signature, %v", test.TcID, test.Comment, err)
					}
				}
			}
			if ran < 20 {
				t.Errorf("only %d tests were run", ran)
			}
		})
	}
}

type wycheproofMLDSA struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKey, PrivateSeed, PrivateKeyPkcs8 string
		Tests                                   []struct {
			TcID                                    int
			Comment, Msg, Mu, Ctx, Rnd, Sig, Result string
			Flags                                   []string
		}
	}
}

func loadWycheproofMLDSA(t *testing.T, name string) *wycheproofMLDSA {
	t.Helper()
	file := new(wycheproofMLDSA)
	decodeWycheproof(t, name, file)
	return file
}
