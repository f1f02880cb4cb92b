package sign

import (
	"crypto"
	"crypto/ed25519"
	"sync"

	"filippo.io/edwards25519"
	"github.com/hdevalence/ed25519consensus"
)

// Ed25519 signatures checked together: one random linear combination of their
// equations instead of each by itself, by github.com/hdevalence/ed25519consensus.
// From some 60 on that takes half the time or less.
//
// It is never the default, because it cannot accept exactly what crypto/ed25519
// accepts. A sum can be compared only up to the cofactor, 8, which is how ZIP 215
// defines Ed25519; crypto/ed25519 compares R octet by octet. What of the
// difference can be seen cheaply is kept out of the sum and left to
// crypto/ed25519: keys outside the subgroup of prime order, and R that is not
// encoded as crypto/ed25519 would. One case remains: R with a component of small
// order in it. Only the holder of the private key can make a signature of that
// kind, which is no forgery, but one verifier takes it and the other does not.
// To see it in R costs as much as is gained.
//
// Use it where signers are believed not to play such games, such as to look
// through one's own vouchers again.

// Ed25519Batch is the verifier's name for [VerifierOptions.Impl].
const Ed25519Batch = "ed25519-batch"

// Sizes of batches. Below the least the sum costs more than its items do alone;
// above the most nothing is gained and a bad item spoils more.
const (
	leastEd25519Batch = 4
	mostEd25519Batch  = 64
)

// ed25519BatchImplementation only verifies, and only when it is asked for by
// name: it comes last in the table.
var ed25519BatchImplementation = implementation{
	name:        Ed25519Batch,
	available:   func() bool { return true },
	signs:       func(*Algorithm, crypto.Signer) bool { return false },
	newVerifier: newEd25519BatchVerifier,
}

// ed25519BatchVerifier checks Ed25519 items together and leaves to exact all
// others, and those of a batch that did not hold: exact then names the bad ones.
type ed25519BatchVerifier struct {
	exact   Verifier
	scratch sync.Pool // of *ed25519Scratch
}

func newEd25519BatchVerifier() Verifier {
	v := &ed25519BatchVerifier{exact: stdVerifier{}}
	if wideImplementation.available() && wideImplementation.newVerifier != nil {
		v.exact = wideImplementation.newVerifier()
	}
	return v
}

// ed25519Scratch is the working memory of one batch.
type ed25519Scratch struct {
	together []int // items that may be checked together
	alone    []int // items for the exact verifier
	copies   []VerifyItem
}

func (v *ed25519BatchVerifier) VerifyBatch(items []VerifyItem) error {
	w, _ := v.scratch.Get().(*ed25519Scratch)
	if w == nil {
		w = new(ed25519Scratch)
	}
	defer v.scratch.Put(w)
	w.together, w.alone = w.together[:0], w.alone[:0]
	for i := range items {
		items[i].Err = nil
		if isSummable(&items[i]) {
			w.together = append(w.together, i)
		} else {
			w.alone = append(w.alone, i)
		}
	}
	for rest := w.together; len(rest) > 0; {
		n := min(len(rest), mostEd25519Batch)
		if n < leastEd25519Batch || !sumHolds(items, rest[:n]) {
			w.alone = append(w.alone, rest[:n]...)
		}
		rest = rest[n:]
	}
	v.verifyAlone(w, items)
	var failed failures
	for i := range items {
		if items[i].Err != nil {
			failed.add(i, items[i].Err)
		}
	}
	return failed.err()
}

// verifyAlone hands the items of w.alone to the exact verifier.
func (v *ed25519BatchVerifier) verifyAlone(w *ed25519Scratch, items []VerifyItem) {
	if len(w.alone) == 0 {
		return
	}
	w.copies = w.copies[:0]
	for _, i := range w.alone {
		w.copies = append(w.copies, items[i])
	}
	v.exact.VerifyBatch(w.copies) // its results are in the items
	for n, i := range w.alone {
		items[i].Err = w.copies[n].Err
	}
	clear(w.copies) // the pool keeps no callers' memory alive
}

// sumHolds checks the chosen items together.
func sumHolds(items []VerifyItem, chosen []int) bool {
	batch := ed25519consensus.NewPreallocatedBatchVerifier(len(chosen))
	for _, i := range chosen {
		batch.Add(items[i].Key.key.(ed25519.PublicKey), items[i].Input, items[i].Signature)
	}
	return batch.Verify()
}

// isSummable reports whether an item may go into a sum: a signature of the
// right size, R encoded canonically, a key in the subgroup of prime order.
func isSummable(item *VerifyItem) bool {
	return item.Key != nil && item.Key.alg == Ed25519 && len(item.Signature) == ed25519.SignatureSize &&
		isPlainPoint((*[32]byte)(item.Signature)) && item.Key.inPrimeSubgroup()
}

// isPlainPoint reports whether y is below p and neither 1 nor -1. These two go
// with x = 0, for which the sign bit has two encodings.
func isPlainPoint(encoded *[32]byte) bool {
	zeros, ones := encoded[31]&0x7f == 0, encoded[31]&0x7f == 0x7f
	for _, b := range encoded[1:31] {
		zeros = zeros && b == 0
		ones = ones && b == 0xff
	}
	// p is 2^255 - 19, so its lowest octet is 0xed, that of -1 0xec.
	return !(zeros && encoded[0] == 1) && !(ones && encoded[0] >= 0xec)
}

// subgroup is what inPrimeSubgroup found out, once for each key.
type subgroup struct {
	once  sync.Once
	prime bool
}

// inPrimeSubgroup reports whether an Ed25519 key has no component of small
// order: (n-1)·A + A is zero, n being the subgroup's order.
func (k *PublicKey) inPrimeSubgroup() bool {
	k.subgroup.once.Do(func() {
		a, err := new(edwards25519.Point).SetBytes(k.key.(ed25519.PublicKey))
		if err != nil {
			return
		}
		var one [32]byte
		one[0] = 1
		minusOne, err := edwards25519.NewScalar().SetCanonicalBytes(one[:])
		if err != nil {
			return
		}
		minusOne.Negate(minusOne)
		sum := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(minusOne, a, edwards25519.NewScalar())
		k.subgroup.prime = sum.Add(sum, a).Equal(edwards25519.NewIdentityPoint()) == 1
	})
	return k.subgroup.prime
}
