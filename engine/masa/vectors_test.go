package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

func vectorCert(t *testing.T, name string) *entity {
	t.Helper()
	return &entity{cert: vectors.Certificate(t, "http", name)}
}

// published is a world made of published keys, at a time at which they were
// valid.
func published(t *testing.T, folder, makerCA, voucherCA string, now time.Time, change ...func(*masa.Config)) *world {
	t.Helper()
	w := &world{t: t, now: now, db: state.NewMemory(), maker: vectorCert(t, folder+"/"+makerCA), voucherCA: vectorCert(t, folder+"/"+voucherCA)}
	key, err := sign.LoadKey(vectors.File(t, "http", folder+"/masa.key"), nil)
	must(t, err)
	signer, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	must(t, err)
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	must(t, err)
	w.cfg = masa.Config{DB: w.db, Log: newLog(t), Verifier: artefact.Verifying(verifier), Signer: artefact.Signing(signer),
		Chain:         []*x509.Certificate{vectorCert(t, folder+"/masa.crt").cert, w.voucherCA.cert},
		Manufacturers: []device.Manufacturer{{Name: "published", Anchors: []*x509.Certificate{w.maker.cert}}},
		Observe:       func(a *masa.Attempt) { w.attempts = append(w.attempts, a) }}
	for _, c := range change {
		c(&w.cfg)
	}
	w.start()
	return w
}

func published8995(t *testing.T, change ...func(*masa.Config)) *world {
	t.Helper()
	w := published(t, "rfc8995", "vendor.crt", "vendor.crt", time.Date(2021, 4, 13, 21, 55, 0, 0, time.UTC), change...)
	w.domain, w.registrar = vectorCert(t, "rfc8995/ownerca_secp384r1.crt"), vectorCert(t, "rfc8995/jrc_prime256v1.crt")
	// The certificate in the pledge's request, which is not the one printed beside it.
	opener := artefact.Opener{Verifier: w.cfg.Verifier}
	pledge, err := opener.Request(context.Background(), codec.FormatCMS, vectors.File(t, "http", "rfc8995/vr_00-D0-E5-F2-00-02.cms.der"))
	must(t, err)
	w.devices = []*entity{{cert: pledge.Signer}}
	if done := w.importDevices(masa.ImportOptions{}, w.devices...); done.New != 1 {
		t.Fatalf("imported %+v", done)
	}
	return w
}

func (w *world) publishedRequest(t *testing.T, format codec.Format, name string) *exchange.Request {
	return &exchange.Request{Now: w.now, ContentType: format.MediaType(), Body: vectors.File(t, "http", name)}
}

func TestRFC8995(t *testing.T) {
	w := published8995(t)
	r := w.publishedRequest(t, codec.FormatCMS, "rfc8995/parboiled_vr_00-D0-E5-F2-00-02.cms.der")
	v := w.voucher(r)
	if v.Leaves.Assertion != codec.AssertionProximity || string(v.Leaves.NonceText) != "-_XE9zK9q8Ll1qylMtLKeg" || string(v.Leaves.SerialNumber) != "00-D0-E5-F2-00-02" {
		t.Errorf("voucher is %+v", v.Leaves)
	}
	if !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
		t.Error("the owner's CA is not pinned")
	}
	response := w.asks(r)
	if len(response.Events) != 1 || response.Events[0].Nonce == nil || *response.Events[0].Nonce != "-_XE9zK9q8Ll1qylMtLKeg" {
		t.Errorf("events are %+v", response.Events)
	}
}

func TestRFC8995WithTheRegistrarPinned(t *testing.T) {
	w := published8995(t, func(c *masa.Config) { c.Pin, c.DataContentType = masa.PinRegistrar, true })
	v := w.voucher(w.publishedRequest(t, codec.FormatCMS, "rfc8995/parboiled_vr_00-D0-E5-F2-00-02.cms.der"))
	if !bytes.Equal(v.Leaves.PinnedDomainCert, w.registrar.cert.Raw) {
		t.Error("the published voucher pins the registrar, this one does not")
	}
}

// TestDerivedVectors are those made of the keys of RFC 8995, and the published
// ones that no MASA may take.
func TestDerivedVectors(t *testing.T) {
	for _, c := range []struct {
		file   string
		format codec.Format
		kind   decision.Kind
	}{
		{"derived/vr-tampered-serial.cms.der", codec.FormatCMS, decision.BadSignature},
		{"derived/voucher-econtent40.cms.der", codec.FormatCMS, decision.BadPayload},
		{"derived/voucher-no-signedattrs.cms.der", codec.FormatCMS, decision.Malformed},
		{"derived/voucher-bad-signature.cms.der", codec.FormatCMS, decision.BadSignature},
		{"derived/rvr-nonceless.cms.der", codec.FormatCMS, decision.NoncelessUnknown},
		{"cms-detached/rvr-detached.cms.der", codec.FormatCMS, decision.Malformed},
		{"cms-detached/voucher-detached.cms.der", codec.FormatCMS, decision.Malformed},
		{"rfc8995/vr_00-D0-E5-F2-00-02.cms.der", codec.FormatCMS, decision.NotRegistrar},
		{"jws-voucher-early/rvr.compact.jws", codec.FormatJWS, decision.Malformed},
	} {
		t.Run(c.file, func(t *testing.T) {
			w := published8995(t)
			w.refused(w.publishedRequest(t, c.format, c.file), c.kind)
		})
	}
}

func TestDerivedNonceless(t *testing.T) {
	w := published8995(t)
	w.customer(masa.Customer{Name: "fountain", Anchors: []*x509.Certificate{w.domain.cert}, Nonceless: true})
	w.own("fountain", "00-D0-E5-F2-00-02")
	v := w.voucher(w.publishedRequest(t, codec.FormatCMS, "derived/rvr-nonceless.cms.der"))
	if v.Leaves.Assertion != codec.AssertionVerified || v.Leaves.Nonce != nil || v.Leaves.ExpiresOn.IsZero() || !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
		t.Errorf("voucher is %+v", v.Leaves)
	}
}

// TestPublishedJWS: the request is signed by another key than that of the TLS
// server the pledge saw, and nothing shows that they belong together.
func TestPublishedJWS(t *testing.T) {
	w := published(t, "jws-voucher", "pledge-ca.crt", "masa-ca.crt", time.Date(2024, 11, 29, 9, 40, 0, 0, time.UTC))
	w.devices = []*entity{vectorCert(t, "jws-voucher/pledge.crt")}
	if done := w.importDevices(masa.ImportOptions{}, w.devices...); done.New != 1 {
		t.Fatalf("imported %+v", done)
	}
	r := w.publishedRequest(t, codec.FormatJWS, "jws-voucher/rvr.jws.json")
	w.refused(r, decision.ProximityNotInPath)
	_, err := w.masa.SetDevice(context.Background(), "kit-987654321", false, true)
	must(t, err)
	v := w.voucher(r)
	if v.Leaves.Assertion != codec.AssertionLogged || string(v.Leaves.NonceText) != "TauvK+Y/cc2RfIFvpZzfKQ==" || v.Format != codec.FormatJWS {
		t.Errorf("voucher is %+v", v.Leaves)
	}
	if registrar := vectorCert(t, "jws-voucher/registrar.crt"); !bytes.Equal(v.Leaves.PinnedDomainCert, registrar.cert.Raw) {
		t.Error("a request that holds no chain can only have its signer pinned")
	}
}
