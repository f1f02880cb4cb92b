package codec

import (
	"errors"
	"time"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// ContentType is what a CMS envelope states about its content.
type ContentType uint8

// The content types of a voucher in CMS. JWS and COSE state none.
const (
	ContentUnstated ContentType = iota
	// ContentVoucher is id-ct-animaJSONVoucher (RFC 8366 §8.4).
	ContentVoucher
	// ContentData is id-data, as pledges and tools older than RFC 8366 write.
	ContentData
)

// String returns the name of the content type's object identifier.
func (c ContentType) String() string {
	switch c {
	case ContentVoucher:
		return "id-ct-animaJSONVoucher"
	case ContentData:
		return "id-data"
	default:
		return ""
	}
}

// Envelope is a signed artefact taken apart. Nothing in it has been verified.
// All slices are views into the decoded bytes or into the decoder, valid until
// the decoder's next use and as long as the input is left alone.
type Envelope struct {
	Format      Format
	Tagged      bool        // COSE: tag 18 was there
	ContentType ContentType // CMS
	Payload     []byte      // exact octets of the content
	// Certificates holds all certificates in the order of the envelope, as
	// found: they need not be sound.
	Certificates [][]byte
	// Signers has at least one entry.
	Signers []EnvelopeSigner
	// Oddities lists what a producer of today would write differently.
	Oddities []Oddity
}

// EnvelopeSigner is one signature and all its envelope says about it.
type EnvelopeSigner struct {
	// SignatureOID and DigestOID are the values of the object identifiers of
	// CMS; the Params are whole DER elements, nil when absent. Params of
	// RSASSA-PSS are in SignatureParams (RFC 4055 §3.1).
	SignatureOID, SignatureParams, DigestOID, DigestParams []byte
	// JOSE is the alg of a JWS, COSE that of a COSE_Sign1.
	JOSE []byte
	COSE int64

	// IssuerDER (a whole Name) and SerialDER (the value of the INTEGER) or
	// SubjectKeyID name the signer in CMS.
	IssuerDER, SerialDER, SubjectKeyID []byte
	// KeyID is the kid of JWS (text) and COSE (octets). X5T is a certificate's
	// digest: SHA-256 in JWS (x5t#S256), X5TAlgorithm of the COSE registry in COSE.
	KeyID, X5T   []byte
	X5TAlgorithm int64
	// CertIndex is the place of the signer's certificate in
	// Envelope.Certificates, -1 when the envelope does not show which it is.
	// It is what the envelope claims, and no proof of anything. CertCount is
	// how many of the certificates from there on belong to this signature
	// (x5c, x5chain); 0 where certificates are a common bag.
	CertIndex, CertCount int

	// Signed is exactly what the signature is over: the signed attributes of
	// CMS as a SET OF, protected.payload of JWS, the Sig_structure of COSE.
	Signed []byte
	// Signature is raw: r‖s for ECDSA. SignatureDER is the Ecdsa-Sig-Value as
	// CMS carried it, nil otherwise.
	Signature, SignatureDER []byte
	// ContentDigest is the messageDigest attribute of CMS, which the verifier
	// must compare with the digest of Payload; nil otherwise.
	ContentDigest []byte
	// SigningTime is what the signer stated under its signature: signingTime
	// of CMS, iat of COSE. The zero time when it stated none.
	SigningTime time.Time
}

// EnvelopeDecoder reads envelopes. It is not for concurrent use, may be used
// again and again, and allocates nothing once its buffers have grown. The zero
// value works with [DefaultLimits].
type EnvelopeDecoder struct {
	// Limits bounds what is read; see [Limits].
	Limits Limits
	// Request reads voucher-requests: the limit is Limits.RequestBytes then,
	// else Limits.VoucherBytes.
	Request bool
	// AllowUntagged takes a COSE_Sign1 without its tag, which is sound only
	// where something else, such as a media type, says what it is.
	AllowUntagged bool
	// AllowWrapped takes envelopes in PEM, base64 or hexadecimal digits, which
	// no protocol asks for.
	AllowWrapped bool

	limits Limits // Limits with its defaults
	arena  []byte
	bag    bagMemo
	header headerMemo
	cert   certMemo
	// flaws collects, for Inspect, what would be refused but can be read past.
	flaws      []error
	inspecting bool
}

// Decode reads one envelope of any format into e. It returns a *[LimitError]
// when a limit is passed and an *[EnvelopeError] for everything else.
func (d *EnvelopeDecoder) Decode(b []byte, e *Envelope) error {
	if err := d.begin(b, e); err != nil {
		return err
	}
	found, err := Detect(b)
	if err != nil {
		return err
	}
	if found.Wrapping != WrapNone {
		if !d.AllowWrapped {
			return refusal(found.Format, FlawWrapped, "", "wrapped in "+found.Wrapping.String()+", which no protocol asks for: unwrap it first, or allow wrapping")
		}
		start := len(d.arena)
		if d.arena, err = found.Unwrap(d.arena); err != nil {
			return err
		}
		b = d.arena[start:len(d.arena):len(d.arena)]
		e.odd(found.Wrapping.oddity())
	}
	if found.Bare {
		return refusal(FormatUnknown, FlawUnsigned, "", "this is a bare payload without a signature")
	}
	switch found.Format {
	case FormatCMS:
		return d.limited(d.decodeCMS(b, e))
	case FormatJWS:
		return d.limited(d.decodeJWS(b, e))
	default:
		return d.limited(d.decodeCOSE(b, e))
	}
}

// DecodeCMS reads a CMS envelope (RFC 5652, RFC 8366 §5.4), DER or BER.
func (d *EnvelopeDecoder) DecodeCMS(b []byte, e *Envelope) error {
	if err := d.begin(b, e); err != nil {
		return err
	}
	return d.limited(d.decodeCMS(b, e))
}

// DecodeJWS reads a JWS in general JSON serialisation (RFC 7515 §7.2.1).
func (d *EnvelopeDecoder) DecodeJWS(b []byte, e *Envelope) error {
	if err := d.begin(b, e); err != nil {
		return err
	}
	return d.limited(d.decodeJWS(b, e))
}

// DecodeCOSE reads a COSE_Sign1 (RFC 9052 §4.2).
func (d *EnvelopeDecoder) DecodeCOSE(b []byte, e *Envelope) error {
	if err := d.begin(b, e); err != nil {
		return err
	}
	return d.limited(d.decodeCOSE(b, e))
}

// limited names the limit that a nesting passes which a reader gave up on.
func (d *EnvelopeDecoder) limited(err error) error {
	if errors.Is(err, der.ErrDepth) || errors.Is(err, errJSONDepth) || errors.Is(err, errCBORDepth) {
		return &LimitError{Limit: "Depth", Max: d.limits.Depth, Got: d.limits.Depth + 1}
	}
	return err
}

func (d *EnvelopeDecoder) begin(b []byte, e *Envelope) error {
	e.reset()
	d.arena, d.flaws = d.arena[:0], d.flaws[:0]
	d.limits = d.Limits.withDefaults()
	if d.Request {
		return checkLimit("RequestBytes", len(b), d.limits.RequestBytes)
	}
	return checkLimit("VoucherBytes", len(b), d.limits.VoucherBytes)
}

func checkLimit(name string, got, limit int) error {
	if got > limit {
		return &LimitError{Limit: name, Max: limit, Got: got}
	}
	return nil
}

func (e *Envelope) reset() {
	*e = Envelope{Certificates: e.Certificates[:0], Signers: e.Signers[:0], Oddities: e.Oddities[:0]}
}

// refuse returns the error that a flaw is, or when inspecting puts it down and
// returns nil, for the reading to go on.
func (d *EnvelopeDecoder) refuse(f Format, flaw Flaw, part, text string) error {
	err := refusal(f, flaw, part, text)
	if !d.inspecting {
		return err
	}
	d.flaws = append(d.flaws, err)
	return nil
}

// addCertificate appends one certificate within the limit.
func (d *EnvelopeDecoder) addCertificate(e *Envelope, cert []byte) error {
	if err := checkLimit("Certificates", len(e.Certificates)+1, d.limits.Certificates); err != nil {
		return err
	}
	e.Certificates = append(e.Certificates, cert)
	return nil
}

// addSigner appends an empty signer within the limit and returns it. The
// pointer is good until the next call.
func (d *EnvelopeDecoder) addSigner(e *Envelope) (*EnvelopeSigner, error) {
	if err := checkLimit("Signatures", len(e.Signers)+1, d.limits.Signatures); err != nil {
		return nil, err
	}
	e.Signers = append(e.Signers, EnvelopeSigner{CertIndex: -1})
	return &e.Signers[len(e.Signers)-1], nil
}

// rawSignatureSize returns the octets of an r‖s for the curve that a JOSE or
// COSE algorithm is bound to by its profile, and 0 for other algorithms.
func rawSignatureSize(jose []byte, cose int64) int {
	switch {
	case string(jose) == "ES256", cose == -7, cose == -9, cose == -47:
		return 64
	case string(jose) == "ES384", cose == -35, cose == -51:
		return 96
	case string(jose) == "ES512", cose == -36, cose == -52:
		return 132
	default:
		return 0
	}
}

// checkRawSignature refuses an ECDSA signature that is not r‖s of full length
// (RFC 7518 §3.4, RFC 9053 §2.1).
func (d *EnvelopeDecoder) checkRawSignature(f Format, s *EnvelopeSigner) error {
	want := rawSignatureSize(s.JOSE, s.COSE)
	switch {
	case len(s.Signature) == 0:
		return d.refuse(f, FlawSignature, "signature", "empty")
	case want == 0 || want == len(s.Signature):
		return nil
	case s.Signature[0] == 0x30:
		return d.refuse(f, FlawSignature, "signature", "looks like ASN.1 DER; the algorithm wants r and s of full length, one after the other")
	default:
		return d.refuse(f, FlawSignature, "signature", "of another length than the algorithm makes")
	}
}
