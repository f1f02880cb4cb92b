package artefact

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// Path returns the longest path from signer upwards that can be built out of
// the certificates of an envelope: each is issued by the next by name and
// signature, and all of it holds by RFC 5280 §6.1 (validity, CA flag, path
// length, key usage, name constraints) with the last as its anchor. A
// certificate that merely lies in the envelope is never in it. The path of a
// signer whose issuer is not there is the signer alone. The error is a
// *decision.Refusal of kind ChainInconsistent.
//
// Such a path says that its certificates belong together and nothing about
// whether the last is to be believed (RFC 8995 §5.5.2: a temporary anchor).
func Path(signer *x509.Certificate, among []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	path := []*x509.Certificate{signer}
	for len(path) < sign.MaxChain {
		last := path[len(path)-1]
		issuer := issuerOf(last, among, path)
		if issuer == nil {
			break
		}
		path = append(path, issuer)
	}
	top := path[len(path)-1]
	if len(path) == 1 {
		if now.Before(signer.NotBefore) || now.After(signer.NotAfter) {
			return nil, decision.Refuse(decision.ChainInconsistent, "the signer %q is valid from %s to %s, not now", signer.Subject, signer.NotBefore.Format(time.RFC3339), signer.NotAfter.Format(time.RFC3339))
		}
		return path, nil
	}
	if _, err := sign.VerifyChain(signer, sign.ChainOptions{Roots: []*x509.Certificate{top}, Intermediates: path[1 : len(path)-1], At: now}); err != nil {
		return nil, decision.Refuse(decision.ChainInconsistent, "the path from %q to %q does not hold: %w", signer.Subject, top.Subject, err)
	}
	return path, nil
}

// issuerOf finds who issued a certificate, by name and signature. Of several
// the first is taken; one that is in the path already is not looked at, so a
// self-signed certificate ends it.
func issuerOf(c *x509.Certificate, among, path []*x509.Certificate) *x509.Certificate {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil
	}
	for _, candidate := range among {
		if bytes.Equal(candidate.RawSubject, c.RawIssuer) && !slices.ContainsFunc(path, candidate.Equal) && sign.CheckSignatureFrom(c, candidate) == nil {
			return candidate
		}
	}
	return nil
}
