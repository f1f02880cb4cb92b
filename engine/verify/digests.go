package verify

import "github.com/vouchmill/vouchmill/sign"

// digests computes what the vouchers of one batch need hashed, all messages of a
// hash function together. It belongs to one worker.
type digests struct {
	sets []digestSet // by HashID
}

type digestSet struct {
	hasher   *sign.Hasher
	messages [][]byte
	sums     []byte // flat
}

// A digest stands for the hash of a message that was added. The zero digest
// stands for none.
type digest struct {
	hash  sign.HashID
	index int
}

func (d *digests) reset() {
	for i := range d.sets {
		d.sets[i].messages = d.sets[i].messages[:0]
	}
}

// add has a message hashed. It must stay as it is until sum.
func (d *digests) add(h sign.HashID, message []byte) (digest, error) {
	for len(d.sets) <= int(h) {
		d.sets = append(d.sets, digestSet{})
	}
	set := &d.sets[h]
	if set.hasher == nil {
		var err error
		if set.hasher, err = sign.NewHasher(h); err != nil {
			return digest{}, err
		}
	}
	set.messages = append(set.messages, message)
	return digest{h, len(set.messages) - 1}, nil
}

// sum hashes everything that was added since reset.
func (d *digests) sum() error {
	for i := range d.sets {
		set := &d.sets[i]
		if len(set.messages) == 0 {
			continue
		}
		if n := len(set.messages) * set.hasher.Size(); cap(set.sums) < n {
			set.sums = make([]byte, n)
		} else {
			set.sums = set.sums[:n]
		}
		if err := set.hasher.Sum(set.sums, set.messages); err != nil {
			return err
		}
	}
	return nil
}

// get returns the octets of a digest, valid until the next sum.
func (d *digests) get(of digest) []byte {
	set := &d.sets[of.hash]
	size := set.hasher.Size()
	return set.sums[of.index*size : (of.index+1)*size : (of.index+1)*size]
}
