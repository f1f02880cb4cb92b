package pkcs11

import (
	"crypto"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/vouchmill/vouchmill/sign"
)

// NewSigner makes a batch signer: up to Options.Sessions items of a batch, and
// of all batches together, are on the token at once. alg nil takes the one
// that suits the key. The error is a [*sign.AlgorithmError]. Closing the
// signer leaves the key open.
func (k *Key) NewSigner(alg *sign.Algorithm) (sign.Signer, error) {
	if alg == nil {
		var err error
		if alg, err = sign.ForKey(k.public); err != nil {
			return nil, err
		}
	}
	one, err := sign.NewSigner(alg, k, sign.Options{})
	if err != nil {
		return nil, err
	}
	return &signer{one: one, parallel: k.opts.Sessions}, nil
}

// signer spreads batches over the sessions; one makes single signatures, waits
// for a session and turns the token's encoding into the raw one.
type signer struct {
	one      sign.Signer
	parallel int
}

func (s *signer) Algorithm() *sign.Algorithm { return s.one.Algorithm() }
func (s *signer) Public() crypto.PublicKey   { return s.one.Public() }
func (s *signer) Deterministic() bool        { return s.one.Deterministic() }
func (s *signer) Close() error               { return s.one.Close() }

func (s *signer) SignBatch(sigs []byte, inputs [][]byte) error {
	size := s.Algorithm().SignatureSize
	if len(inputs) < 2 || len(sigs) < len(inputs)*size {
		return s.one.SignBatch(sigs, inputs) // nothing to spread, or nothing to write
	}
	errs := make([]error, len(inputs))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(s.parallel, len(inputs)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(inputs); i = int(next.Add(1)) - 1 {
				errs[i] = s.one.SignBatch(sigs[i*size:(i+1)*size], inputs[i:i+1])
			}
		})
	}
	workers.Wait()
	return merge(errs, sigs, size)
}

// merge makes one error of those of the single signatures. A signer that was
// closed meanwhile fails the items that came later.
func merge(errs []error, sigs []byte, size int) error {
	var batch sign.BatchError
	closed := 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		if err == sign.ErrClosed {
			closed++
		}
		var single *sign.BatchError
		if errors.As(err, &single) && len(single.Items) == 1 {
			err = single.Items[0].Err
		}
		clear(sigs[i*size : (i+1)*size])
		batch.Items = append(batch.Items, sign.ItemError{Index: i, Err: err})
	}
	switch {
	case batch.Items == nil:
		return nil
	case closed == len(errs):
		return sign.ErrClosed
	}
	return &batch
}
