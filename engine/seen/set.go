package seen

const tables = 256

// Set is a set of 64-bit hashes. The zero value is an empty set, ready for use.
// It is not for concurrent use, and hashes are never removed.
type Set struct {
	tables [tables]table
	count  uint64
	zero   bool   // whether the value that marks an empty slot is in the set
	touch  uint64 // sum of what Touch looked at, so that it does look
}

// Insert adds hash and reports whether it was there already.
func (s *Set) Insert(hash uint64) (hit bool) {
	v := mix(hash)
	if v == 0 {
		hit, s.zero = s.zero, true
	} else {
		hit = s.tables[v>>56].insert(v)
	}
	if !hit {
		s.count++
	}
	return hit
}

// lookAhead is how many slots InsertBatch asks memory for at once.
const lookAhead = 64

// InsertBatch adds hashes in order and appends to hits the index of each that
// was there already, be it from before or from earlier in the batch. It is
// faster than as many calls of Insert: the slots of 64 hashes are fetched from
// memory side by side.
func (s *Set) InsertBatch(hashes []uint64, hits []int) []int {
	for begin := 0; begin < len(hashes); begin += lookAhead {
		part := hashes[begin:min(begin+lookAhead, len(hashes))]
		s.Touch(part)
		for i, h := range part {
			if s.Insert(h) {
				hits = append(hits, begin+i)
			}
		}
	}
	return hits
}

// Touch fetches from memory, side by side, the slots that the hashes belong to.
// It changes nothing; an Insert of each of them soon after is faster by a miss
// of the cache. More than 64 or so at once gain nothing.
func (s *Set) Touch(hashes []uint64) {
	sum := uint64(0)
	for _, h := range hashes {
		v := mix(h)
		sum += s.tables[v>>56].peek(v)
	}
	s.touch += sum
}

// Len returns how many hashes are in the set.
func (s *Set) Len() uint64 { return s.count }

// Bytes returns the memory the set's slots and tables take, in octets.
func (s *Set) Bytes() uint64 {
	n := uint64(tables * tableBytes)
	for i := range s.tables {
		n += uint64(len(s.tables[i].chunks))*chunkBytes + uint64(cap(s.tables[i].chunks))*8
	}
	return n
}

// mix is a bijection that spreads hashes which are not as random as they should
// be (counters, or a test's own) over tables and slots, since a table whose
// hashes bunch up gets slow. It is the finaliser of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
