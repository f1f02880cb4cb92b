package masa_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
)

func pemOf(certs ...*entity) string {
	var b strings.Builder
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw}))
	}
	return b.String()
}

// without makes a device certificate that has no authority key identifier.
func withoutAKI(t testing.TB, serial string, issuer *entity) *entity {
	t.Helper()
	key := newKey(t)
	parent := *issuer.cert
	parent.SubjectKeyId = nil
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(certSerial.Add(1)), Subject: pkix.Name{SerialNumber: serial},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(10, 0, 0)}, &parent, key.Public(), issuer.key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	if len(cert.AuthorityKeyId) != 0 {
		t.Fatal("it has an authority key identifier")
	}
	e := issue(t, "", key, nil)
	e.cert = cert
	return e
}

func TestImportingTwiceAddsNothing(t *testing.T) {
	w := newWorld(t)
	list := pemOf(w.devices[0], w.maker, newEntity(t, "Device", w.maker, asDevice("SN-4")), w.maker)
	if done := w.importList(masa.ImportOptions{}, list); *done != (masa.Imported{Rows: 2, New: 1, Unchanged: 1}) {
		t.Errorf("imported %+v", done)
	}
	if done := w.importList(masa.ImportOptions{}, list); *done != (masa.Imported{Rows: 2, Unchanged: 2}) {
		t.Errorf("imported again %+v", done)
	}
	row := "serial-number,idevid-issuer\nSN-1," + hex.EncodeToString([]byte(w.id(0).IssuerKeyID)) + "\n"
	if done := w.importList(masa.ImportOptions{}, row); *done != (masa.Imported{Rows: 1, Unchanged: 1}) {
		t.Errorf("imported as a row %+v", done)
	}
}

func TestDevicesMustLeadToAManufacturer(t *testing.T) {
	w := newWorld(t)
	foreign := newEntity(t, "Device", newEntity(t, "Maker CA", nil, asCA), asDevice("SN-8"))
	text := pemOf(foreign, newEntity(t, "Device", w.maker, asDevice("SN-4")), newEntity(t, "No serial number", w.maker))
	r, err := list.NewReader(strings.NewReader(text), list.Options{Name: "devices.pem"})
	must(t, err)
	var rejected []uint64
	done, err := w.masa.ImportDevices(context.Background(), r, masa.ImportOptions{Now: epoch, Reject: func(e *list.RowError) error {
		if len(e.Raw) == 0 || e.Err == nil || e.Remedy == "" {
			t.Errorf("rejected without a word: %+v", e)
		}
		rejected = append(rejected, e.Line)
		return nil
	}})
	if err != nil || *done != (masa.Imported{Rows: 3, New: 1, Rejected: 2}) || fmt.Sprint(rejected) != "[1 3]" {
		t.Errorf("imported %+v, rejected %v, %v", done, rejected, err)
	}
	r, err = list.NewReader(strings.NewReader(text), list.Options{Name: "devices.pem"})
	must(t, err)
	_, err = w.masa.ImportDevices(context.Background(), r, masa.ImportOptions{Now: epoch})
	var row *list.RowError
	if !errors.As(err, &row) || row.Line != 1 {
		t.Errorf("without Reject: %v", err)
	}
}

func TestRowsNeedTheirIssuer(t *testing.T) {
	w := newWorld(t)
	r, err := list.NewReader(strings.NewReader("serial-number\nSN-7\n"), list.Options{Name: "devices.csv"})
	must(t, err)
	_, err = w.masa.ImportDevices(context.Background(), r, masa.ImportOptions{Now: epoch})
	var row *list.RowError
	if !errors.As(err, &row) || row.Field != "idevid-issuer" {
		t.Errorf("got %v", err)
	}
}

// TestDevicesWithoutAKI have three names: the key of whoever verified them, and
// the SHA-1 of their own or of their issuer's key in idevid-issuer.
func TestDevicesWithoutAKI(t *testing.T) {
	w := newWorld(t)
	d := withoutAKI(t, "OLD-1", w.maker)
	w.devices = []*entity{d}
	facts, err := codec.ParseIDevID(d.cert.Raw)
	must(t, err)
	row := "serial-number,idevid-issuer\nOLD-1," + hex.EncodeToString(artefact.IssuerLeaf(facts)) + "\n"

	// First the row of a list, under the SHA-1 of its own key.
	if done := w.importList(masa.ImportOptions{}, row); done.New != 1 {
		t.Fatalf("imported %+v", done)
	}
	w.join(0).voucher()
	if done := w.importDevices(masa.ImportOptions{}, d); *done != (masa.Imported{Rows: 1, Changed: 1}) {
		t.Errorf("the certificate of a known row: %+v", done)
	}
	if done := w.importDevices(masa.ImportOptions{}, d); *done != (masa.Imported{Rows: 1, Unchanged: 1}) {
		t.Errorf("the certificate again: %+v", done)
	}

	// Then the certificate first.
	w = newWorld(t)
	d = withoutAKI(t, "OLD-1", w.maker)
	w.devices = []*entity{d}
	w.importDevices(masa.ImportOptions{}, d)
	facts, err = codec.ParseIDevID(d.cert.Raw)
	must(t, err)
	row = "serial-number,idevid-issuer\nOLD-1," + hex.EncodeToString(artefact.IssuerLeaf(facts)) + "\n"
	if done := w.importList(masa.ImportOptions{}, row); *done != (masa.Imported{Rows: 1, Unchanged: 1}) {
		t.Errorf("the row of a known certificate: %+v", done)
	}
	maker, err := codec.ParseIDevID(w.maker.cert.Raw)
	must(t, err)
	for name, leaf := range map[string][]byte{"own key": artefact.IssuerLeaf(facts), "absent": nil,
		"issuer's key": artefact.IssuerLeaf(&codec.IDevID{PublicKeyBits: maker.PublicKeyBits})} {
		for _, without := range []bool{false, true} {
			j := w.join(0)
			j.request.IDevIDIssuer, j.without = leaf, without
			if _, err := w.masa.RequestVoucher(context.Background(), j.exchange()); err != nil {
				t.Errorf("%s, without the pledge's request %v: %v", name, without, err)
			}
		}
	}
	j := w.join(0)
	j.request.IDevIDIssuer = codec.IssuerFromKeyID(make([]byte, 20))
	w.refused(j.exchange(), decision.IssuerMismatch)
	j.without, j.request.PriorSignedVoucherRequest = true, nil
	w.refused(j.exchange(), decision.UnknownDevice)
}

func TestImportALongList(t *testing.T) {
	w := newWorld(t)
	const many = 10_000
	var text strings.Builder
	text.WriteString("serial-number,idevid-issuer\n")
	for i := range many {
		fmt.Fprintf(&text, "LONG-%06d,%x\n", i, []byte(w.id(0).IssuerKeyID))
	}
	w.acme(nil)
	// The disk is full for one of the batches, and then it is not.
	w.db.OnCommit(func(n uint64) state.Fault {
		if n >= 5 {
			w.db.OnCommit(nil)
			w.db.SetFull(true)
		}
		return state.NoFault
	})
	r, err := list.NewReader(strings.NewReader(text.String()), list.Options{Name: "devices.csv"})
	must(t, err)
	done, err := w.masa.ImportDevices(context.Background(), r, masa.ImportOptions{Now: epoch, Owner: "acme"})
	if !errors.Is(err, state.ErrFull) || done.New == 0 || done.New == many {
		t.Fatalf("imported %+v, %v", done, err)
	}
	before := done.New
	w.db.SetFull(false)
	if done := w.importList(masa.ImportOptions{Owner: "acme"}, text.String()); done.New+before != many || done.Unchanged != before {
		t.Errorf("the second time %+v, after %d", done, before)
	}
	var after device.ID
	n := 0
	for {
		page, err := w.masa.ListDevices(context.Background(), after, 999)
		must(t, err)
		if len(page) == 0 {
			break
		}
		n += len(page)
		after = page[len(page)-1].ID
	}
	if n != many+3 {
		t.Errorf("%d devices are listed, want %d", n, many+3)
	}
	owned, err := w.masa.ListOwned(context.Background(), "acme", device.ID{}, 2*many)
	if err != nil || len(owned) != many+1 {
		t.Errorf("acme owns %d, %v", len(owned), err)
	}
}

func TestAdministration(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	leaf := newEntity(t, "Registrar", w.domain, asRegistrar)
	var bad *masa.UsageError
	for name, c := range map[string]masa.Customer{
		"no name":      {Anchors: []*x509.Certificate{w.domain.cert}},
		"a path":       {Name: "a/b", Anchors: []*x509.Certificate{w.domain.cert}},
		"no anchor":    {Name: "acme"},
		"not a CA":     {Name: "acme", Anchors: []*x509.Certificate{leaf.cert}},
		"negative":     {Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}, MaxLifetime: -1},
		"too short":    {Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}, MaxLifetime: time.Second - 1},
		"many anchors": {Name: "acme", Anchors: make([]*x509.Certificate, 17)},
	} {
		if err := w.masa.AddCustomer(ctx, c, epoch); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}, Nonceless: true})
	var exists *masa.ExistsError
	if err := w.masa.AddCustomer(ctx, masa.Customer{Name: "acme", Anchors: []*x509.Certificate{w.domain.cert}}, epoch); !errors.As(err, &exists) {
		t.Errorf("twice: %v", err)
	}
	w.customer(masa.Customer{Name: "zeta", Anchors: []*x509.Certificate{w.domain.cert}})
	must(t, w.masa.BlockCustomer(ctx, "zeta", "gone"))
	page, err := w.masa.ListCustomers(ctx, "acme", 10)
	if err != nil || len(page) != 1 || page[0].Name != "zeta" || !page[0].Blocked || page[0].BlockReason != "gone" || !page[0].Created.Equal(epoch) {
		t.Errorf("behind acme are %+v, %v", page, err)
	}
	must(t, w.masa.UnblockCustomer(ctx, "zeta"))
	var missing *masa.NotFoundError
	if err := w.masa.BlockCustomer(ctx, "nobody", ""); !errors.As(err, &missing) {
		t.Errorf("unknown customer: %v", err)
	}
	if err := w.masa.SetPool(ctx, masa.Pool{Name: "pool", Owner: "nobody"}); !errors.As(err, &missing) {
		t.Errorf("pool of an unknown customer: %v", err)
	}
	var unknown *device.NotFoundError
	if _, err := w.masa.Block(ctx, "SN-9", ""); !errors.As(err, &unknown) {
		t.Errorf("unknown device: %v", err)
	}
	if _, err := w.masa.ShowDevice(ctx, w.id(1).String()); err != nil {
		t.Error(err)
	}
}
