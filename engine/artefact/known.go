package artefact

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// Known remembers certificates that requests and vouchers had with them, once
// their signature verified, and the keys of their signers, so that those of a peer
// who comes again are not parsed again and its signatures find each other in a
// batch (see sign.Verifier). Of vouchers' signers it remembers the path to a trust
// anchor too, so that its signatures are not verified for each voucher; whether
// the path still ends in an anchor, and is valid, is looked at each time. Else it
// says nothing about belief. The zero Known is empty and ready for use, a nil one
// remembers nothing. It is safe for concurrent use and bounded: some 10 MiB at
// most.
type Known struct {
	mu            sync.Mutex
	recent, older map[string]*known // by DER
}

// A known certificate is never changed, and its octets are its own.
type known struct {
	cert *x509.Certificate
	key  *sign.PublicKey     // nil until it signed something
	path []*x509.Certificate // from cert to what was an anchor when it was found; nil for none
}

// Bounds of a Known: of each of its two generations, and the octets of a
// certificate.
const (
	maxKnown      = 512
	maxKnownBytes = 4 << 10
)

// find returns what is known of a certificate, nil for nothing. What is asked
// for stays.
func (k *Known) find(der []byte) *known {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := k.recent[string(der)]; found != nil {
		return found
	}
	found := k.older[string(der)]
	if found != nil {
		k.put(found)
	}
	return found
}

// put makes room by forgetting what nobody asked for since it last did.
func (k *Known) put(c *known) {
	if len(k.recent) >= maxKnown {
		k.recent, k.older = nil, k.recent
	}
	if k.recent == nil {
		k.recent = make(map[string]*known)
	}
	k.recent[string(c.cert.Raw)] = c
}

// parse returns the certificate, the one that is known where it is.
func (k *Known) parse(der []byte) (*x509.Certificate, error) {
	if found := k.find(der); found != nil {
		return found.cert, nil
	}
	if k != nil {
		der = bytes.Clone(der) // it would be a view that keeps the whole request
	}
	return x509.ParseCertificate(der)
}

// key returns the key that a signature was made with, by what the envelope says
// of it, the one that is known where it is.
func (k *Known) key(format codec.Format, s *codec.EnvelopeSigner, cert *x509.Certificate) (*sign.PublicKey, error) {
	var public crypto.PublicKey
	var err error
	found := k.find(cert.Raw)
	if found == nil || found.key == nil {
		found = nil
		public, err = sign.CertificateKey(cert)
	} else {
		public = found.key.Public()
	}
	if err != nil {
		return nil, err
	}
	alg, err := algorithmOf(format, s, public)
	if err != nil {
		return nil, err
	}
	if found != nil && found.key.Algorithm() == alg {
		return found.key, nil
	}
	return sign.PreparePublicKey(alg, public)
}

// path returns how a signer leads to a trust anchor, nil where that is not known
// or does not hold any more. What a path says of itself, its signatures and what
// its issuers may issue, stays as it is.
func (k *Known) path(signer *x509.Certificate, trust *Trust) []*x509.Certificate {
	found := k.find(signer.Raw)
	if found == nil || found.path == nil || !slices.ContainsFunc(trust.Anchors, found.path[len(found.path)-1].Equal) {
		return nil
	}
	for _, c := range found.path {
		if !trust.AnyTime && (trust.At.Before(c.NotBefore) || trust.At.After(c.NotAfter)) {
			return nil
		}
	}
	return found.path
}

// keep remembers the certificates of an artefact whose signature verified under
// key, and the path of its signer where there is one.
func (k *Known) keep(certs []*x509.Certificate, signer *x509.Certificate, key *sign.PublicKey, path []*x509.Certificate) {
	if k == nil {
		return
	}
	if slices.ContainsFunc(path, func(c *x509.Certificate) bool { return len(c.Raw) > maxKnownBytes }) {
		path = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range certs {
		found := k.recent[string(c.Raw)]
		switch {
		case len(c.Raw) > maxKnownBytes:
		case found == nil && c == signer:
			k.put(&known{c, key, path})
		case found == nil:
			k.put(&known{cert: c})
		case c == signer && (found.key != key || path != nil && !slices.Equal(found.path, path)):
			if path == nil {
				path = found.path
			}
			k.put(&known{found.cert, key, path})
		}
	}
}
