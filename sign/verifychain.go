package sign

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ChainOptions are what [VerifyChain] builds chains from.
type ChainOptions struct {
	// Roots are the trust anchors. Without any nothing is trusted; the
	// operating system's are never used.
	Roots []*x509.Certificate
	// Intermediates may stand between the certificate and a root. Those with RSA
	// keys of more than MaxRSABits do not.
	Intermediates []*x509.Certificate
	// At is the time all certificates must be valid at; zero is now.
	At time.Time
	// AnyTime leaves validity periods out, for a device that does not know what
	// time it is (RFC 8995 §2.6.1). At then means nothing.
	AnyTime bool
}

// VerifyChain finds a chain from a certificate to one of the roots, the
// certificate first. It is [x509.Certificate.Verify] with any extended key
// usage allowed, and where that fails because an issuer's key is of a kind
// crypto/x509 cannot verify with (Ed448, ML-DSA, SLH-DSA), a walk of our own by
// the rules of RFC 5280 §6.1: names, signatures, validity, basic constraints,
// path length, key usage. The walk is narrower in one thing: certificates
// with name or policy constraints are refused. Errors are crypto/x509's, for
// errors.As: [x509.CertificateInvalidError], [x509.UnknownAuthorityError],
// [x509.UnhandledCriticalExtension]; revocation is not looked at.
func VerifyChain(cert *x509.Certificate, opts ChainOptions) ([]*x509.Certificate, error) {
	if cert == nil || len(cert.Raw) == 0 {
		return nil, &ChainError{Index: -1, Reason: "there is no parsed certificate to verify"}
	}
	if opts.AnyTime {
		return verifyUndated(cert, opts)
	}
	if opts.At.IsZero() {
		opts.At = time.Now()
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	foreign := false // an issuer's key may be unknown to crypto/x509
	for _, c := range opts.Roots {
		roots.AddCert(c)
		foreign = foreign || c.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm
	}
	for _, c := range opts.Intermediates {
		if slices.ContainsFunc(opts.Roots, c.Equal) {
			continue // crypto/x509 would verify what it issued a second time
		}
		if checkIssuerSize(c) != nil {
			continue
		}
		between.AddCert(c)
		foreign = foreign || c.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm
	}
	chains, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: opts.At,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err == nil {
		return chains[0], nil
	}
	if !foreign {
		return nil, err
	}
	w := &chainWalk{opts: &opts, checks: maxChainChecks}
	if err := w.usable(cert, 0); err != nil {
		return nil, err
	}
	if chain := w.extend([]*x509.Certificate{cert}); chain != nil {
		return chain, nil
	}
	if w.why != nil {
		return nil, w.why
	}
	return nil, x509.UnknownAuthorityError{Cert: cert}
}

// verifyUndated is VerifyChain over copies of the certificates whose validity
// periods hold the one time that is looked at. Signatures are over what was
// parsed, which stays as it is.
func verifyUndated(cert *x509.Certificate, opts ChainOptions) ([]*x509.Certificate, error) {
	originals := map[*x509.Certificate]*x509.Certificate{}
	undated := func(list ...*x509.Certificate) []*x509.Certificate {
		copies := make([]*x509.Certificate, len(list))
		for i, c := range list {
			u := *c
			u.NotBefore, u.NotAfter = time.Unix(0, 0), time.Unix(2, 0)
			copies[i], originals[&u] = &u, c
		}
		return copies
	}
	chain, err := VerifyChain(undated(cert)[0], ChainOptions{Roots: undated(opts.Roots...), Intermediates: undated(opts.Intermediates...), At: time.Unix(1, 0)})
	for i, c := range chain {
		chain[i] = originals[c]
	}
	return chain, err
}

// maxChainChecks is how many signatures one walk may check: certificates of the
// same name could otherwise be made to ask for very many.
const maxChainChecks = 100

// chainWalk is one search, depth first.
type chainWalk struct {
	opts   *ChainOptions
	checks int
	why    error // the first reason a candidate of the right name was refused for
}

// extend completes a chain that ends in a certificate not yet anchored, nil if
// it cannot be.
func (w *chainWalk) extend(chain []*x509.Certificate) []*x509.Certificate {
	last := chain[len(chain)-1]
	if containsCertificate(w.opts.Roots, last) {
		return chain
	}
	if len(chain) == MaxChain {
		return nil
	}
	for _, list := range [][]*x509.Certificate{w.opts.Roots, w.opts.Intermediates} {
		for _, issuer := range list {
			if !mayHaveIssued(issuer, last) || containsCertificate(chain, issuer) || w.checks == 0 {
				continue
			}
			w.checks--
			err := w.usable(issuer, len(chain)-1)
			if err == nil {
				err = CheckSignatureFrom(last, issuer)
			}
			if err != nil {
				w.refuse(last, err)
				continue
			}
			if found := w.extend(append(chain[:len(chain):len(chain)], issuer)); found != nil {
				return found
			}
		}
	}
	return nil
}

// refuse keeps the first reason. One that is not crypto/x509's own stands
// beside an UnknownAuthorityError, for callers that branch on the type.
func (w *chainWalk) refuse(cert *x509.Certificate, err error) {
	if w.why != nil {
		return
	}
	w.why = err
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	if !errors.As(err, &invalid) && !errors.As(err, &critical) {
		w.why = fmt.Errorf("%w (a certificate of the issuer's name was tried: %w)", x509.UnknownAuthorityError{Cert: cert}, err)
	}
}

// usable checks what a certificate says of itself; below is how many
// certificates stand between it and the one to be verified, whose own is 0.
func (w *chainWalk) usable(cert *x509.Certificate, below int) error {
	if len(cert.UnhandledCriticalExtensions) != 0 {
		return x509.UnhandledCriticalExtension{}
	}
	if w.opts.At.Before(cert.NotBefore) || w.opts.At.After(cert.NotAfter) {
		return x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired,
			Detail: fmt.Sprintf("valid from %s to %s, not at %s", cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339), w.opts.At.Format(time.RFC3339))}
	}
	if cert.BasicConstraintsValid && cert.MaxPathLen >= 0 && below > cert.MaxPathLen {
		return x509.CertificateInvalidError{Cert: cert, Reason: x509.TooManyIntermediates}
	}
	for _, extension := range cert.Extensions {
		if isUnevaluated(extension.Id) {
			return x509.UnhandledCriticalExtension{}
		}
	}
	return nil
}

// isUnevaluated names the extensions that bound what a chain may hold and that
// the walk does not evaluate: name constraints, policy mappings, policy
// constraints and inhibitAnyPolicy (RFC 5280 §4.2.1).
func isUnevaluated(id asn1.ObjectIdentifier) bool {
	if len(id) != 4 || id[0] != 2 || id[1] != 5 || id[2] != 29 {
		return false
	}
	return id[3] == 30 || id[3] == 33 || id[3] == 36 || id[3] == 54
}

// mayHaveIssued compares names, and key identifiers where both sides have one.
func mayHaveIssued(issuer, cert *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, cert.RawIssuer) {
		return false
	}
	return len(cert.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(cert.AuthorityKeyId, issuer.SubjectKeyId)
}

func containsCertificate(list []*x509.Certificate, cert *x509.Certificate) bool {
	for _, c := range list {
		if c.Equal(cert) {
			return true
		}
	}
	return false
}
