package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"io"
	"sync"

	"github.com/vouchmill/vouchmill/sign/wide"
)

// wideImplementation signs and verifies ES256 sixteen at a time in AVX-512
// registers, where the processor has them.
var wideImplementation = implementation{
	name:        "wide",
	available:   wide.Available,
	signs:       portableImplementation.signs,
	newSigner:   newWideSigner,
	newVerifier: func() Verifier { return wideVerifier{} },
}

type wideSigner struct {
	key    *wide.Signer
	few    Signer // faster for batches below wide.MinBatch
	hedged bool
	random *lockedReader
}

// lockedReader lets both signers share a caller's reader, which need not be
// safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

func newWideSigner(_ *Algorithm, key crypto.Signer, opts Options) (Signer, error) {
	octets, err := privateOctets(key.(*ecdsa.PrivateKey))
	if err != nil {
		return nil, err
	}
	defer clear(octets)
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	s := &wideSigner{hedged: opts.Hedged, random: &lockedReader{r: opts.Rand}}
	opts.Rand = s.random
	if s.key, err = wide.NewSigner(octets); err != nil {
		return nil, &KeyError{Reason: "the private key is not usable", Err: err}
	}
	if s.few, err = newPortableSigner(ES256, key, opts); err != nil {
		return nil, errors.Join(err, s.key.Close())
	}
	return s, nil
}

func (s *wideSigner) Algorithm() *Algorithm    { return ES256 }
func (s *wideSigner) Public() crypto.PublicKey { return s.key.Public() }
func (s *wideSigner) Deterministic() bool      { return !s.hedged }
func (s *wideSigner) Close() error             { return errors.Join(s.key.Close(), s.few.Close()) }

func (s *wideSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	if len(inputs) < wide.MinBatch {
		return s.few.SignBatch(sigs, inputs)
	}
	if err := checkBatch(ES256, sigs, inputs); err != nil {
		return err
	}
	for _, input := range inputs {
		if len(input) != ES256.DigestSize {
			return s.signEach(sigs, inputs)
		}
	}
	if err := s.sign(sigs[:len(inputs)*ES256.SignatureSize], inputs); !s.failedWhole(err) {
		return err
	}
	// Randomness was not to be had: every item failed for the same reason.
	return s.signEach(sigs, inputs)
}

// failedWhole reports an error that is each item's own to carry.
func (s *wideSigner) failedWhole(err error) bool {
	return err != nil && !errors.Is(err, ErrClosed)
}

// signEach signs one by one, so that each item has an error of its own.
func (s *wideSigner) signEach(sigs []byte, inputs [][]byte) error {
	var failed failures
	for i, input := range inputs {
		sig := sigs[i*ES256.SignatureSize : (i+1)*ES256.SignatureSize]
		err := checkInput(ES256, input)
		if err == nil {
			err = s.sign(sig, inputs[i:i+1])
		}
		if errors.Is(err, ErrClosed) {
			return err
		}
		if err != nil {
			clear(sig)
			failed.add(i, err)
		}
	}
	return failed.err()
}

func (s *wideSigner) sign(sigs []byte, digests [][]byte) error {
	var err error
	if s.hedged {
		err = s.key.SignDigestsHedged(sigs, digests, s.random)
	} else {
		err = s.key.SignDigests(sigs, digests)
	}
	if errors.Is(err, wide.ErrClosed) {
		return ErrClosed
	}
	return err
}

// wideVerifier checks the ES256 items of a batch together and all others by the
// standard library.
type wideVerifier struct{}

// wideItems is what wide.Verify takes, gathered from a batch.
type wideItems struct {
	keys          []*wide.Key
	digests, sigs [][]byte
	ok            []bool
	of            []int // the items they belong to
}

var wideItemsPool = sync.Pool{New: func() any { return new(wideItems) }}

func (wideVerifier) VerifyBatch(items []VerifyItem) error {
	w := wideItemsPool.Get().(*wideItems)
	defer w.release()
	for i := range items {
		item := &items[i]
		if item.Key == nil || item.Key.wide == nil || len(item.Input) != ES256.DigestSize || len(item.Signature) != ES256.SignatureSize {
			item.Err = verifyOne(item)
			continue
		}
		w.keys = append(w.keys, item.Key.wide)
		w.digests, w.sigs = append(w.digests, item.Input), append(w.sigs, item.Signature)
		w.ok, w.of = append(w.ok, false), append(w.of, i)
	}
	err := wide.Verify(w.keys, w.digests, w.sigs, w.ok)
	for k, i := range w.of {
		switch items[i].Err = nil; {
		case err != nil:
			items[i].Err = err
		case !w.ok[k]:
			items[i].Err = ErrSignature
		}
	}
	var failed failures
	for i := range items {
		if items[i].Err != nil {
			failed.add(i, items[i].Err)
		}
	}
	return failed.err()
}

// release forgets the batch and hands the memory on.
func (w *wideItems) release() {
	clear(w.keys)
	clear(w.digests)
	clear(w.sigs)
	w.keys, w.digests, w.sigs, w.ok, w.of = w.keys[:0], w.digests[:0], w.sigs[:0], w.ok[:0], w.of[:0]
	wideItemsPool.Put(w)
}

// wideKey prepares a key for the wide verifier, nil where it cannot.
func wideKey(alg *Algorithm, pub crypto.PublicKey) *wide.Key {
	key, isECDSA := pub.(*ecdsa.PublicKey)
	if alg != ES256 || !isECDSA || !wide.Available() {
		return nil
	}
	prepared, err := wide.NewKey(key)
	if err != nil { // checkPublic has accepted it; the standard library then decides
		return nil
	}
	return prepared
}
