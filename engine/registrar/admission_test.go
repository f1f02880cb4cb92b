package registrar_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func admit(how registrar.Admission) func(*registrar.Config) {
	return func(c *registrar.Config) { c.Admit = how }
}

func TestOperatorsDecide(t *testing.T) {
	for how, first := range map[registrar.Admission]decision.Kind{
		registrar.AdmitListed:       decision.DeviceNotListed,
		registrar.AdmitAsk:          decision.Pending,
		registrar.AdmitManufacturer: "",
	} {
		t.Run(string(how), func(t *testing.T) {
			w := newSite(t, admit(how))
			p := w.pledge("SN-0001")
			body := p.pvr()
			_, err := p.ask(body)
			if first == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				r := wantKind(t, err, first)
				x, err := w.registrar.Explain(t.Context(), "SN-0001")
				if err != nil || len(x.Attempts) != 1 {
					t.Fatalf("%+v, %v", x, err)
				}
				want := "registrar devices approve " + x.Device.Device
				if x.Attempts[0].Remedy != want || !strings.Contains(r.Operator, want) {
					t.Errorf("remedy %q, operator %q, want %q", x.Attempts[0].Remedy, r.Operator, want)
				}
				if _, err := w.registrar.Approve(t.Context(), "SN-0001"); err != nil {
					t.Fatal(err)
				}
				w.restart()
				if _, err := p.ask(body); err != nil {
					t.Errorf("approved: %v", err)
				}
			}
			cert, err := w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.registrar.Refuse(t.Context(), "SN-0001"); err != nil {
				t.Fatal(err)
			}
			_, err = p.ask(body)
			wantKind(t, err, decision.DeviceRefused)
			_, err = p.ask(p.pvr())
			wantKind(t, err, decision.DeviceRefused)
			_, err = w.enroll(p.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
			wantKind(t, err, decision.DeviceRefused)
			_, err = w.reenroll([]*x509.Certificate{cert}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
			wantKind(t, err, decision.DeviceRefused)
			if _, err := w.registrar.Approve(t.Context(), "SN-0001"); err != nil {
				t.Fatal(err)
			}
			if _, err := p.ask(body); err != nil {
				t.Errorf("approved again: %v", err)
			}
		})
	}
}

// An approval is of one key: another IDevID of the same name waits anew.
func TestApprovalsBindTheKey(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	p := w.pledge("SN-0001")
	_, err := p.ask(p.pvr())
	wantKind(t, err, decision.DeviceNotListed)
	if _, err := w.registrar.Approve(t.Context(), "SN-0001"); err != nil {
		t.Fatal(err)
	}
	p.voucher()
	other := w.pledge("SN-0001")
	_, err = other.ask(other.pvr())
	wantKind(t, err, decision.DeviceNotListed)
	_, err = w.enroll(other.peer(), csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.NoVoucher)
	info, err := w.registrar.ShowDevice(t.Context(), "SN-0001")
	if err != nil || !info.KeyChanged {
		t.Errorf("%+v, %v", info, err)
	}
	p.voucher()
	_, _ = other.ask(other.pvr())
	if _, err := w.registrar.Approve(t.Context(), "SN-0001"); err != nil {
		t.Fatal(err)
	}
	other.voucher()
	_, err = p.ask(p.pvr())
	wantKind(t, err, decision.DeviceNotListed)
}

// A voucher is for the key of one IDevID, also where the manufacturer's word is
// enough to come in.
func TestVoucherIsForOneKey(t *testing.T) {
	w := newSite(t)
	w.pledge("SN-0001").voucher()
	other := w.pledge("SN-0001")
	_, err := w.enroll(other.peer(), csr(t, newKey(t), est.CSRParams{Subject: other.subject()}))
	wantKind(t, err, decision.NoVoucher)
}

func (w *site) importList(text string) (*registrar.ImportReport, []*list.RowError) {
	w.t.Helper()
	rows, err := list.NewReader(strings.NewReader(text), list.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var rejected []*list.RowError
	var told uint64
	report, err := w.registrar.ImportDevices(w.t.Context(), rows, registrar.ImportOptions{Reject: func(e *list.RowError) error {
		rejected = append(rejected, e)
		return nil
	}, Progress: func(rows uint64) { told = rows }})
	if err != nil {
		w.t.Fatal(err)
	}
	if told != report.Rows {
		w.t.Errorf("told of %d rows of %d", told, report.Rows)
	}
	return report, rejected
}

func TestImportIsIdempotent(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	issuer := hex.EncodeToString(w.maker.Certificate().SubjectKeyId)
	p1, p2, p3 := w.pledge("SN-0001"), w.pledge("SN-0002"), w.pledge("SN-0003")
	csv := "serial-number,idevid-issuer\nSN-0001," + issuer + "\nSN-0002,\n"
	bundle := string(ca.ChainPEM(p3.cert))
	for _, text := range []string{csv, bundle} {
		if r, bad := w.importList(text); r.Added == 0 || len(bad) != 0 {
			t.Errorf("%+v, %v", r, bad)
		}
		if r, _ := w.importList(text); r.Added != 0 || r.Unchanged != r.Rows {
			t.Errorf("the second time: %+v", r)
		}
	}
	for _, p := range []*pledge{p1, p2, p3} {
		p.voucher()
	}
	for _, text := range []string{csv, bundle} {
		if r, _ := w.importList(text); r.Added != 0 || r.Unchanged != r.Rows {
			t.Errorf("after they came: %+v", r)
		}
	}
	if _, err := w.registrar.Refuse(t.Context(), "SN-0002"); err != nil {
		t.Fatal(err)
	}
	w.importList(csv)
	_, err := p2.ask(p2.pvr())
	wantKind(t, err, decision.DeviceRefused)
	// The certificate bound its key.
	again := w.pledge("SN-0003")
	_, err = again.ask(again.pvr())
	wantKind(t, err, decision.DeviceNotListed)
	if r, bad := w.importList(string(ca.ChainPEM(again.cert))); r.Rejected != 1 || len(bad) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestImportRefusesStrangers(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	good := w.pledge("SN-0001")
	w.maker = newRoot(t, "Another CA")
	bad := w.pledge("SN-0002")
	r, rejected := w.importList(string(ca.ChainPEM(good.cert, bad.cert)))
	if r.Rows != 2 || r.Added != 1 || r.Rejected != 1 || rejected[0].Line != 2 || !errors.Is(rejected[0].Err, list.ErrCertificate) || rejected[0].Remedy == "" {
		t.Errorf("%+v, %v", r, rejected)
	}
}

func TestImportTakesManyRows(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	var b strings.Builder
	b.WriteString("serial-number,idevid-issuer\n")
	issuer := hex.EncodeToString(w.maker.Certificate().SubjectKeyId)
	for i := range 2500 {
		fmt.Fprintf(&b, "SN-%04d,%s\n", i, issuer)
	}
	b.WriteString(" bad,\nbare,\n")
	r, rejected := w.importList(b.String())
	if r.Added != 2501 || len(rejected) != 1 || rejected[0].Line != 2502 {
		t.Errorf("%+v, %v", r, rejected)
	}
	var serials []string
	for after := ""; ; {
		page, next, err := w.registrar.ListDevices(t.Context(), after, 700)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			serials = append(serials, d.Serial)
			if d.Standing != registrar.Listed {
				t.Fatalf("%+v", d)
			}
		}
		if after = next; next == "" {
			break
		}
	}
	if len(serials) != 2501 || serials[2500] != "bare" || !slices.IsSorted(serials[:2500]) {
		t.Errorf("%d devices listed", len(serials))
	}
}

// A bare serial number admits one device, and none while it is not clear which.
func TestBareSerialNumberIsNotAmbiguous(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	first := w.pledge("SN-0001")
	firstCA := w.maker
	w.maker = newRoot(t, "Second Maker CA")
	w.addMaker(w.manufacturer("second"))
	second := w.pledge("SN-0001")
	_, err := first.ask(first.pvr())
	wantKind(t, err, decision.DeviceNotListed)
	w.importList("serial-number\nSN-0001\n")
	_, err = second.ask(second.pvr())
	wantKind(t, err, decision.AmbiguousDevice)
	_, err = first.ask(first.pvr())
	wantKind(t, err, decision.AmbiguousDevice)
	_, err = w.registrar.Approve(t.Context(), "SN-0001")
	var ambiguous *device.AmbiguousError
	if !errors.As(err, &ambiguous) || len(ambiguous.IDs) != 2 {
		t.Fatalf("%v, want both devices listed", err)
	}
	full := device.ID{IssuerKeyID: string(firstCA.Certificate().SubjectKeyId), Serial: "SN-0001"}.String()
	if _, err := w.registrar.Approve(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	first.voucher()
	_, err = second.ask(second.pvr())
	wantKind(t, err, decision.AmbiguousDevice)
}

// A list names devices whose IDevIDs lack an AKI by the SHA-1 of their own key.
func TestListOfIDevIDsWithoutAKI(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	p := w.pledge("SN-0001")
	p.cert = withoutAKI(t, p)
	issuer := artefact.IssuerLeaf(facts(t, p.cert))
	csv := "serial-number,idevid-issuer\nSN-0001," + hex.EncodeToString(issuer) + "\n"
	w.importList(csv)
	p.voucher()
	if r, _ := w.importList(csv); r.Added != 0 || r.Unchanged != 1 {
		t.Errorf("again: %+v", r)
	}
	page, _, err := w.registrar.ListDevices(t.Context(), "", 10)
	if err != nil || len(page) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestManufacturers(t *testing.T) {
	w := newSite(t)
	twin := w.manufacturer("twin")
	if err := w.registrar.AddManufacturer(t.Context(), twin); err == nil {
		t.Error("two manufacturers share an anchor")
	}
	for name, m := range map[string]registrar.Manufacturer{
		"without a name":    {Anchors: []*x509.Certificate{w.domain.Certificate()}},
		"without an anchor": {Name: "x"},
		"a device as CA":    {Name: "x", Anchors: []*x509.Certificate{w.pledge("SN-0001").cert}},
		"http":              {Name: "x", Anchors: []*x509.Certificate{w.domain.Certificate()}, MASAURL: "http://masa.example.com/"},
	} {
		if err := w.registrar.AddManufacturer(t.Context(), m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	m := w.manufacturer("maker")
	m.MASAURL, m.IgnoreLifetime, m.MASATrust = "masa.example.net", true, []*x509.Certificate{w.domain.Certificate()}
	w.addMaker(m)
	w.restart()
	all := w.registrar.ListManufacturers()
	if len(all) != 1 || all[0].Name != "maker" || all[0].MASAURL != m.MASAURL || !all[0].IgnoreLifetime || len(all[0].Anchors) != 1 || len(all[0].MASATrust) != 1 || len(all[0].VoucherTrust) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestExplainTheUnidentified(t *testing.T) {
	w := newSite(t)
	w.maker = newRoot(t, "Another CA")
	p := w.pledge("SN-0001")
	_, err := p.ask(p.pvr())
	wantKind(t, err, decision.UnknownManufacturer)
	x, err := w.registrar.Explain(t.Context(), "SN-0001")
	if err != nil || x.Device != nil || len(x.Unidentified) != 1 || x.Unidentified[0].Remedy != "registrar manufacturers add NAME --idevid-ca FILE" {
		t.Errorf("%+v, %v", x, err)
	}
	for range 100 {
		other := w.pledge("SN-0002")
		_, _ = other.ask(nil)
		w.pass(1e9)
	}
	x, err = w.registrar.Explain(t.Context(), "")
	if err != nil || len(x.Unidentified) != 32 || x.Unidentified[0].At.After(x.Unidentified[31].At) {
		t.Errorf("%d attempts, %v", len(x.Unidentified), err)
	}
	var missing *device.NotFoundError
	if _, err := w.registrar.Explain(t.Context(), "SN-0003"); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}

// The same attempt again is the same attempt; of others the last few are kept.
func TestAttemptsAreBounded(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	p := w.pledge("SN-0001")
	body := p.pvr()
	for range 3 {
		_, _ = p.ask(body)
	}
	x, err := w.registrar.Explain(t.Context(), "SN-0001")
	if err != nil || len(x.Attempts) != 1 {
		t.Fatalf("%d attempts, %v", len(x.Attempts), err)
	}
	for range 9 {
		_, _ = p.ask(p.pvr())
	}
	x, err = w.registrar.Explain(t.Context(), "SN-0001")
	if err != nil || len(x.Attempts) != 4 || bytes.Equal(x.Attempts[0].Digest, x.Attempts[1].Digest) {
		t.Errorf("%d attempts, %v", len(x.Attempts), err)
	}
}
