package registrar_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func status(n int) func(*masa) {
	return func(m *masa) {
		m.reply = func(*registrar.Call) (*registrar.Reply, error) {
			return &registrar.Reply{Status: n, ContentType: "text/plain", Body: []byte("a reason")}, nil
		}
	}
}

func fails(err *registrar.NetworkError) func(*masa) {
	err.Err = errors.New("as told")
	return func(m *masa) {
		m.reply = func(*registrar.Call) (*registrar.Reply, error) { return nil, err }
	}
}

func replies(change func(*registrar.Reply)) func(*masa) {
	return func(m *masa) {
		m.answer = func(_ *registrar.Call, r *registrar.Reply) { change(r) }
	}
}

func vouches(change func(*codec.Voucher)) func(*masa) {
	return func(m *masa) { m.voucher = change }
}

// What a MASA may do wrong, and what a pledge is told: nothing is passed on, no
// certificate follows, and the operator hears of it where there is something to
// do.
func TestMASAMisbehaves(t *testing.T) {
	for _, c := range []struct {
		name  string
		masa  func(*masa)
		kind  decision.Kind
		calls int
		alarm bool
	}{
		{"down", fails(&registrar.NetworkError{}), decision.MASAUnreachable, 2, false},
		{"connection broken", fails(&registrar.NetworkError{Connected: true}), decision.MASAUnreachable, 1, false},
		{"too slow", fails(&registrar.NetworkError{Connected: true, Timeout: true}), decision.MASATimeout, 1, false},
		{"no connection in time", fails(&registrar.NetworkError{Timeout: true}), decision.MASATimeout, 1, false},
		{"address refused", fails(&registrar.NetworkError{Address: true}), decision.MASAAddress, 1, true},
		{"202", func(m *masa) {
			m.reply = func(*registrar.Call) (*registrar.Reply, error) {
				return &registrar.Reply{Status: 202, RetryAfter: 45 * time.Second}, nil
			}
		}, decision.Pending, 1, false},
		{"301", func(m *masa) {
			m.reply = func(*registrar.Call) (*registrar.Reply, error) {
				return &registrar.Reply{Status: 301, Location: "https://elsewhere.example/"}, nil
			}
		}, decision.MASAFailed, 1, false},
		{"307", status(307), decision.MASAFailed, 1, false},
		{"204", status(204), decision.MASAFailed, 1, false},
		{"201", status(201), decision.MASAFailed, 1, false},
		{"400", status(400), decision.MASAFailed, 1, false},
		{"401", status(401), decision.MASAUnauthorized, 1, true},
		{"403", status(403), decision.MASAForbids, 1, false},
		{"404", status(404), decision.MASAUnknownDevice, 1, false},
		{"406", status(406), decision.MASANotAcceptable, 1, false},
		{"415", status(415), decision.MASAContentType, 1, false},
		{"429", status(429), decision.MASAUnavailable, 1, false},
		{"500", status(500), decision.MASAFailed, 1, false},
		{"503", status(503), decision.MASAFailed, 1, false},
		{"503 with Retry-After", func(m *masa) {
			m.reply = func(*registrar.Call) (*registrar.Reply, error) {
				return &registrar.Reply{Status: 503, RetryAfter: time.Minute}, nil
			}
		}, decision.MASAUnavailable, 1, false},
		{"garbage", replies(func(r *registrar.Reply) { r.Body = []byte("<html>") }), decision.MASAFailed, 1, false},
		{"nothing", replies(func(r *registrar.Reply) { r.Body = nil }), decision.MASAFailed, 1, false},
		{"wrong type", replies(func(r *registrar.Reply) { r.ContentType = "application/octet-stream" }), decision.MASAFailed, 1, false},
		{"a type the pledge does not take", replies(func(r *registrar.Reply) { r.ContentType = codec.FormatJWS.MediaType() }), decision.MASAFailed, 1, false},
		{"no type", replies(func(r *registrar.Reply) { r.ContentType = "" }), decision.MASAFailed, 1, false},
		{"too large", replies(func(r *registrar.Reply) { r.Body = append(r.Body, make([]byte, 64<<10)...) }), decision.MASAFailed, 1, false},
		{"voucher cut short", replies(func(r *registrar.Reply) { r.Body = r.Body[:len(r.Body)-20] }), decision.MASAFailed, 1, false},
		{"voucher altered", replies(func(r *registrar.Reply) {
			r.Body = bytes.Replace(r.Body, []byte(`"proximity"`), []byte(`"verified" `), 1)
		}), decision.VoucherMismatch, 1, true},
		{"another device's voucher", vouches(func(v *codec.Voucher) { v.SerialNumber = []byte("SN-0002") }), decision.VoucherMismatch, 1, true},
		{"another nonce", vouches(func(v *codec.Voucher) { v.Nonce, v.NonceText = bytes.Repeat([]byte{1}, 16), nil }), decision.VoucherMismatch, 1, true},
		{"no nonce", vouches(func(v *codec.Voucher) { v.Nonce, v.NonceText, v.ExpiresOn = nil, nil, epoch.Add(time.Hour) }), decision.VoucherMismatch, 1, true},
		{"another issuer", vouches(func(v *codec.Voucher) { v.IDevIDIssuer = codec.IssuerFromKeyID(make([]byte, 20)) }), decision.VoucherMismatch, 1, true},
		{"expired", vouches(func(v *codec.Voucher) { v.ExpiresOn = epoch.Add(-time.Hour) }), decision.VoucherMismatch, 1, true},
		{"pinned to a stranger", func(m *masa) {
			stranger := newRoot(m.w.t, "Site CA")
			m.voucher = func(v *codec.Voucher) { v.PinnedDomainCert = stranger.Certificate().Raw }
		}, decision.VoucherMismatch, 1, true},
		{"pinned to a stranger's key", vouches(func(v *codec.Voucher) { v.PinnedDomainCert, v.PinnedDomainPubkSHA256 = nil, make([]byte, 32) }), decision.VoucherMismatch, 1, true},
		{"signed by a stranger", func(m *masa) {
			signer, chain := stranger(m.w)
			m.sealing = func(codec.Format, []byte) (artefact.Signer, []*x509.Certificate) { return signer, chain }
		}, decision.VoucherMismatch, 1, true},
		{"a request in place of a voucher", func(m *masa) {
			m.answer = func(c *registrar.Call, r *registrar.Reply) { r.Body = c.Body }
		}, decision.VoucherMismatch, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newSite(t)
			w.masa.set(c.masa)
			p := w.pledge("SN-0001")
			r := p.request(p.pvr())
			_, err := w.registrar.RequestVoucher(t.Context(), r)
			refusal := wantKind(t, err, c.kind)
			w.checkLastCheck(r, c.kind)
			if strings.Contains(refusal.Public, "masa.example.com") || strings.Contains(refusal.Public, "a reason") {
				t.Errorf("the peer is told %q", refusal.Public)
			}
			if n := len(w.masa.made("/requestvoucher")); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
			calls := w.masa.made("")
			for _, call := range calls[1:] {
				if !bytes.Equal(call.Body, calls[0].Body) {
					t.Error("the repetition has other octets")
				}
			}
			if w.alarmed("refused") != c.alarm {
				t.Errorf("alarm %v, want %v", !c.alarm, c.alarm)
			}
			_, err = w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
			wantKind(t, err, decision.NoVoucher)
		})
	}
}

// checkLastCheck looks for a failed attempt of SN-0001 whose last check alone
// failed, for the given reason.
func (w *site) checkLastCheck(r *exchange.Request, kind decision.Kind) {
	w.t.Helper()
	x, err := w.registrar.Explain(w.t.Context(), "SN-0001")
	if err != nil || len(x.Attempts) != 1 || x.Attempts[0].Request != r.ID || x.Attempts[0].Outcome != kind {
		w.t.Errorf("recorded as %+v, %v", x, err)
		return
	}
	for i, c := range x.Attempts[0].Checks {
		if last := i == len(x.Attempts[0].Checks)-1; c.OK == last || last && c.Kind != kind {
			w.t.Errorf("check %d is %+v", i+1, c)
		}
	}
}

func stranger(w *site) (artefact.Signer, []*x509.Certificate) {
	root, key := newRoot(w.t, "Maker Voucher CA"), newKey(w.t)
	cert := must[*x509.Certificate](w.t)(root.VoucherSigner(ca.EntityParams{CommonName: "Maker MASA", PublicKey: key.Public(), NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(1, 0, 0)}))
	return signerOf(w.t, key), []*x509.Certificate{cert, root.Certificate()}
}

func TestPinsThatAreOurs(t *testing.T) {
	for name, change := range map[string]func(w *site, v *codec.Voucher){
		"registrar's certificate": func(w *site, v *codec.Voucher) { v.PinnedDomainCert = w.chain[0].Raw },
		"domain CA":               func(w *site, v *codec.Voucher) { v.PinnedDomainCert = w.chain[1].Raw },
		"registrar's key": func(w *site, v *codec.Voucher) {
			v.PinnedDomainCert, v.PinnedDomainPubk = nil, w.chain[0].RawSubjectPublicKeyInfo
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t)
			w.masa.set(vouches(func(v *codec.Voucher) { change(w, v) }))
			w.pledge("SN-0001").voucher()
		})
	}
}

func TestVoucherTrustMissingIsSaid(t *testing.T) {
	w := newSite(t)
	m := w.manufacturer("maker")
	m.VoucherTrust = nil
	w.addMaker(m)
	w.pledge("SN-0001").voucher()
	if !w.observed(registrar.Warning, "voucher-trust-missing") {
		t.Error("nobody was warned")
	}
}

func TestManufacturersURLGoesFirst(t *testing.T) {
	w := newSite(t)
	m := w.manufacturer("maker")
	m.MASAURL, m.MASATrust = "https://masa.internal/x/", []*x509.Certificate{w.vouchers.Certificate()}
	w.addMaker(m)
	w.pledge("SN-0001").voucher()
	c := w.masa.made("")[0]
	if c.URL != "https://masa.internal/x/requestvoucher" || len(c.Trust.Anchors) != 1 {
		t.Errorf("called %s with %d anchors", c.URL, len(c.Trust.Anchors))
	}
}

func TestAcceptIsPassedOn(t *testing.T) {
	cms, jws := codec.FormatCMS.MediaType(), codec.FormatJWS.MediaType()
	for accept, want := range map[string]string{
		"":                                    cms,
		"*/*":                                 cms,
		"application/*":                       cms,
		cms:                                   cms,
		jws + ", " + cms:                      cms + ", " + jws + ";q=0.5",
		jws + ", " + cms + ";q=0.1":           jws + ", " + cms + ";q=0.5",
		cms + ", " + jws + ";q=0":             cms,
		cms + ", application/cbor, */*;q=0.1": cms,
	} {
		w := newSite(t)
		p := w.pledge("SN-0001")
		r := p.request(p.pvr())
		r.Accept = accept
		// The MASA here answers in the envelope of the request, which all admit.
		if _, err := w.registrar.RequestVoucher(t.Context(), r); err != nil {
			t.Errorf("Accept %q: %v", accept, err)
		}
		if got := w.masa.made("")[0].Accept; got != want {
			t.Errorf("Accept %q is passed on as %q, want %q", accept, got, want)
		}
	}
}

// slow makes the MASA wait for release, or the end of the call. called is closed
// when it is asked first.
func (w *site) slow(suffix string) (release func(), called <-chan struct{}) {
	gate, asked, once := make(chan struct{}), make(chan struct{}), sync.Once{}
	w.masa.set(func(m *masa) {
		m.blocking = func(ctx context.Context, c *registrar.Call) {
			if strings.HasSuffix(c.URL, suffix) {
				once.Do(func() { close(asked) })
				select {
				case <-gate:
				case <-ctx.Done():
				}
			}
		}
	})
	return func() { close(gate) }, asked
}

// timers are timers that fire at once when they are as long as one of these.
func timers(soon ...time.Duration) func(*registrar.Config) {
	return func(c *registrar.Config) {
		c.AfterFunc = func(d time.Duration, f func()) func() bool {
			for _, s := range soon {
				if d == s {
					go f()
				}
			}
			return func() bool { return true }
		}
	}
}

func TestPledgeComesBackForItsVoucher(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.Patience = 7 * time.Second }, timers(7*time.Second))
	release, _ := w.slow("/requestvoucher")
	p := w.pledge("SN-0001")
	body := p.pvr()
	_, err := p.ask(body)
	if r := wantKind(t, err, decision.Pending); r.RetryAfter != 30*time.Second {
		t.Errorf("RetryAfter %s", r.RetryAfter)
	}
	_, err = p.ask(body)
	wantKind(t, err, decision.Pending)
	_, err = w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.NoVoucher)
	release()
	w.masa.set(func(m *masa) { m.blocking = nil })
	w.restart(func(c *registrar.Config) { c.Patience, c.AfterFunc = 0, nil }) // Close waits for the exchange or ends it
	if _, err := p.ask(body); err != nil {
		t.Fatal(err)
	}
	if n := w.masa.logged("SN-0001"); n != 1 {
		t.Errorf("the MASA logged %d vouchers", n)
	}
	if _, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err != nil {
		t.Error(err)
	}
}

// A pledge that was sent away gets the outcome, good or bad, when it comes back.
func TestOutcomeWaitsForThePledge(t *testing.T) {
	for _, fail := range []bool{false, true} {
		w := newSite(t, func(c *registrar.Config) { c.Patience, c.Burst = 7*time.Second, 1<<20 }, timers(7*time.Second))
		release, _ := w.slow("/requestvoucher")
		if fail {
			w.masa.set(status(403))
		}
		p := w.pledge("SN-0001")
		body := p.pvr()
		_, err := p.ask(body)
		wantKind(t, err, decision.Pending)
		release()
		for {
			_, err = p.ask(body)
			if !decision.Is(err, decision.Pending) {
				break
			}
		}
		if fail {
			wantKind(t, err, decision.MASAForbids)
		} else if err != nil {
			t.Error(err)
		}
		if n := len(w.masa.made("/requestvoucher")); n != 1 {
			t.Errorf("%d calls", n)
		}
	}
}

func TestExchangeEndsInTime(t *testing.T) {
	timeout := make(chan func(), 1)
	w := newSite(t, func(c *registrar.Config) {
		c.MASATimeout = 11 * time.Second
		c.AfterFunc = func(d time.Duration, f func()) func() bool {
			if d == c.MASATimeout {
				timeout <- f
			}
			return func() bool { return true }
		}
	})
	_, called := w.slow("/requestvoucher")
	go func() {
		<-called
		(<-timeout)()
	}()
	p := w.pledge("SN-0001")
	_, err := p.ask(p.pvr())
	wantKind(t, err, decision.MASATimeout)
}

// Time that is up before the MASA was asked is no fault of the MASA's.
func TestTimeUpBeforeTheMASAIsAsked(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) {
		c.MASATimeout = 11 * time.Second
		c.AfterFunc = func(d time.Duration, f func()) func() bool {
			if d == c.MASATimeout {
				f()
			}
			return func() bool { return true }
		}
	})
	p := w.pledge("SN-0001")
	_, err := p.ask(p.pvr())
	if r := wantKind(t, err, decision.Overloaded); r.RetryAfter == 0 {
		t.Error("the pledge is not told when to come back")
	}
	if n := len(w.masa.made("")); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// A pledge that hangs up is no fault of this side, and gets its voucher later.
func TestPledgeHangsUp(t *testing.T) {
	w := newSite(t)
	release, called := w.slow("/requestvoucher")
	p := w.pledge("SN-0001")
	body := p.pvr()
	ctx, hangUp := context.WithCancelCause(t.Context())
	go func() {
		<-called
		hangUp(errors.New("connection reset"))
	}()
	_, err := w.registrar.RequestVoucher(ctx, p.request(body))
	wantKind(t, err, decision.Overloaded)
	release()
	if _, err := p.ask(body); err != nil {
		t.Fatal(err)
	}
	if n := len(w.masa.made("/requestvoucher")); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestIdenticalRequestsShareAnExchange(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.MaxExchanges = 1 })
	release, called := w.slow("/requestvoucher")
	p := w.pledge("SN-0001")
	body := p.pvr()
	type outcome struct {
		answer *exchange.Answer
		err    error
	}
	outcomes := make(chan outcome, 8)
	for range cap(outcomes) {
		go func() {
			answer, err := p.ask(body)
			outcomes <- outcome{answer, err}
		}()
	}
	<-called
	other := w.pledge("SN-0002")
	_, err := other.ask(other.pvr())
	if r := wantKind(t, err, decision.Overloaded); r.RetryAfter == 0 {
		t.Error("no Retry-After")
	}
	release()
	var first []byte
	for range cap(outcomes) {
		o := <-outcomes
		if o.err != nil {
			t.Fatal(o.err)
		}
		if first == nil {
			first = o.answer.Body
		}
		if !bytes.Equal(first, o.answer.Body) {
			t.Error("two vouchers for one request")
		}
	}
	if n := len(w.masa.made("/requestvoucher")); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestBreaker(t *testing.T) {
	w := newSite(t)
	w.masa.set(status(500))
	var err error
	for i := range 5 {
		p := w.pledge("SN-000" + string(rune('1'+i)))
		_, err = p.ask(p.pvr())
		wantKind(t, err, decision.MASAFailed)
	}
	p := w.pledge("SN-0009")
	body := p.pvr()
	_, err = p.ask(body)
	if r := wantKind(t, err, decision.MASAUnavailable); r.RetryAfter < time.Second || len(w.masa.made("")) != 5 {
		t.Errorf("RetryAfter %s after %d calls", r.RetryAfter, len(w.masa.made("")))
	}
	w.masa.set(func(m *masa) { m.reply = nil })
	w.pass(10 * time.Second)
	if _, err := p.ask(body); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestVoucherIsKept(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	body := p.pvr()
	first, err := p.ask(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{9 * time.Minute, 2 * time.Minute} {
		w.pass(later)
		w.restart()
		again, err := p.ask(body)
		if err != nil || !bytes.Equal(again.Body, first.Body) {
			t.Fatalf("another answer: %v", err)
		}
	}
	// The second time the voucher was forgotten here; the MASA had the same request.
	if n, logged := len(w.masa.made("/requestvoucher")), w.masa.logged("SN-0001"); n != 2 || logged != 1 {
		t.Errorf("%d calls, %d vouchers logged", n, logged)
	}
	if requests := w.masa.made("/requestvoucher"); !bytes.Equal(requests[0].Body, requests[1].Body) {
		t.Error("the registrar's request is not the same when made again")
	}
}
