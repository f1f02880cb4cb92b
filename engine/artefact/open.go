package artefact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// An Opener opens signed artefacts. It is immutable and safe for concurrent use.
type Opener struct {
	// Verifier checks the signatures.
	Verifier Verifier
	// Limits bounds what is read; see codec.Limits.
	Limits codec.Limits
	// Signed, when not nil, is called when the signature of a request verified
	// and before its content is looked at. Its error ends the opening and is
	// what Request returns: so a role judges the signer first. An Opener is a
	// small value; copy it to set Signed for one request.
	Signed func(*Envelope) error
	// Known, when not nil, remembers the certificates of what was opened.
	Known *Known
	// Parsed are certificates that the caller has parsed already, such as the
	// peer's and the anchors: those in an envelope that have the same octets are
	// not parsed again. It says nothing about belief.
	Parsed []*x509.Certificate
}

// An Envelope is what is known of an artefact once a signature of it verified.
type Envelope struct {
	// Bytes is the artefact as it came, Digest its SHA-256.
	Bytes  []byte
	Digest [sha256.Size]byte
	Format codec.Format
	// Signer is the certificate that the signature fits. It says nothing about
	// whether the signer is to be believed.
	Signer *x509.Certificate
	// Certificates holds all certificates of the envelope that can be read, in
	// its order, and Signer first if it is none of them.
	Certificates []*x509.Certificate
	// SigningTime is what the signer stated, the zero time if nothing.
	SigningTime time.Time
	// Oddities lists what a producer of today would write differently.
	Oddities []codec.Oddity
}

// A Request is a voucher-request whose one signature verified.
type Request struct {
	Envelope
	Leaves codec.VoucherRequest
}

// A Voucher is a voucher signed by somebody the caller believes.
type Voucher struct {
	Envelope
	// Path leads from the signer to a trust anchor; nil under
	// Trust.Enclosed.
	Path   []*x509.Certificate
	Leaves codec.Voucher
}

// Trust says whose vouchers are believed, and when.
type Trust struct {
	// Anchors are believed: certificate authorities of voucher signers, or such
	// signers themselves. Helpers complete chains.
	Anchors, Helpers []*x509.Certificate
	// At is the time of validation. AnyTime leaves validity periods out, for a
	// device that does not know what time it is.
	At      time.Time
	AnyTime bool
	// Enclosed takes any signer whose certificate is in the envelope, when
	// there are no anchors: the signature then shows that the voucher is whole,
	// and nothing about its maker.
	Enclosed bool
}

// Request opens a voucher-request: size, envelope, signature, payload, rules
// within the request (RFC 8995 §5.5, in the order that tells a peer least about
// what it did not sign). The signer's certificate must be in the envelope. The
// error is a *decision.Refusal, or the context's cause.
func (o *Opener) Request(ctx context.Context, format codec.Format, body []byte) (*Request, error) {
	r := &Request{}
	envelope, err := o.decode(format, body, true)
	if err != nil {
		return nil, err
	}
	if n := len(envelope.Signers); n != 1 {
		return nil, decision.Refuse(decision.SeveralSigners, "the voucher-request has %d signatures, exactly one is needed", n)
	}
	r.Envelope = o.described(body, envelope)
	if r.Signer = r.certificate(envelope, &envelope.Signers[0]); r.Signer == nil {
		return nil, decision.Refuse(decision.BadSignature, "the voucher-request does not hold its signer's certificate, or one that cannot be read")
	}
	key, err := o.verify(ctx, envelope, &envelope.Signers[0], r.Signer)
	if err != nil {
		return nil, err
	}
	o.Known.keep(r.Certificates, r.Signer, key, nil)
	r.SigningTime = envelope.Signers[0].SigningTime
	if o.Signed != nil {
		if err := o.Signed(&r.Envelope); err != nil {
			return nil, err
		}
	}
	payloads := codec.PayloadDecoder{Limits: o.Limits, Unknown: codec.KeepUnknown}
	read := payloads.RequestJSON
	if format == codec.FormatCOSE {
		read = payloads.RequestCBOR
	}
	if err := read(envelope.Payload, &r.Leaves); err != nil {
		return nil, refusePayload(err)
	}
	if err := r.Leaves.Validate(codec.Rules{SerialBytes: o.Limits.SerialBytes}); err != nil {
		return nil, refusePayload(err)
	}
	return r, nil
}

// Voucher opens a voucher. Of several signatures one by a signer the trust leads
// to is enough (a registrar may have added its own). The error is a
// *decision.Refusal, or the context's cause.
func (o *Opener) Voucher(ctx context.Context, format codec.Format, body []byte, trust Trust) (*Voucher, error) {
	envelope, err := o.decode(format, body, false)
	if err != nil {
		return nil, err
	}
	v := &Voucher{Envelope: o.described(body, envelope)}
	for i := range envelope.Signers {
		key, failed := o.believe(ctx, v, envelope, &envelope.Signers[i], trust)
		if failed == nil {
			o.Known.keep(v.Certificates, v.Signer, key, v.Path)
			err = nil
			break
		}
		if err == nil {
			err = failed
		}
	}
	if err != nil {
		return nil, err
	}
	payloads := codec.PayloadDecoder{Limits: o.Limits, Unknown: codec.KeepUnknown}
	read := payloads.VoucherJSON
	if format == codec.FormatCOSE {
		read = payloads.VoucherCBOR
	}
	if err := read(envelope.Payload, &v.Leaves); err != nil {
		return nil, refusePayload(err)
	}
	if err := v.Leaves.Validate(codec.Rules{SerialBytes: o.Limits.SerialBytes}); err != nil {
		return nil, refusePayload(err)
	}
	return v, nil
}

// believe looks for a certificate that the trust leads to and the signature
// fits, notes both in v and returns the key. Where the envelope does not hold the
// signer's, the anchors and helpers are tried.
func (o *Opener) believe(ctx context.Context, v *Voucher, envelope *codec.Envelope, s *codec.EnvelopeSigner, trust Trust) (key *sign.PublicKey, err error) {
	candidates := []*x509.Certificate{v.certificate(envelope, s)}
	if candidates[0] == nil {
		candidates = named(s, slices.Concat(trust.Helpers, trust.Anchors))
	}
	err = decision.Refuse(decision.BadSignature, "the voucher does not hold its signer's certificate, and none of the %d trust anchors and helpers is it", len(trust.Anchors)+len(trust.Helpers))
	for _, c := range candidates {
		var path []*x509.Certificate
		if !trust.Enclosed || len(trust.Anchors) > 0 {
			var untrusted error
			if path, untrusted = o.lead(c, v.Certificates, &trust); untrusted != nil {
				err = decision.Refuse(decision.BadSignature, "the voucher's signer %q leads to none of the %d trust anchors: %w", c.Subject, len(trust.Anchors), untrusted)
				continue
			}
		}
		if key, err = o.verify(ctx, envelope, s, c); err != nil {
			continue
		}
		v.Signer, v.Path, v.SigningTime = c, path, s.SigningTime
		if !slices.ContainsFunc(v.Certificates, c.Equal) {
			v.Certificates = append([]*x509.Certificate{c}, v.Certificates...)
		}
		return key, nil
	}
	return nil, err
}

// lead finds a path from a signer to a trust anchor.
func (o *Opener) lead(signer *x509.Certificate, enclosed []*x509.Certificate, trust *Trust) ([]*x509.Certificate, error) {
	if path := o.Known.path(signer, trust); path != nil {
		return path, nil
	}
	return sign.VerifyChain(signer, sign.ChainOptions{Roots: trust.Anchors, Intermediates: slices.Concat(enclosed, trust.Helpers), At: trust.At, AnyTime: trust.AnyTime})
}

// named keeps the certificates that a signature which names its signer can be by.
func named(s *codec.EnvelopeSigner, certs []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(certs, func(c *x509.Certificate) bool {
		switch {
		case s.SubjectKeyID != nil:
			return !bytes.Equal(s.SubjectKeyID, c.SubjectKeyId)
		case s.IssuerDER != nil:
			return !bytes.Equal(s.IssuerDER, c.RawIssuer)
		}
		return false
	})
}

// decode takes the envelope apart.
func (o *Opener) decode(format codec.Format, body []byte, request bool) (*codec.Envelope, error) {
	if len(body) == 0 {
		return nil, decision.Refuse(decision.Empty, "the body is empty, want %s", format.MediaType())
	}
	decoder := &codec.EnvelopeDecoder{Limits: o.Limits, Request: request}
	envelope := &codec.Envelope{}
	var err error
	switch format {
	case codec.FormatCMS:
		err = decoder.DecodeCMS(body, envelope)
	case codec.FormatJWS:
		err = decoder.DecodeJWS(body, envelope)
	case codec.FormatCOSE:
		err = decoder.DecodeCOSE(body, envelope)
	default:
		return nil, decision.Refuse(decision.ContentType, "no envelope format is stated")
	}
	if err != nil {
		return nil, refuseEnvelope(body, err)
	}
	return envelope, nil
}

// described fills in what needs no signature. Certificates that cannot be read
// are left out: an envelope may carry what its signer does not need.
func (o *Opener) described(body []byte, e *codec.Envelope) Envelope {
	d := Envelope{Bytes: body, Digest: sha256.Sum256(body), Format: e.Format, Oddities: e.Oddities}
	for _, der := range e.Certificates {
		if c, err := o.parse(der); err == nil {
			d.Certificates = append(d.Certificates, c)
		}
	}
	return d
}

func (o *Opener) parse(der []byte) (*x509.Certificate, error) {
	for _, c := range o.Parsed {
		if bytes.Equal(c.Raw, der) {
			return c, nil
		}
	}
	return o.Known.parse(der)
}

// certificate is the one in the envelope that a signature names as its
// signer's, nil if there is none.
func (d *Envelope) certificate(e *codec.Envelope, s *codec.EnvelopeSigner) *x509.Certificate {
	if s.CertIndex < 0 {
		return nil
	}
	for _, c := range d.Certificates {
		if bytes.Equal(c.Raw, e.Certificates[s.CertIndex]) {
			return c
		}
	}
	return nil
}

// verify checks one signature, and in CMS the digest of the content under it. It
// returns the key.
func (o *Opener) verify(ctx context.Context, e *codec.Envelope, s *codec.EnvelopeSigner, cert *x509.Certificate) (*sign.PublicKey, error) {
	key, err := o.Known.key(e.Format, s, cert)
	if err != nil {
		return nil, decision.Refuse(decision.BadSignature, "the signer %q: %w", cert.Subject, err)
	}
	alg := key.Algorithm()
	if e.Format == codec.FormatCMS && !bytes.Equal(alg.Hash.Append(nil, e.Payload), s.ContentDigest) {
		return nil, decision.Refuse(decision.BadSignature, "the content is not the one that was signed: its %v differs from the signed attributes' (RFC 5652 §5.4)", alg.Hash)
	}
	input := s.Signed
	if !alg.Message {
		input = alg.Hash.Append(nil, s.Signed)
	}
	err = o.Verifier.Verify(ctx, key, input, s.Signature)
	if errors.Is(err, sign.ErrSignature) {
		err = decision.Refuse(decision.BadSignature, "the signature is not by the %v key of %q, or what was signed has been altered", alg, cert.Subject)
	}
	return key, err
}

// refuseEnvelope says of what kind a decoder's error about body is.
func refuseEnvelope(body []byte, err error) error {
	var limit *codec.LimitError
	var envelope *codec.EnvelopeError
	if errors.As(err, &limit) {
		return decision.Refuse(decision.TooLarge, "%w", err)
	}
	if errors.As(err, &envelope) && envelope.Flaw == codec.FlawAlgorithm {
		return decision.Refuse(decision.BadSignature, "%w", err)
	}
	if found, none := codec.Detect(body); none == nil && found.Wrapping != codec.WrapNone {
		return decision.Refuse(decision.Wrapped, "the body is an artefact in %v, want its raw octets (RFC 8995 §5.2): %w", found.Wrapping, err)
	}
	return decision.Refuse(decision.Malformed, "%w", err)
}

// refusePayload says of what kind an error about signed content is.
func refusePayload(err error) error {
	var limit *codec.LimitError
	var rule *codec.RuleError
	switch {
	case errors.As(err, &limit):
		return decision.Refuse(decision.TooLarge, "%w", err)
	case errors.As(err, &rule) && rule.Leaf == "nonce":
		return decision.Refuse(decision.BadNonce, "%w", err)
	}
	return decision.Refuse(decision.BadPayload, "%w", err)
}
