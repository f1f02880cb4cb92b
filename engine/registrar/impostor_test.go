package registrar_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// impostor is a device of another manufacturer, whose IDevID states the issuer of
// p's and p's serial number.
func impostor(t testing.TB, w *site, p *pledge) *pledge {
	t.Helper()
	key := newKey(t)
	parent := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Other CA"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root := must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, parent, parent, key.Public(), key))))
	m := w.manufacturer("other")
	m.Anchors = []*x509.Certificate{root}
	w.addMaker(m)
	q := &pledge{w: w, serial: p.serial, key: newKey(t), format: p.format}
	stated := *root
	stated.SubjectKeyId = w.maker.Certificate().SubjectKeyId
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{SerialNumber: p.serial}, NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(10, 0, 0),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}, Value: append([]byte{0x16, 16}, "masa.example.com"...)}}}
	q.cert = must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, &stated, q.key.Public(), key))))
	q.signer = signerOf(t, q.key)
	return q
}

// A manufacturer vouches for its own devices: one that states another's issuer is
// not taken for the other's device, which a list may name by issuer and serial
// number.
func TestAManufacturerNamesNoDeviceOfAnother(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) { c.Admit = registrar.AdmitListed })
	p := w.pledge("SN-0001")
	q := impostor(t, w, p)
	w.importList("serial-number,idevid-issuer\nSN-0001," + hex.EncodeToString(artefact.IssuerLeaf(facts(t, p.cert))) + "\n")
	_, err := q.ask(q.pvr())
	wantKind(t, err, decision.BadCertificate)
	p.voucher()
}

// A further CA of the domain, as at a rollover, may choose the serial number of a
// certificate that was issued here: that makes it no device's.
func TestASerialNumberMakesNoCertificateOfADevice(t *testing.T) {
	key := newKey(t)
	next := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "Next Site CA", Key: key, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0), PathLen: -1}, ca.Options{})).Certificate()
	w := newSite(t, func(c *registrar.Config) { c.CACerts = []*x509.Certificate{c.Chain[1], next} })
	p, cert, ldevid := w.joined("SN-0001")
	forged := must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader,
		&x509.Certificate{SerialNumber: cert.SerialNumber, RawSubject: cert.RawSubject, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}, next, ldevid.Public(), key))))
	_, err := w.reenroll([]*x509.Certificate{forged}, csr(t, newKey(t), est.CSRParams{Subject: p.subject()}))
	wantKind(t, err, decision.NotEnrolled)
}

// A device that is refused while its MASA is asked gets no voucher, and nothing
// that follows from one.
func TestARefusalIsSeenByAnExchangeUnderWay(t *testing.T) {
	w := newSite(t)
	w.masa.set(func(m *masa) {
		m.answer = func(*registrar.Call, *registrar.Reply) {
			if _, err := w.registrar.Refuse(t.Context(), "SN-0001"); err != nil {
				t.Error(err)
			}
		}
	})
	p := w.pledge("SN-0001")
	_, err := p.ask(p.pvr())
	wantKind(t, err, decision.DeviceRefused)
	if info, err := w.registrar.ShowDevice(t.Context(), "SN-0001"); err != nil || info.VoucherAt != nil {
		t.Errorf("%+v, %v", info, err)
	}
}
