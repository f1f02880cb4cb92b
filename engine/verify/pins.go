package verify

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
)

// maxPins bounds the pinned certificates a worker remembers.
const maxPins = 256

// pins remembers pinned certificates, which many vouchers share. It belongs to
// one worker.
type pins struct {
	seen map[string]*pinned
	last *pinned
}

// A pinned certificate, and the latest expiry it is known to allow.
type pinned struct {
	der     []byte
	subject string // in words, once it was needed
	checked bool
	allowed time.Time
}

func newPins() pins { return pins{seen: make(map[string]*pinned)} }

// of returns what is known of a certificate.
func (p *pins) of(der []byte) *pinned {
	if p.last != nil && bytes.Equal(p.last.der, der) {
		return p.last
	}
	k := p.seen[string(der)]
	if k == nil {
		if len(p.seen) >= maxPins {
			clear(p.seen)
		}
		k = &pinned{der: bytes.Clone(der)}
		p.seen[string(der)] = k
	}
	p.last = k
	return k
}

// check is [codec.Voucher.CheckPinnedCertificate], which reads the certificate,
// for the first voucher and for those that expire later than any before.
func (k *pinned) check(v *codec.Voucher) error {
	if k.checked && !v.ExpiresOn.After(k.allowed) {
		return nil
	}
	if err := v.CheckPinnedCertificate(); err != nil {
		return err
	}
	k.checked, k.allowed = true, v.ExpiresOn
	return nil
}

// describe names what a voucher pins.
func (p *pins) describe(v *codec.Voucher) string {
	switch {
	case v.PinnedDomainCert != nil:
		k := p.of(v.PinnedDomainCert)
		if k.subject == "" {
			if cert, err := x509.ParseCertificate(k.der); err == nil {
				k.subject = fmt.Sprintf("the certificate %q, serial number %x", cert.Subject, cert.SerialNumber)
			}
		}
		return k.subject
	case v.PinnedDomainPubk != nil:
		return fmt.Sprintf("another public key (%d octets)", len(v.PinnedDomainPubk))
	}
	return fmt.Sprintf("a public key with SHA-256 %x", v.PinnedDomainPubkSHA256)
}
