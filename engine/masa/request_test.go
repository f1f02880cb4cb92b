package masa_test

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
)

func TestARegistrarTheDeviceSawGetsProximity(t *testing.T) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		t.Run(format.String(), func(t *testing.T) {
			w := newWorld(t)
			j := w.join(0)
			j.format = format
			v := j.voucher()
			if v.Format != format || v.Leaves.Assertion != codec.AssertionProximity || !bytes.Equal(v.Leaves.Nonce, j.request.Nonce) ||
				string(v.Leaves.SerialNumber) != "SN-1" || !v.Leaves.ExpiresOn.IsZero() || !v.Leaves.CreatedOn.Equal(w.now) || v.Leaves.DomainCertRevocationChecks != codec.BoolOf(false) {
				t.Errorf("voucher is %+v", v.Leaves)
			}
			if !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
				t.Error("the domain CA is not pinned")
			}
			if v.Leaves.IDevIDIssuer != nil {
				t.Error("idevid-issuer is stated though the serial number is unique")
			}
			if n := w.events(0); n != 1 {
				t.Errorf("there are %d events, want 1", n)
			}
		})
	}
}

func TestDevicesThatReadOneFormat(t *testing.T) {
	w := newWorld(t)
	if done := w.importDevices(masa.ImportOptions{Formats: []codec.Format{codec.FormatJWS}}, w.devices[0]); done.Changed != 1 {
		t.Fatalf("imported %+v", done)
	}
	j := w.join(0)
	j.accept = "application/voucher-cms+json"
	w.refused(j.exchange(), decision.NotAcceptable)
	j.accept = "application/voucher-cms+json, application/voucher-jws+json;q=0.1"
	if v := j.voucher(); v.Format != codec.FormatJWS {
		t.Errorf("a device that reads JWS got %v", v.Format)
	}
	if v := w.join(1).voucher(); v.Format != codec.FormatCMS {
		t.Errorf("another device got %v", v.Format)
	}
}

// TestOneRequestOfADeviceCannotFillTheLog though a stranger sends it again and
// again, each time in another request of theirs.
func TestOneRequestOfADeviceCannotFillTheLog(t *testing.T) {
	w := newWorld(t)
	w.cfg.Observe = nil
	w.start()
	j := w.join(0)
	j.body()
	j.fixed = true
	again := func() *exchange.Request {
		j.request.CreatedOn = j.request.CreatedOn.Add(-time.Second)
		return j.exchange()
	}
	const many = 1000
	for range many {
		w.send(again())
	}
	if refusal := w.refused(again(), decision.RateLimited); refusal.RetryAfter != 12*time.Hour {
		t.Errorf("come back after %v, want when the day ends", refusal.RetryAfter)
	}
	if n := w.events(0); n != many {
		t.Errorf("there are %d events", n)
	}
	w.join(1).voucher()
	w.acme(nil)
	w.send(again())
}

// TestStrangersCannotFillTheLog: with a serial number alone.
func TestStrangersCannotFillTheLog(t *testing.T) {
	w := newWorld(t)
	unasked := func() *joining {
		j := w.join(0)
		j.without = true
		return j
	}
	const many = 16
	for range many {
		w.send(unasked().exchange())
	}
	if refusal := w.refused(unasked().exchange(), decision.RateLimited); refusal.RetryAfter <= 0 {
		t.Error("the stranger is not told when to come back")
	}
	if n := w.events(0); n != many {
		t.Errorf("there are %d events", n)
	}
	w.join(0).voucher() // the device asks itself
	w.now = w.now.AddDate(0, 0, 1)
	unasked().voucher()
	w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}})
	w.own("acme", "SN-1")
	for range many + 1 {
		unasked().voucher()
	}
}
