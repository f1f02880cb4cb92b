package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/nistec"
)

// portableImplementation signs by ES256 without assembly of our own: k·G comes
// from nistec, the rest is arithmetic modulo n, where one inversion serves a
// whole batch (Montgomery's trick). Of the time of a signature nistec's
// fixed-base multiplication and its conversion to affine x, which inverts once
// a point, take about three quarters, the nonce one eighth.
var portableImplementation = implementation{
	name:      "portable",
	available: func() bool { return true },
	signs: func(alg *Algorithm, key crypto.Signer) bool {
		_, software := key.(*ecdsa.PrivateKey)
		return software && alg == ES256
	},
	newSigner: newPortableSigner,
}

// portableChunk is how many signatures share an inversion and how large the
// working memory is. The inversion costs about as much as half a signature:
// under one percent each at this size.
const portableChunk = 64

// errZero is what crypto/ecdsa answers too: r or s is zero with probability
// 2^-255.
var errZero = errors.New("sign: r or s is zero")

type portableSigner struct {
	public *ecdsa.PublicKey
	hedged bool

	randMu sync.Mutex // a caller's reader need not be safe for concurrent use
	random io.Reader

	mu  sync.RWMutex // held for reading by batches, for writing by Close
	key *portableKey // nil once closed
}

// portableKey is the private key in the forms the signer needs.
type portableKey struct {
	d     scalar // Montgomery form
	nonce *nonceKey
}

func newPortableSigner(_ *Algorithm, key crypto.Signer, opts Options) (Signer, error) {
	private := key.(*ecdsa.PrivateKey)
	octets, err := privateOctets(private)
	if err != nil {
		return nil, err
	}
	defer clear(octets)
	k := &portableKey{}
	x := (*[32]byte)(octets)
	k.d.setBytes(x)
	k.d.mul(&k.d, &p256RR)
	if k.nonce, err = newNonceKey(x); err != nil {
		return nil, err
	}
	s := &portableSigner{public: &private.PublicKey, hedged: opts.Hedged, random: opts.Rand, key: k}
	if s.random == nil {
		s.random = rand.Reader
	}
	return s, nil
}

func (s *portableSigner) Algorithm() *Algorithm    { return ES256 }
func (s *portableSigner) Public() crypto.PublicKey { return s.public }
func (s *portableSigner) Deterministic() bool      { return !s.hedged }

func (s *portableSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.key == nil {
		return ErrClosed
	}
	if err := checkBatch(ES256, sigs, inputs); err != nil {
		return err
	}
	w := portablePool.Get().(*portableScratch)
	defer portablePool.Put(w)
	var failed failures
	for first := 0; first < len(inputs); first += portableChunk {
		chunk := inputs[first:min(first+portableChunk, len(inputs))]
		if err := s.readExtra(w.extra[:32*len(chunk)]); err != nil {
			for i := first; i < first+len(chunk); i++ {
				clear(sigs[i*64 : (i+1)*64])
				failed.add(i, err)
			}
			continue
		}
		w.sign(s.key, s.hedged, sigs[first*64:], chunk)
		for i, err := range w.errs[:len(chunk)] {
			if err != nil {
				clear(sigs[(first+i)*64 : (first+i+1)*64])
				failed.add(first+i, err)
			}
		}
		w.wipe(len(chunk))
	}
	return failed.err()
}

// readExtra reads what hedging mixes in, 32 octets an item; nothing without it.
func (s *portableSigner) readExtra(b []byte) error {
	if !s.hedged {
		return nil
	}
	s.randMu.Lock()
	defer s.randMu.Unlock()
	if _, err := io.ReadFull(s.random, b); err != nil {
		return fmt.Errorf("sign: the source of randomness failed: %w", err)
	}
	return nil
}

func (s *portableSigner) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		clear(s.key.d[:])
		s.key.nonce.destroy()
		s.key = nil
	}
	return nil
}

// portableScratch is the working memory of one running batch. It goes back to
// the pool wiped.
type portableScratch struct {
	nonces *nonceMaker
	point  *nistec.P256Point
	extra  [32 * portableChunk]byte
	errs   [portableChunk]error
	e, r   [portableChunk]scalar
	k      [portableChunk]scalar     // nonces, Montgomery form
	prod   [portableChunk + 1]scalar // prod[i] = k[0]·…·k[i-1], Montgomery form
	octets [32]byte
	digest [32]byte
}

var portablePool = sync.Pool{New: func() any {
	return &portableScratch{nonces: newNonceMaker(), point: nistec.NewP256Point()}
}}

// sign signs up to portableChunk digests: s = k⁻¹(e + r·d) mod n, with the
// inverses of all k from the inverse of their product. An item that cannot be
// signed has its error in errs and takes part with k = 1.
func (w *portableScratch) sign(key *portableKey, hedged bool, sigs []byte, digests [][]byte) {
	w.prod[0] = p256One
	for i, digest := range digests {
		var extra []byte
		if hedged {
			extra = w.extra[32*i : 32*i+32]
		}
		w.errs[i] = w.commit(key, i, digest, extra)
		w.prod[i+1].mul(&w.prod[i], &w.k[i])
	}
	var inverse, kInverse, s scalar
	inverse.invert(&w.prod[len(digests)])
	for i := len(digests) - 1; i >= 0; i-- {
		kInverse.mul(&inverse, &w.prod[i])
		inverse.mul(&inverse, &w.k[i])
		s.mul(&w.r[i], &key.d)
		s.add(&s, &w.e[i])
		s.mul(&s, &kInverse)
		if w.errs[i] == nil && (w.r[i].isZero() == 1 || s.isZero() == 1) {
			w.errs[i] = errZero
		}
		w.r[i].bytes(sigs[64*i : 64*i+32])
		s.bytes(sigs[64*i+32 : 64*i+64])
	}
	clear(inverse[:])
	clear(kInverse[:])
}

// commit makes the nonce of item i and r, the x-coordinate of k·G modulo n.
func (w *portableScratch) commit(key *portableKey, i int, digest, extra []byte) error {
	w.k[i], w.r[i], w.e[i] = p256One, scalar{}, scalar{}
	if err := checkInput(ES256, digest); err != nil {
		return err
	}
	w.e[i].setBytes((*[32]byte)(digest))
	w.e[i].bytes(w.digest[:]) // bits2octets
	w.nonces.nonce(key.nonce, &w.octets, &w.k[i], &w.digest, extra)
	w.k[i].mul(&w.k[i], &p256RR)
	if _, err := w.point.ScalarBaseMult(w.octets[:]); err != nil {
		return err
	}
	x, err := w.point.BytesX()
	if err != nil {
		return err
	}
	w.r[i].setBytes((*[32]byte)(x))
	return nil
}

// wipe overwrites what depends on nonces; n is how much of it was used.
func (w *portableScratch) wipe(n int) {
	w.nonces.wipe()
	w.point.SetGenerator()
	clear(w.extra[:32*n])
	clear(w.k[:n])
	clear(w.prod[:n+1])
	clear(w.octets[:])
}
