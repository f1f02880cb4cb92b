package wide

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"sync"
	"testing"
)

// testKey returns a private key that depends on seed alone.
func testKey(seed byte) []byte {
	d := make([]byte, 32)
	mrand.NewChaCha8([32]byte{seed}).Read(d)
	d[0] &= 0x7f
	return d
}

// signersOf returns the wide signer and the one that calls crypto/ecdsa.
func signersOf(t testing.TB, d []byte) (wide, scalar *Signer) {
	t.Helper()
	wide, err := NewSigner(d)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err = NewScalarSigner(d)
	if err != nil {
		t.Fatal(err)
	}
	return wide, scalar
}

func randomDigests(n int) [][]byte {
	digests := make([][]byte, n)
	for i := range digests {
		digests[i] = make([]byte, DigestSize)
		rand.Read(digests[i])
	}
	return digests
}

func mustSign(t testing.TB, s *Signer, digests [][]byte) []byte {
	t.Helper()
	sigs := make([]byte, SignatureSize*len(digests))
	if err := s.SignDigests(sigs, digests); err != nil {
		t.Fatal(err)
	}
	return sigs
}

// compareSigners requires equal signatures of both.
func compareSigners(t *testing.T, a, b *Signer, digests [][]byte) {
	t.Helper()
	got, want := mustSign(t, a, digests), mustSign(t, b, digests)
	for i := range digests {
		if g, w := got[64*i:64*i+64], want[64*i:64*i+64]; !bytes.Equal(g, w) {
			t.Fatalf("batch of %d, item %d, digest %x: %x, want %x", len(digests), i, digests[i], g, w)
		}
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestSignaturesOfEveryBatchLengthEqualStandardLibrary(t *testing.T) {
	for seed := range byte(3) {
		w, s := signersOf(t, testKey(seed))
		w.SetProof(Proof(seed % 3))
		for n := range 66 {
			compareSigners(t, w, s, randomDigests(n))
		}
		compareSigners(t, w, s, randomDigests(2*256+17))
		wantNoFault(t, w)
	}
}

// Ten thousand signatures; a million with VOUCHMILL_LONG set.
func TestRandomSignaturesEqualStandardLibrary(t *testing.T) {
	keys := 10
	if os.Getenv("VOUCHMILL_LONG") != "" {
		keys = 1000
	}
	for range keys {
		d := make([]byte, 32)
		rand.Read(d)
		d[0] &= 0x7f
		w, s := signersOf(t, d)
		compareSigners(t, w, s, randomDigests(1000))
		wantNoFault(t, w)
	}
}

// wantNoFault requires that no proof failed, which would hide wrong signatures.
func wantNoFault(t *testing.T, s *Signer) {
	t.Helper()
	if s.wide != nil && s.wide.faulty() {
		t.Fatal("a proof failed")
	}
}

// A batch of one digest many times has the same point in every lane.
func TestEqualDigestsAreNoException(t *testing.T) {
	w, s := signersOf(t, testKey(3))
	w.SetProof(ProveAll)
	one := randomDigests(1)[0]
	digests := make([][]byte, 256)
	for i := range digests {
		digests[i] = one
	}
	compareSigners(t, w, s, digests)
	wantNoFault(t, w)
}

// n in the notation below
const orderHex = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

// scalarEdges are values at the ends of the ranges.
func scalarEdges() [][]byte {
	n, _ := new(big.Int).SetString(orderHex, 16)
	var edges [][]byte
	for _, v := range []*big.Int{big.NewInt(1), big.NewInt(2), big.NewInt(3), new(big.Int).Rsh(n, 1)} {
		edges = append(edges, v.FillBytes(make([]byte, 32)), new(big.Int).Sub(n, v).FillBytes(make([]byte, 32)))
	}
	return edges
}

func TestKeysAndDigestsAtTheEndsOfTheirRanges(t *testing.T) {
	digests := append(scalarEdges(), make([]byte, 32), bytes.Repeat([]byte{0xff}, 32), unhex(orderHex),
		unhex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
		unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552"))
	for _, d := range scalarEdges() {
		w, s := signersOf(t, d)
		for n := 1; n <= len(digests); n++ {
			compareSigners(t, w, s, digests[:n])
		}
	}
}

func TestSignaturesOfRFC6979InEveryLane(t *testing.T) {
	// A.2.5, P-256 with SHA-256
	want := map[string]string{
		"sample": "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
		"test":   "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
	}
	w, _ := signersOf(t, unhex(knownKey))
	for message, sig := range want {
		digest := sha256.Sum256([]byte(message))
		for lane := range 40 {
			digests := randomDigests(40)
			digests[lane] = digest[:]
			if got := mustSign(t, w, digests)[64*lane : 64*lane+64]; !bytes.Equal(got, unhex(sig)) {
				t.Fatalf("%q in lane %d: %x", message, lane, got)
			}
		}
	}
}

// The first candidate for the nonce of this message is not below n.
func TestSignatureAfterRejectedNonce(t *testing.T) {
	digest := sha256.Sum256([]byte("000000004c3e0555"))
	w, s := signersOf(t, unhex(knownKey))
	for lane := range 33 {
		digests := randomDigests(33)
		digests[lane] = digest[:]
		compareSigners(t, w, s, digests)
	}
}

func TestHedgedSignaturesAreValidAndDiffer(t *testing.T) {
	for _, scalar := range []bool{false, true} {
		w, s := signersOf(t, testKey(9))
		if scalar {
			w = s
		}
		for _, n := range []int{1, 5, 16, 33, 300} {
			digests := randomDigests(n)
			a, b := make([]byte, 64*n), make([]byte, 64*n)
			if err := errors.Join(w.SignDigestsHedged(a, digests, rand.Reader), w.SignDigestsHedged(b, digests, rand.Reader)); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				for _, sig := range [][]byte{a[64*i : 64*i+64], b[64*i : 64*i+64]} {
					if !ecdsa.Verify(w.Public(), digests[i], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
						t.Fatalf("batch of %d, item %d is not valid", n, i)
					}
				}
				if bytes.Equal(a[64*i:64*i+32], b[64*i:64*i+32]) {
					t.Fatalf("batch of %d, item %d: the nonce came twice", n, i)
				}
			}
		}
	}
}

// zeros is a source of randomness that is broken.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestHedgedNoncesDoNotRepeatWithoutRandomness(t *testing.T) {
	w, _ := signersOf(t, testKey(10))
	if !Available() {
		t.Skip("crypto/ecdsa does not use the reader as such")
	}
	seen := map[[32]byte]int{}
	digests := randomDigests(64)
	for change := range 20 {
		digests[change][0]++
		sigs := make([]byte, 64*len(digests))
		if err := w.SignDigestsHedged(sigs, digests, zeros{}); err != nil {
			t.Fatal(err)
		}
		for i := range digests {
			r := [32]byte(sigs[64*i:])
			if seen[r]++; seen[r] > 1 {
				t.Fatal("a nonce came twice for different batches")
			}
		}
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestErrorOfRandomSourceIsReturned(t *testing.T) {
	if !Available() {
		t.Skip("crypto/ecdsa ignores the reader")
	}
	w, _ := signersOf(t, testKey(11))
	if err := w.SignDigestsHedged(make([]byte, 64), randomDigests(1), failing{io.ErrClosedPipe}); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
}

func TestUnusablePrivateKeysAreRefused(t *testing.T) {
	n, _ := new(big.Int).SetString(orderHex, 16)
	for _, d := range [][]byte{nil, make([]byte, 31), make([]byte, 32), make([]byte, 33), n.Bytes(), bytes.Repeat([]byte{0xff}, 32)} {
		var refused *KeyError
		if _, err := NewSigner(d); !errors.As(err, &refused) {
			t.Errorf("%x: %v", d, err)
		}
	}
}

func TestWrongShapesSignNothing(t *testing.T) {
	w, _ := signersOf(t, testKey(12))
	var shape *ShapeError
	if err := w.SignDigests(make([]byte, 63), randomDigests(1)); !errors.As(err, &shape) || shape.Want != 64 {
		t.Errorf("short signatures: %v", err)
	}
	digests, sigs := randomDigests(3), make([]byte, 3*64)
	digests[1] = digests[1][:31]
	if err := w.SignDigests(sigs, digests); !errors.As(err, &shape) || shape.Index != 1 {
		t.Errorf("short digest: %v", err)
	}
	if !bytes.Equal(sigs, make([]byte, 3*64)) {
		t.Error("something was signed")
	}
}

func TestClosedSignerSignsNothing(t *testing.T) {
	for _, scalar := range []bool{false, true} {
		w, s := signersOf(t, testKey(13))
		if scalar {
			w = s
		}
		if err := errors.Join(w.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		if err := w.SignDigests(make([]byte, 64), randomDigests(1)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if w.d != [32]byte{} {
			t.Error("the private key is still there")
		}
	}
}

func TestSignerServesManyGoroutines(t *testing.T) {
	w, s := signersOf(t, testKey(14))
	digests := randomDigests(100)
	want := mustSign(t, s, digests)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 20 {
				n := 1 + (7*g+13*i)%len(digests)
				sigs := make([]byte, 64*n)
				if err := w.SignDigests(sigs, digests[:n]); err != nil || !bytes.Equal(sigs, want[:64*n]) {
					t.Errorf("goroutine %d: wrong signatures, error %v", g, err)
					return
				}
			}
		})
	}
	group.Wait()
	w.Close()
}

func TestSigningDoesNotAllocate(t *testing.T) {
	if !Available() {
		t.Skip("crypto/ecdsa allocates")
	}
	w, _ := signersOf(t, testKey(15))
	digests, sigs := randomDigests(256), make([]byte, 256*64)
	if n := testing.AllocsPerRun(20, func() { w.SignDigests(sigs, digests) }); n > 0.5 {
		t.Fatalf("%v allocations a batch", n)
	}
}
