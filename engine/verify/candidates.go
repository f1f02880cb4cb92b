package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"slices"

	"github.com/vouchmill/vouchmill/codec"
)

// Identifiers of hash algorithms in x5t (RFC 9054 §2, §3.1).
const (
	coseSHA256   = -16
	coseSHA256x8 = -15 // the first 64 bits
	coseSHA384   = -43
	coseSHA512   = -44
)

// candidates appends to dst whoever may have made signature s of e, the
// likeliest first. Where the envelope shows its signer, that is one certificate;
// a COSE voucher as pledges get it shows none, and then any anchor or helper may
// have signed.
func (c *chains) candidates(dst []*signer, e *codec.Envelope, s *codec.EnvelopeSigner) ([]*signer, finding) {
	switch {
	case s.CertIndex >= 0:
		return append(dst, c.find(e.Certificates, s.CertIndex)), finding{}
	case e.Format == codec.FormatCMS:
		return c.named(dst, e, s)
	case e.Format == codec.FormatCOSE && len(e.Certificates) > 0:
		start := len(dst)
		for i := range e.Certificates {
			dst = append(dst, c.find(e.Certificates, i))
		}
		return narrow(dst, start, s)
	}
	start := len(dst)
	return narrow(append(dst, c.local...), start, s)
}

// named appends the anchor or helper that a CMS signer identifier names (RFC
// 5652 §5.3).
func (c *chains) named(dst []*signer, e *codec.Envelope, s *codec.EnvelopeSigner) ([]*signer, finding) {
	serial := new(big.Int).SetBytes(s.SerialDER)
	for _, known := range c.local {
		cert := known.cert
		if cert == nil {
			continue
		}
		byName := s.IssuerDER != nil && bytes.Equal(cert.RawIssuer, s.IssuerDER) && cert.SerialNumber.Cmp(serial) == 0
		byKeyID := s.SubjectKeyID != nil && bytes.Equal(cert.SubjectKeyId, s.SubjectKeyID)
		if !byName && !byKeyID {
			continue
		}
		if len(e.Certificates) > 0 { // the envelope may have what lies between
			known = c.find(append(slices.Clone(e.Certificates), cert.Raw), len(e.Certificates))
		}
		return append(dst, known), finding{}
	}
	return dst, found(CheckChain, "name the signer's certificate as a helper", "the signer's certificate is neither in the envelope nor among the known ones")
}

// narrow keeps those of dst[start:] that the header's x5t names, and those
// whose key identifier is its kid, if there are any: kid is a hint of any form.
func narrow(dst []*signer, start int, s *codec.EnvelopeSigner) ([]*signer, finding) {
	if s.X5T != nil {
		dst = append(dst[:start], slices.DeleteFunc(dst[start:], func(k *signer) bool { return !hasThumbprint(k.cert, s) })...)
		if len(dst) == start {
			return dst, found(CheckChain, "name the signer's certificate as a helper", "no certificate known has the digest %x that the header states (x5t)", s.X5T)
		}
	}
	if s.KeyID != nil && slices.ContainsFunc(dst[start:], func(k *signer) bool { return hasKeyID(k.cert, s.KeyID) }) {
		dst = append(dst[:start], slices.DeleteFunc(dst[start:], func(k *signer) bool { return !hasKeyID(k.cert, s.KeyID) })...)
	}
	return dst, finding{}
}

func hasThumbprint(cert *x509.Certificate, s *codec.EnvelopeSigner) bool {
	if cert == nil {
		return false
	}
	algorithm := s.X5TAlgorithm
	if s.JOSE != nil {
		algorithm = coseSHA256 // x5t#S256, RFC 7515 §4.1.8
	}
	switch algorithm {
	case coseSHA256:
		sum := sha256.Sum256(cert.Raw)
		return bytes.Equal(sum[:], s.X5T)
	case coseSHA256x8:
		sum := sha256.Sum256(cert.Raw)
		return bytes.Equal(sum[:8], s.X5T)
	case coseSHA384:
		sum := sha512.Sum384(cert.Raw)
		return bytes.Equal(sum[:], s.X5T)
	case coseSHA512:
		sum := sha512.Sum512(cert.Raw)
		return bytes.Equal(sum[:], s.X5T)
	}
	return false
}

// hasKeyID reports whether kid is the certificate's subject key identifier, as
// octets (COSE) or in base64 (JWS of draft-ietf-anima-brski-prm).
func hasKeyID(cert *x509.Certificate, kid []byte) bool {
	if cert == nil || len(cert.SubjectKeyId) == 0 {
		return false
	}
	return bytes.Equal(cert.SubjectKeyId, kid) || base64.StdEncoding.EncodeToString(cert.SubjectKeyId) == string(kid)
}
