package registrar_test

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// A renewal may keep the key, so several certificates may have it. Once one of
// them was revoked as compromised, a thief of the key holds them all: none renews.
func TestACompromisedKeyRenewsNothing(t *testing.T) {
	w := newSite(t)
	p, first, key := w.joined("SN-0001")
	second, err := w.reenroll([]*x509.Certificate{first}, csr(t, key, est.CSRParams{Subject: p.subject()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.registrar.Revoke(t.Context(), second.SerialNumber, ca.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	_, err = w.reenroll([]*x509.Certificate{first}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.CertificateGone)
	_, err = w.enroll([]*x509.Certificate{first}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.CertificateGone)
	if _, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err != nil {
		t.Errorf("with the IDevID: %v", err)
	}
}

// What happens while a renewal waits for the verdict counts: a certificate that
// is revoked then is not renewed.
func TestRevocationIsSeenByARenewalUnderWay(t *testing.T) {
	for name, revoke := range map[string]func(w *site, held, other *big.Int) error{
		"the certificate": func(w *site, held, _ *big.Int) error {
			return w.registrar.Revoke(w.t.Context(), held, ca.Unspecified)
		},
		"its key": func(w *site, _, other *big.Int) error {
			return w.registrar.Revoke(w.t.Context(), other, ca.KeyCompromise)
		},
	} {
		t.Run(name, func(t *testing.T) {
			waits := func() {}
			w := newSite(t, func(c *registrar.Config) {
				c.VerdictPatience = 7 * time.Second
				c.AfterFunc = func(d time.Duration, _ func()) func() bool {
					if d == c.VerdictPatience {
						waits()
					}
					return func() bool { return true }
				}
			})
			p, cert, key := w.joined("SN-0001")
			other, err := w.reenroll([]*x509.Certificate{cert}, csr(t, key, est.CSRParams{Subject: p.subject()}))
			if err != nil {
				t.Fatal(err)
			}
			release, _ := w.slow("/requestauditlog")
			p.voucher() // the verdict is open again
			waits = func() {
				if err := revoke(w, cert.SerialNumber, other.SerialNumber); err != nil {
					t.Error(err)
				}
				release()
			}
			_, err = w.reenroll([]*x509.Certificate{cert}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
			wantKind(t, err, decision.CertificateGone)
		})
	}
}

// Every pin of a voucher is ours: which of them a pledge goes by is its choice
// (draft-ietf-anima-rfc8366bis).
func TestEveryPinIsOurs(t *testing.T) {
	for name, change := range map[string]func(*codec.Voucher){
		"a stranger's key beside our certificate":    func(v *codec.Voucher) { v.PinnedDomainPubk = newRoot(t, "x").Certificate().RawSubjectPublicKeyInfo },
		"a stranger's digest beside our certificate": func(v *codec.Voucher) { v.PinnedDomainPubkSHA256 = make([]byte, 32) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t)
			w.masa.set(vouches(change))
			p := w.pledge("SN-0001")
			_, err := p.ask(p.pvr())
			wantKind(t, err, decision.VoucherMismatch)
		})
	}
}
