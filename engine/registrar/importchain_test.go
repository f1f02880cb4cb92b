package registrar_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// lineOf makes an authority below one whose key is at hand: that of a factory's
// line. codec and ca have no profile for it, since roles issue none.
func lineOf(t *testing.T, now time.Time) (root, line *x509.Certificate, authority *ca.Authority) {
	t.Helper()
	rootKey, lineKey := newKey(t), newKey(t)
	certify := func(name string, key any, parent *x509.Certificate, by any) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now, NotAfter: now.AddDate(10, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		if parent == nil {
			parent = template
		}
		der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, key, by))
		return must[*x509.Certificate](t)(x509.ParseCertificate(der))
	}
	root = certify("Maker root", rootKey.Public(), nil, rootKey)
	line = certify("Line 3", lineKey.Public(), root, rootKey)
	return root, line, must[*ca.Authority](t)(ca.New(line, lineKey, ca.Options{}))
}

// TestImportedChainsAreOneDeviceEach: files of devices hold the issuers too,
// which are no devices, and without which the device could not be told. More
// devices than one transaction takes, so that a chain lies across two.
func TestImportedChainsAreOneDeviceEach(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	root, line, authority := lineOf(t, w.clock().Add(-time.Hour))
	w.addMaker(registrar.Manufacturer{Name: "two levels", Anchors: []*x509.Certificate{root}})
	key := newKey(t)
	device := string(ca.ChainPEM(must[*x509.Certificate](t)(authority.IDevID(ca.IDevIDParams{SerialNumber: "SN-1", PublicKey: key.Public(), NotBefore: w.clock()}))))
	issuers := string(ca.ChainPEM(line, root))
	if r, rejected := w.importList(device); r.Rejected != 1 || len(rejected) != 1 {
		t.Errorf("a device whose issuer is unknown: %+v", r)
	}
	const devices = 1025
	if r, rejected := w.importList(issuers + strings.Repeat(device+issuers, devices)); r.Rows != devices || r.Added != 1 || r.Unchanged != devices-1 || len(rejected) != 0 {
		t.Errorf("%+v, %d rejected", r, len(rejected))
	}
	for _, n := range []int{1023, 1024} {
		if r, rejected := w.importList(strings.Repeat(device+issuers, n)); r.Rows != uint64(n) || r.Unchanged != uint64(n) || len(rejected) != 0 {
			t.Errorf("%d devices: %+v, %d rejected", n, r, len(rejected))
		}
	}
}

// TestAnImportEndsAtTheRowThatEndsIt: nothing behind it is on the list.
func TestAnImportEndsAtTheRowThatEndsIt(t *testing.T) {
	w := newSite(t, admit(registrar.AdmitListed))
	rows := must[*list.Reader](t)(list.NewReader(strings.NewReader("serial-number\nA\n\" bad\"\nB\n"), list.Options{}))
	defer rows.Close()
	enough := errors.New("enough")
	report, err := w.registrar.ImportDevices(t.Context(), rows, registrar.ImportOptions{Reject: func(*list.RowError) error { return enough }})
	page, _, listErr := w.registrar.ListDevices(t.Context(), "", 10)
	if err != enough || report.Rows != 2 || report.Added != 1 || report.Rejected != 1 || listErr != nil || len(page) != 1 || page[0].Serial != "A" {
		t.Errorf("%+v, %v; listed %+v, %v", report, err, page, listErr)
	}
}
