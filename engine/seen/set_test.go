package seen

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/dchest/siphash"
)

func testKey() Key {
	var k [16]byte
	for i := range k {
		k[i] = byte(i)
	}
	return NewKey(k)
}

// The vectors of the SipHash paper, appendix A and its reference code: key
// 00..0f. Only the input's framing is ours, so the framed bytes are hashed.
func TestHashIsSipHash24OverTheFramedDevice(t *testing.T) {
	k := testKey()
	if got := siphash.Hash(k.k0, k.k1, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}); got != 0xa129ca6149be45e5 {
		t.Fatalf("SipHash of 00..0e is %016x", got)
	}
	for _, c := range []struct{ issuer, serial string }{{"", ""}, {"", "A1"}, {"\x01\x02", "A1"},
		{string(make([]byte, 20)), string(make([]byte, 100))}, {string(make([]byte, 20)), string(make([]byte, 101))}, {"i", string(make([]byte, 1024))}} {
		framed := binary.BigEndian.AppendUint32(nil, uint32(len(c.issuer)))
		framed = append(append(framed, c.issuer...), c.serial...)
		if got, want := k.Hash([]byte(c.issuer), []byte(c.serial)), siphash.Hash(k.k0, k.k1, framed); got != want {
			t.Errorf("%d+%d octets: %016x, want %016x", len(c.issuer), len(c.serial), got, want)
		}
	}
}

func TestHashTellsIssuerFromSerial(t *testing.T) {
	k := testKey()
	if k.Hash([]byte("AB"), []byte("C")) == k.Hash([]byte("A"), []byte("BC")) {
		t.Fatal("the boundary between issuer and serial does not count")
	}
	if k.Hash(nil, []byte("C")) != k.Hash([]byte{}, []byte("C")) {
		t.Fatal("nil and empty issuer differ")
	}
	if k.Hash(nil, []byte("C")) == NewKey([16]byte{1}).Hash(nil, []byte("C")) {
		t.Fatal("the key does not count")
	}
}

func TestHashDoesNotAllocate(t *testing.T) {
	k, issuer, serial := testKey(), make([]byte, 20), make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() { k.Hash(issuer, serial) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// check holds the invariants a table is documented to have.
func (t *table) check() error {
	if t.size == 0 {
		return nil
	}
	var last uint64
	n, free := 0, 0
	for i := range t.slots() {
		v := *t.at(i)
		if v == 0 {
			free = i + 1
			continue
		}
		if n++; v <= last {
			return fmt.Errorf("slot %d: %x behind %x", i, v, last)
		}
		if h := t.home(v); h > i || h < free {
			return fmt.Errorf("slot %d: home %d, free slot before %d", i, h, free)
		}
		last = v
	}
	if n != t.count {
		return fmt.Errorf("%d hashes, count says %d", n, t.count)
	}
	if *t.at(t.slots() - 1) != 0 {
		return fmt.Errorf("last slot in use")
	}
	return nil
}

func checkAll(t *testing.T, s *Set) {
	t.Helper()
	for i := range s.tables {
		if err := s.tables[i].check(); err != nil {
			t.Fatalf("table %d: %v", i, err)
		}
	}
}

func TestSetAgreesWithAMap(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		universe := uint64(1) << (4 + 2*seed) // from mostly hits to hardly any
		var s Set
		model := map[uint64]bool{}
		for range 40_000 {
			h := rng.Uint64N(universe) * (1<<63>>(3+2*seed)*2 + seed%2)
			if hit := s.Insert(h); hit != model[h] {
				t.Fatalf("seed %d: Insert(%x) = %v", seed, h, hit)
			}
			model[h] = true
		}
		if s.Len() != uint64(len(model)) {
			t.Fatalf("seed %d: Len %d, want %d", seed, s.Len(), len(model))
		}
		for h := range model {
			if !s.Insert(h) {
				t.Fatalf("seed %d: %x is lost", seed, h)
			}
		}
		checkAll(t, &s)
	}
}

func TestBatchesAgreeWithSingleInserts(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var one, many Set
	for round := range 300 {
		batch := make([]uint64, rng.IntN(200))
		for i := range batch {
			batch[i] = rng.Uint64N(20_000)
		}
		var want []int
		for i, h := range batch {
			if one.Insert(h) {
				want = append(want, i)
			}
		}
		if got := many.InsertBatch(batch, nil); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: hits %v, want %v", round, got, want)
		}
	}
	checkAll(t, &many)
}

func TestHashZeroIsAHashLikeAnyOther(t *testing.T) {
	var s Set
	if s.Insert(0) || !s.Insert(0) || s.Len() != 1 {
		t.Fatal("hash 0 is not kept")
	}
	if hits := s.InsertBatch([]uint64{0, 1, 0, 1}, nil); fmt.Sprint(hits) != "[0 2 3]" {
		t.Fatalf("hits %v", hits)
	}
}

// A table that is fed hashes which all have the same home, as only a forger who
// knew the key could choose them, keeps its order, finds them all and claims no
// more than they need.
func TestOneRunLongerThanTheTailIsKept(t *testing.T) {
	for _, base := range []uint64{1, 0xFFFF_FFFF_FFFF_0000} {
		var tab table
		for i := range uint64(3000) {
			if tab.insert(base + i*7919%3000) {
				t.Fatalf("base %x: %d found before it was there", base, i)
			}
		}
		if err := tab.check(); err != nil {
			t.Fatalf("base %x: %v", base, err)
		}
		for i := range uint64(3000) {
			if !tab.insert(base + i) {
				t.Fatalf("base %x: %d lost", base, i)
			}
		}
		if n := tab.slots(); n > 3*3000 {
			t.Fatalf("base %x: %d slots for 3000 hashes", base, n)
		}
	}
}

// Inputs without randomness must not make runs: what a run costs is counted in
// slots looked at, not in time.
func TestPatternedHashesDoNotBunchUp(t *testing.T) {
	for name, hash := range map[string]func(i uint64) uint64{
		"counter":   func(i uint64) uint64 { return i },
		"high bits": func(i uint64) uint64 { return i << 44 },
		"all ones":  func(i uint64) uint64 { return ^i },
		"stride":    func(i uint64) uint64 { return i * 256 },
	} {
		var s Set
		const n = 200_000
		for i := range uint64(n) {
			s.Insert(hash(i))
		}
		away := 0
		for i := range s.tables {
			tab := &s.tables[i]
			for k := range tab.slots() {
				if v := *tab.at(k); v != 0 {
					away += k - tab.home(v)
				}
			}
		}
		if away > 8*n {
			t.Errorf("%s: hashes sit %d slots from home on average", name, away/n)
		}
		checkAll(t, &s)
	}
}

func TestTheSameHashOverAndOverTakesNoMemory(t *testing.T) {
	var s Set
	s.Insert(42)
	before := s.Bytes()
	for range 1_000_000 {
		if !s.Insert(42) {
			t.Fatal("lost")
		}
	}
	if s.Len() != 1 || s.Bytes() != before {
		t.Fatalf("Len %d, %d octets", s.Len(), s.Bytes())
	}
}

func TestMemoryStaysUnderTwelveOctetsADevice(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := new(Set)
	rng := rand.NewPCG(3, 4)
	worst := 0.0
	for s.Len() < 3_000_000 {
		s.Insert(rng.Uint64())
		if n := s.Len(); n >= 1_000_000 && n%5_000 == 0 {
			worst = max(worst, float64(s.Bytes())/float64(n))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := float64(after.HeapAlloc-before.HeapAlloc) / float64(s.Len())
	claimed := float64(after.TotalAlloc-before.TotalAlloc) / float64(s.Len())
	t.Logf("at most %.2f octets a device; the heap says %.2f, all that was ever claimed %.2f", worst, heap, claimed)
	if worst > 12 || heap > 12 {
		t.Fatalf("%.2f octets a device (heap %.2f), want at most 12", worst, heap)
	}
	if claimed > 12.5 {
		t.Fatalf("growing leaves garbage: %.2f octets a device claimed in all", claimed)
	}
	runtime.KeepAlive(s)
}

func TestInsertingAHitDoesNotAllocate(t *testing.T) {
	var s Set
	hashes := make([]uint64, 256)
	for i := range hashes {
		hashes[i] = uint64(i) * 0x9E3779B97F4A7C15
	}
	hits := s.InsertBatch(hashes, make([]int, 0, 256))
	if n := testing.AllocsPerRun(10, func() { hits = s.InsertBatch(hashes, hits[:0]) }); n != 0 || len(hits) != 256 {
		t.Fatalf("%v allocations, %d hits", n, len(hits))
	}
}

func TestTouchingHashesAddsNone(t *testing.T) {
	var s Set
	hashes := []uint64{0, 1, 2, 1 << 63}
	s.Touch(hashes) // of an empty set
	for _, h := range hashes[:2] {
		s.Insert(h)
	}
	s.Touch(hashes)
	if s.Len() != 2 {
		t.Fatalf("%d hashes, want 2", s.Len())
	}
	for i, h := range hashes {
		if hit := s.Insert(h); hit != (i < 2) {
			t.Errorf("hash %d: hit %v", i, hit)
		}
	}
}
