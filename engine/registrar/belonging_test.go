package registrar_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// A line is a CA that devices present behind their IDevID, below an anchor.
type line struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newLine makes a manufacturer known whose devices are certified by a line with a
// key identifier of the manufacturer's choice, nil for the digest of its key.
func newLine(t testing.TB, w *site, maker string, keyID []byte) line {
	t.Helper()
	rootKey, l := newKey(t), line{key: newKey(t)}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: maker + " root"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root := must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, ca, ca, rootKey.Public(), rootKey))))
	below := *ca
	below.Subject.CommonName, below.SubjectKeyId = "Line 3", keyID
	l.cert = must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, &below, root, l.key.Public(), rootKey))))
	m := w.manufacturer(maker)
	m.Anchors = []*x509.Certificate{root}
	w.addMaker(m)
	return l
}

// A presenter is a pledge that presents its line behind its IDevID.
type presenter struct {
	*pledge
	line *x509.Certificate
}

func (l line) device(t testing.TB, w *site, serial string) *presenter {
	t.Helper()
	p := &pledge{w: w, serial: serial, key: newKey(t), format: w.pledge(serial).format}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{SerialNumber: serial}, NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(10, 0, 0),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}, Value: append([]byte{0x16, 16}, "masa.example.com"...)}}}
	p.cert = must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, l.cert, p.key.Public(), l.key))))
	p.signer = signerOf(t, p.key)
	return &presenter{p, l.cert}
}

func (p *presenter) try() error {
	_, err := p.w.registrar.RequestVoucher(p.w.t.Context(), p.w.request([]*x509.Certificate{p.cert, p.line}, p.format.MediaType(), p.pvr()))
	return err
}

func (w *site) importFor(maker, text string) (*registrar.ImportReport, []*list.RowError) {
	w.t.Helper()
	rows := must[*list.Reader](w.t)(list.NewReader(strings.NewReader(text), list.Options{}))
	defer rows.Close()
	var rejected []*list.RowError
	report, err := w.registrar.ImportDevices(w.t.Context(), rows, registrar.ImportOptions{Manufacturer: maker, Reject: func(e *list.RowError) error {
		rejected = append(rejected, e)
		return nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return report, rejected
}

// explained is the reason of the last attempt of a device.
func (w *site) explained(name string) string {
	w.t.Helper()
	x := must[*registrar.Explanation](w.t)(w.registrar.Explain(w.t.Context(), name))
	if len(x.Attempts) == 0 {
		w.t.Fatalf("%s: no attempt is on record", name)
	}
	last := x.Attempts[len(x.Attempts)-1]
	if c := last.Checks[len(last.Checks)-1]; c.Name != "admission" || c.OK {
		w.t.Errorf("the last check is %+v", c)
	}
	return last.Reason
}

func saysAll(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not say %q", text, word)
		}
	}
}

// chosen is a key identifier that is a digest of nothing.
var chosen = []byte("a name that is free.")

func row(l line) string {
	return "serial-number,idevid-issuer\nSN-0001," + hex.EncodeToString(l.cert.SubjectKeyId) + "\n"
}

// Key identifiers are chosen by whoever makes the certificate: a second
// manufacturer that is trusted for its own devices makes a CA with that of the
// first's, and a device with a serial number on the list.
func TestAListedDeviceIsNotClaimedByAnotherManufacturer(t *testing.T) {
	for name, c := range map[string]struct {
		keyID    []byte // of the first's line
		maker    string // the list is imported for
		stranger decision.Kind
		reason   string
		own      decision.Kind // what the first's device meets
	}{
		"imported for the manufacturer":              {chosen, "first", decision.BadCertificate, "if it is the latter's, import the list again with --manufacturer second", ""},
		"a digest of the key, imported for it":       {nil, "first", decision.BadCertificate, "if it is the latter's", ""},
		"a digest of the key, imported for nobody":   {nil, "", decision.DeviceNotListed, "no digest of the issuer's key", ""},
		"an identifier by choice, for nobody's list": {chosen, "", decision.DeviceNotListed, "no digest of the issuer's key", decision.DeviceNotListed},
	} {
		for _, how := range []registrar.Admission{registrar.AdmitListed, registrar.AdmitAsk} {
			t.Run(name+", "+string(how), func(t *testing.T) {
				w := newSite(t, admit(how))
				first := newLine(t, w, "first", c.keyID)
				second := newLine(t, w, "second", first.cert.SubjectKeyId)
				p, q := first.device(t, w, "SN-0001"), second.device(t, w, "SN-0001")
				if r, bad := w.importFor(c.maker, row(first)); r.Added != 1 || len(bad) != 0 {
					t.Fatalf("%+v, %v", r, bad)
				}
				pending := func(k decision.Kind) decision.Kind {
					if k == decision.DeviceNotListed && how == registrar.AdmitAsk {
						return decision.Pending
					}
					return k
				}
				wantKind(t, q.try(), pending(c.stranger))
				saysAll(t, w.explained("SN-0001"), "first", "second", c.reason)
				if c.own != "" {
					wantKind(t, p.try(), pending(c.own))
					if r, _ := w.importFor("first", row(first)); r.Changed != 1 || r.Added != 0 {
						t.Errorf("imported again for the manufacturer: %+v", r)
					}
				}
				if err := p.try(); err != nil {
					t.Errorf("the device itself: %v", err)
				}
				wantKind(t, q.try(), decision.BadCertificate)
				if info := must[*registrar.DeviceInfo](t)(w.registrar.ShowDevice(t.Context(), "SN-0001")); info.Manufacturer != "first" || info.KeyChanged {
					t.Errorf("%+v", info)
				}
			})
		}
	}
}

// What another manufacturer's device left under a device's name before it was
// listed is not what an approval is about.
func TestAnApprovalIsOfTheManufacturersOwnDevice(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	first := newLine(t, w, "first", chosen)
	q := newLine(t, w, "second", chosen).device(t, w, "SN-0001")
	wantKind(t, q.try(), decision.DeviceNotListed)
	w.importFor("first", row(first))
	if _, err := w.registrar.Approve(t.Context(), "SN-0001"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, q.try(), decision.BadCertificate)
	if err := first.device(t, w, "SN-0001").try(); err != nil {
		t.Error(err)
	}
	_, err := w.registrar.VoucherStatus(t.Context(), w.request([]*x509.Certificate{q.cert, q.line}, "application/json", []byte(`{"version":1,"status":false}`)))
	wantKind(t, err, decision.UnknownDevice)
}

// One manufacturer alone may have chosen any identifier.
func TestTheOnlyManufacturerIsMeant(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	p := newLine(t, w, "maker", chosen).device(t, w, "SN-0001") // in place of the one there is
	w.importFor("", row(line{cert: p.line}))
	if err := p.try(); err != nil {
		t.Fatal(err)
	}
	q := newLine(t, w, "second", chosen).device(t, w, "SN-0001")
	wantKind(t, q.try(), decision.BadCertificate)
	if err := p.try(); err != nil {
		t.Error(err)
	}
}

func TestABareSerialNumberMayBeOneManufacturers(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	p, q := newLine(t, w, "first", nil).device(t, w, "SN-0001"), newLine(t, w, "second", nil).device(t, w, "SN-0001")
	const text = "serial-number\nSN-0001\n"
	w.importFor("", text)
	if r, _ := w.importFor("first", text); r.Changed != 1 {
		t.Errorf("%+v", r)
	}
	if r, _ := w.importFor("first", text); r.Unchanged != 1 {
		t.Errorf("%+v", r)
	}
	wantKind(t, q.try(), decision.DeviceNotListed)
	saysAll(t, w.explained("SN-0001"), "on the list for manufacturer first", "manufacturer second vouches for it")
	if err := p.try(); err != nil {
		t.Errorf("another manufacturer's device of the number keeps it out: %v", err)
	}
	wantKind(t, q.try(), decision.DeviceNotListed)
}

func TestAListIsImportedForOneManufacturer(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	first := newLine(t, w, "first", nil)
	newLine(t, w, "second", nil)
	rows := must[*list.Reader](t)(list.NewReader(strings.NewReader(row(first)), list.Options{}))
	defer rows.Close()
	if _, err := w.registrar.ImportDevices(t.Context(), rows, registrar.ImportOptions{Manufacturer: "third"}); !errors.Is(err, registrar.ErrNoManufacturer) {
		t.Errorf("for a manufacturer that is not known: %v", err)
	}
	p := first.device(t, w, "SN-0002")
	r, bad := w.importFor("second", string(ca.ChainPEM(p.cert, p.line)))
	if r.Rejected != 1 || len(bad) != 1 || !errors.Is(bad[0].Err, list.ErrCertificate) {
		t.Fatalf("a certificate of another manufacturer: %+v, %v", r, bad)
	}
	saysAll(t, bad[0].Error(), "first", "second")
	w.importFor("first", row(first))
	if err := first.device(t, w, "SN-0001").try(); err != nil {
		t.Fatal(err)
	}
	if r, bad = w.importFor("second", row(first)); r.Rejected != 1 || len(bad) != 1 {
		t.Errorf("a device that was admitted: %+v, %v", r, bad)
	}
}
