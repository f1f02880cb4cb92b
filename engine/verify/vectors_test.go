package verify_test

import (
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/engine/verify"
)

func day(t testing.TB, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPublicVouchersInCMSAndJWS(t *testing.T) {
	vendor := []*x509.Certificate{vectors.Certificate(t, "http", "rfc8995", "vendor.crt")}
	masa := []*x509.Certificate{vectors.Certificate(t, "http", "jws-voucher", "masa-ca.crt")}
	cases := []struct {
		file, at string
		anchors  []*x509.Certificate
		check    verify.Check // empty: it holds
	}{
		{"rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", "2021-04-15", vendor, ""},
		{"rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", "2026-01-01", vendor, verify.CheckChain},
		{"rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", "2021-04-15", masa, verify.CheckChain},
		{"rfc8995/vr_00-D0-E5-F2-00-02.cms.der", "2021-04-15", vendor, verify.CheckPayload},
		{"rfc8366bis/voucher_00-D0-E5-F2-00-02.cms.der", "2022-07-15", vendor, ""},
		{"derived/voucher-econtent40.cms.der", "2021-04-15", vendor, ""},
		{"derived/voucher-bad-signature.cms.der", "2021-04-15", vendor, verify.CheckSignature},
		{"derived/voucher-no-signedattrs.cms.der", "2021-04-15", vendor, verify.CheckEnvelope},
		{"derived/vr-tampered-serial.cms.der", "2021-04-15", vendor, verify.CheckDigest},
		{"cms-detached/voucher-detached.cms.der", "2021-04-15", vendor, verify.CheckEnvelope},
		{"jws-voucher-early/voucher.compact.jws", "2021-04-15", vendor, verify.CheckEnvelope},
		{"jws-voucher/pvr.jws.json", "", masa, verify.CheckPayload},
		{"rfc8366bis/voucher-jws.jws.json", "2025-10-16", vendor, verify.CheckChain}, // it is younger than its certificate
		{"jws-voucher/voucher.jws.json", "", masa, ""},
	}
	for _, c := range cases {
		t.Run(c.file+"@"+c.at, func(t *testing.T) {
			when := vectors.Certificate(t, "http", "jws-voucher", "masa.crt").NotBefore.Add(time.Hour)
			if c.at != "" {
				when = day(t, c.at)
			}
			cfg := verify.Config{Trust: verify.Trust{Anchors: c.anchors, At: when}}
			b := vectors.File(t, "http", c.file)
			if c.check != "" {
				mustFail(t, cfg, c.check, b)
				return
			}
			cfg.Sources = []verify.Source{vouchers(b)}
			mustHold(t, cfg, 1)
		})
	}
}

func TestTheSignersOfAPublicVoucherMayBeTrustedThemselves(t *testing.T) {
	for _, name := range []string{"prm/voucher-countersigned.jws.json", "prm/voucher.jws.json"} {
		b := vectors.File(t, "http", name)
		var d codec.EnvelopeDecoder
		var e codec.Envelope
		if err := d.Decode(b, &e); err != nil {
			t.Fatal(name, err)
		}
		for i := range e.Signers {
			cert, err := x509.ParseCertificate(e.Certificates[e.Signers[i].CertIndex])
			if err != nil {
				t.Fatal(name, err)
			}
			payload, err := voucherOf(e.Payload)
			if err != nil {
				t.Fatal(name, err)
			}
			when := payload.CreatedOn
			if when.Before(cert.NotBefore) {
				when = cert.NotBefore
			}
			mustHold(t, verify.Config{Sources: []verify.Source{vouchers(b)}, Trust: verify.Trust{Anchors: []*x509.Certificate{cert}, At: when}}, 1)
		}
	}
}

func voucherOf(payload []byte) (codec.Voucher, error) {
	d := codec.PayloadDecoder{Unknown: codec.KeepUnknown}
	var v codec.Voucher
	err := d.VoucherJSON(payload, &v)
	return v, err
}

func TestPublicVouchersInCOSE(t *testing.T) {
	anchors := []*x509.Certificate{vectors.Certificate(t, "constrained", "cbrski", "masa_ca.crt.der")}
	cfg := verify.Config{Trust: verify.Trust{Anchors: anchors, At: day(t, "2023-01-01")}}
	for _, name := range []string{"voucher.cose", "voucher-with-x5bag.cose"} {
		cfg.Sources = []verify.Source{vouchers(vectors.File(t, "constrained", "cbrski", name))}
		mustHold(t, cfg, 1)
	}
	for _, name := range []string{"pvr.cose", "rvr.cose"} {
		report, _ := check(t, verify.Config{Trust: cfg.Trust, Sources: []verify.Source{vouchers(vectors.File(t, "constrained", "cbrski", name))}})
		if report.Failed != 1 {
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range []string{"voucher_00-D0-E5-F2-00-03.vch", "vr_00-D0-E5-F2-00-03.vrq"} {
		mustFail(t, cfg, verify.CheckEnvelope, vectors.File(t, "constrained", "legacy", name))
	}
}

// constructed says by which check the bad ones fail.
var constructed = map[string]verify.Check{
	"bad-voucher-absolute-sids": verify.CheckRules, "bad-voucher-alg-missing": verify.CheckEnvelope,
	"bad-voucher-alg-unprotected": verify.CheckEnvelope, "bad-voucher-assertion-9": verify.CheckPayload,
	"bad-voucher-assertion-text": verify.CheckPayload, "bad-voucher-crit": verify.CheckEnvelope,
	"bad-voucher-der-signature": verify.CheckEnvelope, "bad-voucher-dup-key": verify.CheckPayload,
	"bad-voucher-nonce-length": verify.CheckRules, "bad-voucher-request-sid": verify.CheckPayload,
	"bad-voucher-serial": verify.CheckSerial, "bad-voucher-signature": verify.CheckSignature,
	"bad-voucher-tag0-date": verify.CheckPayload, "bad-voucher-tag98": verify.CheckEnvelope,
	"bad-voucher-trailing": verify.CheckEnvelope, "bad-voucher-wrong-signer": verify.CheckSignature,
}

func TestConstructedCOSEVouchersMeetTheirExpectations(t *testing.T) {
	var expect struct {
		Cases []struct {
			File, Artefact, Expect, Why string
			Signature                   string `json:"cose_signature"`
		}
	}
	if err := json.Unmarshal(vectors.File(t, "constrained", "constructed", "expect.json"), &expect); err != nil {
		t.Fatal(err)
	}
	anchors := []*x509.Certificate{vectors.Certificate(t, "constrained", "cbrski", "masa_ca.crt.der")}
	seen := 0
	for _, c := range expect.Cases {
		if c.Artefact != "voucher" {
			continue
		}
		seen++
		serials := new(verify.Serials)
		if _, err := serials.Add([]byte("JADA123456789"), nil); err != nil {
			t.Fatal(err)
		}
		entry := bundle.Entry{Format: codec.FormatCOSE, Voucher: vectors.File(t, "constrained", "constructed", c.File)}
		report, failures := check(t, verify.Config{Trust: verify.Trust{Anchors: anchors, At: day(t, "2026-06-10")},
			Expect:  verify.Expectation{Serials: serials},
			Sources: []verify.Source{verify.Entries("constructed", &memory{entries: []bundle.Entry{entry}})}})
		if want := strings.HasPrefix(c.Expect, "accept"); report.OK() != want {
			t.Errorf("%s: passed %v, want %v (%s): %v", c.File, report.OK(), want, c.Why, failures)
		}
		if want, bad := constructed[strings.TrimSuffix(c.File, ".cose")]; bad && (len(failures) == 0 || failures[0].Check != want) {
			t.Errorf("%s: want check %s (%s), got %v", c.File, want, c.Why, failures)
		}
	}
	if seen < 20 {
		t.Errorf("only %d cases", seen)
	}
}
