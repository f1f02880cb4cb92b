package sign

import (
	"crypto"
	"sync"
)

// A heldKey is the key of a signer that signs one by one, until Close.
type heldKey struct {
	alg    *Algorithm
	public crypto.PublicKey

	mu  sync.RWMutex  // held for reading by batches, for writing by Close
	key crypto.Signer // nil once closed
}

func (h *heldKey) Algorithm() *Algorithm    { return h.alg }
func (h *heldKey) Public() crypto.PublicKey { return h.public }

// each signs inputs to sigs as [Signer.SignBatch] has it, each by one, which gets
// room of a signature's size. It is not called once the key is gone.
func (h *heldKey) each(sigs []byte, inputs [][]byte, one func(dst, input []byte) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.key == nil {
		return ErrClosed
	}
	if err := checkBatch(h.alg, sigs, inputs); err != nil {
		return err
	}
	var failed failures
	size := h.alg.SignatureSize
	for i, input := range inputs {
		dst := sigs[i*size : (i+1)*size : (i+1)*size]
		if err := one(dst, input); err != nil {
			clear(dst)
			failed.add(i, err)
		}
	}
	return failed.err()
}

func (h *heldKey) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.key = nil
	return nil
}
