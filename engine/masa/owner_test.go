package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
)

// acme is a customer whose domain is the world's, and who owns its first device.
func (w *world) acme(change func(*masa.Customer)) {
	w.t.Helper()
	c := masa.Customer{Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}, Nonceless: true}
	if change != nil {
		change(&c)
	}
	w.customer(c)
	w.own("acme", "SN-1")
}

func TestTheOwnerGetsVerified(t *testing.T) {
	w := newWorld(t)
	w.acme(nil)
	if v := w.join(0).voucher(); v.Leaves.Assertion != codec.AssertionVerified {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	if v := w.join(1).voucher(); v.Leaves.Assertion != codec.AssertionProximity {
		t.Errorf("assertion for a device of nobody is %v", v.Leaves.Assertion)
	}
	// Ownership replaces no check.
	j := w.join(0)
	j.pledge.ProximityRegistrarCert = newEntity(t, "Attacker", nil).cert.Raw
	w.refused(j.exchange(), decision.ProximityNotInPath)
}

func TestVerifiedNeedsTheTLSCertificateWhereOneIsSet(t *testing.T) {
	tlsCA := newEntity(t, "TLS CA", nil, asCA)
	own, ended := newEntity(t, "TLS", nil), newEntity(t, "TLS", nil, until(epoch.Add(-time.Hour)))
	w := newWorld(t)
	w.acme(func(c *masa.Customer) { c.ClientCerts = []*x509.Certificate{tlsCA.cert, own.cert, ended.cert} })
	for _, c := range []struct {
		name string
		peer []*x509.Certificate
		want codec.Assertion
	}{
		{"none", nil, codec.AssertionProximity},
		{"a stranger's", []*x509.Certificate{newEntity(t, "TLS", newEntity(t, "TLS CA", nil, asCA)).cert}, codec.AssertionProximity},
		{"expired", []*x509.Certificate{newEntity(t, "TLS", tlsCA, until(epoch.Add(-time.Hour))).cert}, codec.AssertionProximity},
		{"itself, expired", []*x509.Certificate{ended.cert}, codec.AssertionProximity},
		{"issued by one that is no CA", []*x509.Certificate{newEntity(t, "TLS", own).cert}, codec.AssertionProximity},
		{"itself", []*x509.Certificate{own.cert}, codec.AssertionVerified},
		{"issued by it", []*x509.Certificate{newEntity(t, "TLS", tlsCA).cert}, codec.AssertionVerified},
	} {
		j := w.join(0)
		j.peer = c.peer
		if v := j.voucher(); v.Leaves.Assertion != c.want {
			t.Errorf("%s: assertion is %v, want %v", c.name, v.Leaves.Assertion, c.want)
		}
	}
}

func TestNoncelessForTheOwner(t *testing.T) {
	w := newWorld(t)
	w.acme(func(c *masa.Customer) { c.MaxLifetime = 90 * 24 * time.Hour })
	v := w.join(0).nonceless().voucher()
	if v.Leaves.Nonce != nil || v.Leaves.Assertion != codec.AssertionVerified || !v.Leaves.ExpiresOn.Equal(epoch.Add(90*24*time.Hour)) {
		t.Errorf("voucher is %+v", v.Leaves)
	}
	if !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
		t.Error("the domain CA is not pinned")
	}
	// A registrar that sends its own certificate alone: the CA is that of the
	// customer, not the registrar's.
	j := w.join(0).nonceless()
	j.requestChain = nil
	if v := j.voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
		t.Error("a nonceless voucher pins no CA")
	}
	if d, err := w.masa.ShowDevice(context.Background(), "SN-1"); err != nil || d.Issued != 2 || !d.LastIssued.Equal(epoch) {
		t.Errorf("the device is %+v, %v", d, err)
	}
}

func TestNoncelessIsClippedToThePin(t *testing.T) {
	w := newWorld(t)
	short := newEntity(t, "Short CA", nil, asCA, until(epoch.Add(48*time.Hour)))
	w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{short.cert}, Nonceless: true})
	w.own("acme", "SN-1")
	j := w.join(0).nonceless()
	j.requestSigner, j.requestChain = newEntity(t, "Registrar", short, asRegistrar), []*entity{short}
	if v := j.voucher(); !v.Leaves.ExpiresOn.Equal(epoch.Add(48 * time.Hour)) {
		t.Errorf("expires-on is %v", v.Leaves.ExpiresOn)
	}
	w.now = epoch.Add(48*time.Hour - 10*time.Minute)
	j = w.join(0).nonceless()
	j.requestSigner, j.requestChain = newEntity(t, "Registrar", short, asRegistrar), []*entity{short}
	w.refused(j.exchange(), decision.PinExpires)
}

// TestANoncelessReplayNeedsTheSameClient: who captured a customer's request does
// not get its voucher over another connection.
func TestANoncelessReplayNeedsTheSameClient(t *testing.T) {
	w := newWorld(t)
	tls := newEntity(t, "TLS", nil)
	w.acme(func(c *masa.Customer) { c.ClientCerts = []*x509.Certificate{tls.cert} })
	j := w.join(0).nonceless()
	j.peer = []*x509.Certificate{tls.cert}
	r := j.exchange()
	first := w.send(r)
	r.Peer = nil
	w.refused(r, decision.NoncelessUnknown)
	r.Peer = []*x509.Certificate{tls.cert}
	if !bytes.Equal(w.send(r).Body, first.Body) {
		t.Error("the customer got another voucher")
	}
}

func TestExclusivePools(t *testing.T) {
	w := newWorld(t)
	w.acme(nil)
	ctx := context.Background()
	must(t, w.masa.SetPool(ctx, masa.Pool{Name: "old-stock", Exclusive: true, Owner: "acme"}))
	if done := w.importDevices(masa.ImportOptions{Pool: "old-stock"}, w.devices[1]); done.Changed != 1 {
		t.Errorf("imported %+v", done)
	}
	if v := w.join(1).voucher(); v.Leaves.Assertion != codec.AssertionVerified {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	stranger := w.join(1)
	other := newEntity(t, "Other CA", nil, asCA)
	stranger.requestSigner, stranger.requestChain = newEntity(t, "Registrar", other, asRegistrar), []*entity{other}
	stranger.pledge.ProximityRegistrarCert = stranger.requestSigner.cert.Raw
	w.refused(stranger.exchange(), decision.OwnedByOther)
	must(t, w.masa.SetPool(ctx, masa.Pool{Name: "old-stock", Owner: "acme"}))
	if v := stranger.voucher(); v.Leaves.Assertion != codec.AssertionProximity {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	pools, err := w.masa.ListPools(ctx, "", 10)
	if err != nil || len(pools) != 1 || pools[0] != (masa.Pool{Name: "old-stock", Owner: "acme"}) {
		t.Errorf("pools are %+v, %v", pools, err)
	}
}

// TestTwoDomainsRaceForAnExclusiveDevice: whoever is first has it, and there is
// always exactly one.
func TestTwoDomainsRaceForAnExclusiveDevice(t *testing.T) {
	const races = 1000
	w := newWorld(t)
	w.cfg.Observe = nil
	w.start()
	other := newEntity(t, "Other CA", nil, asCA)
	registrars := []*entity{w.registrar, newEntity(t, "Registrar", other, asRegistrar)}
	chains := [][]*entity{{w.domain}, {other}}
	key := w.devices[0].key
	serials := make([]*entity, races)
	for i := range serials {
		serials[i] = issue(t, "Device", key, w.maker, asDevice(fmt.Sprintf("RACE-%04d", i)))
	}
	if done := w.importDevices(masa.ImportOptions{Exclusive: true}, serials...); done.New != races {
		t.Fatalf("imported %+v", done)
	}
	first := len(w.devices)
	w.devices = append(w.devices, serials...)
	wins := [2]int{}
	for i := range races {
		var requests [2]*exchange.Request
		for k := range requests {
			j := w.join(first + i)
			j.requestSigner, j.requestChain, j.pledge.ProximityRegistrarCert = registrars[k], chains[k], registrars[k].cert.Raw
			requests[k] = j.exchange()
		}
		var errs [2]error
		var group sync.WaitGroup
		for k := range requests {
			group.Go(func() { _, errs[k] = w.masa.RequestVoucher(context.Background(), requests[k]) })
		}
		group.Wait()
		winner := slices.Index(errs[:], nil)
		if winner < 0 || !decision.Is(errs[1-winner], decision.OwnedByOther) {
			t.Fatalf("race %d: %v and %v", i, errs[0], errs[1])
		}
		wins[winner]++
		if n := w.events(first + i); n != 1 {
			t.Fatalf("race %d has %d events", i, n)
		}
		if i%100 == 0 { // it stays that way, and the winner may come again
			j := w.join(first + i)
			j.requestSigner, j.requestChain, j.pledge.ProximityRegistrarCert = registrars[winner], chains[winner], registrars[winner].cert.Raw
			j.voucher()
		}
	}
	t.Logf("the domains won %d and %d times", wins[0], wins[1])
}

func TestReleaseOpensAnExclusiveDeviceAgain(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	_, err := w.masa.SetDevice(ctx, "SN-1", true, false)
	must(t, err)
	unseen := w.join(0)
	unseen.without = true
	w.refused(unseen.exchange(), decision.OwnedByOther) // a serial number is not enough to be first
	w.join(0).voucher()
	unseen.voucher()
	other := newEntity(t, "Other CA", nil, asCA)
	second := func() *joining {
		j := w.join(0)
		j.requestSigner, j.requestChain = newEntity(t, "Registrar", other, asRegistrar), []*entity{other}
		j.pledge.ProximityRegistrarCert = j.requestSigner.cert.Raw
		return j
	}
	// A CA that calls itself what the first one is called has another key.
	fake := issue(t, "Domain CA", newKey(t), nil, asCA, func(c *x509.Certificate) { c.SubjectKeyId = w.domain.cert.SubjectKeyId })
	j := second()
	j.requestSigner, j.requestChain = newEntity(t, "Registrar", fake, asRegistrar), []*entity{fake}
	j.pledge.ProximityRegistrarCert = j.requestSigner.cert.Raw
	w.refused(j.exchange(), decision.OwnedByOther)
	w.refused(second().exchange(), decision.OwnedByOther)
	_, err = w.masa.Release(ctx, "SN-1")
	must(t, err)
	second().voucher()
	w.refused(w.join(0).exchange(), decision.OwnedByOther)
	// An owner on record counts before who came first.
	w.acme(nil)
	w.join(0).voucher()
	w.refused(second().exchange(), decision.OwnedByOther)
}

func TestOwnersHaveAHistory(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.acme(nil)
	w.customer(masa.Customer{Name: "zeta", Anchors: []*x509.Certificate{newEntity(t, "Zeta CA", nil, asCA).cert}})
	w.now = epoch.Add(time.Hour)
	if done := w.own("zeta", "SN-1", "SN-2", "SN-1"); done.Changed != 2 || done.Unchanged != 1 {
		t.Errorf("owned %+v", done)
	}
	w.own("", "SN-2")
	d, err := w.masa.ShowDevice(ctx, "SN-1")
	must(t, err)
	if want := []masa.Owned{{"acme", epoch}, {"zeta", epoch.Add(time.Hour)}}; d.Owner != "zeta" || !slices.Equal(d.History, want) {
		t.Errorf("the device is owned by %s, history %v", d.Owner, d.History)
	}
	if ids, err := w.masa.ListOwned(ctx, "zeta", d.ID, 10); err != nil || len(ids) != 0 {
		t.Errorf("behind it zeta owns %v, %v", ids, err)
	}
	if ids, err := w.masa.ListOwned(ctx, "acme", device.ID{}, 10); err != nil || len(ids) != 0 {
		t.Errorf("acme owns %v, %v", ids, err)
	}
	w.refused(w.join(0).nonceless().exchange(), decision.OwnedByOther)
}
