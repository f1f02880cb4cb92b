package sign

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestSignersOfAllAlgorithmsVerify(t *testing.T) {
	oneGoroutine(t)
	v, err := NewVerifier(VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range Algorithms() {
		if alg.VerifyOnly {
			continue
		}
		key := newTestKey(t, alg)
		pub, err := PreparePublicKey(alg, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		var first []byte
		for _, impl := range Implementations(alg, key) {
			s := newTestSigner(t, alg, key, Options{Impl: impl})
			inputs := testInputs(alg, slowed(alg, 70))
			sigs := make([]byte, len(inputs)*alg.SignatureSize)
			if err := s.SignBatch(sigs, inputs); err != nil || !s.Deterministic() || s.Algorithm() != alg {
				t.Fatalf("%v by %s: %v", alg, impl, err)
			}
			if first == nil {
				first = sigs
			}
			if !bytes.Equal(first, sigs) {
				t.Errorf("%v: %s gives other bytes than the best implementation", alg, impl)
			}
			items := make([]VerifyItem, len(inputs))
			for i := range items {
				items[i] = VerifyItem{Key: pub, Input: inputs[i], Signature: sigs[i*alg.SignatureSize : (i+1)*alg.SignatureSize]}
			}
			if err := v.VerifyBatch(items); err != nil {
				t.Errorf("%v by %s: %v", alg, impl, err)
			}
		}
	}
}

func TestOneBadItemFailsAlone(t *testing.T) {
	key := newTestKey(t, ES256)
	for _, impl := range Implementations(ES256, key) {
		s := newTestSigner(t, ES256, key, Options{Impl: impl})
		inputs := testInputs(ES256, 130)
		want, got := make([]byte, 64*130), bytes.Repeat([]byte{0xee}, 64*130)
		if err := s.SignBatch(want, inputs); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []int{0, 63, 129} {
			inputs[bad] = []byte("never hashed")
			clear(want[64*bad : 64*bad+64])
		}
		var batch *BatchError
		if err := s.SignBatch(got, inputs); !errors.As(err, &batch) || len(batch.Items) != 3 || batch.Items[1].Index != 63 {
			t.Fatalf("%s: %v", impl, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: a bad item changes its neighbours or leaves octets", impl)
		}
		var usage *UsageError
		if !errors.As(batch.Items[0].Err, &usage) {
			t.Errorf("%s: the cause is %T", impl, batch.Items[0].Err)
		}
	}
}

func TestMisuseIsAnErrorAndWritesNothing(t *testing.T) {
	var usage *UsageError
	key := newTestKey(t, ES256)
	for _, impl := range Implementations(ES256, key) {
		s := newTestSigner(t, ES256, key, Options{Impl: impl})
		short := make([]byte, 127)
		if err := s.SignBatch(short, testInputs(ES256, 2)); !errors.As(err, &usage) || !bytes.Equal(short, make([]byte, 127)) {
			t.Errorf("%s, short buffer: %v", impl, err)
		}
		if err := s.SignBatch(nil, nil); err != nil {
			t.Errorf("%s, empty batch: %v", impl, err)
		}
		s.Close()
		s.Close()
		if err := s.SignBatch(make([]byte, 64), testInputs(ES256, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("%s, closed: %v", impl, err)
		}
	}
	if _, err := NewSigner(ES256, key, Options{Impl: "imaginary"}); !errors.As(err, &usage) {
		t.Errorf("unknown implementation: %v", err)
	}
	if _, err := NewSigner(Ed25519, newTestKey(t, Ed25519), Options{Hedged: true}); !errors.As(err, &usage) {
		t.Errorf("hedged Ed25519: %v", err)
	}
	if _, err := NewSigner(nil, key, Options{}); !errors.As(err, &usage) {
		t.Errorf("no algorithm: %v", err)
	}
	if _, err := NewVerifier(VerifierOptions{Impl: "imaginary"}); !errors.As(err, &usage) {
		t.Errorf("unknown verifier: %v", err)
	}
}

// opaque is a key that lives elsewhere: only crypto.Signer can be seen.
type opaque struct{ crypto.Signer }

func (o opaque) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if r == nil {
		return nil, errors.New("a remote key was given no randomness")
	}
	if digest[0] == 0xff {
		return nil, errors.New("the token was pulled out")
	}
	return o.Signer.Sign(rand.Reader, digest, opts)
}

func TestKeysThatLiveElsewhere(t *testing.T) {
	key := opaque{newTestKey(t, ES384)}
	s := newTestSigner(t, ES384, key, Options{})
	if s.Deterministic() {
		t.Error("an unknown key is said to be deterministic")
	}
	good, bad := make([]byte, 48), bytes.Repeat([]byte{0xff}, 48)
	sigs := make([]byte, 2*96)
	var batch *BatchError
	if err := s.SignBatch(sigs, [][]byte{bad, good}); !errors.As(err, &batch) || len(batch.Items) != 1 || batch.Items[0].Index != 0 {
		t.Fatal(err)
	}
	pub, _ := PreparePublicKey(ES384, key.Public())
	v, _ := NewVerifier(VerifierOptions{})
	if err := v.VerifyBatch([]VerifyItem{{Key: pub, Input: good, Signature: sigs[96:]}}); err != nil {
		t.Error(err)
	}
}

func TestVerifierNamesEachBadItem(t *testing.T) {
	oneGoroutine(t)
	for _, alg := range []*Algorithm{ES256, ES384, ES512, Ed25519, Ed448, MLDSA44, MLDSA65, MLDSA87, SLHDSA128f} {
		for _, impl := range VerifierImplementations() {
			v, err := NewVerifier(VerifierOptions{Impl: impl})
			if err != nil {
				t.Fatal(err)
			}
			items := signedItems(t, alg, 12, true)
			items[1].Signature = bytes.Clone(items[1].Signature)
			items[1].Signature[5] ^= 1
			items[3].Input = items[4].Input
			items[5].Key = items[6].Key
			items[7].Signature = append(bytes.Clone(items[7].Signature), 0)
			items[8].Signature = nil
			items[9].Signature = make([]byte, alg.SignatureSize)
			items[10].Key = nil
			var batch *BatchError
			if err := v.VerifyBatch(items); !errors.As(err, &batch) || len(batch.Items) != 7 {
				t.Fatalf("%v by %s: %v", alg, impl, err)
			}
			for i, item := range items {
				bad := i == 1 || i == 3 || i == 5 || i >= 7 && i <= 10
				if (item.Err != nil) != bad || bad && i != 10 && !errors.Is(item.Err, ErrSignature) {
					t.Errorf("%v by %s, item %d: %v", alg, impl, i, item.Err)
				}
			}
			// The result is the last one, not the first.
			items[1] = items[0]
			items[1].Err = ErrSignature
			if v.VerifyBatch(items[:3]); items[1].Err != nil {
				t.Errorf("%v by %s: an old error remains", alg, impl)
			}
		}
	}
}

func newTestKey(t testing.TB, alg *Algorithm) crypto.Signer {
	t.Helper()
	key, err := GenerateKey(alg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// oneGoroutine skips a long test under the race detector, which finds nothing in
// code that runs on one goroutine and takes ten times as long.
func oneGoroutine(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("one goroutine: nothing for the race detector")
	}
}

// testInputs makes n distinct inputs of a size the algorithm takes.
func testInputs(alg *Algorithm, n int) [][]byte {
	inputs := make([][]byte, n)
	for i := range inputs {
		inputs[i] = alg.Hash.Append(nil, fmt.Append(nil, i))
	}
	return inputs
}

// slowed is how many of n signatures a test has the time for: SLH-DSA makes a
// few a second.
func slowed(alg *Algorithm, n int) int {
	if set := parameterSetOf(alg.key); set != nil && set.slh != 0 {
		return 1
	}
	return n
}

// signedItems makes a batch of good signatures, by one key or each by its own.
func signedItems(t testing.TB, alg *Algorithm, size int, distinct bool) []VerifyItem {
	t.Helper()
	items := make([]VerifyItem, size)
	var s Signer
	var pub *PublicKey
	for i, input := range testInputs(alg, size) {
		if i == 0 || distinct {
			s = newTestSigner(t, alg, newTestKey(t, alg), Options{})
			var err error
			if pub, err = PreparePublicKey(alg, s.Public()); err != nil {
				t.Fatal(err)
			}
		}
		sig := make([]byte, alg.SignatureSize)
		if err := s.SignBatch(sig, [][]byte{input}); err != nil {
			t.Fatal(err)
		}
		items[i] = VerifyItem{Key: pub, Input: input, Signature: sig}
	}
	return items
}
