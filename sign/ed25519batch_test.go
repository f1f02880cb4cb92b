package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"filippo.io/edwards25519"
)

func newEd25519Batch(t testing.TB) Verifier {
	t.Helper()
	v, err := NewVerifier(VerifierOptions{Impl: Ed25519Batch})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEd25519BatchIsOnlyTakenByName(t *testing.T) {
	names := VerifierImplementations()
	if names[0] == Ed25519Batch || !slices.Contains(names, Ed25519Batch) {
		t.Errorf("%v", names)
	}
	key := newTestKey(t, Ed25519)
	if slices.Contains(Implementations(Ed25519, key), Ed25519Batch) {
		t.Error("it is said to sign")
	}
	var usage *UsageError
	if _, err := NewSigner(Ed25519, key, Options{Impl: Ed25519Batch}); !errors.As(err, &usage) {
		t.Errorf("a signer: %v", err)
	}
}

// checkAgainstStd compares all results with crypto/ed25519's.
func checkAgainstStd(t *testing.T, what string, items []VerifyItem) {
	t.Helper()
	err := newEd25519Batch(t).VerifyBatch(items)
	bad := 0
	for i, item := range items {
		want := len(item.Signature) == 64 && ed25519.Verify(item.Key.key.(ed25519.PublicKey), item.Input, item.Signature)
		if (item.Err == nil) != want {
			t.Errorf("%s, item %d: %v, crypto/ed25519 says %v", what, i, item.Err, want)
		}
		if !want {
			bad++
		}
	}
	var batch *BatchError
	if errors.As(err, &batch) != (bad > 0) || bad > 0 && len(batch.Items) != bad {
		t.Errorf("%s: %v, %d are bad", what, err, bad)
	}
}

func TestEd25519BatchesOfEveryLength(t *testing.T) {
	oneGoroutine(t)
	for _, distinct := range []bool{false, true} {
		items := signedItems(t, Ed25519, 140, distinct)
		for n := range 140 {
			if n > 10 && n < 60 || n > 70 && n < 125 {
				continue
			}
			checkAgainstStd(t, "good", slices.Clone(items[:n]))
			if n == 0 {
				continue
			}
			bad := slices.Clone(items[:n])
			bad[n-1].Signature = bytes.Clone(bad[n-1].Signature)
			bad[n-1].Signature[40] ^= 1
			checkAgainstStd(t, "last one bad", bad)
		}
	}
}

func TestEd25519BatchEqualsTheStandardLibraryOnMutations(t *testing.T) {
	oneGoroutine(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		items := signedItems(t, Ed25519, 40, true)
		for range random.IntN(4) {
			item := &items[random.IntN(len(items))]
			item.Signature = bytes.Clone(item.Signature)
			switch random.IntN(6) {
			case 0:
				item.Signature[random.IntN(64)] ^= 1 << random.IntN(8)
			case 1: // s plus the order of the subgroup
				addOrder(item.Signature[32:])
			case 2:
				copy(item.Signature, bytes.Repeat([]byte{0xff}, 32))
			case 3:
				item.Input = append(bytes.Clone(item.Input), 0)
			case 4:
				item.Signature = item.Signature[:63]
			case 5:
				item.Key = items[random.IntN(len(items))].Key
			}
		}
		checkAgainstStd(t, "mutated", items)
	}
}

// addOrder adds 2^252 + 27742317777372353535851937790883648493 to s.
func addOrder(s []byte) {
	order := [32]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	carry := 0
	for i := range s {
		carry += int(s[i]) + int(order[i])
		s[i] = byte(carry)
		carry >>= 8
	}
}

// smallOrder is a point of order 8.
func smallOrder(t *testing.T) *edwards25519.Point {
	t.Helper()
	for n := byte(2); n < 100; n++ {
		p, err := new(edwards25519.Point).SetBytes(append([]byte{n}, make([]byte, 31)...))
		if err != nil {
			continue
		}
		// The order of the subgroup times p is of small order: (n-1)·p + p.
		key := &PublicKey{alg: Ed25519, key: ed25519.PublicKey(p.Bytes())}
		if key.inPrimeSubgroup() {
			continue
		}
		one := edwards25519.NewScalar()
		one.SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
		torsion := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(one.Negate(one), p, edwards25519.NewScalar())
		torsion.Add(torsion, p)
		four := new(edwards25519.Point).Add(torsion, torsion)
		four.Add(four, four)
		if four.Equal(edwards25519.NewIdentityPoint()) == 0 {
			return torsion
		}
	}
	t.Fatal("no point of order 8 was found")
	return nil
}

// strangeSignature signs as RFC 8032 does, with small-order components added
// to key and R, which only the holder of the private key can do.
func strangeSignature(t *testing.T, keyPart, rPart *edwards25519.Point) VerifyItem {
	t.Helper()
	seed := bytes.Repeat([]byte{9}, 32)
	h := sha512.Sum512(seed)
	a, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		t.Fatal(err)
	}
	r, err := edwards25519.NewScalar().SetUniformBytes(bytes.Repeat([]byte{5}, 64))
	if err != nil {
		t.Fatal(err)
	}
	pub := new(edwards25519.Point).ScalarBaseMult(a)
	pub.Add(pub, keyPart)
	point := new(edwards25519.Point).ScalarBaseMult(r)
	point.Add(point, rPart)
	message := []byte("a voucher")
	digest := sha512.Sum512(slices.Concat(point.Bytes(), pub.Bytes(), message))
	k, err := edwards25519.NewScalar().SetUniformBytes(digest[:])
	if err != nil {
		t.Fatal(err)
	}
	s := edwards25519.NewScalar().MultiplyAdd(k, a, r)
	key, err := PreparePublicKey(Ed25519, ed25519.PublicKey(pub.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return VerifyItem{Key: key, Input: message, Signature: append(point.Bytes(), s.Bytes()...)}
}

func TestKeysOutsideThePrimeSubgroupAreLeftToTheStandardLibrary(t *testing.T) {
	zero, small := edwards25519.NewIdentityPoint(), smallOrder(t)
	items := signedItems(t, Ed25519, 20, true)
	for n := range 8 { // whatever k is modulo 8
		item := strangeSignature(t, small, zero)
		item.Input = append(bytes.Clone(item.Input), byte(n))
		items[n] = item
	}
	items[9] = strangeSignature(t, small, small)
	items[10] = strangeSignature(t, zero, zero)
	checkAgainstStd(t, "strange keys", items)
	if items[9].Key.inPrimeSubgroup() || !items[10].Key.inPrimeSubgroup() {
		t.Error("the subgroup is not told")
	}
}

// The one difference, held here so that its description stays true.
func TestOnlySmallOrderInRIsSeenOtherwise(t *testing.T) {
	items := signedItems(t, Ed25519, 20, true)
	items[3] = strangeSignature(t, edwards25519.NewIdentityPoint(), smallOrder(t))
	if ed25519.Verify(items[3].Key.key.(ed25519.PublicKey), items[3].Input, items[3].Signature) {
		t.Fatal("crypto/ed25519 accepts it")
	}
	if err := newEd25519Batch(t).VerifyBatch(items); err != nil {
		t.Errorf("the sum refuses it: %v; then it could be the default", err)
	}
	if v, err := NewVerifier(VerifierOptions{}); err != nil || v.VerifyBatch(items) == nil {
		t.Errorf("the default verifier accepts it, %v", err)
	}
}

func TestEncodingsOfRThatHaveTwoFormsAreLeftAlone(t *testing.T) {
	point := func(first, middle, last byte) *[32]byte {
		b := [32]byte(bytes.Repeat([]byte{middle}, 32))
		b[0], b[31] = first, last
		return &b
	}
	for _, c := range []struct {
		encoded *[32]byte
		plain   bool
	}{
		{point(1, 0, 0), false}, {point(1, 0, 0x80), false}, {point(0xec, 0xff, 0x7f), false}, {point(0xec, 0xff, 0xff), false},
		{point(0xed, 0xff, 0x7f), false}, {point(0xee, 0xff, 0xff), false}, {point(0xff, 0xff, 0x7f), false},
		{point(0xeb, 0xff, 0x7f), true}, {point(0, 0, 0), true}, {point(2, 0, 0x80), true}, {point(1, 0, 1), true}, {point(0xed, 0xff, 0x7e), true},
	} {
		if isPlainPoint(c.encoded) != c.plain {
			t.Errorf("%x: plain is %v", *c.encoded, !c.plain)
		}
	}
}

func TestEd25519BatchTakesOtherAlgorithmsToo(t *testing.T) {
	items := append(signedItems(t, Ed25519, 10, true), signedItems(t, ES256, 10, true)...)
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	items = append(items, VerifyItem{})
	items[0].Input = nil
	var batch *BatchError
	if err := newEd25519Batch(t).VerifyBatch(items); !errors.As(err, &batch) || len(batch.Items) != 2 || batch.Items[0].Index != 0 || batch.Items[1].Index != 20 {
		t.Errorf("%v", err)
	}
}
