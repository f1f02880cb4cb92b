package registrar_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
)

const logOrigin = "masa.example.com/audit"

// A provenLog is the audit log of a MASA that proves what it shows.
type provenLog struct {
	t   testing.TB
	key string // verifier key
	log *audit.Log
	db  *state.Memory
	as  string // device that vouchers are logged for, "" for the right one
}

func newProvenLog(t testing.TB) *provenLog {
	t.Helper()
	secret, public, err := audit.GenerateKey(rand.Reader, logOrigin)
	if err != nil {
		t.Fatal(err)
	}
	l := &provenLog{t: t, key: public, db: state.NewMemory()}
	l.log = must[*audit.Log](t)(audit.New(must[*audit.Signer](t)(audit.NewSigner(secret)), rand.Reader))
	return l
}

// fork is a log under the same key that has nothing in it.
func (l *provenLog) fork() *provenLog {
	return &provenLog{t: l.t, key: l.key, log: l.log, db: state.NewMemory()}
}

func (l *provenLog) append(e *audit.Event) {
	l.t.Helper()
	if err := l.db.Update(context.Background(), func(tx state.Tx) error {
		_, err := l.log.Append(tx, e)
		return err
	}); err != nil {
		l.t.Fatal(err)
	}
}

// others appends n events of a device that nobody asks about.
func (l *provenLog) others(n int) {
	nonce := "bm9uY2U="
	for range n {
		l.append(&audit.Event{Kind: audit.VoucherIssued, Assertion: codec.AssertionProximity, Date: epoch, Device: device.ID{IssuerKeyID: "x", Serial: "other"}, DomainID: []byte("x"), Nonce: &nonce})
	}
}

func (l *provenLog) body(id device.ID) (body []byte) {
	l.t.Helper()
	if err := l.db.View(context.Background(), func(r state.Reader) (err error) {
		body, err = l.log.AppendResponse(nil, r, audit.ResponseParams{Device: id})
		return err
	}); err != nil {
		l.t.Error(err)
	}
	return body
}

// proves has the MASA log its vouchers in l and answer with what l proves.
func (w *site) proves(l *provenLog) {
	w.masa.set(func(m *masa) {
		m.answer = func(c *registrar.Call, r *registrar.Reply) {
			opener := artefact.Opener{Verifier: verifier()}
			q, err := opener.Request(context.Background(), codec.FormatCMS, c.Body)
			if err != nil {
				w.t.Error(err)
				return
			}
			id, nonce := device.ID{IssuerKeyID: string(w.maker.Certificate().SubjectKeyId), Serial: string(q.Leaves.SerialNumber)}, string(q.Leaves.NonceText)
			if l.as != "" {
				id.Serial = l.as
			}
			if strings.HasSuffix(c.URL, "/requestauditlog") {
				r.Body = l.body(id)
				return
			}
			l.append(&audit.Event{Kind: audit.VoucherIssued, Assertion: codec.AssertionProximity, Date: w.clock(), Device: id, DomainID: audit.DomainID(w.chain[1]), Nonce: &nonce})
		}
	})
}

func (w *site) audits(keys ...string) {
	w.t.Helper()
	m := w.manufacturer("maker")
	m.AuditKeys = keys
	w.addMaker(m)
}

// tries has a new device join up to its certificate.
func (w *site) tries(serial string) error {
	w.t.Helper()
	p := w.pledge(serial)
	p.voucher()
	_, err := w.enroll(p.peer(), csr(w.t, newKey(w.t), est.CSRParams{Subject: p.subject()}))
	return err
}

// wantBad checks that a device got no certificate because of its audit log, that
// the reason says why, and that an operator is called.
func (w *site) wantBad(serial, why string) {
	w.t.Helper()
	err := w.tries(serial)
	wantKind(w.t, err, decision.NoVoucher)
	info, err := w.registrar.ShowDevice(w.t.Context(), serial)
	if err != nil || info.Verdict != registrar.Bad || !strings.Contains(info.Reason, why) {
		w.t.Errorf("verdict %+v, %v, want one that says %q", info, err, why)
	}
	if !w.alarmed("audit-log") {
		w.t.Error("no alarm")
	}
}

func TestAuditLogsAreProven(t *testing.T) {
	for _, policy := range []registrar.AuditPolicy{registrar.AuditRequire, registrar.AuditPrefer} {
		for _, c := range []struct {
			name string
			why  string // "" for a certificate
			with func(w *site, l *provenLog)
		}{
			{"proven", "", (*site).proves},
			{"without proof", "has no vouchmill-log", func(*site, *provenLog) {}},
			{"by another key", "not signed", func(w *site, _ *provenLog) { w.proves(newProvenLog(w.t)) }},
			{"of another device", "is of the device with serial number", func(w *site, l *provenLog) {
				l.as = "SN-0009"
				w.proves(l)
			}},
			{"an event that is not in the log", "for", func(w *site, l *provenLog) {
				w.proves(l)
				w.altered(func(o map[string]any) { o["events"] = append(o["events"].([]any), foreign("abc")) })
			}},
			{"another domain than the log has", "another domainID", func(w *site, l *provenLog) {
				w.proves(l)
				w.altered(func(o map[string]any) {
					for _, e := range o["events"].([]any) {
						e.(map[string]any)["domainID"] = foreign("")["domainID"]
					}
				})
			}},
		} {
			t.Run(string(policy)+"/"+c.name, func(t *testing.T) {
				w, l := newSite(t, func(cfg *registrar.Config) { cfg.Audit = policy }), newProvenLog(t)
				w.audits(l.key)
				c.with(w, l)
				if c.why != "" {
					w.wantBad("SN-0001", c.why)
				} else if err := w.tries("SN-0001"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// altered changes the audit log on its way.
func (w *site) altered(change func(map[string]any)) {
	w.masa.set(func(m *masa) {
		before := m.answer
		m.answer = func(c *registrar.Call, r *registrar.Reply) {
			before(c, r)
			if !strings.HasSuffix(c.URL, "/requestauditlog") {
				return
			}
			var o map[string]any
			err := json.Unmarshal(r.Body, &o)
			if err == nil {
				change(o)
				r.Body, err = json.Marshal(o)
			}
			if err != nil {
				w.t.Error(err)
			}
		}
	})
}

// A log that once had more events, or others, has been taken back, whatever it
// proves now; over a restart too.
func TestAuditLogsAreNotTakenBack(t *testing.T) {
	w, l := newSite(t), newProvenLog(t)
	w.audits(l.key)
	l.others(9)
	w.proves(l)
	if err := w.tries("SN-0001"); err != nil { // 10 events
		t.Fatal(err)
	}
	w.restart()
	short := l.fork()
	short.others(3)
	w.proves(short)
	w.wantBad("SN-0002", "had 10 events and has 4")
	other := l.fork()
	other.others(9)
	w.proves(other)
	w.wantBad("SN-0003", "two logs of 10 events")
	w.proves(l)
	if err := w.tries("SN-0004"); err != nil {
		t.Errorf("the log that is whole: %v", err)
	}

	// A new log has a new key: with that alone nothing is compared.
	fresh := newProvenLog(t)
	w.audits(fresh.key)
	w.proves(fresh)
	if err := w.tries("SN-0005"); err != nil {
		t.Errorf("a new log under a new key: %v", err)
	}
	// With a second key beside the first it is the same log.
	w.audits(newProvenLog(t).key, fresh.key)
	forked := fresh.fork()
	w.proves(forked)
	w.wantBad("SN-0006", "two logs of 1 events")
}

// Answers overtake each other: one that is older than what came since it was
// asked for takes nothing back.
func TestAuditLogsOvertakeEachOther(t *testing.T) {
	w, l := newSite(t), newProvenLog(t)
	w.audits(l.key)
	w.proves(l)
	first := w.pledge("SN-0001")
	answered, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	w.masa.set(func(m *masa) {
		// The log that the first device is shown is of now, and comes later.
		prove := m.answer
		var early []byte
		m.blocking = func(_ context.Context, c *registrar.Call) {
			if !strings.HasSuffix(c.URL, "/requestauditlog") {
				return
			}
			m.set(func(m *masa) { m.blocking = nil })
			early = l.body(device.ID{IssuerKeyID: string(w.maker.Certificate().SubjectKeyId), Serial: "SN-0001"})
			close(answered)
			<-held
		}
		m.answer = func(c *registrar.Call, r *registrar.Reply) {
			prove(c, r)
			if strings.HasSuffix(c.URL, "/requestauditlog") && early != nil && sameDevice(r.Body, early) {
				r.Body = early
			}
		}
	})
	first.voucher()
	<-answered
	if err := w.tries("SN-0002"); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := w.enroll(first.peer(), csr(t, newKey(t), est.CSRParams{Subject: first.subject()})); err != nil {
		t.Errorf("the answer that was overtaken: %v", err)
	}
	short := l.fork()
	w.proves(short)
	w.wantBad("SN-0003", "had 2 events and has 1")
}

// sameDevice reports whether two answers show the same first event.
func sameDevice(a, b []byte) bool {
	nonce := func(body []byte) string {
		r, err := audit.ParseResponse(body, audit.Limits{})
		if err != nil || len(r.Events) == 0 || r.Events[0].Nonce == nil {
			return ""
		}
		return *r.Events[0].Nonce
	}
	return nonce(a) == nonce(b)
}

func TestAuditKeysAreChecked(t *testing.T) {
	w := newSite(t)
	m := w.manufacturer("maker")
	for name, keys := range map[string][]string{"no key": {"secret"}, "an empty one": {""}, "of two logs": {newProvenLog(t).key, strings.Replace(newProvenLog(t).key, "masa", "other", 1)}} {
		m.AuditKeys = keys
		if err := w.registrar.AddManufacturer(t.Context(), m); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := newProvenLog(t)
	w.audits(l.key)
	w.restart()
	if list := w.registrar.ListManufacturers(); len(list) != 1 || len(list[0].AuditKeys) != 1 || list[0].AuditKeys[0] != l.key {
		t.Errorf("%+v", list)
	}
}
