package sigpool

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/sign"
)

// Stats says how well requests share batches.
type Stats struct {
	Batches uint64 // batches handed to the implementation
	Items   uint64 // signatures in them
}

// counter is the part of a pool that counts.
type counter struct{ batches, items atomic.Uint64 }

func (c *counter) add(items int) {
	c.batches.Add(1)
	c.items.Add(uint64(items))
}

// Stats returns what was counted so far.
func (c *counter) Stats() Stats { return Stats{c.batches.Load(), c.items.Load()} }

// A Signer is an artefact.Signer that batches.
type Signer struct {
	counter
	signer sign.Signer
	pool   *engine.Online[[]byte, []byte]
}

// NewSigner starts a pool over s, which stays the caller's to close, after the
// pool. Unusable settings are an *engine.ConfigError.
func NewSigner(s sign.Signer, cfg engine.OnlineConfig) (*Signer, error) {
	p := &Signer{signer: s}
	pool, err := engine.NewOnline(cfg, p.signBatch)
	if err != nil {
		return nil, err
	}
	p.pool = pool
	return p, nil
}

// Algorithm is the signer's.
func (p *Signer) Algorithm() *sign.Algorithm { return p.signer.Algorithm() }

// Public is the signer's public key.
func (p *Signer) Public() crypto.PublicKey { return p.signer.Public() }

// Sign returns the raw signature over input, which is copied. The error is the
// signer's, engine.ErrClosed, or the context's cause.
func (p *Signer) Sign(ctx context.Context, input []byte) ([]byte, error) {
	return p.pool.Do(ctx, slices.Clone(input))
}

// Close stops the pool.
func (p *Signer) Close() { p.pool.Close() }

func (p *Signer) signBatch(_ int, batch []*engine.Exchange[[]byte, []byte]) {
	p.add(len(batch))
	inputs := make([][]byte, len(batch))
	for i, e := range batch {
		inputs[i] = e.Request
	}
	size := p.signer.Algorithm().SignatureSize
	signatures := make([]byte, size*len(batch))
	err := p.signer.SignBatch(signatures, inputs)
	var some *sign.BatchError
	if err != nil && !errors.As(err, &some) {
		for _, e := range batch {
			e.Err = err
		}
		return
	}
	for i, e := range batch {
		e.Response = signatures[i*size : (i+1)*size : (i+1)*size]
	}
	if some != nil {
		for _, item := range some.Items {
			batch[item.Index].Response, batch[item.Index].Err = nil, item.Err
		}
	}
}

// A check is one signature to be verified.
type check struct {
	key              *sign.PublicKey
	input, signature []byte
}

// A Verifier is an artefact.Verifier that batches.
type Verifier struct {
	counter
	verifier sign.Verifier
	pool     *engine.Online[check, struct{}]
}

// NewVerifier starts a pool over v. Unusable settings are an
// *engine.ConfigError.
func NewVerifier(v sign.Verifier, cfg engine.OnlineConfig) (*Verifier, error) {
	p := &Verifier{verifier: v}
	pool, err := engine.NewOnline(cfg, p.verifyBatch)
	if err != nil {
		return nil, err
	}
	p.pool = pool
	return p, nil
}

// Verify returns nil when the raw signature fits key and input, both copied. The
// error wraps sign.ErrSignature when it does not; or it is the verifier's,
// engine.ErrClosed, or the context's cause.
func (p *Verifier) Verify(ctx context.Context, key *sign.PublicKey, input, signature []byte) error {
	_, err := p.pool.Do(ctx, check{key, slices.Clone(input), slices.Clone(signature)})
	return err
}

// Close stops the pool.
func (p *Verifier) Close() { p.pool.Close() }

func (p *Verifier) verifyBatch(_ int, batch []*engine.Exchange[check, struct{}]) {
	p.add(len(batch))
	items := make([]sign.VerifyItem, len(batch))
	for i, e := range batch {
		items[i] = sign.VerifyItem{Key: e.Request.key, Input: e.Request.input, Signature: e.Request.signature}
	}
	err := p.verifier.VerifyBatch(items)
	var some *sign.BatchError
	for i, e := range batch {
		if e.Err = items[i].Err; err != nil && !errors.As(err, &some) {
			e.Err = err
		}
	}
}
