package registrar_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/sign"
)

func vectorSigner(t testing.TB, parts ...string) crypto.Signer {
	t.Helper()
	return must[crypto.Signer](t)(sign.LoadKey(vectors.File(t, parts...), nil))
}

// rfcSite is the registrar of RFC 8995 appendix C, in the spring of 2021, with a
// MASA that answers with the voucher printed there.
func rfcSite(t *testing.T, format codec.Format, voucher []byte) *site {
	const dir, sub = "http", "rfc8995"
	w := &site{t: t, now: time.Date(2021, 4, 20, 12, 0, 0, 0, time.UTC)}
	owner := vectors.Certificate(t, dir, sub, "ownerca_secp384r1.crt")
	w.domain = must[*ca.Authority](t)(ca.New(owner, vectorSigner(t, dir, sub, "ownerca_secp384r1.key"), ca.Options{}))
	w.chain = []*x509.Certificate{vectors.Certificate(t, dir, sub, "jrc_prime256v1.crt"), owner}
	w.masa = &masa{w: w, reply: func(*registrar.Call) (*registrar.Reply, error) {
		return &registrar.Reply{Status: 200, ContentType: format.MediaType(), Body: voucher}, nil
	}}
	fresh := newSite(t)
	w.db = fresh.db
	w.cfg = registrar.Config{DB: fresh.db, Verifier: verifier(), Signer: signerOf(t, vectorSigner(t, dir, sub, "jrc_prime256v1.key")), Chain: w.chain, Authority: w.domain,
		Network: w.masa, Clock: w.clock, Observe: w.observe, Admit: registrar.AdmitManufacturer, Audit: registrar.AuditOff}
	w.start()
	vendor := vectors.Certificate(t, dir, sub, "vendor.crt")
	w.addMaker(registrar.Manufacturer{Name: "highway", Anchors: []*x509.Certificate{vendor}, VoucherTrust: []*x509.Certificate{vendor}})
	return w
}

// signerIn is the certificate inside a voucher-request: the TLS client's.
func signerIn(t testing.TB, format codec.Format, body []byte) *x509.Certificate {
	t.Helper()
	opener := artefact.Opener{Verifier: verifier()}
	return must[*artefact.Request](t)(opener.Request(t.Context(), format, body)).Signer
}

func TestRequestOfRFC8995(t *testing.T) {
	voucher := vectors.File(t, "http", "rfc8995", "voucher_00-D0-E5-F2-00-02.cms.der")
	w := rfcSite(t, codec.FormatCMS, voucher)
	body := vectors.File(t, "http", "rfc8995", "vr_00-D0-E5-F2-00-02.cms.der")
	peer := []*x509.Certificate{signerIn(t, codec.FormatCMS, body)}
	answer, err := w.registrar.RequestVoucher(t.Context(), w.request(peer, codec.FormatCMS.MediaType(), body))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(answer.Body, voucher) {
		t.Error("the voucher is not passed on unchanged")
	}
	c := w.masa.made("")[0]
	if c.URL != "https://highway-test.example.com:9443/.well-known/brski/requestvoucher" {
		t.Errorf("the MASA is %s", c.URL)
	}
	opener := artefact.Opener{Verifier: verifier()}
	q := must[*artefact.Request](t)(opener.Request(t.Context(), codec.FormatCMS, c.Body))
	switch {
	case !bytes.Equal(q.Leaves.PriorSignedVoucherRequest, body):
		t.Error("the prior request is another")
	case string(q.Leaves.NonceText) != "-_XE9zK9q8Ll1qylMtLKeg" || string(q.Leaves.SerialNumber) != "00-D0-E5-F2-00-02":
		t.Errorf("nonce %q, serial-number %q", q.Leaves.NonceText, q.Leaves.SerialNumber)
	case len(q.Leaves.IDevIDIssuer) == 0:
		t.Error("no idevid-issuer")
	}
}

// The request of the later draft names another certificate of the registrar, of
// the same key, which is accepted; the voucher answers another request.
func TestRequestOfTheDraft(t *testing.T) {
	voucher := vectors.File(t, "http", "rfc8995", "voucher_00-D0-E5-F2-00-02.cms.der")
	w := rfcSite(t, codec.FormatCMS, voucher)
	w.now = time.Date(2022, 7, 20, 12, 0, 0, 0, time.UTC)
	body := vectors.File(t, "http", "rfc8366bis", "vr_00-D0-E5-F2-00-02.cms.der")
	peer := []*x509.Certificate{signerIn(t, codec.FormatCMS, body)}
	_, err := w.registrar.RequestVoucher(t.Context(), w.request(peer, codec.FormatCMS.MediaType(), body))
	wantKind(t, err, decision.VoucherMismatch)
}

// The published requests in JWS come from a pledge that speaks to another
// registrar.
func TestRequestInJWSIsForAnotherRegistrar(t *testing.T) {
	w := newSite(t)
	m := w.manufacturer("kit")
	m.Anchors, m.IgnoreLifetime = []*x509.Certificate{vectors.Certificate(t, "http", "jws-voucher", "pledge-ca.crt")}, true
	w.addMaker(m)
	body := vectors.File(t, "http", "jws-voucher", "pvr.jws.json")
	peer := []*x509.Certificate{signerIn(t, codec.FormatJWS, body)}
	_, err := w.registrar.RequestVoucher(t.Context(), w.request(peer, codec.FormatJWS.MediaType(), body))
	if !decision.Is(err, decision.WrongProximity) {
		t.Errorf("%v", err)
	}
}

func TestPublishedEnvelopesThatAreRefused(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	for name, c := range map[string]struct {
		parts  []string
		format codec.Format
		kind   decision.Kind
	}{
		"compact serialisation": {[]string{"http", "jws-voucher-early", "pvr.compact.jws"}, codec.FormatJWS, decision.Malformed},
		"a voucher":             {[]string{"http", "rfc8995", "voucher_00-D0-E5-F2-00-02.cms.der"}, codec.FormatCMS, decision.SignerNotPeer},
		"somebody else's":       {[]string{"http", "rfc8995", "vr_00-D0-E5-F2-00-02.cms.der"}, codec.FormatCMS, decision.SignerNotPeer},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.registrar.RequestVoucher(t.Context(), w.request(p.peer(), c.format.MediaType(), vectors.File(t, c.parts...)))
			if !decision.Is(err, c.kind) {
				t.Errorf("%v, want %s", err, c.kind)
			}
		})
	}
}
