package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
)

func (w *world) send(r *exchange.Request) *exchange.Answer {
	w.t.Helper()
	answer, err := w.masa.RequestVoucher(context.Background(), r)
	must(w.t, err)
	return answer
}

func TestTheSameRequestGetsTheSameBytes(t *testing.T) {
	w := newWorld(t)
	r := w.join(0).exchange()
	first := w.send(r)
	same := func(what string, want bool) {
		t.Helper()
		if got := bytes.Equal(w.send(r).Body, first.Body); got != want {
			t.Errorf("%s: the same bytes: %v, want %v", what, got, want)
		}
	}
	r.Now = epoch.Add(time.Hour)
	same("an hour later", true)
	w.restart()
	same("after a restart", true)
	w.customer(masa.Customer{Name: "other", Anchors: []*x509.Certificate{newEntity(t, "Other CA", nil, asCA).cert}})
	r.Now = epoch.Add(24*time.Hour - time.Second)
	same("a day later, after a change of customers", true)
	if n := w.events(0); n != 1 {
		t.Errorf("there are %d events, want 1", n)
	}
	jws := *r
	jws.Accept = codec.FormatJWS.MediaType()
	jws.Now = epoch
	if answer := w.send(&jws); answer.ContentType != codec.FormatJWS.MediaType() {
		t.Errorf("asked for JWS, got %s", answer.ContentType)
	}
	r.Now = epoch.Add(24*time.Hour + time.Second)
	w.refused(r, decision.StaleRequest)
}

func TestARepeatedRequestForABlockedDeviceIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.join(0).exchange()
	w.send(r)
	_, err := w.masa.Block(context.Background(), "SN-1", "stolen")
	must(t, err)
	w.refused(r, decision.DeviceRefused)
	_, err = w.masa.Unblock(context.Background(), "SN-1")
	must(t, err)
	w.send(r)
	if n := w.events(0); n != 1 {
		t.Errorf("there are %d events, want 1", n)
	}
	w.acme(nil)
	r = w.join(1).exchange()
	w.send(r)
	must(t, w.masa.BlockCustomer(context.Background(), "acme", "unpaid")) // which changes nothing of the device
	w.refused(r, decision.DeviceRefused)
}

func TestConcurrentRepetitionsHaveOneEvent(t *testing.T) {
	w := newWorld(t)
	w.cfg.Observe = nil
	w.start()
	r := w.join(0).exchange()
	answers := make([]*exchange.Answer, 32)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			answers[i], _ = w.masa.RequestVoucher(context.Background(), r)
		})
	}
	group.Wait()
	for _, a := range answers {
		if a == nil || !bytes.Equal(a.Body, answers[0].Body) {
			t.Fatal("the answers differ")
		}
	}
	if n := w.events(0); n != 1 {
		t.Errorf("there are %d events, want 1", n)
	}
}

// TestCrashes kills the MASA around the commit of a voucher.
func TestCrashes(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  state.Fault
		events int // that a restart finds
	}{
		{"before the commit", state.CrashBefore, 0},
		{"after the commit", state.CrashAfter, 1},
		{"commit failed", state.FailBefore, 0},
		{"commit failed and is there", state.FailAfter, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.join(0).exchange()
			w.db.OnCommit(func(uint64) state.Fault { return c.fault })
			answer, err := w.masa.RequestVoucher(context.Background(), r)
			if answer != nil || err == nil {
				t.Fatal("a voucher left although its commit was not acknowledged")
			}
			w.restart()
			if n := w.events(0); n != c.events {
				t.Fatalf("the restart finds %d events, want %d", n, c.events)
			}
			r.Now = r.Now.Add(time.Minute)
			first, second := w.send(r), w.send(r)
			if !bytes.Equal(first.Body, second.Body) {
				t.Error("two answers to one request")
			}
			if n := w.events(0); n != 1 {
				t.Errorf("there are %d events, want 1", n)
			}
			if created := w.read(first).Leaves.CreatedOn; c.events == 1 && !created.Equal(epoch) {
				t.Errorf("the voucher was made at %v, not before the crash", created)
			}
		})
	}
}

func TestAFullDiskIssuesNothing(t *testing.T) {
	w := newWorld(t)
	r := w.join(0).exchange()
	w.db.SetFull(true)
	if refusal := w.refused(r, decision.StorageFull); refusal.RetryAfter <= 0 {
		t.Error("the peer is not told when to come back")
	}
	w.db.SetFull(false)
	w.send(r)
}

func TestAnswersAreForgotten(t *testing.T) {
	w := newWorld(t)
	const many = 40
	for range many {
		w.send(w.join(0).exchange())
	}
	answers := func() (n int) {
		must(t, w.db.View(context.Background(), func(r state.Reader) error {
			return r.Scan([]byte("masa/v/"), nil, func(_, _ []byte) error { n++; return nil })
		}))
		return n
	}
	if n := answers(); n != many {
		t.Fatalf("%d answers are kept, want %d", n, many)
	}
	w.now = epoch.Add(25 * time.Hour)
	w.send(w.join(0).exchange())
	if n := answers(); n != many+1-4 {
		t.Errorf("one more voucher left %d answers, want four fewer and its own", n)
	}
	w.restart() // which forgets how far it was
	w.send(w.join(0).exchange())
	n, err := w.masa.Sweep(context.Background(), w.now, 10)
	if err != nil || n != 10 {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err = w.masa.Sweep(context.Background(), w.now, 1<<20); err != nil {
		t.Error(err)
	}
	if n := answers(); n != 2 {
		t.Errorf("%d answers are left, want the two of today", n)
	}
}

func TestRefusalsAreKeptOfThoseWhoAreKnown(t *testing.T) {
	w := newWorld(t)
	stranger := w.join(0)
	stranger.request.ProximityRegistrarCert = w.registrar.cert.Raw
	w.refused(stranger.exchange(), decision.ForbiddenLeaf)
	d, err := w.masa.ShowDevice(context.Background(), "SN-1")
	must(t, err)
	if d.Refused != 0 || w.attempts[0].Recorded {
		t.Errorf("the refusal of a stranger is on record: %+v", d)
	}
	w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}})
	for range 20 {
		w.refused(stranger.exchange(), decision.ForbiddenLeaf)
	}
	d, err = w.masa.ShowDevice(context.Background(), "SN-1")
	must(t, err)
	if d.Refused != 20 || len(d.Refusals) != 16 || d.Refusals[15].Kind != decision.ForbiddenLeaf || d.Refusals[15].Customer != "acme" || d.Refusals[15].Operator == "" {
		t.Errorf("on record is %+v", d)
	}
}
