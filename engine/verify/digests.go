package verify

import (
	"bytes"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// digests computes what the vouchers of one batch need hashed, all messages of a
// hash function together. It belongs to one worker.
type digests struct {
	sets []digestSet // by HashID and part
}

// A part of a voucher: those of a run begin alike in the same part.
type part uint8

// The payload of a CMS voucher, and what the signature is over, by format.
const (
	partContent part = iota
	partSigned
	parts = partSigned + part(codec.FormatCOSE) + 1
)

// signedPart is what the signature of a voucher is over.
func signedPart(f codec.Format) part { return partSigned + part(f) }

type digestSet struct {
	hasher   *sign.Hasher
	messages [][]byte
	sums     []byte // flat

	// What most messages begin with, and the hash's state behind it: it is
	// hashed once, and compared from there on.
	common   []byte
	prefix   *sign.Prefix // of common
	none     *sign.Prefix // of nothing
	prefixes []*sign.Prefix
	tails    [][]byte
}

// A digest stands for the hash of a message that was added. The zero digest
// stands for none.
type digest struct {
	hash  sign.HashID
	part  part
	index int
}

func (d *digests) reset() {
	for i := range d.sets {
		d.sets[i].messages = d.sets[i].messages[:0]
	}
}

// add has a message hashed. It must stay as it is until sum.
func (d *digests) add(h sign.HashID, p part, message []byte) (digest, error) {
	at := setOf(h, p)
	for len(d.sets) <= at {
		d.sets = append(d.sets, digestSet{})
	}
	set := &d.sets[at]
	if set.hasher == nil {
		var err error
		if set.hasher, err = sign.NewHasher(h); err != nil {
			return digest{}, err
		}
		if set.none, err = sign.NewPrefix(h, nil); err != nil {
			return digest{}, err
		}
	}
	set.messages = append(set.messages, message)
	return digest{h, p, len(set.messages) - 1}, nil
}

func setOf(h sign.HashID, p part) int { return int(h)*int(parts) + int(p) }

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
		alike, err := set.split()
		if err != nil {
			return err
		}
		if alike == 0 {
			err = set.hasher.Sum(set.sums, set.messages)
		} else {
			err = set.hasher.SumTails(set.sums, set.prefixes, set.tails)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// get returns the octets of a digest, valid until the next sum.
func (d *digests) get(of digest) []byte {
	set := &d.sets[setOf(of.hash, of.part)]
	size := set.hasher.Size()
	return set.sums[of.index*size : (of.index+1)*size : (of.index+1)*size]
}

// Bounds of a common beginning: fewer messages than leastAlike are not worth
// learning from, and it consists of whole blocks of SHA-256, which are half or
// odd ones of other hashes and do no harm there.
const (
	leastAlike  = 8
	commonBlock = 64
)

// split divides the messages into the common beginning, where they have it, and
// what follows, and returns how many have it. Where fewer than half do, another
// one is looked for.
func (s *digestSet) split() (alike int, err error) {
	alike = s.match()
	if 2*alike < len(s.messages) && len(s.messages) >= leastAlike {
		if err := s.learn(); err != nil {
			return 0, err
		}
		alike = s.match()
	}
	return alike, nil
}

// match fills prefixes and tails and returns how many messages begin with common.
func (s *digestSet) match() (alike int) {
	s.prefixes, s.tails = s.prefixes[:0], s.tails[:0]
	if len(s.common) == 0 {
		return 0
	}
	for _, m := range s.messages {
		p, tail := s.none, m
		if bytes.HasPrefix(m, s.common) {
			p, tail = s.prefix, m[len(s.common):]
			alike++
		}
		s.prefixes, s.tails = append(s.prefixes, p), append(s.tails, tail)
	}
	return alike
}

// learn takes as common what the first and the last message begin with.
func (s *digestSet) learn() error {
	a, b := s.messages[0], s.messages[len(s.messages)-1]
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	s.common = append(s.common[:0], a[:n/commonBlock*commonBlock]...)
	if len(s.common) == 0 {
		return nil
	}
	var err error
	s.prefix, err = sign.NewPrefix(s.none.Hash(), s.common)
	return err
}
