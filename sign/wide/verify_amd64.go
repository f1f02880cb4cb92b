//go:build amd64 && !purego

package wide

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"filippo.io/nistec"
)

// wideKeyPoint is a public key as the assembly takes it, and its table while
// there is one.
type wideKeyPoint struct {
	x, y  words4 // times 2^260 modulo p
	table atomic.Pointer[combTable]
	used  atomic.Int64 // when the table was last used, by tables.clock
}

func (w *wideKeyPoint) set(point *[65]byte) {
	w.x, w.y = montgomery(point[1:33], curve.P), montgomery(point[33:], curve.P)
}

// keyTableSize is the number of multiples of each key when keys are distinct.
const keyTableSize = 8

// verifyScratch is the working memory of one running batch.
type verifyScratch struct {
	work    [2]work
	powers  [2][16]element
	items   [chunk / 8]item
	tables  [chunk / Lanes][keyTableSize]multiple
	digests [chunk][DigestSize]byte
	sigs    [chunk][SignatureSize]byte
	state   [chunk]lane
}

// A lane says what became of a signature before the wide code saw it.
type lane uint8

const (
	laneWide    lane = iota // decided by the wide code
	laneInvalid             // a wrong length, or r or s out of range
	laneScalar              // to be decided by crypto/ecdsa
)

var verifyPool = sync.Pool{New: func() any { return aligned[verifyScratch]() }}

// verifyWide takes a key for each signature or one for all.
func verifyWide(keys []*Key, one *Key, digests, sigs [][]byte, ok []bool) {
	w := verifyPool.Get().(*verifyScratch)
	defer verifyPool.Put(w)
	var table *combTable
	if one != nil {
		table = one.combTable()
	}
	for first := 0; first < len(digests); first += chunk {
		last := min(first+chunk, len(digests))
		b := verifyBatch{one: one, digests: digests[first:last], sigs: sigs[first:last], ok: ok[first:last]}
		if keys != nil {
			b.keys = keys[first:last]
		}
		w.load(&b)
		if table != nil {
			w.underTable(&b, table)
		} else {
			w.underKeys(&b)
		}
		w.decide(&b)
	}
}

// A verifyBatch is at most a chunk of signatures.
type verifyBatch struct {
	keys          []*Key // or nil
	one           *Key
	digests, sigs [][]byte
	ok            []bool
}

func (b *verifyBatch) key(i int) *Key {
	if b.keys == nil {
		return b.one
	}
	return b.keys[i]
}

func (b *verifyBatch) padded() int { return (len(b.digests) + Lanes - 1) / Lanes * Lanes }

// load copies what can be decided and puts r = s = 1 in the other lanes. Lanes
// beyond the batch repeat the last.
func (w *verifyScratch) load(b *verifyBatch) {
	for i := range b.digests {
		w.state[i] = laneInvalid
		w.digests[i], w.sigs[i] = [DigestSize]byte{31: 1}, [SignatureSize]byte{31: 1, 63: 1}
		if len(b.digests[i]) != DigestSize || len(b.sigs[i]) != SignatureSize {
			continue
		}
		inRange, unique := isDecidable(b.sigs[i])
		switch {
		case !inRange:
		case !unique:
			w.state[i] = laneScalar
		default:
			w.state[i] = laneWide
			w.digests[i], w.sigs[i] = [DigestSize]byte(b.digests[i]), [SignatureSize]byte(b.sigs[i])
		}
	}
	for i := len(b.digests); i < b.padded(); i++ {
		w.digests[i], w.sigs[i] = w.digests[i-1], w.sigs[i-1]
	}
}

func (w *verifyScratch) itemsAt(i int) *[2]item { return (*[2]item)(w.items[i/8:]) }

func (w *verifyScratch) sigsAt(i int) *[16][64]byte { return (*[16][64]byte)(w.sigs[i:]) }

// underKeys multiplies with a small table of each key.
func (w *verifyScratch) underKeys(b *verifyBatch) {
	for i := 0; i < b.padded(); i += Lanes {
		for lane := range Lanes {
			k := b.key(min(i+lane, len(b.digests)-1))
			w.work[lane/8].qx.set(lane%8, &k.wide.x)
			w.work[lane/8].qy.set(lane%8, &k.wide.y)
		}
		it := w.itemsAt(i)
		loadInverses(&w.work, it, w.sigsAt(i))
		oddMultiples(&w.work, &w.tables[i/Lanes][0], keyTableSize)
		it[0].z, it[1].z = w.work[0].z, w.work[1].z
	}
	invertItems(&w.powers, &w.work[0], &w.items[0], b.padded()/8)
	generator := generatorTable()
	for i := 0; i < b.padded(); i += Lanes {
		it, table := w.itemsAt(i), &w.tables[i/Lanes][0]
		w.work[0].z, w.work[1].z = it[0].z, it[1].z
		affineMultiples(&w.work, table, keyTableSize)
		splitScalars(&w.work, it, (*[16][32]byte)(w.digests[i:]), w.sigsAt(i))
		multiplyDistinct(&w.work, table, generator)
		checkPoints(&w.work, it, w.sigsAt(i))
	}
}

// underTable multiplies with the table of the one key.
func (w *verifyScratch) underTable(b *verifyBatch, table *combTable) {
	for i := 0; i < b.padded(); i += Lanes {
		it := w.itemsAt(i)
		loadInverses(&w.work, it, w.sigsAt(i))
		it[0].z, it[1].z = *montgomeryOne, *montgomeryOne // nothing to invert here
	}
	invertItems(&w.powers, &w.work[0], &w.items[0], b.padded()/8)
	generator := generatorTable()
	for i := 0; i < b.padded(); i += Lanes {
		it := w.itemsAt(i)
		splitScalars(&w.work, it, (*[16][32]byte)(w.digests[i:]), w.sigsAt(i))
		multiplyKey(&w.work, generator, table.bytes())
		checkPoints(&w.work, it, w.sigsAt(i))
	}
}

// montgomeryOne is 2^260 mod p in all lanes.
var montgomeryOne = func() *element {
	e, one := aligned[element](), montgomery([]byte{1}, curve.P)
	e.fill(&one)
	return e
}()

// decide takes the wide code's results and does by crypto/ecdsa what it could
// not decide.
func (w *verifyScratch) decide(b *verifyBatch) {
	for i := range b.digests {
		it, l := &w.items[i/8], i%8
		switch {
		case w.state[i] == laneInvalid:
			b.ok[i] = false
		case w.state[i] == laneScalar || it.bad[l] != 0:
			b.ok[i] = b.key(i).verifyOne(b.digests[i], b.sigs[i])
		default:
			b.ok[i] = it.ok[l] != 0
		}
	}
}

// maxTables bounds the tables kept, of 320 KiB each; the least recently used
// one goes first.
const maxTables = 64

// tables is what the package keeps of keys' tables.
var tables struct {
	mu    sync.Mutex
	keys  []*Key // those that have one
	clock atomic.Int64
}

// combTable is the key's table, or nil while it does not pay.
func (k *Key) combTable() *combTable {
	k.wide.used.Store(tables.clock.Add(1))
	if t := k.wide.table.Load(); t != nil || k.seen.Load() < tableAfter {
		return t
	}
	tables.mu.Lock()
	defer tables.mu.Unlock()
	if t := k.wide.table.Load(); t != nil { // made meanwhile
		return t
	}
	t := k.wide.newTable(&k.point)
	if t == nil {
		return nil
	}
	if len(tables.keys) == maxTables {
		oldest := slices.MinFunc(tables.keys, func(a, b *Key) int { return cmp.Compare(a.wide.used.Load(), b.wide.used.Load()) })
		dropTable(oldest)
	}
	tables.keys = append(tables.keys, k)
	k.wide.table.Store(t)
	return t
}

func (*wideKeyPoint) newTable(point *[65]byte) *combTable {
	p, err := nistec.NewP256Point().SetBytes(point[:])
	if err != nil {
		return nil
	}
	t, ok := newCombTable(p)
	if !ok {
		return nil
	}
	return t
}

// dropTable forgets a key's table; tables.mu is held.
func dropTable(k *Key) {
	k.wide.table.Store(nil)
	tables.keys = slices.DeleteFunc(tables.keys, func(other *Key) bool { return other == k })
}

// forget gives up the key's table.
func (k *Key) forget() {
	tables.mu.Lock()
	defer tables.mu.Unlock()
	dropTable(k)
}
