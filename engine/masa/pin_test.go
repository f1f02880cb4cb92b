package masa_test

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/masa"
)

// TestOnlyTheSignersPathIsPinned: whatever else lies in the envelope, wherever.
func TestOnlyTheSignersPathIsPinned(t *testing.T) {
	for _, c := range []struct {
		name  string
		chain func(w *world) []*entity
		want  func(w *world) *entity
	}{
		{"the domain CA", func(w *world) []*entity { return []*entity{w.domain} }, func(w *world) *entity { return w.domain }},
		{"the registrar alone", func(w *world) []*entity { return nil }, func(w *world) *entity { return w.registrar }},
		{"a foreign CA appended", func(w *world) []*entity { return []*entity{w.domain, newEntity(w.t, "Attacker CA", nil, asCA)} }, func(w *world) *entity { return w.domain }},
		{"a foreign CA prepended", func(w *world) []*entity { return []*entity{newEntity(w.t, "Attacker CA", nil, asCA), w.domain} }, func(w *world) *entity { return w.domain }},
		{"only a foreign CA", func(w *world) []*entity { return []*entity{newEntity(w.t, "Attacker CA", nil, asCA)} }, func(w *world) *entity { return w.registrar }},
		{"the same name with another key, before", func(w *world) []*entity { return []*entity{newEntity(w.t, "Domain CA", nil, asCA), w.domain} }, func(w *world) *entity { return w.domain }},
		{"the same name with another key, behind", func(w *world) []*entity { return []*entity{w.domain, newEntity(w.t, "Domain CA", nil, asCA)} }, func(w *world) *entity { return w.domain }},
		{"only the same name with another key", func(w *world) []*entity { return []*entity{newEntity(w.t, "Domain CA", nil, asCA)} }, func(w *world) *entity { return w.registrar }},
		{"a foreign registrar of a foreign CA", func(w *world) []*entity {
			other := newEntity(w.t, "Attacker CA", nil, asCA)
			return []*entity{newEntity(w.t, "Registrar", other, asRegistrar), other, w.domain}
		}, func(w *world) *entity { return w.domain }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			j := w.join(0)
			j.requestChain = c.chain(w)
			if v := j.voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, c.want(w).cert.Raw) {
				got, _ := x509.ParseCertificate(v.Leaves.PinnedDomainCert)
				t.Errorf("pinned is %q", got.Subject)
			}
		})
	}
}

// TestAnOwnersPinIsVouchedForByItsAnchor: a certificate that a stranger's CA
// issued for the key of the domain's leads a path up to that CA.
func TestAnOwnersPinIsVouchedForByItsAnchor(t *testing.T) {
	w := newWorld(t)
	attacker := newEntity(t, "Attacker CA", nil, asCA)
	cross := issue(t, "Domain CA", w.domain.key, attacker, asCA)
	j := w.join(0)
	j.requestChain = []*entity{cross, attacker}
	if v := j.voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, attacker.cert.Raw) {
		t.Fatal("for a stranger the farthest is not pinned")
	}
	w.acme(nil)
	j = w.join(0)
	j.requestChain = []*entity{cross, attacker}
	v := j.voucher()
	pinned, err := x509.ParseCertificate(v.Leaves.PinnedDomainCert)
	must(t, err)
	if v.Leaves.Assertion != codec.AssertionVerified || !bytes.Equal(pinned.RawSubjectPublicKeyInfo, w.domain.cert.RawSubjectPublicKeyInfo) {
		t.Errorf("assertion is %v, pinned is %q by %q", v.Leaves.Assertion, pinned.Subject, pinned.Issuer)
	}
}

func TestPinRegistrar(t *testing.T) {
	w := newWorld(t, func(c *masa.Config) { c.Pin = masa.PinRegistrar })
	if v := w.join(0).voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, w.registrar.cert.Raw) {
		t.Error("the registrar is not pinned")
	}
}

// TestPathMustHold: certificates that belong together by name and signature, and
// break another rule of RFC 5280 §6.1.
func TestPathMustHold(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(w *world) (registrar *entity, chain []*entity)
	}{
		{"path length", func(w *world) (*entity, []*entity) {
			root := newEntity(w.t, "Root", nil, asCA, func(c *x509.Certificate) { c.MaxPathLenZero = true })
			sub := newEntity(w.t, "Sub", root, asCA)
			return newEntity(w.t, "Registrar", sub, asRegistrar), []*entity{sub, root}
		}},
		{"name constraints", func(w *world) (*entity, []*entity) {
			root := newEntity(w.t, "Root", nil, asCA, func(c *x509.Certificate) {
				c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.org"}
			})
			return newEntity(w.t, "Registrar", root, asRegistrar, func(c *x509.Certificate) { c.DNSNames = []string{"registrar.example.com"} }), []*entity{root}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			j := w.join(0)
			j.requestSigner, j.requestChain = c.build(w)
			j.pledge.ProximityRegistrarCert = j.requestSigner.cert.Raw
			w.refused(j.exchange(), decision.ChainInconsistent)
		})
	}
	// Who is no CA has issued nothing: the registrar stands alone.
	for name, asNone := range map[string]certOption{
		"no CA":     func(c *x509.Certificate) { c.BasicConstraintsValid = true },
		"key usage": func(c *x509.Certificate) { asCA(c); c.KeyUsage = x509.KeyUsageDigitalSignature },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			j := w.join(0)
			key := newKey(t)
			// crypto/x509 issues under a CA only: the same name and key, twice.
			issuer := issue(t, "Half a CA", key, nil, asCA)
			half := issue(t, "Half a CA", key, nil, asNone)
			j.requestSigner, j.requestChain = newEntity(t, "Registrar", issuer, asRegistrar), []*entity{half}
			j.pledge.ProximityRegistrarCert = j.requestSigner.cert.Raw
			if v := j.voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, j.requestSigner.cert.Raw) {
				t.Error("what is no CA was pinned")
			}
		})
	}
}

func TestTheDeviceSawAnotherRegistrarOfTheDomain(t *testing.T) {
	w := newWorld(t)
	tls := newEntity(t, "TLS Registrar", w.domain, asRegistrar)
	j := w.join(0)
	j.pledge.ProximityRegistrarCert, j.requestChain = tls.cert.Raw, []*entity{w.domain, tls}
	if v := j.voucher(); v.Leaves.Assertion != codec.AssertionProximity || !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	// Not when it is no registrar, was issued by somebody else, or is not sent along.
	for name, other := range map[string]*entity{
		"no cmcRA":       newEntity(t, "TLS Registrar", w.domain),
		"another issuer": newEntity(t, "TLS Registrar", newEntity(t, "Domain CA", nil, asCA), asRegistrar),
	} {
		j := w.join(0)
		j.pledge.ProximityRegistrarCert, j.requestChain = other.cert.Raw, []*entity{w.domain, other}
		if r := w.refused(j.exchange(), decision.ProximityNotInPath); r == nil {
			t.Error(name)
		}
	}
	j = w.join(0)
	j.pledge.ProximityRegistrarCert = tls.cert.Raw
	w.refused(j.exchange(), decision.ProximityNotInPath)
}

func TestProximityByPublicKey(t *testing.T) {
	w := newWorld(t)
	j := w.join(0)
	j.pledge.ProximityRegistrarCert, j.pledge.ProximityRegistrarPubk = nil, w.registrar.cert.RawSubjectPublicKeyInfo
	if v := j.voucher(); v.Leaves.Assertion != codec.AssertionProximity {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
}
