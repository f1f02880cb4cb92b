package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"
)

// testRand is a seeded source: a failure can be repeated.
func testRand(t testing.TB, seed byte) *rand.ChaCha8 {
	t.Helper()
	return rand.NewChaCha8([32]byte{seed})
}

func p256Key(t testing.TB, d *big.Int) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func randomKey(t testing.TB, r io.Reader) *ecdsa.PrivateKey {
	t.Helper()
	b := make([]byte, 32)
	io.ReadFull(r, b)
	n := elliptic.P256().Params().N
	d := new(big.Int).SetBytes(b)
	d.Mod(d, new(big.Int).Sub(n, big.NewInt(1)))
	return p256Key(t, d.Add(d, big.NewInt(1)))
}

// stdRaw is the deterministic signature of the standard library as r‖s.
func stdRaw(t testing.TB, alg *Algorithm, key *ecdsa.PrivateKey, digest []byte) []byte {
	t.Helper()
	der, err := key.Sign(nil, digest, alg.Hash.Crypto())
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, alg.SignatureSize)
	if err := rawFromDER(raw, der); err != nil {
		t.Fatal(err)
	}
	return raw
}

func newTestSigner(t testing.TB, alg *Algorithm, key crypto.Signer, opts Options) Signer {
	t.Helper()
	s, err := NewSigner(alg, key, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// edgeDigests are where reductions and carries change their minds.
func edgeDigests() [][]byte {
	n := elliptic.P256().Params().N
	p := elliptic.P256().Params().P
	var list [][]byte
	for _, base := range []*big.Int{new(big.Int), n, p, new(big.Int).Lsh(big.NewInt(1), 128), new(big.Int).Lsh(big.NewInt(1), 256)} {
		for delta := int64(-2); delta <= 2; delta++ {
			v := new(big.Int).Add(base, big.NewInt(delta))
			if v.Sign() >= 0 && v.BitLen() <= 256 {
				list = append(list, v.FillBytes(make([]byte, 32)))
			}
		}
	}
	return list
}

func TestPortableEqualsCryptoECDSA(t *testing.T) {
	r := testRand(t, 1)
	n := elliptic.P256().Params().N
	keys := []*ecdsa.PrivateKey{
		p256Key(t, big.NewInt(1)), p256Key(t, big.NewInt(2)),
		p256Key(t, new(big.Int).Sub(n, big.NewInt(1))), p256Key(t, new(big.Int).Sub(n, big.NewInt(2))),
	}
	for range 12 {
		keys = append(keys, randomKey(t, r))
	}
	total, want := 0, 10_500
	if testing.Short() {
		want = 1_000
	}
	for size := 1; total < want; size = size*3%257 + 1 {
		key := keys[total%len(keys)]
		digests := edgeDigests()
		for len(digests) < size+21 {
			d := make([]byte, 32)
			r.Read(d)
			digests = append(digests, d)
		}
		if total > 2000 {
			digests = digests[21:]
		}
		s := newTestSigner(t, ES256, key, Options{Impl: "portable"})
		sigs := make([]byte, 64*len(digests))
		if err := s.SignBatch(sigs, digests); err != nil {
			t.Fatal(err)
		}
		for i, d := range digests {
			if want := stdRaw(t, ES256, key, d); !bytes.Equal(want, sigs[64*i:64*i+64]) {
				t.Fatalf("batch of %d, item %d, digest %x: got %x, want %x", len(digests), i, d, sigs[64*i:64*i+64], want)
			}
		}
		total += len(digests)
	}
}

// RFC 6979 A.2.5, P-256 with SHA-256; the nonces are checked as well. The last
// message was found by search: its first candidate is not below n.
func TestNonceVectors(t *testing.T) {
	x, _ := hex.DecodeString("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
	key, err := newNonceKey((*[32]byte)(x))
	if err != nil {
		t.Fatal(err)
	}
	private := p256Key(t, new(big.Int).SetBytes(x))
	for _, c := range []struct{ message, k, r, s string }{
		{"sample", "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60",
			"efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
		{"test", "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0",
			"f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367", "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"},
		{"000000004c3e0555", "e131db5645a062dc6fe3432f0def29836e373a1ac23cf881cc7ec0c45b9e695a", "", ""},
	} {
		digest := SHA256.Append(nil, []byte(c.message))
		var out [32]byte
		var k scalar
		newNonceMaker().nonce(key, &out, &k, (*[32]byte)(digest), nil)
		if got := hex.EncodeToString(out[:]); got[:len(c.k)] != c.k {
			t.Errorf("%q: nonce %s, want %s", c.message, got, c.k)
		}
		want := stdRaw(t, ES256, private, digest)
		if c.r != "" && hex.EncodeToString(want) != c.r+c.s {
			t.Errorf("%q: the vector is not what crypto/ecdsa computes: %x", c.message, want)
		}
		for _, impl := range Implementations(ES256, private) {
			sig := make([]byte, 64)
			if err := newTestSigner(t, ES256, private, Options{Impl: impl}).SignBatch(sig, [][]byte{digest}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(sig, want) {
				t.Errorf("%s, %q: %x, want %x", impl, c.message, sig, want)
			}
		}
	}
}

func TestScalarArithmeticAgainstMathBig(t *testing.T) {
	r := testRand(t, 2)
	n := elliptic.P256().Params().N
	rInv := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 256), n)
	toBig := func(z *scalar) *big.Int {
		b := make([]byte, 32)
		z.bytes(b)
		return new(big.Int).SetBytes(b)
	}
	values := edgeDigests()
	for range 60 {
		b := make([]byte, 32)
		r.Read(b)
		values = append(values, b)
	}
	for _, a := range values {
		var x scalar
		below := x.setBytes((*[32]byte)(a))
		bx := new(big.Int).SetBytes(a)
		if (below == 1) != (bx.Cmp(n) < 0) || toBig(&x).Cmp(bx.Mod(bx, n)) != 0 || (x.isZero() == 1) != (bx.Sign() == 0) {
			t.Fatalf("setBytes(%x) = %x, below %d", a, toBig(&x), below)
		}
		for _, b := range values {
			var y, z scalar
			y.setBytes((*[32]byte)(b))
			by := toBig(&y)
			z.add(&x, &y)
			sum := new(big.Int).Add(bx, by)
			if toBig(&z).Cmp(sum.Mod(sum, n)) != 0 {
				t.Fatalf("%x + %x = %x", bx, by, toBig(&z))
			}
			z.mul(&x, &y)
			product := new(big.Int).Mul(bx, by)
			product.Mul(product, rInv)
			if toBig(&z).Cmp(product.Mod(product, n)) != 0 {
				t.Fatalf("%x · %x = %x", bx, by, toBig(&z))
			}
		}
		var m, inv scalar
		m.mul(&x, &p256RR)
		inv.invert(&m)
		inv.mul(&inv, &scalar{1})
		want := new(big.Int).ModInverse(bx, n)
		if want == nil {
			want = new(big.Int)
		}
		if toBig(&inv).Cmp(want) != 0 {
			t.Fatalf("1/%x = %x", bx, toBig(&inv))
		}
	}
}

func TestPortableAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	key := randomKey(t, testRand(t, 3))
	for _, size := range []int{1, 16, 100} {
		s := newTestSigner(t, ES256, key, Options{Impl: "portable"})
		digests := make([][]byte, size)
		for i := range digests {
			digests[i] = SHA256.Append(nil, []byte{byte(i)})
		}
		sigs := make([]byte, 64*size)
		if n := testing.AllocsPerRun(20, func() { s.SignBatch(sigs, digests) }); n != 0 {
			t.Errorf("batch of %d: %v allocations", size, n)
		}
	}
}

func TestHedgedSignaturesDifferAndVerify(t *testing.T) {
	key := randomKey(t, testRand(t, 4))
	digest := SHA256.Append(nil, []byte("hedged"))
	inputs := [][]byte{digest, digest, digest}
	for _, impl := range Implementations(ES256, key) {
		s := newTestSigner(t, ES256, key, Options{Impl: impl, Hedged: true})
		if s.Deterministic() {
			t.Errorf("%s: says it is deterministic", impl)
		}
		sigs := make([]byte, 3*64)
		if err := s.SignBatch(sigs, inputs); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(sigs[:64], sigs[64:128]) || bytes.Equal(sigs[:64], stdRaw(t, ES256, key, digest)) {
			t.Errorf("%s: hedged signatures repeat", impl)
		}
		for i := range inputs {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest, appendDER(nil, sigs[64*i:64*i+64])) {
				t.Errorf("%s: signature %d does not verify", impl, i)
			}
		}
	}
	// A source that repeats gives signatures that repeat: the source is used.
	a, b := make([]byte, 64), make([]byte, 64)
	newTestSigner(t, ES256, key, Options{Impl: "portable", Hedged: true, Rand: testRand(t, 5)}).SignBatch(a, inputs[:1])
	newTestSigner(t, ES256, key, Options{Impl: "portable", Hedged: true, Rand: testRand(t, 5)}).SignBatch(b, inputs[:1])
	if !bytes.Equal(a, b) {
		t.Error("Options.Rand is not the source of hedging")
	}
	// A source that ends after the first 64: those are signed, the rest is not.
	broken := newTestSigner(t, ES256, key, Options{Impl: "portable", Hedged: true, Rand: bytes.NewReader(make([]byte, 65*32))})
	sigs := bytes.Repeat([]byte{0xee}, 70*64)
	var batch *BatchError
	if err := broken.SignBatch(sigs, testInputs(ES256, 70)); !errors.As(err, &batch) || len(batch.Items) != 6 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a source of randomness that ends: %v", err)
	}
	if !bytes.Equal(sigs[64*64:], make([]byte, 6*64)) || bytes.Equal(sigs[:64], make([]byte, 64)) {
		t.Error("unsigned items are not zero, or signed ones are")
	}
}

func TestConcurrentBatchesShareNothing(t *testing.T) {
	key := randomKey(t, testRand(t, 6))
	for _, impl := range Implementations(ES256, key) {
		s := newTestSigner(t, ES256, key, Options{Impl: impl})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				var digests [][]byte
				for i := range 5 + 20*(g%4) {
					digests = append(digests, SHA256.Append(nil, fmt.Append(nil, g, i)))
				}
				sigs := make([]byte, 64*len(digests))
				if err := s.SignBatch(sigs, digests); err != nil {
					t.Error(err)
				}
				for i, d := range digests {
					if !ecdsa.VerifyASN1(&key.PublicKey, d, appendDER(nil, sigs[64*i:64*i+64])) {
						t.Errorf("%s: goroutine %d, signature %d does not verify", impl, g, i)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestScratchIsWipedAfterABatch(t *testing.T) {
	key := randomKey(t, testRand(t, 7))
	s, err := newPortableSigner(ES256, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := portablePool.New().(*portableScratch)
	sigs := make([]byte, 128)
	w.sign(s.(*portableSigner).key, false, sigs, [][]byte{sigs[:32], sigs[32:64]})
	if w.k == [portableChunk]scalar{} || w.prod[1] == (scalar{}) {
		t.Fatal("nothing was there to be wiped")
	}
	w.wipe(2)
	m := w.nonces
	if w.k != [portableChunk]scalar{} || w.prod != [portableChunk + 1]scalar{} || w.octets != [32]byte{} ||
		m.v != [32]byte{} || m.k != [32]byte{} || m.block != [160]byte{} ||
		!bytes.Equal(m.inner, make([]byte, len(m.inner))) || !bytes.Equal(m.outer, make([]byte, len(m.outer))) {
		t.Error("secrets remain in the scratch")
	}
	private := s.(*portableSigner).key
	s.Close()
	if private.d != (scalar{}) || private.nonce.x != [32]byte{} || !bytes.Equal(private.nonce.first, make([]byte, len(private.nonce.first))) {
		t.Error("Close leaves the private key")
	}
}
