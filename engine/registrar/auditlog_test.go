package registrar_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// foreign is an audit log event of another domain.
func foreign(nonce any) map[string]any {
	return map[string]any{"date": "2026-01-01T00:00:00Z", "domainID": "asnNUUuHesxIA5pQ2TWKOIRLC1c=", "nonce": nonce, "assertion": "logged"}
}

func TestAuditLog(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  registrar.AuditPolicy
		known   bool
		masa    func(*masa)
		kind    decision.Kind // of simpleenroll, "" for a certificate
		verdict registrar.Verdict
	}{
		{"in order", registrar.AuditRequire, false, func(*masa) {}, "", registrar.Good},
		{"another owner", registrar.AuditRequire, false, func(m *masa) {
			m.events = func(_ string, e []map[string]any) []map[string]any { return append(e, foreign("abc")) }
		}, decision.NoVoucher, registrar.Bad},
		{"another owner, known", registrar.AuditRequire, true, func(m *masa) {
			m.events = func(_ string, e []map[string]any) []map[string]any { return append(e, foreign("abc")) }
		}, "", registrar.Good},
		{"another owner, known, nonceless", registrar.AuditRequire, true, func(m *masa) {
			m.events = func(_ string, e []map[string]any) []map[string]any { return append(e, foreign(nil)) }
		}, decision.NoVoucher, registrar.Bad},
		{"another owner, preferred", registrar.AuditPrefer, false, func(m *masa) {
			m.events = func(_ string, e []map[string]any) []map[string]any { return append(e, foreign("abc")) }
		}, decision.NoVoucher, registrar.Bad},
		{"voucher not in it", registrar.AuditRequire, false, func(m *masa) {
			m.events = func(_ string, e []map[string]any) []map[string]any { return []map[string]any{} }
		}, decision.NoVoucher, registrar.Bad},
		{"unknown to the MASA", registrar.AuditRequire, false, auditStatus(404), decision.NoVoucher, ""},
		{"unknown to the MASA, preferred", registrar.AuditPrefer, false, auditStatus(404), "", registrar.Good},
		{"failing", registrar.AuditRequire, false, auditStatus(500), decision.Pending, ""},
		{"garbage", registrar.AuditRequire, false, func(m *masa) {
			m.answer = func(c *registrar.Call, r *registrar.Reply) {
				if strings.HasSuffix(c.URL, "/requestauditlog") {
					r.Body = []byte("{")
				}
			}
		}, decision.Pending, ""},
		{"too large", registrar.AuditRequire, false, func(m *masa) {
			m.answer = func(c *registrar.Call, r *registrar.Reply) {
				if strings.HasSuffix(c.URL, "/requestauditlog") {
					r.Body = append(r.Body, bytes.Repeat([]byte{' '}, exchange.MaxAuditLog)...)
				}
			}
		}, decision.Pending, ""},
		{"not asked for", registrar.AuditOff, false, auditStatus(404), "", registrar.Good},
		{"at a place of the same origin", registrar.AuditRequire, false, auditAt("/log/7f3a"), "", registrar.Good},
		{"at a place elsewhere", registrar.AuditRequire, false, auditAt("https://elsewhere.example/log"), decision.Pending, ""},
		{"at a place without TLS", registrar.AuditRequire, false, auditAt("http://masa.example.com:9443/log"), decision.Pending, ""},
		{"at another port", registrar.AuditRequire, false, auditAt("https://masa.example.com/log"), decision.Pending, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newSite(t, func(cfg *registrar.Config) {
				cfg.Audit = c.policy
				if c.known {
					cfg.KnownDomains = [][]byte{{0x6a, 0xc9, 0xcd, 0x51, 0x4b, 0x87, 0x7a, 0xcc, 0x48, 0x03, 0x9a, 0x50, 0xd9, 0x35, 0x8a, 0x38, 0x84, 0x4b, 0x0b, 0x57}}
				}
			})
			w.masa.set(c.masa)
			p := w.pledge("SN-0001")
			p.voucher()
			key := newKey(t)
			body := csr(t, key, est.CSRParams{Subject: p.subject()})
			_, err := w.enroll(p.peer(), body)
			if c.kind != "" {
				wantKind(t, err, c.kind)
			} else if err != nil {
				t.Fatal(err)
			}
			w.registrar.Close() // what is under way ends, and has said what it had to say
			info, err := w.registrar.ShowDevice(t.Context(), "SN-0001")
			if err != nil || info.Verdict != c.verdict {
				t.Errorf("verdict %q, %v, want %q (%s)", info.Verdict, err, c.verdict, info.Reason)
			}
			if c.verdict == registrar.Bad && !w.alarmed("audit-log") {
				t.Error("no alarm")
			}
			calls := w.masa.made("")
			for _, call := range calls {
				if call.Method == "POST" && !bytes.Equal(call.Body, calls[0].Body) {
					t.Error("the audit log is asked for with another request than the voucher")
				}
			}
		})
	}
}

func auditStatus(n int) func(*masa) {
	return func(m *masa) {
		m.answer = func(c *registrar.Call, r *registrar.Reply) {
			if strings.HasSuffix(c.URL, "/requestauditlog") {
				*r = registrar.Reply{Status: n}
			}
		}
	}
}

// auditAt answers 201 with a Location, and the log there.
func auditAt(location string) func(*masa) {
	var log []byte
	return func(m *masa) {
		m.answer = func(c *registrar.Call, r *registrar.Reply) {
			if strings.HasSuffix(c.URL, "/requestauditlog") {
				log = r.Body
				*r = registrar.Reply{Status: 201, Location: location}
			}
		}
		m.reply = func(c *registrar.Call) (*registrar.Reply, error) {
			if c.Method != "GET" {
				return nil, nil
			}
			return &registrar.Reply{Status: 200, ContentType: "application/json; charset=utf-8", Body: log}, nil
		}
	}
}

// A verdict that turns bad keeps the device from a certificate and from a
// renewal, whichever certificate it presents.
func TestVerdictTurnsBad(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.voucher()
	key := newKey(t)
	cert, err := w.enroll(p.peer(), csr(t, key, est.CSRParams{Subject: p.subject()}))
	if err != nil {
		t.Fatal(err)
	}
	w.masa.set(func(m *masa) {
		m.events = func(_ string, e []map[string]any) []map[string]any { return append(e, foreign(nil)) }
	})
	pvr := p.pvr()
	if _, err := p.ask(pvr); err != nil {
		t.Fatal(err)
	}
	_, err = w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.NoVoucher)
	_, err = w.reenroll([]*x509.Certificate{cert}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.NoVoucher)
	_, err = p.ask(pvr)
	wantKind(t, err, decision.AuditRefused)
	w.masa.set(func(m *masa) { m.events = nil })
	p.voucher()
	if _, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err != nil {
		t.Errorf("after a log that is in order: %v", err)
	}
}

func TestEnrolmentWaitsForTheVerdict(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.VerdictPatience = 7 * time.Second }, timers(7*time.Second))
	release, _ := w.slow("/requestauditlog")
	p := w.pledge("SN-0001")
	p.voucher()
	body := csr(t, newKey(t), est.CSRParams{Subject: p.subject()})
	_, err := w.enroll(p.peer(), body)
	if r := wantKind(t, err, decision.Pending); r.RetryAfter != 30*time.Second {
		t.Errorf("RetryAfter %s", r.RetryAfter)
	}
	// Over a restart the log is asked for again, with the request of then.
	w.restart(func(c *registrar.Config) { c.VerdictPatience, c.AfterFunc = 0, nil })
	release()
	if _, err := w.enroll(p.peer(), body); err != nil {
		t.Fatal(err)
	}
	calls := w.masa.made("")
	if last := calls[len(calls)-1]; !bytes.Equal(last.Body, calls[0].Body) {
		t.Error("another request")
	}
}

func TestExplanationsAreJSON(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.voucher()
	x, err := w.registrar.Explain(t.Context(), "SN-0001")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(x); err != nil || !bytes.Contains(text, []byte(`"check":"proximity","ok":true`)) {
		t.Errorf("%s, %v", text, err)
	}
}
