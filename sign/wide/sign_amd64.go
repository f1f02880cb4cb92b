//go:build amd64 && !purego

package wide

import (
	"io"
	"sync"
	"sync/atomic"
	"unsafe"
)

// wideKey is the private key in the form the assembly takes.
type wideKey struct {
	d     *element    // times 2^260 modulo n, in all lanes
	proof *element    // the same for the proof, so that a fault in one shows
	fault atomic.Bool // a proof has failed: the wide code is not used any more
}

func newWideKey(d *[32]byte) *wideKey {
	k := &wideKey{d: aligned[element](), proof: aligned[element]()}
	w := montgomery(d[:], curve.N)
	k.d.fill(&w)
	k.proof.fill(&w)
	return k
}

func (k *wideKey) wipe() { *k.d, *k.proof = element{}, element{} }

// faulty reports that a proof has failed.
func (k *wideKey) faulty() bool { return k.fault.Load() }

// chunk is how many signatures share their inversions and the working memory.
// The inversions cost about 6 µs, so 25 ns a signature at this size.
const chunk = 256

// signScratch is the working memory of one running batch. It goes back to the
// pool overwritten.
type signScratch struct {
	work    [2]work
	powers  [2][16]element
	items   [chunk / 8]item
	k       [chunk]words4
	digests [chunk][32]byte
	sigs    [16][64]byte
	proof   proof
}

var signPool = sync.Pool{New: func() any { return aligned[signScratch]() }}

func (s *Signer) signWide(sigs []byte, digests [][]byte, random io.Reader) error {
	w := signPool.Get().(*signScratch)
	defer signPool.Put(w)
	for len(digests) > 0 {
		if s.wide.faulty() {
			return s.signScalar(sigs, digests, nil)
		}
		n := min(chunk, len(digests))
		err := w.sign(s, sigs[:SignatureSize*n], digests[:n], random)
		w.wipe(n)
		if err != nil {
			return err
		}
		sigs, digests = sigs[SignatureSize*n:], digests[n:]
	}
	return nil
}

// sign signs at most a chunk. Lanes beyond the batch sign copies of the last
// digest, so that no lane is ever exceptional for being padding.
func (w *signScratch) sign(s *Signer, sigs []byte, digests [][]byte, random io.Reader) error {
	n := len(digests)
	for i, d := range digests {
		w.digests[i] = [32]byte(d)
	}
	if random == nil {
		if err := s.nonces.Derive(w.k[:n], w.digests[:n]); err != nil {
			return err
		}
	} else if err := hedgedNonces(w.k[:n], &s.d, w.digests[:n], random); err != nil {
		return err
	}
	return w.signWithNonces(s, sigs, digests)
}

// signWithNonces signs with the nonces in k.
func (w *signScratch) signWithNonces(s *Signer, sigs []byte, digests [][]byte) error {
	n := len(digests)
	padded := (n + Lanes - 1) / Lanes * Lanes
	for i := n; i < padded; i++ {
		w.k[i], w.digests[i] = w.k[n-1], w.digests[n-1]
	}
	table := generatorTable()
	for i := 0; i < padded; i += Lanes {
		combSign(&w.work, (*[2]item)(w.items[i/8:]), (*[16]words4)(w.k[i:]), table)
	}
	invertItems(&w.powers, &w.work[0], &w.items[0], padded/8)
	prove := Proof(s.proof.Load()).covers(n)
	for i := 0; i < padded; i += Lanes {
		to := &w.sigs
		whole := i+Lanes <= n
		if whole {
			to = (*[16][64]byte)(unsafe.Pointer(&sigs[SignatureSize*i]))
		}
		finishSign(&w.work, (*[2]item)(w.items[i/8:]), (*[16][32]byte)(w.digests[i:]), s.wide.d, to)
		if prove {
			w.proof.add(w, i, s.wide.proof, to)
		}
		if !whole {
			for j := range n - i {
				copy(sigs[SignatureSize*(i+j):], to[j][:])
			}
		}
	}
	if prove && !w.proof.holds(w) {
		s.wide.fault.Store(true)
		return s.signScalar(sigs, digests, nil)
	}
	return w.redo(s, sigs, digests)
}

// redo signs again, one at a time, where r or s came out zero. A zero Z in one
// lane makes all r of that lane zero, for they share an inversion.
func (w *signScratch) redo(s *Signer, sigs []byte, digests [][]byte) error {
	for g := range (len(digests) + 7) / 8 {
		for lane, bad := range w.items[g].bad {
			if i := 8*g + lane; bad != 0 && i < len(digests) {
				if err := s.signOne((*[64]byte)(sigs[SignatureSize*i:]), digests[i], nil); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wipe overwrites what was derived from the key for n signatures.
func (w *signScratch) wipe(n int) {
	w.work = [2]work{}
	w.proof = proof{}
	w.powers = [2][16]element{}
	clear(w.items[:(n+Lanes-1)/Lanes*2])
	clear(w.k[:(n+Lanes-1)/Lanes*Lanes])
}
