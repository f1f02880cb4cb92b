package artefact

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
)

// SealerParams says who seals, and how.
type SealerParams struct {
	Format codec.Format
	Signer Signer
	// Chain goes into the envelope: the signer's certificate, then its issuers.
	Chain []*x509.Certificate
	// DataContentType makes CMS state id-data, for peers older than RFC 8366.
	DataContentType bool
}

// A Sealer signs vouchers and voucher-requests in one format with one key. It
// is immutable and safe for concurrent use.
type Sealer struct {
	format  codec.Format
	signer  Signer
	encoder *codec.EnvelopeEncoder
}

// NewSealer prepares a sealer. It fails when the format has no place for the
// signer's algorithm or the chain is missing.
func NewSealer(p SealerParams) (*Sealer, error) {
	var chain [][]byte
	for _, c := range p.Chain {
		chain = append(chain, c.Raw)
	}
	encoder, err := codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: p.Format, Algorithm: AlgorithmID(p.Signer.Algorithm()),
		Chain: chain, DataContentType: p.DataContentType})
	if err != nil {
		return nil, fmt.Errorf("seal %v by %v: %w", p.Format, p.Signer.Algorithm(), err)
	}
	return &Sealer{p.Format, p.Signer, encoder}, nil
}

// Format returns the envelope the sealer writes.
func (s *Sealer) Format() codec.Format { return s.format }

// Voucher validates v by the strict rules and returns it signed. A voucher with
// neither nonce nor expires-on is valid for ever and taken only with
// neverExpires. Errors are *codec.RuleError, *codec.EncodeError, the signer's,
// or the context's cause.
func (s *Sealer) Voucher(ctx context.Context, v *codec.Voucher, neverExpires bool) ([]byte, error) {
	if err := v.Validate(codec.Rules{Strict: true, AllowNeverExpires: neverExpires}); err != nil {
		return nil, err
	}
	appendTo := codec.AppendVoucherJSON
	if s.format == codec.FormatCOSE {
		appendTo = codec.AppendVoucherCBOR
	}
	payload, err := appendTo(nil, v)
	if err != nil {
		return nil, err
	}
	return s.seal(ctx, payload)
}

// Request validates r by the strict rules and returns it signed. Errors are
// those of Voucher.
func (s *Sealer) Request(ctx context.Context, r *codec.VoucherRequest) ([]byte, error) {
	if err := r.Validate(codec.Rules{Strict: true}); err != nil {
		return nil, err
	}
	appendTo := codec.AppendRequestJSON
	if s.format == codec.FormatCOSE {
		appendTo = codec.AppendRequestCBOR
	}
	payload, err := appendTo(nil, r)
	if err != nil {
		return nil, err
	}
	return s.seal(ctx, payload)
}

// seal signs a payload. In CMS the signature is over attributes that hold the
// content's digest (RFC 5652 §5.4).
func (s *Sealer) seal(ctx context.Context, payload []byte) ([]byte, error) {
	alg := s.signer.Algorithm()
	message := s.encoder.AppendSigned1(nil, payload)
	var content []byte
	if s.format == codec.FormatCMS {
		content = alg.Hash.Append(nil, message)
		prefix := s.encoder.AttributesPrefix()
		message = append(prefix[:len(prefix):len(prefix)], content...)
	}
	if !alg.Message {
		message = alg.Hash.Append(nil, message)
	}
	signature, err := s.signer.Sign(ctx, message)
	if err != nil {
		return nil, err
	}
	return s.encoder.AppendEnvelope(make([]byte, 0, s.encoder.MaxEnvelopeSize(len(payload))), payload, content, signature)
}
