package artefact

import (
	"context"
	"crypto"
	"errors"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// A Verifier checks one signature. It is safe for concurrent use.
type Verifier interface {
	// Verify returns nil when the raw signature fits key and input: a digest,
	// or the whole message where the key's algorithm takes one. An error wraps
	// sign.ErrSignature when it does not fit, and is the context's cause when
	// ctx ended first.
	Verify(ctx context.Context, key *sign.PublicKey, input, signature []byte) error
}

// A Signer makes one signature at a time with one key. It is safe for
// concurrent use.
type Signer interface {
	Algorithm() *sign.Algorithm
	Public() crypto.PublicKey
	// Sign returns the raw signature over input: a digest, or the whole message
	// where the algorithm takes one.
	Sign(ctx context.Context, input []byte) ([]byte, error)
}

// Verifying returns a Verifier that hands each signature to v by itself.
func Verifying(v sign.Verifier) Verifier { return single{v} }

type single struct{ verifier sign.Verifier }

func (s single) Verify(ctx context.Context, key *sign.PublicKey, input, signature []byte) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	items := [1]sign.VerifyItem{{Key: key, Input: input, Signature: signature}}
	if err := s.verifier.VerifyBatch(items[:]); err != nil && items[0].Err == nil {
		return err
	}
	return items[0].Err
}

// Signing returns a Signer that hands each input to s by itself.
func Signing(s sign.Signer) Signer { return alone{s} }

type alone struct{ sign.Signer }

func (a alone) Sign(ctx context.Context, input []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	signature := make([]byte, a.Algorithm().SignatureSize)
	if err := a.SignBatch(signature, [][]byte{input}); err != nil {
		var batch *sign.BatchError
		if errors.As(err, &batch) && len(batch.Items) == 1 {
			err = batch.Items[0].Err
		}
		return nil, err
	}
	return signature, nil
}

// AlgorithmID is what an envelope writes down about an algorithm.
func AlgorithmID(a *sign.Algorithm) codec.AlgorithmID {
	return codec.AlgorithmID{JOSE: a.JOSE, COSE: a.COSE, SignatureOID: a.SignatureOID, DigestOID: a.DigestOID,
		DigestSize: a.Hash.Size(), SignatureSize: a.SignatureSize, ECDSA: a.ECDSA}
}

// algorithmOf is the algorithm an envelope states for a key: the envelope alone
// never decides (RFC 8725 §3.1).
func algorithmOf(format codec.Format, s *codec.EnvelopeSigner, key crypto.PublicKey) (*sign.Algorithm, error) {
	switch format {
	case codec.FormatCMS:
		return sign.ByOID(s.SignatureOID, s.DigestOID, key)
	case codec.FormatJWS:
		return sign.ByJOSE(string(s.JOSE), key)
	case codec.FormatCOSE:
		return sign.ByCOSE(s.COSE, key)
	}
	return nil, errors.New("an envelope of no known format has no signatures")
}
