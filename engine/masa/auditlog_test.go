package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// asks asks for the audit log with a voucher-request.
func (w *world) asks(r *exchange.Request) *audit.Response {
	w.t.Helper()
	again := *r
	again.Accept = exchange.TypeJSON
	answer, err := w.masa.RequestAuditLog(context.Background(), &again)
	must(w.t, err)
	response, err := audit.ParseResponse(answer.Body, audit.Limits{})
	must(w.t, err)
	return response
}

func (w *world) logRefused(r *exchange.Request, kind decision.Kind) {
	w.t.Helper()
	again := *r
	again.Accept = exchange.TypeJSON
	answer, err := w.masa.RequestAuditLog(context.Background(), &again)
	if answer != nil || !decision.Is(err, kind) {
		w.t.Fatalf("got %v, %v, want a refusal of kind %s", answer, err, kind)
	}
}

// by makes it a request of another domain.
func (j *joining) by(registrar, domain *entity) *joining {
	j.requestSigner, j.requestChain, j.pledge.ProximityRegistrarCert = registrar, []*entity{domain}, registrar.cert.Raw
	return j
}

func TestAuditLogIsForOwnersOldAndNew(t *testing.T) {
	w := newWorld(t)
	other := newEntity(t, "Other CA", nil, asCA)
	registrar := newEntity(t, "Registrar", other, asRegistrar)
	first := w.join(0).exchange()
	w.logRefused(first, decision.NeverOwner)
	w.send(first)
	w.now = epoch.Add(time.Minute)
	second := w.join(0).by(registrar, other)
	w.logRefused(second.exchange(), decision.NeverOwner)
	w.send(second.exchange())

	first.Now = epoch.Add(1000 * time.Hour) // the same octets, much later
	response := w.asks(first)
	if len(response.Events) != 2 {
		t.Fatalf("there are %d events, want 2", len(response.Events))
	}
	newest := response.Events[0]
	if !bytes.Equal(newest.DomainID, audit.DomainID(other.cert)) || newest.Assertion != codec.AssertionProximity.String() || newest.Nonce == nil {
		t.Errorf("the newest event is %+v", newest)
	}
	verifier, err := audit.NewVerifier(w.cfg.Log.Signer().VerifierKey())
	must(t, err)
	if _, err := response.VerifyLog(verifier, "SN-1"); err != nil {
		t.Error(err)
	}
	w.asks(second.exchange())

	// Who has only put the owner's key identifier into a CA of its own is not it.
	fake := newEntity(t, "Domain CA", nil, asCA, func(c *x509.Certificate) { c.SubjectKeyId = w.domain.cert.SubjectKeyId })
	w.logRefused(w.join(0).by(newEntity(t, "Registrar", fake, asRegistrar), fake).exchange(), decision.NeverOwner)
	// Nor who sends the owner's CA along.
	stranger := newEntity(t, "Stranger CA", nil, asCA)
	j := w.join(0).by(newEntity(t, "Registrar", stranger, asRegistrar), stranger)
	j.requestChain = append(j.requestChain, w.domain)
	w.logRefused(j.exchange(), decision.NeverOwner)
}

func TestAuditLogRefusals(t *testing.T) {
	w := newWorld(t)
	good := w.join(0)
	w.send(good.exchange())
	text := good.exchange()
	text.Accept = "text/plain"
	if _, err := w.masa.RequestAuditLog(context.Background(), text); !decision.Is(err, decision.NotAcceptable) {
		t.Errorf("Accept of text: %v", err)
	}
	bad := good.exchange()
	bad.Body[len(bad.Body)-1] ^= 1
	w.logRefused(bad, decision.BadSignature)
	device := w.join(0)
	device.requestSigner = newEntity(t, "LDevID", w.domain)
	w.logRefused(device.exchange(), decision.NotRegistrar)
	unknown := w.join(0)
	unknown.without, unknown.request.SerialNumber = true, []byte("SN-9")
	w.logRefused(unknown.exchange(), decision.UnknownDevice)
	w.logRefused(w.join(1).exchange(), decision.NeverOwner)
}

// TestAnOwnerOnRecordMayReadTheLog though no voucher was issued to it.
func TestAnOwnerOnRecordMayReadTheLog(t *testing.T) {
	w := newWorld(t)
	w.acme(nil)
	w.logRefused(w.join(0).exchange(), decision.NeverOwner) // there is nothing in it
	other := newEntity(t, "Other CA", nil, asCA)
	w.send(w.join(0).by(newEntity(t, "Registrar", other, asRegistrar), other).exchange())
	if n := len(w.asks(w.join(0).exchange()).Events); n != 1 {
		t.Errorf("there are %d events", n)
	}
	must(t, w.masa.BlockCustomer(context.Background(), "acme", ""))
	w.logRefused(w.join(0).exchange(), decision.DeviceRefused)
}

func TestNoncelessVouchersAreInTheLog(t *testing.T) {
	w := newWorld(t)
	w.acme(nil)
	w.send(w.join(0).nonceless().exchange())
	response := w.asks(w.join(0).exchange())
	if len(response.Events) != 1 || response.Events[0].Nonce != nil || response.Events[0].Assertion != codec.AssertionVerified.String() {
		t.Errorf("events are %+v", response.Events)
	}
}
