package artefact_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/sign"
)

func opener(t testing.TB) *artefact.Opener {
	t.Helper()
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &artefact.Opener{Verifier: artefact.Verifying(v)}
}

func wantKind(t testing.TB, err error, kind decision.Kind) {
	t.Helper()
	if !decision.Is(err, kind) {
		t.Errorf("error %v, want a refusal of kind %s", err, kind)
	}
}

var spring2021 = time.Date(2021, 4, 20, 0, 0, 0, 0, time.UTC)

// What the INDEX of the vectors says of the requests of RFC 8995 appendix C and
// of draft-ietf-anima-jws-voucher.
func TestPublishedRequestsOpen(t *testing.T) {
	for _, c := range []struct {
		name   []string
		format codec.Format
		serial string
		nonce  string
		signer []string
	}{
		{[]string{"http", "rfc8995", "vr_00-D0-E5-F2-00-02.cms.der"}, codec.FormatCMS, "00-D0-E5-F2-00-02", "-_XE9zK9q8Ll1qylMtLKeg", nil},
		{[]string{"http", "rfc8995", "parboiled_vr_00-D0-E5-F2-00-02.cms.der"}, codec.FormatCMS, "00-D0-E5-F2-00-02", "-_XE9zK9q8Ll1qylMtLKeg", []string{"http", "rfc8995", "jrc_prime256v1.crt"}},
		{[]string{"http", "rfc8366bis", "vr_00-D0-E5-F2-00-02.cms.der"}, codec.FormatCMS, "00-D0-E5-F2-00-02", "4vTsppS2CeqBzhEdoifM2g", []string{"http", "rfc8366bis", "00-D0-E5-F2-00-02.crt"}},
		{[]string{"http", "jws-voucher", "pvr.jws.json"}, codec.FormatJWS, "kit-987654321", "TauvK+Y/cc2RfIFvpZzfKQ==", []string{"http", "jws-voucher", "pledge.crt"}},
		{[]string{"http", "jws-voucher", "rvr.jws.json"}, codec.FormatJWS, "kit-987654321", "TauvK+Y/cc2RfIFvpZzfKQ==", []string{"http", "jws-voucher", "registrar.crt"}},
		{[]string{"http", "derived", "rvr-nonceless.cms.der"}, codec.FormatCMS, "00-D0-E5-F2-00-02", "", []string{"http", "rfc8995", "jrc_prime256v1.crt"}},
	} {
		body := vectors.File(t, c.name...)
		r, err := opener(t).Request(t.Context(), c.format, body)
		if err != nil {
			t.Errorf("%v: %v", c.name, err)
			continue
		}
		if string(r.Leaves.SerialNumber) != c.serial || string(r.Leaves.NonceText) != c.nonce {
			t.Errorf("%v: serial number %q, nonce %q", c.name, r.Leaves.SerialNumber, r.Leaves.NonceText)
		}
		if c.signer != nil && !r.Signer.Equal(vectors.Certificate(t, c.signer...)) {
			t.Errorf("%v: signer %q", c.name, r.Signer.Subject)
		}
		if !bytes.Equal(r.Bytes, body) {
			t.Errorf("%v: Bytes are not the body", c.name)
		}
	}
}

func TestRegistrarsRequestHoldsThePledges(t *testing.T) {
	for _, c := range [][2]string{{"vr_00-D0-E5-F2-00-02.cms.der", "parboiled_vr_00-D0-E5-F2-00-02.cms.der"}} {
		r, err := opener(t).Request(t.Context(), codec.FormatCMS, vectors.File(t, "http", "rfc8995", c[1]))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Leaves.PriorSignedVoucherRequest, vectors.File(t, "http", "rfc8995", c[0])) {
			t.Error("the prior request is not the pledge's, octet for octet")
		}
	}
}

func TestRequestsAreRefusedForTheRightReason(t *testing.T) {
	cms := vectors.File(t, "http", "rfc8995", "vr_00-D0-E5-F2-00-02.cms.der")
	jws := vectors.File(t, "http", "jws-voucher", "pvr.jws.json")
	voucher := vectors.File(t, "http", "rfc8995", "voucher_00-D0-E5-F2-00-02.cms.der")
	flipped := bytes.Clone(cms)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name   string
		format codec.Format
		body   []byte
		kind   decision.Kind
	}{
		{"nothing", codec.FormatCMS, nil, decision.Empty},
		{"no format", codec.FormatUnknown, cms, decision.ContentType},
		{"base64", codec.FormatCMS, []byte(base64.StdEncoding.EncodeToString(cms)), decision.Wrapped},
		{"PEM", codec.FormatCMS, []byte("-----BEGIN CMS-----\n" + base64.StdEncoding.EncodeToString(cms) + "\n-----END CMS-----\n"), decision.Wrapped},
		{"trailing octets", codec.FormatCMS, append(bytes.Clone(cms), 0), decision.Malformed},
		{"half of it", codec.FormatCMS, cms[:len(cms)/2], decision.Malformed},
		{"too large", codec.FormatCMS, make([]byte, 256<<10+1), decision.TooLarge},
		{"altered content", codec.FormatCMS, vectors.File(t, "http", "derived", "vr-tampered-serial.cms.der"), decision.BadSignature},
		{"altered signature", codec.FormatCMS, flipped, decision.BadSignature},
		{"a voucher", codec.FormatCMS, voucher, decision.BadPayload},
		{"detached", codec.FormatCMS, vectors.File(t, "http", "cms-detached", "rvr-detached.cms.der"), decision.Malformed},
		{"JWS as CMS", codec.FormatCMS, jws, decision.Malformed},
		{"CMS as JWS", codec.FormatJWS, cms, decision.Malformed},
		{"compact JWS", codec.FormatJWS, vectors.File(t, "http", "jws-voucher-early", "pvr.compact.jws"), decision.Malformed},
		{"JWS without certificate", codec.FormatJWS, strip(t, jws), decision.BadSignature},
		{"stale top-level name", codec.FormatJWS, vectors.File(t, "http", "prm", "pvr.jws.json"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := opener(t).Request(t.Context(), c.format, c.body)
			if c.kind == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantKind(t, err, c.kind)
			if r := decision.Of(err); r.Public == "" || strings.Contains(r.Public, "00-D0") {
				t.Errorf("the peer is told %q", r.Public)
			}
		})
	}
}

// strip removes x5c from a JWS whose header it is in; the signature does not
// hold any more, but nobody can know.
func strip(t testing.TB, jws []byte) []byte {
	t.Helper()
	text := string(jws)
	_, rest, ok := strings.Cut(text, `"protected"`)
	if !ok {
		t.Fatal("no protected header")
	}
	header, _, _ := strings.Cut(strings.SplitN(rest, `"`, 3)[1], `"`)
	return []byte(strings.Replace(text, header, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"voucher-jws+json"}`)), 1))
}

func TestVouchersAreBelievedByTheirAnchor(t *testing.T) {
	vendor := vectors.Certificate(t, "http", "rfc8995", "vendor.crt")
	stranger := vectors.Certificate(t, "http", "rfc8995", "ownerca_secp384r1.crt")
	body := vectors.File(t, "http", "rfc8995", "voucher_00-D0-E5-F2-00-02.cms.der")
	for _, c := range []struct {
		name  string
		body  []byte
		trust artefact.Trust
		kind  decision.Kind
	}{
		{"anchor", body, artefact.Trust{Anchors: []*x509.Certificate{vendor}, At: spring2021}, ""},
		{"anchor, content type voucher", vectors.File(t, "http", "derived", "voucher-econtent40.cms.der"), artefact.Trust{Anchors: []*x509.Certificate{vendor}, At: spring2021}, ""},
		{"enclosed", body, artefact.Trust{Enclosed: true, At: spring2021}, ""},
		{"enclosed, but there are anchors", body, artefact.Trust{Enclosed: true, Anchors: []*x509.Certificate{stranger}, At: spring2021}, decision.BadSignature},
		{"stranger", body, artefact.Trust{Anchors: []*x509.Certificate{stranger}, At: spring2021}, decision.BadSignature},
		{"nobody", body, artefact.Trust{At: spring2021}, decision.BadSignature},
		{"too late", body, artefact.Trust{Anchors: []*x509.Certificate{vendor}, At: spring2021.AddDate(10, 0, 0)}, decision.BadSignature},
		{"altered", vectors.File(t, "http", "derived", "voucher-bad-signature.cms.der"), artefact.Trust{Anchors: []*x509.Certificate{vendor}, At: spring2021}, decision.BadSignature},
		{"no signed attributes", vectors.File(t, "http", "derived", "voucher-no-signedattrs.cms.der"), artefact.Trust{Anchors: []*x509.Certificate{vendor}, At: spring2021}, decision.Malformed},
		{"a request", vectors.File(t, "http", "rfc8995", "vr_00-D0-E5-F2-00-02.cms.der"), artefact.Trust{Anchors: []*x509.Certificate{vendor}, At: spring2021}, decision.BadPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := opener(t).Voucher(t.Context(), codec.FormatCMS, c.body, c.trust)
			if c.kind != "" {
				wantKind(t, err, c.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.Leaves.Assertion != codec.AssertionLogged || string(v.Leaves.SerialNumber) != "00-D0-E5-F2-00-02" {
				t.Errorf("voucher %v for %q", v.Leaves.Assertion, v.Leaves.SerialNumber)
			}
			if (v.Path == nil) != c.trust.Enclosed {
				t.Errorf("path of %d certificates", len(v.Path))
			}
		})
	}
}

// A countersigned voucher is believed for the signature the trust leads to,
// whichever of the two it is.
func TestOneBelievedSignatureIsEnough(t *testing.T) {
	body := vectors.File(t, "http", "prm", "voucher-countersigned.jws.json")
	var envelope codec.Envelope
	if err := (&codec.EnvelopeDecoder{}).DecodeJWS(body, &envelope); err != nil {
		t.Fatal(err)
	}
	if len(envelope.Signers) != 2 {
		t.Fatalf("%d signatures", len(envelope.Signers))
	}
	for i, s := range envelope.Signers {
		cert, err := x509.ParseCertificate(envelope.Certificates[s.CertIndex])
		if err != nil {
			t.Fatal(err)
		}
		v, err := opener(t).Voucher(t.Context(), codec.FormatJWS, body, artefact.Trust{Anchors: []*x509.Certificate{cert}, At: cert.NotBefore.Add(time.Hour)})
		if err != nil {
			t.Errorf("signature %d: %v", i, err)
		} else if !v.Signer.Equal(cert) {
			t.Errorf("signature %d: signer %q", i, v.Signer.Subject)
		}
	}
}

func TestAnEndedContextIsNoRefusal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := opener(t).Request(ctx, codec.FormatCMS, vectors.File(t, "http", "rfc8995", "vr_00-D0-E5-F2-00-02.cms.der"))
	if !errors.Is(err, context.Canceled) || decision.Is(err, decision.BadSignature) {
		t.Errorf("error %v", err)
	}
}
