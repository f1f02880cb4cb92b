package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
)

// between is a voucher signer that lets something happen between the decision
// and its commit, once.
type between struct {
	artefact.Signer
	happens func()
}

func (b *between) Sign(ctx context.Context, input []byte) ([]byte, error) {
	if f := b.happens; f != nil {
		b.happens = nil
		f()
	}
	return b.Signer.Sign(ctx, input)
}

// interrupted is a world with such a signer, and acme in it.
func interrupted(t *testing.T, change func(*masa.Customer)) (*world, *between) {
	t.Helper()
	b := &between{}
	w := newWorld(t, func(c *masa.Config) { b.Signer, c.Signer = c.Signer, b })
	w.acme(change)
	return w, b
}

// TestWhatChangesBeforeTheCommitCounts: a decision is not carried out on what was
// true when it was made.
func TestWhatChangesBeforeTheCommitCounts(t *testing.T) {
	ctx := context.Background()
	sell := func(w *world) {
		w.customer(masa.Customer{Name: "zeta", Anchors: []*x509.Certificate{newEntity(w.t, "Zeta CA", nil, asCA).cert}})
		w.own("zeta", "SN-1")
	}
	for _, c := range []struct {
		name      string
		nonceless bool
		happens   func(w *world)
		kind      decision.Kind
	}{
		{"the device is blocked", false, func(w *world) { _, err := w.masa.Block(ctx, "SN-1", "stolen"); must(w.t, err) }, decision.DeviceRefused},
		{"the customer is blocked", false, func(w *world) { must(w.t, w.masa.BlockCustomer(ctx, "acme", "")) }, decision.DeviceRefused},
		{"an exclusive device is sold", false, func(w *world) {
			_, err := w.masa.SetDevice(ctx, "SN-1", true, false)
			must(w.t, err)
			sell(w)
		}, decision.OwnedByOther},
		{"the device of a nonceless voucher is sold", true, sell, decision.OwnedByOther},
		{"the device of a nonceless voucher is given up", true, func(w *world) { w.own("", "SN-1") }, decision.NoncelessForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, signer := interrupted(t, nil)
			j := w.join(0)
			if c.nonceless {
				j.nonceless()
			}
			signer.happens = func() { c.happens(w) }
			w.refused(j.exchange(), c.kind)
			if n := w.events(0); n != 0 {
				t.Errorf("there are %d events, want none", n)
			}
		})
	}
}

// TestWhoLosesADeviceBeforeTheCommitIsNotVerified: it is a stranger then.
func TestWhoLosesADeviceBeforeTheCommitIsNotVerified(t *testing.T) {
	w, signer := interrupted(t, nil)
	signer.happens = func() { w.own("", "SN-1") }
	if v := w.join(0).voucher(); v.Leaves.Assertion != codec.AssertionProximity {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	last := w.attempts[len(w.attempts)-1]
	if len(last.Customers) != 1 {
		t.Errorf("the attempt is of customers %v, want acme once", last.Customers)
	}
}

// TestAnEarlierAnswerIsNotGivenForWhatIsBlockedMeanwhile: the same request over
// another connection is decided anew, and gets the earlier answer only if nothing
// changes until then.
func TestAnEarlierAnswerIsNotGivenForWhatIsBlockedMeanwhile(t *testing.T) {
	tlsCA := newEntity(t, "TLS CA", nil, asCA)
	w, signer := interrupted(t, func(c *masa.Customer) { c.ClientCerts = []*x509.Certificate{tlsCA.cert} })
	j := w.join(0).nonceless()
	j.peer = []*x509.Certificate{newEntity(t, "TLS", tlsCA).cert}
	r := j.exchange()
	first := w.send(r)
	r.Peer = []*x509.Certificate{newEntity(t, "TLS", tlsCA).cert}
	if !bytes.Equal(w.send(r).Body, first.Body) {
		t.Error("another answer over another connection of the customer")
	}
	signer.happens = func() {
		_, err := w.masa.Block(context.Background(), "SN-1", "stolen")
		must(t, err)
	}
	w.refused(r, decision.DeviceRefused)
}

// TestAnExpiredVoucherIsNoAnswer though the same request came within the day.
func TestAnExpiredVoucherIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	w.acme(func(c *masa.Customer) { c.MaxLifetime = time.Hour })
	r := w.join(0).nonceless().exchange()
	first := w.send(r)
	r.Now = epoch.Add(time.Hour - time.Second)
	if !bytes.Equal(w.send(r).Body, first.Body) {
		t.Error("another answer while the first is of use")
	}
	r.Now = epoch.Add(time.Hour)
	if v := w.voucher(r); !v.Leaves.ExpiresOn.Equal(epoch.Add(2 * time.Hour)) {
		t.Errorf("an hour later the answer expires at %v", v.Leaves.ExpiresOn)
	}
	if n := w.events(0); n != 2 {
		t.Errorf("there are %d events, want one for each voucher", n)
	}
}

// TestARegistrarIsLookedAtAgainWhenMoreIsValid: what was remembered of it says
// nothing about certificates that were not valid then.
func TestARegistrarIsLookedAtAgainWhenMoreIsValid(t *testing.T) {
	tomorrow := epoch.Add(24 * time.Hour)
	later := func(c *x509.Certificate) { c.NotBefore = tomorrow }
	w := newWorld(t)
	root := newEntity(t, "Customer CA", nil, asCA)
	key := newKey(t)
	domain := issue(t, "Acme Domain", key, nil, asCA)
	registrar := newEntity(t, "Registrar", domain, asRegistrar)
	cross := issue(t, "Acme Domain", key, root, asCA, later)
	tls := newEntity(t, "TLS Registrar", domain, asRegistrar, later)
	w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{root.cert}})
	w.own("acme", "SN-1")
	ask := func(seen *entity) *exchange.Request {
		j := w.join(0)
		j.requestSigner, j.requestChain, j.pledge.ProximityRegistrarCert = registrar, []*entity{domain, cross, tls}, seen.cert.Raw
		return j.exchange()
	}
	if v := w.voucher(ask(registrar)); v.Leaves.Assertion != codec.AssertionProximity {
		t.Errorf("today the assertion is %v", v.Leaves.Assertion)
	}
	w.refused(ask(tls), decision.ProximityNotInPath)
	// An anchor that is not valid yet, of a registrar that sends nothing of it.
	w.customer(masa.Customer{Name: "zeta", Anchors: []*x509.Certificate{issue(t, "Domain CA", w.domain.key, nil, asCA, later).cert}})
	w.own("zeta", "SN-2")
	if v := w.join(1).voucher(); v.Leaves.Assertion != codec.AssertionProximity {
		t.Errorf("today the assertion is %v", v.Leaves.Assertion)
	}
	w.now = tomorrow
	if v := w.voucher(ask(tls)); v.Leaves.Assertion != codec.AssertionVerified {
		t.Errorf("tomorrow the assertion is %v", v.Leaves.Assertion)
	}
	if v := w.join(1).voucher(); v.Leaves.Assertion != codec.AssertionVerified {
		t.Errorf("tomorrow the assertion is %v", v.Leaves.Assertion)
	}
}

// TestLongCertificatesAreNotRemembered: strangers decide how long theirs are.
func TestLongCertificatesAreNotRemembered(t *testing.T) {
	w := newWorld(t)
	w.join(0).voucher()
	w.join(0).voucher()
	if n := w.masa.Remembered(); n != 1 {
		t.Fatalf("%d requesters are remembered, want the one", n)
	}
	j := w.join(0)
	j.requestSigner = newEntity(t, "Registrar", w.domain, asRegistrar, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 3}, Value: make([]byte, 40<<10)}}
	})
	j.pledge.ProximityRegistrarCert = nil
	j.pledge.ProximityRegistrarPubk = j.requestSigner.cert.RawSubjectPublicKeyInfo
	j.voucher()
	if n := w.masa.Remembered(); n != 1 {
		t.Errorf("%d requesters are remembered, one of them with 40 KiB", n)
	}
}
