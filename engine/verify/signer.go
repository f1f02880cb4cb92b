package verify

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// A signer is a certificate with what is known about it. It belongs to one
// worker.
type signer struct {
	cert     *x509.Certificate // nil where it cannot be read
	bad      finding           // why it is not believed
	key      crypto.PublicKey
	keyErr   error // why the key cannot be used, whatever the algorithm
	prepared map[*sign.Algorithm]*sign.PublicKey

	// What an envelope stated last, and the algorithm that is for this key.
	format            codec.Format
	signature, digest []byte
	cose              int64
	stated            *sign.Algorithm
}

// prepare returns the signer's public key for alg.
func (s *signer) prepare(alg *sign.Algorithm) (*sign.PublicKey, error) {
	if k := s.prepared[alg]; k != nil {
		return k, nil
	}
	k, err := sign.PreparePublicKey(alg, s.key)
	if err == nil {
		s.prepared[alg] = k
	}
	return k, err
}

// algorithm is the one that an envelope states, where it fits the key: the
// envelope alone never decides (RFC 8725 §3.1).
func (s *signer) algorithm(format codec.Format, e *codec.EnvelopeSigner) (*sign.Algorithm, error) {
	if s.keyErr != nil {
		return nil, s.keyErr
	}
	signature := e.SignatureOID
	if format == codec.FormatJWS {
		signature = e.JOSE
	}
	if s.stated != nil && s.format == format && s.cose == e.COSE && bytes.Equal(s.signature, signature) && bytes.Equal(s.digest, e.DigestOID) {
		return s.stated, nil
	}
	var err error
	switch format {
	case codec.FormatCMS:
		s.stated, err = sign.ByOID(e.SignatureOID, e.DigestOID, s.key)
	case codec.FormatJWS:
		s.stated, err = sign.ByJOSE(string(e.JOSE), s.key)
	case codec.FormatCOSE:
		s.stated, err = sign.ByCOSE(e.COSE, s.key)
	default:
		s.stated, err = nil, fmt.Errorf("envelope format %v has no signatures", format)
	}
	if err != nil {
		s.stated = nil
		return nil, err
	}
	s.format, s.cose = format, e.COSE
	s.signature, s.digest = append(s.signature[:0], signature...), append(s.digest[:0], e.DigestOID...)
	return s.stated, nil
}
