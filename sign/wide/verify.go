package wide

import (
	"fmt"
	"slices"
	"sync"
)

// Verify sets ok[i] to whether sigs[i] is the signature r‖s of digests[i] under
// keys[i]. A digest or a signature of a wrong length is not an error but fails.
// The arguments have the same length, or a [*ShapeError] is returned and ok is
// untouched; so it is with a [*KeyError] for a nil key. Verify is safe for concurrent use and takes variable time.
//
// Signatures under the same *Key in one call are brought together, see
// [Key.VerifyMany].
func Verify(keys []*Key, digests, sigs [][]byte, ok []bool) error {
	if len(keys) != len(digests) {
		return &ShapeError{"keys", -1, len(keys), len(digests)}
	}
	if i := slices.Index(keys, nil); i >= 0 {
		return &KeyError{fmt.Sprintf("key %d is nil", i)}
	}
	if err := checkShapes(digests, sigs, ok); err != nil {
		return err
	}
	if len(keys) > 0 && sameKeys(keys) {
		keys[0].verifyMany(digests, sigs, ok)
		return nil
	}
	g := gatherPool.Get().(*gathered)
	defer gatherPool.Put(g)
	for len(keys) > 0 {
		n := min(len(keys), gatherSize)
		g.verify(keys[:n], digests[:n], sigs[:n], ok[:n])
		keys, digests, sigs, ok = keys[n:], digests[n:], sigs[n:], ok[n:]
	}
	return nil
}

func sameKeys(keys []*Key) bool {
	for _, k := range keys {
		if k != keys[0] {
			return false
		}
	}
	return true
}

const (
	// gatherSize is how many signatures are looked at together.
	gatherSize = 256
	// gatherKeys bounds the keys that are looked for among them.
	gatherKeys = 8
	// gatherLeast is the least number of signatures for which a call of their own
	// pays: 16 lanes under one key take as long as about six among others.
	gatherLeast = 8
)

// gathered are the signatures under one key, or those that are left.
type gathered struct {
	keys          [gatherSize]*Key
	digests, sigs [gatherSize][]byte
	ok            [gatherSize]bool
	of            [gatherSize]int // their places in the batch
	done          [gatherSize]bool
	n             int
}

var gatherPool = sync.Pool{New: func() any { return new(gathered) }}

// verify does the signatures under the first few keys that have enough of them
// key by key, the others together.
func (g *gathered) verify(keys []*Key, digests, sigs [][]byte, ok []bool) {
	var tried [gatherKeys]*Key
	for t := range tried {
		i := slices.IndexFunc(keys, func(k *Key) bool { return !slices.Contains(tried[:t], k) })
		if i < 0 {
			break
		}
		tried[t] = keys[i]
		if g.take(keys, digests, sigs, keys[i]); g.n >= gatherLeast {
			keys[i].verifyMany(g.digests[:g.n], g.sigs[:g.n], g.ok[:g.n])
			g.give(ok)
		}
	}
	if g.take(keys, digests, sigs, nil); g.n >= minVerify && Available() {
		verifyWide(g.keys[:g.n], nil, g.digests[:g.n], g.sigs[:g.n], g.ok[:g.n])
		g.give(ok)
	}
	for i, k := range keys {
		if !g.done[i] {
			ok[i] = k.verifyOne(digests[i], sigs[i])
		}
	}
	*g = gathered{}
}

// take collects what is not done under a key, or under any if key is nil.
func (g *gathered) take(keys []*Key, digests, sigs [][]byte, key *Key) {
	g.n = 0
	for i, k := range keys {
		if !g.done[i] && (k == key || key == nil) {
			g.keys[g.n], g.digests[g.n], g.sigs[g.n], g.of[g.n] = k, digests[i], sigs[i], i
			g.n++
		}
	}
}

// give puts the results where they belong.
func (g *gathered) give(ok []bool) {
	for i, at := range g.of[:g.n] {
		ok[at], g.done[at] = g.ok[i], true
	}
}

// VerifyMany does the same for signatures under one key. From about a hundred
// signatures on, over all calls, it uses a table of the key's multiples of 320
// KiB, which makes it more than three times as fast; the package keeps a bounded
// number of these tables.
func (k *Key) VerifyMany(digests, sigs [][]byte, ok []bool) error {
	if err := checkShapes(digests, sigs, ok); err != nil || len(digests) == 0 {
		return err
	}
	k.verifyMany(digests, sigs, ok)
	return nil
}

func (k *Key) verifyMany(digests, sigs [][]byte, ok []bool) {
	seen := k.seen.Add(int64(len(digests)))
	if Available() && (len(digests) >= minVerify || seen >= tableAfter) {
		verifyWide(nil, k, digests, sigs, ok)
		return
	}
	for i := range digests {
		ok[i] = k.verifyOne(digests[i], sigs[i])
	}
}

func checkShapes(digests, sigs [][]byte, ok []bool) error {
	if len(sigs) != len(digests) {
		return &ShapeError{"signatures", -1, len(sigs), len(digests)}
	}
	if len(ok) != len(digests) {
		return &ShapeError{"results", -1, len(ok), len(digests)}
	}
	return nil
}

// minVerify is the least batch for which the wide code is faster: 16 lanes under
// distinct keys take less time than two signatures one at a time.
const minVerify = 2

// tableAfter is how many signatures under a key must have come for its table to
// pay: making it takes as long as about a hundred verifications without it. With
// a table even a lone signature is faster wide.
const tableAfter = 96

// isDecidable reports whether r and s are in [1, n-1] and r is large enough for
// x = r to be the only x that is r modulo n: r+n is below p for r below p-n, which
// is below 2^127.
func isDecidable(sig []byte) (inRange, unique bool) {
	r, s := wordsFromBytes(sig[:32]), wordsFromBytes(sig[32:64])
	return isScalar(&r) && isScalar(&s), r[3]|r[2] != 0
}
