package sha256x16

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	mrand "math/rand/v2"
	"testing"
)

func fromHex(s string) (b [32]byte) {
	if n, err := hex.Decode(b[:], []byte(s)); n != 32 || err != nil {
		panic("bad test constant")
	}
	return b
}

func bytesOf(w *words) (b [32]byte) {
	for i := range w {
		binary.BigEndian.PutUint64(b[8*i:], w[3-i])
	}
	return b
}

// rfcKey is the private key of RFC 6979 A.2.5.
var rfcKey = fromHex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")

// edges are digests at the ends of the range of scalars.
var edges = [][32]byte{
	{}, {31: 1},
	fromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550"), // n-1
	fromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"), // n
	fromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552"),
	fromHex("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
	fromHex("ffffffff00000000000000000000000000000000000000000000000000000000"),
}

// someDigests are random ones with edges among them.
func someDigests(n int) [][32]byte {
	d := make([][32]byte, n)
	for i := range d {
		rand.Read(d[i][:])
		if j := mrand.IntN(12); j < len(edges) {
			d[i] = edges[j]
		}
	}
	return d
}

func mustDerive(t *testing.T, n *Nonces, digests [][32]byte) [][4]uint64 {
	t.Helper()
	k := make([][4]uint64, len(digests)+1)
	guard := [4]uint64{1, 2, 3, 4}
	k[len(digests)] = guard
	if err := n.Derive(k[:len(digests)], digests); err != nil {
		t.Fatal(err)
	}
	if k[len(digests)] != guard {
		t.Fatal("wrote beyond the batch")
	}
	return k[:len(digests)]
}

func TestNoncesOfRFC6979InEveryLaneAndBatch(t *testing.T) {
	want := map[string]string{ // A.2.5, SHA-256
		"sample": "A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60",
		"test":   "D16B6AE827F17175E040871A1C7EC3500192C4C92677336EC2537ACAEE0008E0",
	}
	nonces := NewNonces(&rfcKey)
	for n := 1; n <= 70; n++ {
		for flip := range 2 {
			messages, digests := make([]string, n), make([][32]byte, n)
			for i := range digests {
				messages[i] = []string{"sample", "test"}[(i+flip)%2]
				digests[i] = sha256.Sum256([]byte(messages[i]))
			}
			for i, k := range mustDerive(t, nonces, digests) {
				if bytesOf(&k) != fromHex(want[messages[i]]) {
					t.Fatalf("batch of %d, lane %d: %x", n, i, bytesOf(&k))
				}
			}
		}
	}
}

func TestWideNoncesEqualScalarOnes(t *testing.T) {
	for range 200 {
		d := [32]byte(random(32))
		d[0] &= 0x7f
		nonces := NewNonces(&d)
		digests := someDigests(1 + mrand.IntN(100))
		for i, k := range mustDerive(t, nonces, digests) {
			if k != derive(&d, &digests[i], &order) {
				t.Fatalf("batch of %d, item %d", len(digests), i)
			}
		}
	}
}

// signatureOf is crypto/ecdsa's deterministic signature.
func signatureOf(t *testing.T, key *ecdsa.PrivateKey, digest []byte) (r, s *big.Int) {
	t.Helper()
	der, err := key.Sign(nil, digest, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	return sig.R, sig.S
}

func parseKey(t *testing.T, d *[32]byte) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The nonce of a signature is (z + r·d)/s.
func TestNoncesAreThoseOfStandardLibrary(t *testing.T) {
	n := elliptic.P256().Params().N
	for range 6 {
		d := [32]byte(random(32))
		d[0] &= 0x7f
		key := parseKey(t, &d)
		nonces := NewNonces(&d)
		for _, size := range []int{1, 16, 33, 64} {
			digests := someDigests(size)
			for i, k := range mustDerive(t, nonces, digests) {
				r, s := signatureOf(t, key, digests[i][:])
				//lint:ignore SA1019 the equation wants the number
				w := new(big.Int).Mul(r, key.D)
				w.Add(w, new(big.Int).SetBytes(digests[i][:]))
				w.Mul(w, s.ModInverse(s, n)).Mod(w, n)
				b := bytesOf(&k)
				if new(big.Int).SetBytes(b[:]).Cmp(w) != 0 {
					t.Fatalf("batch of %d, item %d", size, i)
				}
			}
		}
	}
}

// Small bounds make every lane reject now and then, some many times.
func TestRejectedCandidatesFollowTheStandard(t *testing.T) {
	for _, top := range []uint64{1 << 62, 1 << 63, 7 << 61, 1 << 60, 1 << 57} {
		d := [32]byte(random(32))
		nonces := NewNonces(&d)
		nonces.bound = words{3: top}
		rejected := 0
		for _, n := range []int{1, 16, 31, 64} {
			digests := someDigests(n)
			for i, k := range mustDerive(t, nonces, digests) {
				if k != derive(&d, &digests[i], &nonces.bound) || k[3] >= top {
					t.Fatalf("bound %x, batch of %d, item %d", top, n, i)
				}
				if derive(&d, &digests[i], &words{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}) != k {
					rejected++
				}
			}
		}
		if rejected == 0 {
			t.Errorf("bound %x: no candidate was rejected", top)
		}
	}
}

// A message found by search whose first candidate under the key of A.2.5 is not
// below n: the rejection happens in earnest.
func TestMessageWithRejectedCandidate(t *testing.T) {
	want := fromHex("e131db5645a062dc6fe3432f0def29836e373a1ac23cf881cc7ec0c45b9e695a")
	digest := sha256.Sum256([]byte("000000004c3e0555"))
	first := derive(&rfcKey, &digest, &words{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})
	if inRange(&first, &order) {
		t.Fatal("the first candidate is in range")
	}
	key := parseKey(t, &rfcKey)
	point := parseKey(t, &want) // its public key is k·G
	if r, _ := signatureOf(t, key, digest[:]); new(big.Int).Mod(point.X, key.Params().N).Cmp(r) != 0 {
		t.Fatal("crypto/ecdsa takes another nonce")
	}
	nonces := NewNonces(&rfcKey)
	for lane := range 33 {
		digests := someDigests(33)
		digests[lane] = digest
		for i, k := range mustDerive(t, nonces, digests) {
			if k != derive(&rfcKey, &digests[i], &order) || i == lane && bytesOf(&k) != want {
				t.Fatalf("rejection in lane %d, item %d", lane, i)
			}
		}
	}
}

func TestRangeOfNonces(t *testing.T) {
	all := words{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	last := order
	last[0]--
	for _, c := range []struct {
		w    words
		want bool
	}{{words{}, false}, {words{1}, true}, {last, true}, {order, false}, {words{2: 1}, true}, {all, false}} {
		if inRange(&c.w, &order) != c.want {
			t.Errorf("%x: got %v", c.w, !c.want)
		}
	}
}

func TestNothingSecretStaysInMemory(t *testing.T) {
	d := [32]byte(random(32))
	nonces := NewNonces(&d)
	mustDerive(t, nonces, someDigests(40))
	nonces.Close()
	if nonces.d != [32]byte{} {
		t.Error("Close leaves the key")
	}
	checkWiped(t, nonces)
}

func BenchmarkNonces(b *testing.B) {
	for _, n := range []int{1, 2, 16, 32, 64, 256} {
		b.Run("batch="+big.NewInt(int64(n)).String(), func(b *testing.B) {
			nonces := NewNonces(&rfcKey)
			digests, k := someDigests(n), make([][4]uint64, n)
			b.ReportAllocs()
			for b.Loop() {
				nonces.Derive(k, digests)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/nonce")
		})
	}
}
