package registrar_test

import (
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func (w *site) status() *registrar.Status {
	w.t.Helper()
	return must[*registrar.Status](w.t)(w.registrar.Status(w.t.Context()))
}

func TestStatusCountsDevicesByWhatBecameOfThem(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.Admit = registrar.AdmitAsk })
	if got := w.status().Devices; got != (registrar.DeviceCounts{}) {
		t.Errorf("of no device %+v", got)
	}
	w.importList("serial-number\nSN-0001\nSN-0002\nSN-0003\n")
	p := w.pledge("SN-0001")
	p.voucher()
	if _, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()})); err != nil {
		t.Fatal(err)
	}
	waiting := w.pledge("SN-0004")
	_, err := waiting.ask(waiting.pvr())
	wantKind(t, err, decision.Pending)
	if _, err := w.registrar.Refuse(t.Context(), "SN-0002"); err != nil {
		t.Fatal(err)
	}
	approved := w.pledge("SN-0005")
	_, err = approved.ask(approved.pvr())
	wantKind(t, err, decision.Pending)
	if _, err := w.registrar.Approve(t.Context(), "SN-0005"); err != nil {
		t.Fatal(err)
	}
	want := registrar.DeviceCounts{Listed: 2, Approved: 1, Waiting: 1, Refused: 1, Expected: 1, Vouchers: 1, Good: 1, Enrolled: 1}
	st := w.status()
	if st.Devices != want || st.Manufacturers != 1 || st.Exchanges != 0 || st.MaxExchanges != 256 || len(st.Breakers) != 0 {
		t.Errorf("%+v, want %+v", st, want)
	}
	again := w.pledge("SN-0001") // with another key
	_, err = again.ask(again.pvr())
	wantKind(t, err, decision.Pending)
	if want.Changed = 1; w.status().Devices != want {
		t.Errorf("%+v, want %+v", w.status().Devices, want)
	}
}

func TestStatusShowsExchangesUnderWay(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.Patience = 7 * time.Second }, timers(7*time.Second))
	release, called := w.slow("/requestvoucher")
	p := w.pledge("SN-0001")
	_, err := p.ask(p.pvr())
	wantKind(t, err, decision.Pending)
	<-called
	if n := w.status().Exchanges; n != 1 {
		t.Errorf("%d exchanges under way", n)
	}
	release()
	w.registrar.Close()
	if n := w.status().Exchanges; n != 0 {
		t.Errorf("%d exchanges after the end", n)
	}
}

func TestStatusShowsBreakers(t *testing.T) {
	w := newSite(t)
	w.masa.set(status(500))
	for n := range 5 {
		p := w.pledge("SN-000" + string(rune('1'+n)))
		_, err := p.ask(p.pvr())
		wantKind(t, err, decision.MASAFailed)
		b := w.status().Breakers
		if len(b) != 1 || b[0].Origin != "masa.example.com:9443" || b[0].Failures != n+1 || (b[0].Until != nil) != (n == 4) {
			t.Fatalf("after %d failures %+v", n+1, b)
		}
	}
	if until := w.status().Breakers[0].Until; !until.Equal(w.clock().Add(10 * time.Second)) {
		t.Errorf("until %s", until)
	}
}
