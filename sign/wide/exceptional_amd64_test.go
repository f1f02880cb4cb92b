//go:build amd64 && !purego

package wide

import (
	"bytes"
	"crypto/elliptic"
	"math/big"
	"testing"
	"unsafe"

	"filippo.io/nistec"
)

// withNonces signs with chosen nonces, and says which items were signed again.
func withNonces(t *testing.T, s *Signer, digests [][]byte, k []*big.Int) (sigs []byte, redone map[int]bool) {
	t.Helper()
	s.SetProof(ProveAll)
	w := aligned[signScratch]()
	for i := range digests {
		w.digests[i], w.k[i] = [32]byte(digests[i]), bigWords(k[i])
	}
	sigs = make([]byte, SignatureSize*len(digests))
	if err := w.signWithNonces(s, sigs, digests); err != nil {
		t.Fatal(err)
	}
	if s.wide.fault.Load() {
		t.Fatal("the proof failed")
	}
	redone = map[int]bool{}
	for i := range digests {
		if w.items[i/8].bad[i%8] != 0 {
			redone[i] = true
		}
	}
	return sigs, redone
}

func bigOf(w words4) *big.Int {
	v := new(big.Int)
	for j := 3; j >= 0; j-- {
		v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(w[j]))
	}
	return v
}

// expected is s = (z + r·d)/k with r from k·G.
func expected(s *Signer, digest []byte, k *big.Int) []byte {
	n := curve.N
	p, err := nistec.NewP256Point().ScalarBaseMult(k.FillBytes(make([]byte, 32)))
	if err != nil {
		panic(err)
	}
	x, err := p.BytesX()
	if err != nil {
		panic(err)
	}
	r := new(big.Int).SetBytes(x)
	r.Mod(r, n)
	//lint:ignore SA1019 chosen scalars, some of which no constructor takes
	v := new(big.Int).Mul(r, s.key.D)
	v.Add(v, new(big.Int).SetBytes(digest)).Mul(v, new(big.Int).ModInverse(k, n)).Mod(v, n)
	return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
}

func skipWithoutWide(t *testing.T) {
	t.Helper()
	if !Available() {
		t.Skip("the wide code does not run here: " + Describe())
	}
}

func TestNoncesAtTheEndsOfTheirRange(t *testing.T) {
	skipWithoutWide(t)
	s, _ := signersOf(t, testKey(20))
	var k []*big.Int
	for i := int64(1); i <= 300; i++ {
		k = append(k, big.NewInt(i), new(big.Int).Sub(curve.N, big.NewInt(i)))
	}
	for i := range uint(256) {
		if v := new(big.Int).Lsh(big.NewInt(1), i); v.Cmp(curve.N) < 0 {
			k = append(k, v, new(big.Int).Sub(curve.N, v))
		}
	}
	for len(k) > 0 { // one of each lane: sums of such nonces would be exceptional, too
		n := min(Lanes, len(k))
		digests := randomDigests(n)
		sigs, redone := withNonces(t, s, digests, k[:n])
		for i := range n {
			if redone[i] {
				t.Fatalf("k = %x is exceptional", k[i])
			}
			if got, want := [64]byte(sigs[64*i:]), [64]byte(expected(s, digests[i], k[i])); got != want {
				t.Fatalf("k = %x: %x, want %x", k[i], got, want)
			}
		}
		k = k[n:]
	}
}

// A digest for which s is zero: that lane alone is signed by the standard
// library.
func TestZeroSignatureIsDoneAgain(t *testing.T) {
	skipWithoutWide(t)
	s, scalar := signersOf(t, testKey(21))
	for lane := range 48 {
		digests, k := randomDigests(48), make([]*big.Int, 48)
		for i := range k {
			k[i] = big.NewInt(int64(1000 + i + lane))
		}
		r := new(big.Int).SetBytes(expected(s, digests[lane], k[lane])[:32])
		//lint:ignore SA1019 chosen scalars, some of which no constructor takes
		z := r.Mul(r, s.key.D)
		z.Neg(z).Mod(z, curve.N).FillBytes(digests[lane])
		sigs, redone := withNonces(t, s, digests, k)
		want := mustSign(t, scalar, digests[lane:lane+1])
		if len(redone) != 1 || !redone[lane] || [64]byte(sigs[64*lane:]) != [64]byte(want) {
			t.Fatalf("lane %d: signed again: %v", lane, redone)
		}
		for i := range k {
			if i != lane && [64]byte(sigs[64*i:]) != [64]byte(expected(s, digests[i], k[i])) {
				t.Fatalf("lane %d spoils item %d", lane, i)
			}
		}
	}
}

// For k = 510·2^248 - n the last addition of the comb is a doubling: both points
// are 255·2^248·G. Z becomes zero, and with it the common inverse of the lane.
func TestExceptionalAdditionIsDoneAgain(t *testing.T) {
	skipWithoutWide(t)
	exceptional := new(big.Int).Lsh(big.NewInt(510), 248)
	exceptional.Sub(exceptional, curve.N)
	s, scalar := signersOf(t, testKey(22))
	for lane := range 48 {
		digests := randomDigests(48)
		nonces, k := make([][4]uint64, 48), make([]*big.Int, 48)
		var copies [48][32]byte
		for i := range copies {
			copies[i] = [32]byte(digests[i])
		}
		if err := s.nonces.Derive(nonces, copies[:]); err != nil {
			t.Fatal(err)
		}
		for i, w := range nonces {
			k[i] = bigOf(w)
		}
		k[lane] = exceptional
		sigs, redone := withNonces(t, s, digests, k)
		want := mustSign(t, scalar, digests)
		for i := range digests {
			if [64]byte(sigs[64*i:]) != [64]byte(want[64*i:]) || redone[i] != (i%8 == lane%8) {
				t.Fatalf("exception in lane %d: item %d, signed again: %v", lane, i, redone[i])
			}
		}
	}
}

// A fault in one lane of one thing that signing uses is found in the batch that
// it falls on, and the signatures are right all the same.
func TestFaultsAreFoundAndTheBatchSignedAgain(t *testing.T) {
	skipWithoutWide(t)
	table := (*combTable)(unsafe.Pointer(generatorTable()))
	for name, fault := range map[string]func(s *Signer) (repair func()){
		"private key": func(s *Signer) func() {
			s.wide.d[2][5] ^= 1
			return func() {}
		},
		"table": func(s *Signer) func() {
			table[30][3][7] ^= 1
			return func() { table[30][3][7] ^= 1 }
		},
	} {
		found := 0
		for range 40 {
			w, s := signersOf(t, testKey(30))
			w.SetProof(ProveAll)
			digests := randomDigests(100)
			repair := fault(w)
			got := mustSign(t, w, digests)
			repair()
			if want := mustSign(t, s, digests); !bytes.Equal(got, want) {
				t.Fatalf("%s: wrong signatures were let go", name)
			}
			if w.wide.fault.Load() {
				found++
				compareSigners(t, w, s, digests) // by other code from now on
			}
		}
		if found == 0 {
			t.Errorf("%s: no fault was found", name)
		}
	}
}

// Any change of any signature, nonce or point after signing fails the proof.
func TestProofCoversEverySignature(t *testing.T) {
	skipWithoutWide(t)
	s, _ := signersOf(t, testKey(31))
	const n = 48
	digests := randomDigests(n)
	w := aligned[signScratch]()
	if err := w.sign(s, make([]byte, 64*n), digests, nil); err != nil {
		t.Fatal(err)
	}
	var sigs [n / Lanes][16][64]byte
	for i := range sigs {
		finishSign(&w.work, (*[2]item)(w.items[2*i:]), (*[16][32]byte)(w.digests[16*i:]), s.wide.d, &sigs[i])
	}
	prove := func() bool {
		w.proof = proof{}
		for i := range sigs {
			w.proof.add(w, Lanes*i, s.wide.proof, &sigs[i])
		}
		return w.proof.holds(w)
	}
	if !prove() {
		t.Fatal("right signatures fail")
	}
	for i := range n {
		it, lane := &w.items[i/8], i%8
		for name, change := range map[string]func(){
			"r":      func() { sigs[i/16][i%16][31-i%32] ^= 1 },
			"s":      func() { sigs[i/16][i%16][32+i%32] ^= 1 },
			"digest": func() { w.digests[i][i%32] ^= 1 },
			"nonce":  func() { w.k[i][i%3] ^= 1 << (i % 32) },
			"x":      func() { it.x[i%5][lane] ^= 1 },
			"y":      func() { it.y[i%5][lane] ^= 1 },
			"z":      func() { it.z[i%5][lane] ^= 1 },
		} {
			change()
			if prove() {
				t.Errorf("item %d: a wrong %s is not seen", i, name)
			}
			change()
		}
	}
	// r of another point, with the s that belongs to it
	sigs[1][2] = [64]byte(expected(s, digests[18], new(big.Int).Add(bigOf(w.k[18]), big.NewInt(1))))
	if prove() {
		t.Error("a signature with another nonce is not seen")
	}
	finishSign(&w.work, (*[2]item)(w.items[2:]), (*[16][32]byte)(w.digests[16:]), s.wide.d, &sigs[1])
	// two points exchanged
	a, b := &w.items[0], &w.items[2]
	for i := range a.x {
		a.x[i][3], b.x[i][3] = b.x[i][3], a.x[i][3]
		a.y[i][3], b.y[i][3] = b.y[i][3], a.y[i][3]
		a.z[i][3], b.z[i][3] = b.z[i][3], a.z[i][3]
	}
	if prove() {
		t.Error("two points exchanged are not seen")
	}
}

func TestProofCoversTheBatchesItIsAskedFor(t *testing.T) {
	skipWithoutWide(t)
	for _, c := range []struct {
		proof Proof
		n     int
		want  bool
	}{{ProveLarge, proofLeast - 1, false}, {ProveLarge, proofLeast, true}, {ProveAll, 1, true}, {ProveNone, 256, false}} {
		w, _ := signersOf(t, testKey(32))
		w.SetProof(c.proof)
		*w.wide.d = element{1: {1}} // wrong in every lane: a proof must fail
		mustSign(t, w, randomDigests(c.n))
		if got := w.wide.fault.Load(); got != c.want {
			t.Errorf("proof %d, batch of %d: proved %v, want %v", c.proof, c.n, got, c.want)
		}
	}
}

func TestNothingSecretStaysInScratch(t *testing.T) {
	skipWithoutWide(t)
	s, _ := signersOf(t, testKey(23))
	s.SetProof(ProveAll)
	w := aligned[signScratch]()
	for _, n := range []int{256, 100, 1} {
		digests := randomDigests(n)
		if err := w.sign(s, make([]byte, 64*n), digests, nil); err != nil {
			t.Fatal(err)
		}
		w.wipe(n)
		w.digests, w.sigs = [chunk][32]byte{}, [16][64]byte{} // what was signed is no secret
		if *w != (signScratch{}) {
			t.Fatalf("batch of %d: working memory is left", n)
		}
	}
	key := s.wide
	s.Close()
	if *key.d != (element{}) || *key.proof != (element{}) {
		t.Error("Close leaves the private key")
	}
}

// The table of a point, entry by entry.
func TestTableHoldsOddMultiples(t *testing.T) {
	skipWithoutWide(t)
	for _, d := range [][]byte{{31: 1}, testKey(24), new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(1)).Bytes()} {
		p, err := nistec.NewP256Point().ScalarBaseMult(d[:32:32])
		if err != nil {
			t.Fatal(err)
		}
		table, ok := newCombTable(p)
		if !ok {
			t.Fatal("exception")
		}
		inverse := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 260), curve.P)
		coordinate := func(w *combWindow, j, from int) *big.Int {
			v := new(big.Int)
			for l := 4; l >= 0; l-- {
				v.Lsh(v, 52).Add(v, new(big.Int).SetUint64(w[from+l][j]))
			}
			return v.Mul(v, inverse).Mod(v, curve.P)
		}
		for i := range table {
			two := nistec.NewP256Point().Double(p)
			q := nistec.NewP256Point().Set(p)
			for j := range combEntries {
				if j%37 == 0 || j == combEntries-1 {
					b := q.Bytes()
					if coordinate(&table[i], j, 0).Cmp(new(big.Int).SetBytes(b[1:33])) != 0 || coordinate(&table[i], j, 5).Cmp(new(big.Int).SetBytes(b[33:])) != 0 {
						t.Fatalf("window %d, entry %d", i, j)
					}
				}
				q.Add(q, two)
			}
			for range combBits {
				p.Double(p)
			}
		}
	}
}

func TestTablesAreBounded(t *testing.T) {
	skipWithoutWide(t)
	var samples []sample
	for range maxTables + 10 {
		s := newSample(t, tableAfter, 1)
		if valid := s.check(t); valid != tableAfter {
			t.Fatalf("%d are valid", valid)
		}
		samples = append(samples, s)
	}
	count := 0
	for i, s := range samples {
		if s.keys[0].wide.table.Load() != nil {
			count++
		} else if i >= 10 {
			t.Errorf("key %d lost its table before older ones", i)
		}
	}
	if count != maxTables || len(tables.keys) != maxTables {
		t.Errorf("%d keys have tables, %d are listed, want %d", count, len(tables.keys), maxTables)
	}
	if valid := samples[0].check(t); valid != tableAfter { // gets its table again
		t.Fatalf("%d are valid", valid)
	}
}

func TestKnownAnswers(t *testing.T) {
	skipWithoutWide(t)
	if err := knownAnswers(); err != nil {
		t.Fatal(err)
	}
	table := (*combTable)(unsafe.Pointer(generatorTable()))
	flip := func() { // a fault in one bit of each entry of one window
		for j := range table[17][0] {
			table[17][0][j] ^= 4
		}
	}
	flip()
	defer flip()
	if knownAnswers() == nil {
		t.Fatal("a faulty table goes unnoticed")
	}
}
