package wide

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"filippo.io/nistec"
)

// A sample is signatures, keys and digests.
type sample struct {
	keys          []*Key
	digests, sigs [][]byte
}

func (s *sample) add(k *Key, digest, sig []byte) {
	s.keys, s.digests, s.sigs = append(s.keys, k), append(s.digests, digest), append(s.sigs, sig)
}

func mustKey(t testing.TB, p *ecdsa.PublicKey) *Key {
	t.Helper()
	k, err := NewKey(p)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newSample has n signatures by crypto/ecdsa under the given number of keys.
func newSample(t testing.TB, n, keys int) sample {
	t.Helper()
	var private []*ecdsa.PrivateKey
	var public []*Key
	for range min(n, keys) {
		p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		private, public = append(private, p), append(public, mustKey(t, &p.PublicKey))
	}
	var s sample
	for i := range n {
		digest := sha256.Sum256(fmt.Append(nil, n, i))
		r, v, err := ecdsa.Sign(rand.Reader, private[i%keys], digest[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, SignatureSize)
		r.FillBytes(sig[:32])
		v.FillBytes(sig[32:])
		s.add(public[i%keys], digest[:], sig)
	}
	return s
}

// spoil changes most items in one of several ways; some stay valid.
func (s sample) spoil() {
	for i := range s.sigs {
		switch i % 8 {
		case 0:
			s.sigs[i][i%32] ^= 1 << (i % 8)
		case 1:
			s.sigs[i][32+i%32] ^= 1 << (i % 8)
		case 2:
			s.digests[i][i%32] ^= 1
		case 3:
			clear(s.sigs[i][32:])
		case 4:
			elliptic.P256().Params().N.FillBytes(s.sigs[i][:32])
		case 5:
			s.sigs[i] = s.sigs[i][:63]
		case 6:
			s.digests[i] = nil
		}
	}
}

// check verifies all at once, compares with crypto/ecdsa and returns the number
// of valid signatures.
func (s sample) check(t *testing.T) (valid int) {
	t.Helper()
	ok := make([]bool, len(s.keys))
	for i := range ok {
		ok[i] = i%3 == 0 // what was there must not matter
	}
	if err := Verify(s.keys, s.digests, s.sigs, ok); err != nil {
		t.Fatal(err)
	}
	for i := range ok {
		want := len(s.sigs[i]) == SignatureSize && len(s.digests[i]) == DigestSize &&
			ecdsa.Verify(s.keys[i].Public(), s.digests[i], new(big.Int).SetBytes(s.sigs[i][:32]), new(big.Int).SetBytes(s.sigs[i][32:]))
		if ok[i] != want {
			t.Fatalf("item %d of %d: got %v; key %x, digest %x, signature %x", i, len(ok), ok[i], s.keys[i].point, s.digests[i], s.sigs[i])
		}
		if want {
			valid++
		}
	}
	return valid
}

func TestVerifyAgreesWithStandardLibrary(t *testing.T) {
	every := []int{64, 300}
	for n := range 34 {
		every = append(every, n)
	}
	for keys, lengths := range map[int][]int{1: every, 3: {5, 40}, 1000: {2, 15, 16, 17, 64, 600}} {
		for _, n := range lengths {
			s := newSample(t, n, keys)
			if valid := s.check(t); valid != n {
				t.Fatalf("%d of %d are valid", valid, n)
			}
			s.spoil()
			if valid := s.check(t); n >= 8 && (valid == 0 || valid > n/2) {
				t.Fatalf("%d of %d are valid", valid, n)
			}
		}
	}
}

// publicKey is the point j·G.
func publicKey(t testing.TB, j *big.Int) *Key {
	t.Helper()
	p, err := nistec.NewP256Point().ScalarBaseMult(new(big.Int).Mod(j, curve.N).FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return keyOfPoint(t, p)
}

func keyOfPoint(t testing.TB, p *nistec.P256Point) *Key {
	t.Helper()
	q, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), p.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return mustKey(t, q)
}

// constructed returns a digest and a signature that is valid under j·G with the
// given u1 and u2, if u1·G + u2·j·G is not infinity.
func constructed(j, u1, u2 *big.Int) (digest, sig []byte, ok bool) {
	n := curve.N
	c := new(big.Int).Mul(u2, j)
	c.Add(c, u1).Mod(c, n)
	if c.Sign() == 0 {
		return nil, nil, false
	}
	p, err := nistec.NewP256Point().ScalarBaseMult(c.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, nil, false
	}
	x, err := p.BytesX()
	if err != nil {
		return nil, nil, false
	}
	r := new(big.Int).SetBytes(x)
	r.Mod(r, n)
	s := new(big.Int).Mul(r, new(big.Int).ModInverse(u2, n))
	s.Mod(s, n)
	z := new(big.Int).Mul(u1, s)
	z.Mod(z, n)
	return z.FillBytes(make([]byte, 32)), append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), true
}

// Small multiples of G as keys, and scalars that make the sums meet equal,
// opposite and infinite points, u1 zero among them.
func TestExceptionalPointsAreDecidedRight(t *testing.T) {
	n := curve.N
	small := []int64{1, 2, 3, 4, 5, 7, 8, 15, 16, 127, 128, 129, 255, 256}
	var multiples []*big.Int
	for _, j := range small {
		multiples = append(multiples, big.NewInt(j), big.NewInt(-j))
	}
	var u []*big.Int
	for _, v := range []int64{0, 1, 2, 3, 15, 16, 17, 255, 256, 257} {
		u = append(u, big.NewInt(v), new(big.Int).Sub(n, big.NewInt(v+1)))
	}
	var s sample
	for _, j := range multiples {
		k := publicKey(t, j)
		for a := range u {
			for b := range 2 {
				u2 := u[(3*a+5*b+1)%len(u)]
				if u2.Sign() == 0 {
					continue
				}
				if digest, sig, ok := constructed(j, u[a], u2); ok {
					s.add(k, digest, sig)
				}
				// u1·G = ±u2·Q
				for _, sign := range []int64{1, -1} {
					u1 := new(big.Int).Mul(u2, j)
					u1.Mul(u1, big.NewInt(sign)).Mod(u1, n)
					if digest, sig, ok := constructed(j, u1, u2); ok {
						s.add(k, digest, sig)
					}
				}
			}
		}
	}
	if valid := s.check(t); valid != len(s.keys) {
		t.Fatalf("%d of %d are valid", valid, len(s.keys))
	}
	for first := 0; first < len(s.keys); { // and each key for itself, with its table
		last := first
		for last < len(s.keys) && s.keys[last] == s.keys[first] {
			last++
		}
		s.keys[first].seen.Store(tableAfter)
		one := sample{s.keys[first:last], s.digests[first:last], s.sigs[first:last]}
		one.check(t)
		first = last
	}
	s.spoil()
	s.check(t)
}

// u1·G + u2·Q is infinity: no r is right.
func TestInfinityIsRefused(t *testing.T) {
	j := big.NewInt(77)
	k := publicKey(t, j)
	var s sample
	for i := range int64(40) {
		// r = u2·s, z = -j·r
		v, r := big.NewInt(1000+i), new(big.Int).Lsh(big.NewInt(5+i), 200)
		z := new(big.Int).Mul(r, j)
		z.Neg(z).Mod(z, curve.N)
		s.add(k, z.FillBytes(make([]byte, 32)), append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
	}
	if valid := s.check(t); valid != 0 {
		t.Fatalf("%d are valid", valid)
	}
	k.seen.Store(tableAfter)
	if valid := s.check(t); valid != 0 {
		t.Fatalf("%d are valid", valid)
	}
}

// Points whose x is n or more have r = x - n, which is tiny; and r at the ends of
// its range.
func TestRangesOfRAndS(t *testing.T) {
	n := curve.N
	var s sample
	found := 0
	for i := int64(1); found < 5; i++ {
		x := new(big.Int).Add(n, big.NewInt(i))
		point, err := nistec.NewP256Point().SetBytes(append([]byte{2}, x.FillBytes(make([]byte, 32))...))
		if err != nil {
			continue // no point has this x
		}
		found++
		// Q = u2⁻¹·R with u1 = 0, that is digest 0
		v := big.NewInt(123456789 + i)
		inverse := new(big.Int).ModInverse(new(big.Int).Mul(big.NewInt(i), new(big.Int).ModInverse(v, n)), n)
		q, err := nistec.NewP256Point().ScalarMult(point, inverse.FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		sig := append(big.NewInt(i).FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
		s.add(keyOfPoint(t, q), make([]byte, 32), sig)
	}
	if valid := s.check(t); valid != 5 {
		t.Fatalf("%d of 5 with x ≥ n are valid", valid)
	}
	k := publicKey(t, big.NewInt(99))
	ends := []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1)), n, new(big.Int).Add(n, big.NewInt(1)),
		new(big.Int).Sub(curve.P, n), new(big.Int).Sub(new(big.Int).Sub(curve.P, n), big.NewInt(1)), curve.P, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))}
	for _, r := range ends {
		for _, v := range ends {
			s.add(k, randomDigests(1)[0], append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
		}
	}
	s.check(t)
}

func TestUnusablePublicKeysAreRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 coordinates as numbers
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, p := range map[string]*ecdsa.PublicKey{"none": nil, "P-384": &other.PublicKey, "off the curve": off} {
		var refused *KeyError
		if _, err := NewKey(p); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongShapesVerifyNothing(t *testing.T) {
	s := newSample(t, 3, 3)
	ok := []bool{true, true, true}
	var shape *ShapeError
	for _, err := range []error{
		Verify(s.keys[:2], s.digests, s.sigs, ok),
		Verify(s.keys, s.digests, s.sigs[:2], ok),
		Verify(s.keys, s.digests, s.sigs, ok[:2]),
		s.keys[0].VerifyMany(s.digests, s.sigs[:1], ok),
	} {
		if !errors.As(err, &shape) {
			t.Error(err)
		}
	}
	var refused *KeyError
	if err := Verify([]*Key{s.keys[0], nil, s.keys[2]}, s.digests, s.sigs, ok); !errors.As(err, &refused) {
		t.Errorf("a nil key: %v", err)
	}
	if !ok[0] || !ok[1] || !ok[2] {
		t.Error("results were written")
	}
}

func TestVerifyServesManyGoroutines(t *testing.T) {
	one, many := newSample(t, 150, 1), newSample(t, 150, 150)
	var group sync.WaitGroup
	for g := range 6 {
		group.Go(func() {
			for range 5 {
				for _, s := range []sample{one, many} {
					n := 150 - g
					ok := make([]bool, n)
					Verify(s.keys[:n], s.digests[:n], s.sigs[:n], ok)
					for i := range ok {
						if !ok[i] {
							t.Errorf("item %d is refused", i)
							return
						}
					}
				}
			}
		})
	}
	group.Wait()
}

// openVectors opens a file of published test vectors, which lie in a folder
// shared/vectors above the module or where the environment says.
func openVectors(t *testing.T, name string) *os.File {
	t.Helper()
	dirs := []string{os.Getenv("VOUCHMILL_VECTORS")}
	if dirs[0] == "" {
		dirs = nil
		at, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for parent := filepath.Dir(at); parent != at; at, parent = parent, filepath.Dir(parent) {
			dirs = append(dirs, filepath.Join(parent, "shared", "vectors"))
		}
	}
	for _, d := range dirs {
		if f, err := os.Open(filepath.Join(d, name)); err == nil {
			t.Cleanup(func() { f.Close() })
			return f
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no test vectors %s: set VOUCHMILL_VECTORS", name)
	}
	t.Skipf("no test vectors %s: set VOUCHMILL_VECTORS to their folder", name)
	return nil
}

// wycheproof reads the vectors for r‖s signatures.
func wycheproof(t *testing.T) (s sample, valid []bool, comments []string) {
	t.Helper()
	z, err := gzip.NewReader(openVectors(t, "wycheproof/ecdsa_secp256r1_sha256_p1363_test.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TestGroups []struct {
			PublicKey struct{ Uncompressed string }
			Tests     []struct{ Comment, Msg, Sig, Result string }
		}
	}
	if err := json.NewDecoder(z).Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.TestGroups {
		p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unhex(g.PublicKey.Uncompressed))
		if err != nil {
			t.Fatal(err)
		}
		k := mustKey(t, p)
		for _, c := range g.Tests {
			digest := sha256.Sum256(unhex(c.Msg))
			s.add(k, digest[:], unhex(c.Sig))
			valid, comments = append(valid, c.Result == "valid"), append(comments, c.Comment)
		}
	}
	if len(valid) < 200 {
		t.Fatalf("only %d vectors", len(valid))
	}
	return s, valid, comments
}

func TestWycheproof(t *testing.T) {
	s, valid, comments := wycheproof(t)
	padding := newSample(t, 17, 17)
	for i := range valid {
		// alone, in each lane among others, and under the key's table
		if ok := make([]bool, 1); s.keys[i].VerifyMany(s.digests[i:i+1], s.sigs[i:i+1], ok) != nil || ok[0] != valid[i] {
			t.Errorf("vector %d alone: %v: %s", i, ok[0], comments[i])
		}
		lane := i % 17
		keys, digests, sigs := slices.Clone(padding.keys), slices.Clone(padding.digests), slices.Clone(padding.sigs)
		keys[lane], digests[lane], sigs[lane] = s.keys[i], s.digests[i], s.sigs[i]
		ok := make([]bool, 17)
		Verify(keys, digests, sigs, ok)
		for j := range ok {
			if want := j != lane || valid[i]; ok[j] != want {
				t.Errorf("vector %d in lane %d: item %d is %v: %s", i, lane, j, ok[j], comments[i])
			}
		}
		s.keys[i].seen.Store(tableAfter)
		ok = ok[:2]
		s.keys[i].VerifyMany([][]byte{s.digests[i], s.digests[i]}, [][]byte{s.sigs[i], s.sigs[i]}, ok)
		if ok[0] != valid[i] || ok[1] != valid[i] {
			t.Errorf("vector %d under its table: %v: %s", i, ok, comments[i])
		}
	}
	ok := make([]bool, len(valid))
	if err := Verify(s.keys, s.digests, s.sigs, ok); err != nil {
		t.Fatal(err)
	}
	for i := range ok {
		if ok[i] != valid[i] {
			t.Errorf("vector %d in the whole: %v: %s", i, ok[i], comments[i])
		}
	}
}

func FuzzVerifyAgreesWithStandardLibrary(f *testing.F) {
	d, _ := hex.DecodeString(knownKey)
	f.Add(d, sha256.New().Sum(nil), unhex(knownSignature))
	f.Add(bytes.Repeat([]byte{1}, 32), make([]byte, 32), make([]byte, 64))
	f.Fuzz(func(t *testing.T, d, digest, sig []byte) {
		signer, err := NewScalarSigner(d)
		if err != nil || len(digest) != DigestSize {
			return
		}
		k := mustKey(t, signer.Public())
		right := mustSign(t, signer, [][]byte{digest})
		sig = bytes.Clone(sig)
		for i := range min(len(sig), len(right)) {
			sig[i] ^= right[i] // so that small inputs are close to valid signatures
		}
		want := len(sig) == SignatureSize &&
			ecdsa.Verify(k.Public(), digest, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		keys, digests, sigs, ok := []*Key{k}, [][]byte{digest}, [][]byte{sig}, make([]bool, 2)
		verify := func(keys []*Key) {
			if err := Verify(keys, append(digests, digest), append(sigs, right), ok); err != nil {
				t.Fatal(err)
			}
			if ok[0] != want || !ok[1] {
				t.Fatalf("key %x, digest %x, signature %x: %v, want %v", d, digest, sig, ok, want)
			}
		}
		verify(append(keys, mustKey(t, signer.Public()))) // as distinct keys
		k.seen.Store(tableAfter)
		verify(append(keys, k))
	})
}
