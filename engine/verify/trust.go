package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/sign"
)

// maxChains bounds the chains a worker remembers. The vouchers of a run share
// one; what exceeds the bound is worked out again.
const maxChains = 256

// Trust says whom to believe, and when.
type Trust struct {
	// Anchors are believed: the certificate authorities of voucher signers, or
	// such signers themselves.
	Anchors []*x509.Certificate
	// Helpers may complete a chain, or be the signer of a voucher that carries
	// no certificate. They are believed only as far as an anchor vouches for them.
	Helpers []*x509.Certificate
	// At is the time of validation; the zero time is the moment Run is called.
	At time.Time
}

// ErrNoAnchor is returned where there is nobody to believe.
var ErrNoAnchor = errors.New("verify: no trust anchor is given; name the certificate authority of the voucher signer")

// chains finds signers and remembers them. It belongs to one worker.
type chains struct {
	at      time.Time
	anchors []*x509.Certificate
	helpers []*x509.Certificate
	seen    map[string]*signer // by the certificates at hand and which of them it is
	last    lastFound
	local   []*signer // anchors and helpers, the latest that verified a voucher first
	scratch []byte
}

func newChains(trust *Trust) *chains {
	c := &chains{at: trust.At, anchors: trust.Anchors, helpers: trust.Helpers, seen: make(map[string]*signer)}
	for _, list := range [][]*x509.Certificate{trust.Helpers, trust.Anchors} {
		for _, cert := range list {
			c.local = append(c.local, c.resolve([][]byte{cert.Raw}, 0))
		}
	}
	return c
}

// lastFound is what find was asked last, and its answer: to compare
// certificates takes a fraction of looking them up.
type lastFound struct {
	certs [][]byte
	index int
	who   *signer
}

func (l *lastFound) is(certs [][]byte, index int) bool {
	return l.who != nil && l.index == index && slices.EqualFunc(l.certs, certs, bytes.Equal)
}

func (l *lastFound) set(certs [][]byte, index int, who *signer) {
	for len(l.certs) < len(certs) {
		l.certs = append(l.certs, nil)
	}
	l.certs = l.certs[:len(certs)]
	for i, cert := range certs {
		l.certs[i] = append(l.certs[i][:0], cert...)
	}
	l.index, l.who = index, who
}

// find returns the signer that certificate index of certs is.
func (c *chains) find(certs [][]byte, index int) *signer {
	if c.last.is(certs, index) {
		return c.last.who
	}
	who := c.lookUp(certs, index)
	c.last.set(certs, index, who)
	return who
}

func (c *chains) lookUp(certs [][]byte, index int) *signer {
	c.scratch = append(c.scratch[:0], byte(index))
	for _, cert := range certs {
		c.scratch = binary.AppendUvarint(c.scratch, uint64(len(cert)))
		c.scratch = append(c.scratch, cert...)
	}
	if s := c.seen[string(c.scratch)]; s != nil {
		return s
	}
	s := c.resolve(certs, index)
	if len(c.seen) >= maxChains {
		clear(c.seen)
	}
	c.seen[string(c.scratch)] = s
	return s
}

// resolve reads the certificates and builds the chain.
func (c *chains) resolve(certs [][]byte, index int) *signer {
	s := &signer{prepared: make(map[*sign.Algorithm]*sign.PublicKey)}
	cert, err := x509.ParseCertificate(bytes.Clone(certs[index]))
	if err != nil {
		s.bad = found(CheckChain, "ask the issuer for a voucher with a sound certificate", "the signer's certificate cannot be read: %v", err)
		s.keyErr = err
		return s
	}
	s.cert = cert
	s.key, s.keyErr = sign.CertificateKey(cert)
	helpers := slices.Clone(c.helpers)
	for i, der := range certs {
		if i == index {
			continue
		}
		if other, err := x509.ParseCertificate(bytes.Clone(der)); err == nil { // one that cannot be read helps nobody
			helpers = append(helpers, other)
		}
	}
	// Extended key usages are not looked at: none is defined for signers of
	// vouchers, and the certificates in use have any or none.
	_, err = sign.VerifyChain(cert, sign.ChainOptions{Roots: c.anchors, Intermediates: helpers, At: c.at})
	s.bad = explain(cert, err, c.at)
	if s.bad.none() && cert.KeyUsage != 0 && cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		s.bad = found(CheckChain, "ask the issuer of the voucher for a signer made for it", "the key usage of certificate %q allows no signatures but those on certificates (RFC 5280 §4.2.1.3)", cert.Subject)
	}
	return s
}

// explain turns what crypto/x509 says into cause and remedy.
func explain(cert *x509.Certificate, err error, at time.Time) finding {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var critical x509.UnhandledCriticalExtension
	switch {
	case err == nil:
		return finding{}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil {
			cert = invalid.Cert
		}
		return found(CheckChain, "give the time to check at, if the signature is older", "certificate %q is valid from %s to %s, not at %s",
			cert.Subject, moment(cert.NotBefore), moment(cert.NotAfter), moment(at))
	case errors.As(err, &critical):
		return found(CheckChain, "ask the issuer for a certificate without it", "certificate %q or one above it has a critical extension that is not understood%s (RFC 5280 §4.2)",
			cert.Subject, listOIDs(cert.UnhandledCriticalExtensions))
	case errors.As(err, &unknown):
		return found(CheckChain, "name its certificate authority as trust anchor, if it is to be believed", "signer %q, issued by %q, leads to no trust anchor: %v",
			cert.Subject, cert.Issuer, err)
	}
	return found(CheckChain, "ask the issuer of the voucher for a sound chain", "the chain of signer %q does not hold: %v", cert.Subject, err)
}

// moment writes a time as vouchers do.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func listOIDs(oids []asn1.ObjectIdentifier) string {
	if len(oids) == 0 {
		return ""
	}
	var names []string
	for _, oid := range oids {
		names = append(names, oid.String())
	}
	return fmt.Sprintf(" (%s)", strings.Join(names, ", "))
}
