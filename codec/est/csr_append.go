package est

import (
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// CSRParams is what [AppendCSRInfo] makes a certification request of.
type CSRParams struct {
	Subject           []byte      // DER Name; nil for an empty one
	PublicKey         []byte      // DER SubjectPublicKeyInfo
	Extensions        []Extension // for extensionRequest, each with a value; none: no such attribute
	ChallengePassword []byte      // UTF-8, at most 255 octets; nil: no such attribute
}

// AppendCSRInfo appends the CertificationRequestInfo of a request, in DER (RFC
// 2986 §4.1). That is what its owner signs; [AppendCSR] puts both together. With
// room in dst nothing is allocated. The error is an *EncodeError.
func AppendCSRInfo(dst []byte, p CSRParams) ([]byte, error) {
	start := len(dst)
	dst = append(dst, der.TagInteger, 1, 0)
	if p.Subject == nil {
		dst = append(dst, der.TagSequence, 0)
	} else if !isSequence(p.Subject) {
		return dst[:start], &EncodeError{objCSR, "subject", "is not one DER Name"}
	}
	dst = append(dst, p.Subject...)
	if !isSequence(p.PublicKey) {
		return dst[:start], &EncodeError{objCSR, "public key", "is not one DER SubjectPublicKeyInfo"}
	}
	dst = append(dst, p.PublicKey...)
	attributes := len(dst)
	if p.ChallengePassword != nil {
		if n := len(p.ChallengePassword); n == 0 || n > 255 || !utf8.Valid(p.ChallengePassword) {
			return dst[:start], &EncodeError{objCSR, "challengePassword", "is not UTF-8 of 1 to 255 octets (RFC 2985 §5.4.1)"}
		}
		dst, _ = appendOID(dst, OIDChallengePassword)
		value := len(dst)
		dst = der.Append(dst, challengeTag(p.ChallengePassword), p.ChallengePassword)
		dst = der.Wrap(dst, value, der.TagSet)
		dst = der.Wrap(dst, attributes, der.TagSequence)
	}
	if len(p.Extensions) > 0 {
		var err error
		if dst, err = appendExtensionRequest(dst, objCSR, p.Extensions); err != nil {
			return dst[:start], err
		}
	}
	sortSet(dst[attributes:])
	dst = der.Wrap(dst, attributes, der.ContextConstructed)
	return der.Wrap(dst, start, der.TagSequence), nil
}

// challengeTag is PrintableString where that fits, as RFC 2985 §5.4.1 prefers,
// else UTF8String.
func challengeTag(text []byte) byte {
	if isPrintable(text) {
		return TagPrintableString
	}
	return TagUTF8String
}

func appendExtensionRequest(dst []byte, object string, list []Extension) ([]byte, error) {
	start := len(dst)
	dst, _ = appendOID(dst, OIDExtensionRequest)
	value := len(dst)
	dst, err := appendExtensions(dst, object, list, false)
	if err != nil {
		return dst[:start], err
	}
	dst = der.Wrap(dst, value, der.TagSet)
	return der.Wrap(dst, start, der.TagSequence), nil
}

// isSequence reports whether b is one SEQUENCE and nothing more.
func isSequence(b []byte) bool {
	e, rest, err := der.Next(b)
	return err == nil && e.Tag == der.TagSequence && len(rest) == 0
}

// AppendCSR appends the certification request that is info, from
// [AppendCSRInfo], signed: signatureAlgorithm is a DER AlgorithmIdentifier,
// signature the octets of the signature, which for ECDSA is a DER
// Ecdsa-Sig-Value. Neither is verified. With room in dst nothing is allocated.
// The error is an *EncodeError.
func AppendCSR(dst, info, signatureAlgorithm, signature []byte) ([]byte, error) {
	switch {
	case !isSequence(info):
		return dst, &EncodeError{objCSR, "info", "is not one DER CertificationRequestInfo: make it with AppendCSRInfo"}
	case !isSequence(signatureAlgorithm):
		return dst, &EncodeError{objCSR, "signature algorithm", "is not one DER AlgorithmIdentifier"}
	case len(signature) == 0:
		return dst, &EncodeError{objCSR, "signature", "is missing"}
	}
	bits := len(signature) + 1
	dst = der.AppendHeader(dst, der.TagSequence, len(info)+len(signatureAlgorithm)+der.Size(bits))
	dst = append(dst, info...)
	dst = append(dst, signatureAlgorithm...)
	dst = der.AppendHeader(dst, der.TagBitString, bits)
	dst = append(dst, 0)
	return append(dst, signature...), nil
}
