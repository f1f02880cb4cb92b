package codec

import (
	"fmt"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// AlgorithmID identifies a signature algorithm in the three envelopes. The
// codec knows no cryptography behind these values: it writes them down.
type AlgorithmID struct {
	// JOSE is the "alg" of RFC 7518, such as "ES256".
	JOSE string
	// COSE is the algorithm identifier of RFC 9053, such as -7.
	COSE int64
	// SignatureOID and DigestOID are whole DER AlgorithmIdentifier elements
	// (tag 0x30 included), as CMS carries them.
	SignatureOID, DigestOID []byte
	// DigestSize is the length of a CMS content digest, and SignatureSize that
	// of a raw signature (r‖s for ECDSA), both in octets.
	DigestSize, SignatureSize int
	// ECDSA says that the signature is r‖s, which CMS carries as an
	// Ecdsa-Sig-Value in DER (RFC 5753 §2.1.1); JWS and COSE carry it raw.
	ECDSA bool
}

// EnvelopeParams is what is the same for all envelopes of a run.
type EnvelopeParams struct {
	// Format is the envelope to write.
	Format Format
	// Algorithm is what the signatures will be made with.
	Algorithm AlgorithmID
	// Chain holds DER certificates, the signer's first, then its issuers. CMS
	// and JWS need the signer's; COSE may do without any (a constrained pledge
	// sends none).
	Chain [][]byte
	// DataContentType makes CMS state id-data instead of
	// id-ct-animaJSONVoucher, which pledges older than RFC 8366 expect. The
	// SignedData is version 1 then (RFC 5652 §5.1).
	DataContentType bool
	// SigningTime adds a signingTime attribute to CMS (RFC 5652 §11.3), in
	// whole seconds. The zero time adds none.
	SigningTime time.Time
}

// frame writes what is around a payload in one envelope format. A frame is
// immutable. n is the length of the payload in octets throughout.
type frame interface {
	// appendSignedHead appends what stands before the payload in the first
	// message that is hashed or signed.
	appendSignedHead(dst []byte, n int) []byte
	// attributesPrefix is what stands before the content digest in the second
	// message, nil in formats that have no second one.
	attributesPrefix() []byte
	// appendHead appends the envelope up to the payload; signature is raw.
	appendHead(dst []byte, n int, signature []byte) []byte
	// appendFoot appends the envelope from behind the payload on.
	appendFoot(dst, contentDigest, signature []byte) []byte
	// maxOverhead bounds what appendHead and appendFoot write together, in octets.
	maxOverhead() int
	// appendConstants appends every constant octet string of the frame.
	appendConstants(dst []byte) []byte
}

func newFrame(p *EnvelopeParams) (frame, error) {
	for i, cert := range p.Chain {
		if _, err := der.ParseCertificate(cert); err != nil {
			return nil, fmt.Errorf("certificate %d of the signing chain is not a DER certificate: %w", i, err)
		}
	}
	if p.Algorithm.SignatureSize <= 0 {
		return nil, fmt.Errorf("signature size of %d octets: give the size of the key's raw signatures", p.Algorithm.SignatureSize)
	}
	if p.Format != FormatCMS {
		if p.DataContentType {
			return nil, fmt.Errorf("content type id-data exists in CMS only, not in %v", p.Format)
		}
		if !p.SigningTime.IsZero() {
			return nil, fmt.Errorf("a signing time exists in CMS only, not in %v", p.Format)
		}
	}
	switch p.Format {
	case FormatCMS:
		return newCMSFrame(p)
	case FormatJWS:
		return newJWSFrame(p)
	case FormatCOSE:
		return newCOSEFrame(p)
	default:
		return nil, fmt.Errorf("no envelope format chosen: take cms, jws or cose")
	}
}

// checkParts refuses a digest or signature of another size than the envelope
// was set up for, before half an envelope is written.
func checkParts(p *EnvelopeParams, contentDigest, signature []byte) error {
	if len(signature) != p.Algorithm.SignatureSize {
		return fmt.Errorf("signature of %d octets where the algorithm makes %d", len(signature), p.Algorithm.SignatureSize)
	}
	if p.Format == FormatCMS && len(contentDigest) != p.Algorithm.DigestSize {
		return fmt.Errorf("content digest of %d octets where the algorithm makes %d", len(contentDigest), p.Algorithm.DigestSize)
	}
	return nil
}

// EnvelopeEncoder puts envelopes around any payload: voucher-requests, and
// vouchers that no [Template] fits. It is immutable and safe for concurrent use.
//
// One envelope is made in three steps, the second of which is the caller's:
//
//	m1 := AppendSigned1(nil, payload)
//	CMS: d1 = H(m1), then sign AttributesPrefix ‖ d1. JWS, COSE: sign m1.
//	AppendEnvelope(dst, payload, d1, signature)
type EnvelopeEncoder struct {
	params EnvelopeParams
	frame  frame
}

// NewEnvelopeEncoder prepares an encoder. It fails when p lacks what the
// format needs or holds what the format has no place for.
func NewEnvelopeEncoder(p EnvelopeParams) (*EnvelopeEncoder, error) {
	f, err := newFrame(&p)
	if err != nil {
		return nil, err
	}
	return &EnvelopeEncoder{params: p, frame: f}, nil
}

// AppendSigned1 appends the first message over payload: the payload itself in
// CMS, the JWS signing input (RFC 7515 §5.1), the COSE Sig_structure (RFC 9052
// §4.4).
func (e *EnvelopeEncoder) AppendSigned1(dst, payload []byte) []byte {
	dst = e.frame.appendSignedHead(dst, len(payload))
	return appendPayload(dst, payload, e.params.Format)
}

// AttributesPrefix returns what precedes the content digest in the signed
// attributes of CMS (RFC 5652 §5.4), nil for JWS and COSE. It must not be
// written to.
func (e *EnvelopeEncoder) AttributesPrefix() []byte { return e.frame.attributesPrefix() }

// AppendEnvelope appends the finished envelope. signature is raw, contentDigest
// is H(m1) in CMS and nil elsewhere.
func (e *EnvelopeEncoder) AppendEnvelope(dst, payload, contentDigest, signature []byte) ([]byte, error) {
	if err := checkParts(&e.params, contentDigest, signature); err != nil {
		return dst, err
	}
	dst = e.frame.appendHead(dst, len(payload), signature)
	dst = appendPayload(dst, payload, e.params.Format)
	return e.frame.appendFoot(dst, contentDigest, signature), nil
}

// MaxEnvelopeSize bounds the octets of an envelope around n octets of payload.
func (e *EnvelopeEncoder) MaxEnvelopeSize(n int) int {
	if e.params.Format == FormatJWS {
		return base64url.EncodedLen(n) + e.frame.maxOverhead()
	}
	return n + e.frame.maxOverhead()
}

func appendPayload(dst, payload []byte, f Format) []byte {
	if f == FormatJWS {
		return base64url.AppendEncode(dst, payload)
	}
	return append(dst, payload...)
}

// appendConstant appends one constant with its length before it, so that two
// different lists never give the same octets.
func appendConstant(dst, constant []byte) []byte {
	n := len(constant)
	dst = append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(dst, constant...)
}

// forbiddenJOSE names the JOSE algorithms that prove nothing about a signer:
// none, and the MACs (RFC 8725 §3.1, §3.2).
func forbiddenJOSE(alg string) bool {
	return alg == "" || strings.EqualFold(alg, "none") || len(alg) >= 2 && strings.EqualFold(alg[:2], "HS")
}
