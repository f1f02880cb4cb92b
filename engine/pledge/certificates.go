package pledge

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// moment is when certificates have to be valid: at a time, or at any for a
// device without a trusted clock.
type moment struct {
	at  time.Time
	any bool
}

func (p *Config) moment() moment { return moment{p.Clock.Now(), !p.ClockTrusted} }

// chain finds a path to one of the anchors. A certificate that begins or ended
// within clockSkew counts as valid: registrars and devices differ by so much.
func (m moment) chain(c *x509.Certificate, anchors, between []*x509.Certificate) ([]*x509.Certificate, error) {
	at := m.at
	switch {
	case c.NotBefore.After(at) && c.NotBefore.Before(at.Add(clockSkew)):
		at = c.NotBefore
	case c.NotAfter.Before(at) && c.NotAfter.After(at.Add(-clockSkew)):
		at = c.NotAfter
	}
	return sign.VerifyChain(c, sign.ChainOptions{Roots: anchors, Intermediates: between, At: at, AnyTime: m.any})
}

// parseCertificate parses a certificate, unless it is one of those that are
// parsed already.
func parseCertificate(der []byte, parsed ...*x509.Certificate) (*x509.Certificate, error) {
	for _, c := range parsed {
		if c != nil && bytes.Equal(c.Raw, der) {
			return c, nil
		}
	}
	return x509.ParseCertificate(der)
}

// parseCertsOnly reads the certificates in the body of an EST answer.
func parseCertsOnly(body []byte, parsed ...*x509.Certificate) ([]*x509.Certificate, error) {
	der, err := est.DecodeBody(nil, body)
	if err != nil {
		return nil, err
	}
	raw, err := est.ParseCertsOnly(der, est.Limits{})
	if err != nil {
		return nil, err
	}
	certs := make([]*x509.Certificate, len(raw))
	for i, der := range raw {
		if certs[i], err = parseCertificate(der, parsed...); err != nil {
			return nil, err
		}
	}
	return certs, nil
}

// A domain is the CA certificates of a registrar's domain.
type domain struct {
	authorities []*x509.Certificate
	// anchors are those that the others are believed by: those that are
	// self-signed, else all.
	anchors []*x509.Certificate
}

// domainOf sorts the CA certificates of a domain.
func domainOf(authorities []*x509.Certificate) domain {
	d := domain{authorities: authorities}
	for _, c := range authorities {
		if selfSigned(c) {
			d.anchors = append(d.anchors, c)
		}
	}
	return d.anchored()
}

func (d domain) anchored() domain {
	if d.anchors == nil {
		d.anchors = d.authorities
	}
	return d
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

// checkAuthorities decides what of an answer to /cacerts becomes the explicit
// trust anchors (RFC 7030 §4.1.3). Where the voucher pins an authority, that one
// has to be among them, or above or below one of them: what is enrolled into is
// the domain of the voucher. Where it pins the registrar itself, the registrar
// says who its authority is.
func checkAuthorities(body []byte, i *Imprint, at moment, trail *decision.Trail) (domain, error) {
	const name = "cacerts"
	certs, err := parseCertsOnly(body, i.Pinned)
	if err != nil {
		return domain{}, trail.Refuse(BadAuthorities, name, "the CA certificates cannot be read: %w", err)
	}
	authorities := slices.DeleteFunc(certs, func(c *x509.Certificate) bool { return !c.IsCA || !c.BasicConstraintsValid })
	if len(authorities) == 0 {
		return domain{}, trail.Refuse(BadAuthorities, name, "none of the certificates is that of a certificate authority")
	}
	d := domain{authorities: authorities}
	for _, c := range authorities {
		if selfSigned(c) {
			d.anchors = append(d.anchors, c)
		} else if damagedRoot(c, authorities) {
			return domain{}, trail.Refuse(BadAuthorities, name, "the certificate of the authority %q is not signed by any key of that name: it is damaged, or nobody's", c.Subject)
		}
	}
	if !i.Direct && !slices.ContainsFunc(authorities, func(c *x509.Certificate) bool { return related(c, i.Pinned, authorities, at) }) {
		return domain{}, trail.Refuse(BadAuthorities, name, "the pinned authority %q is not among the %d CA certificates, and chains to none of them", i.Pinned.Subject, len(authorities))
	}
	trail.Pass(name, "%d authorities", len(authorities))
	return d.anchored(), nil
}

// damagedRoot reports whether c names itself as its issuer and neither its own key
// nor, as at a rollover (RFC 4210 §4.4), another of the same name signed it. An
// anchor is believed by its key, so nothing else would ever look at its octets.
// Signatures by algorithms that crypto/x509 does not know, or no longer counts as
// signatures, are left alone.
func damagedRoot(c *x509.Certificate, authorities []*x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && !slices.ContainsFunc(authorities, func(signer *x509.Certificate) bool {
		if !bytes.Equal(signer.RawSubject, c.RawIssuer) {
			return false
		}
		err := c.CheckSignatureFrom(signer)
		var weak x509.InsecureAlgorithmError
		return err == nil || errors.Is(err, x509.ErrUnsupportedAlgorithm) || errors.As(err, &weak)
	})
}

// related reports whether c is the pinned authority, is issued under it, or has
// issued it.
func related(c, pinned *x509.Certificate, all []*x509.Certificate, at moment) bool {
	if bytes.Equal(c.RawSubjectPublicKeyInfo, pinned.RawSubjectPublicKeyInfo) && bytes.Equal(c.RawSubject, pinned.RawSubject) {
		return true
	}
	if _, err := at.chain(c, []*x509.Certificate{pinned}, all); err == nil {
		return true
	}
	_, err := at.chain(pinned, []*x509.Certificate{c}, all)
	return err == nil
}

// issuedCheck is what a certificate that was asked for has to be.
type issuedCheck struct {
	key    crypto.Signer
	serial string // of the device
	domain domain
	at     moment
}

// find picks the certificate with the device's key out of an answer to
// simpleenroll, whose order means nothing, and checks it. It returns the
// certificate and what chains it to an anchor, without that.
func (want *issuedCheck) find(body []byte, trail *decision.Trail) ([]*x509.Certificate, error) {
	const name = "certificate"
	certs, err := parseCertsOnly(body)
	if err != nil {
		return nil, trail.Refuse(BadIssuedCert, name, "the answer cannot be read: %w", err)
	}
	at := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return sign.MatchCertificate(want.key, c) == nil })
	if at < 0 {
		return nil, trail.Refuse(BadIssuedCert, name, "none of the %d certificates is for the key of the request", len(certs))
	}
	leaf := certs[at]
	path, err := want.at.chain(leaf, want.domain.anchors, slices.Concat(want.domain.authorities, certs))
	if err != nil {
		return nil, trail.Refuse(BadIssuedCert, name, "%q does not chain to the domain's CA certificates: %w", leaf.Subject, err)
	}
	if err := want.purpose(leaf); err != nil {
		return nil, trail.Fail(name, err)
	}
	trail.Pass(name, "%q, serial number %x, valid until %s", leaf.Subject, leaf.SerialNumber, leaf.NotAfter.UTC().Format(time.RFC3339))
	return path[:max(1, len(path)-1)], nil
}

// purpose checks that the certificate names this device and is for a TLS client.
func (want *issuedCheck) purpose(leaf *x509.Certificate) *decision.Refusal {
	attributes, err := est.ParseName(leaf.RawSubject, est.Limits{})
	if err != nil {
		return decision.Refuse(BadIssuedCert, "the subject of %q cannot be read: %w", leaf.Subject, err)
	}
	if serials := est.SerialNumbers(attributes); len(serials) != 1 || serials[0] != want.serial {
		return decision.Refuse(BadIssuedCert, "the subject of %q has the serial numbers %q, want this device's alone: %q", leaf.Subject, serials, want.serial)
	}
	if leaf.IsCA {
		return decision.Refuse(BadIssuedCert, "%q is the certificate of an authority and not of a device", leaf.Subject)
	}
	if !usableFor(leaf, x509.ExtKeyUsageClientAuth) {
		return decision.Refuse(BadIssuedCert, "%q has extended key usages without clientAuth", leaf.Subject)
	}
	return nil
}

// usableFor reports whether a certificate's extended key usages, if it has any,
// admit one.
func usableFor(c *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, usage) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// checkServer decides whether a TLS server is an EST server of the domain (RFC
// 7030 §3.6.1): it chains to the explicit anchors, and is a registrar by
// id-kp-cmcRA or a TLS server of the name in the URL.
func checkServer(peer, authorities []*x509.Certificate, origin string, at moment) error {
	server := peer[0]
	if _, err := at.chain(server, domainOf(authorities).anchors, slices.Concat(authorities, peer[1:])); err != nil {
		return decision.Refuse(UntrustedServer, "the server %q does not chain to the domain's CA certificates: %w", server.Subject, err)
	}
	if isRegistrar(server) {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil {
		return decision.Refuse(UntrustedServer, "%w", err)
	}
	if err := server.VerifyHostname(u.Hostname()); err != nil {
		return decision.Refuse(UntrustedServer, "the certificate of %q lacks id-kp-cmcRA, and the name in the URL is not in it: %w", server.Subject, err)
	}
	if !usableFor(server, x509.ExtKeyUsageServerAuth) {
		return decision.Refuse(UntrustedServer, "the certificate of %q is not for a TLS server", server.Subject)
	}
	return nil
}
