package seen

import (
	"math/bits"
	"unsafe"
)

const (
	chunkSlots = 512
	chunkBytes = chunkSlots * 8
	// The last slots of a table are nobody's own: the run of the highest hashes
	// spills into them.
	tailSlots = 48
	// A table grows by a quarter when it is more than 86 % full, so it is never
	// less than 68 % full but when small.
	fullNumerator   = 86
	fullDenominator = 100
)

const tableBytes = uint64(unsafe.Sizeof(table{}))

type chunk [chunkSlots]uint64

// table is a sorted sequence of hashes with gaps (empty slots, 0). Invariants:
// hashes ascend with the slot number; each sits at or behind its home, with no
// gap between; the last slot is empty.
type table struct {
	chunks []*chunk
	size   uint64 // homes: slots less the tail
	count  int
	most   int // count at which the table grows
}

// home is the slot v belongs to: it ascends with v.
func (t *table) home(v uint64) int {
	hi, _ := bits.Mul64(v<<8, t.size)
	return int(hi)
}

func (t *table) at(i int) *uint64 { return &t.chunks[i/chunkSlots][i%chunkSlots] }

func (t *table) slots() int { return len(t.chunks) * chunkSlots }

// peek reads v's home slot, so that it is in the cache when v is inserted.
func (t *table) peek(v uint64) uint64 {
	if t.size == 0 {
		return 0
	}
	return *t.at(t.home(v))
}

// insert adds v, which is not 0, and reports whether it was there.
func (t *table) insert(v uint64) (hit bool) {
	if t.count >= t.most {
		t.grow()
	}
	i, found := t.find(v)
	if !found {
		t.put(i, v)
		t.count++
	}
	return found
}

// find returns the slot v is in, or the one it would have to be in.
func (t *table) find(v uint64) (slot int, found bool) {
	i := t.home(v)
	for n := i / chunkSlots; ; n++ {
		c := t.chunks[n]
		for k := i % chunkSlots; k < chunkSlots; k++ {
			if w := c[k]; w >= v || w == 0 {
				return n*chunkSlots + k, w == v
			}
		}
		i = 0
	}
}

// put puts v into slot i and moves what is there, and the run behind it, one
// slot on. A run that reaches the end of the table gets a longer tail.
func (t *table) put(i int, v uint64) {
	for n, k := i/chunkSlots, i%chunkSlots; ; n, k = n+1, 0 {
		c := t.chunks[n]
		free := k
		for free < chunkSlots && c[free] != 0 {
			free++
		}
		if free < chunkSlots {
			copy(c[k+1:free+1], c[k:free])
			c[k] = v
			if n == len(t.chunks)-1 && free == chunkSlots-1 {
				t.chunks = append(t.chunks, new(chunk))
			}
			return
		}
		last := c[chunkSlots-1]
		copy(c[k+1:], c[k:chunkSlots-1])
		c[k] = v
		v = last
	}
}

// grow adds a quarter to the table, at least one chunk, and lays its hashes out
// anew.
func (t *table) grow() {
	old := len(t.chunks)
	for range max(old/4, 1) {
		t.chunks = append(t.chunks, new(chunk))
	}
	t.size = uint64(t.slots() - tailSlots)
	t.most = int(t.size * fullNumerator / fullDenominator)
	t.layOut(t.pack(old))
}

// pack moves the hashes of the first old chunks, in order and without gaps, to
// the end of the table and returns the slot the first is in.
func (t *table) pack(old int) int {
	to := t.slots()
	for n := old - 1; n >= 0; n-- {
		c := t.chunks[n]
		for k := chunkSlots - 1; k >= 0; k-- {
			if v := c[k]; v != 0 {
				c[k] = 0
				to--
				*t.at(to) = v
			}
		}
	}
	return to
}

// layOut moves each hash from the packed end to its home or the first free slot
// behind it. A hash only ever moves down, because those behind it need a slot
// each; where the run at the end needs more slots than there are, the tail gets
// longer.
func (t *table) layOut(from int) {
	next := 0
	for ; from < t.slots(); from++ {
		v := *t.at(from)
		for next = max(t.home(v), next); next > from; {
			from = t.shift(from)
		}
		*t.at(from) = 0
		*t.at(next) = v
		next++
	}
	if next == t.slots() {
		t.chunks = append(t.chunks, new(chunk))
	}
}

// shift adds a chunk, moves the packed end that begins at from up by as much,
// and returns where it then begins.
func (t *table) shift(from int) int {
	t.chunks = append(t.chunks, new(chunk))
	for i := t.slots() - 1; i >= from+chunkSlots; i-- {
		*t.at(i) = *t.at(i - chunkSlots)
		*t.at(i - chunkSlots) = 0
	}
	return from + chunkSlots
}
