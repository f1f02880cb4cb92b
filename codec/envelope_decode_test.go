package codec

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var allFormats = []Format{FormatCMS, FormatJWS, FormatCOSE}

func TestWhatTemplatesMakeDecodesAndEncodesBack(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512", "EdDSA"} {
		s := newTestSigner(t, alg)
		for _, f := range allFormats {
			tmpl := s.compile(t, f, nil)
			encoder, err := NewEnvelopeEncoder(EnvelopeParams{Format: f, Algorithm: s.id, Chain: s.chain})
			if err != nil {
				t.Fatal(err)
			}
			var d EnvelopeDecoder
			var e Envelope
			for _, serial := range oracleSerials {
				voucher := s.issue(t, tmpl, serial)
				if err := d.Decode(voucher, &e); err != nil {
					t.Fatalf("%s %v %q: %v", alg, f, serial, err)
				}
				signer := &e.Signers[0]
				if e.Format != f || len(e.Signers) != 1 || signer.CertIndex != 0 || len(e.Certificates) != 2 {
					t.Errorf("%s %v %q: %v, %d signers, signer's certificate %d of %d", alg, f, serial, e.Format, len(e.Signers), signer.CertIndex, len(e.Certificates))
				}
				if len(e.Oddities) != 0 {
					t.Errorf("%s %v %q: called odd: %v", alg, f, serial, e.Oddities)
				}
				if !s.verifies(signer.Signed, signer.Signature) {
					t.Errorf("%s %v %q: does not verify", alg, f, serial)
				}
				if f == FormatCMS && !bytes.Equal(signer.ContentDigest, s.digest(e.Payload)) {
					t.Errorf("%s %q: content digest differs", alg, serial)
				}
				again, err := encoder.AppendEnvelope(nil, e.Payload, signer.ContentDigest, signer.Signature)
				if err != nil || !bytes.Equal(again, voucher) {
					t.Errorf("%s %v %q: encoding what was decoded gives other octets (%v)", alg, f, serial, err)
				}
			}
		}
	}
}

func TestDecoderAllocatesNothingOnceWarm(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, f := range allFormats {
		voucher := s.issue(t, s.compile(t, f, nil), "SN-123456789")
		var d EnvelopeDecoder
		var e Envelope
		if n := testing.AllocsPerRun(100, func() {
			if err := d.Decode(voucher, &e); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", f, n)
		}
	}
}

func TestSigningTimeIsReadAsWritten(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, at := range []time.Time{
		time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 24, 10, 30, 59, 0, time.UTC),
		time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		voucher := s.issue(t, s.compile(t, FormatCMS, func(p *TemplateParams) { p.Envelope.SigningTime = at }), "A1")
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode(voucher, &e); err != nil {
			t.Fatal(err)
		}
		if got := e.Signers[0].SigningTime; !got.Equal(at) || len(e.Oddities) != 0 {
			t.Errorf("signing time %v, want %v; oddities %v", got, at, e.Oddities)
		}
	}
}

// eachVoucher calls do with one voucher of each format.
func eachVoucher(t *testing.T, do func(f Format, voucher []byte)) {
	t.Helper()
	s := newTestSigner(t, "ES256")
	for _, f := range allFormats {
		do(f, s.issue(t, s.compile(t, f, nil), "JADA123456789"))
	}
}

func TestEnvelopeTruncatedAtEveryOctetIsRefused(t *testing.T) {
	eachVoucher(t, func(f Format, voucher []byte) {
		var d EnvelopeDecoder
		var e Envelope
		for n := range voucher {
			var refused *EnvelopeError
			if err := d.Decode(voucher[:n], &e); !errors.As(err, &refused) {
				t.Fatalf("%v cut to %d octets: %v", f, n, err)
			}
			if _, err := StripCertificates(nil, voucher[:n]); err == nil {
				t.Fatalf("%v cut to %d octets: stripped", f, n)
			}
			if r, err := Inspect(voucher[:n], Limits{}); err == nil && len(r.Problems) == 0 {
				t.Fatalf("%v cut to %d octets: inspected without a problem", f, n)
			}
		}
	})
}

func TestTrailingOctetsAreRefused(t *testing.T) {
	eachVoucher(t, func(f Format, voucher []byte) {
		for _, more := range []string{"\x00", "x", "{}"} {
			var d EnvelopeDecoder
			var e Envelope
			wantFlaw(t, d.Decode(append(bytes.Clone(voucher), more...), &e), FlawTrailing)
		}
	})
}

// No single changed octet makes a reader fail other than by an error, and what
// still decodes has its signature broken, or differs where none covers it.
func TestChangedOctetsNeverPanicOrForge(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, f := range allFormats {
		voucher := s.issue(t, s.compile(t, f, nil), "JADA123456789")
		var d EnvelopeDecoder
		var e, whole Envelope
		if err := new(EnvelopeDecoder).Decode(voucher, &whole); err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(voucher)
		for i := range voucher {
			for _, flip := range []byte{0x01, 0x20, 0x80, 0xff} {
				changed[i] = voucher[i] ^ flip
				if _, err := Inspect(changed, Limits{}); err == nil {
					_, _ = StripCertificates(nil, changed)
				}
				if d.Decode(changed, &e) != nil || len(e.Signers) != 1 {
					continue
				}
				signer := &e.Signers[0]
				genuine := s.verifies(signer.Signed, signer.Signature) && (f != FormatCMS || bytes.Equal(signer.ContentDigest, s.digest(e.Payload)))
				if genuine && !bytes.Equal(e.Payload, whole.Payload) {
					t.Fatalf("%v: octet %d changed, the payload with it, and the signature still holds", f, i)
				}
			}
			changed[i] = voucher[i]
		}
	}
}

func TestRandomOctetsNeverPanic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var d EnvelopeDecoder
	var e Envelope
	for range 20000 {
		b := make([]byte, r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		// Real first octets lead further in.
		copy(b, [][]byte{{0x30, 0x80}, {0x30, 0x81, 0xff}, {0xd2, 0x84}, {0x84}, []byte(`{"payload":"`), []byte(`{"signatures":[{`), nil}[r.IntN(7)])
		_ = d.Decode(b, &e)
		_ = d.DecodeCMS(b, &e)
		_ = d.DecodeJWS(b, &e)
		_ = d.DecodeCOSE(b, &e)
		_, _ = Inspect(b, Limits{})
	}
}

func TestLimitsAreNamed(t *testing.T) {
	s := newTestSigner(t, "ES256")
	chain := s.chain
	for len(chain) < 17 {
		chain = append(chain, s.chain[1])
	}
	for _, f := range allFormats {
		voucher := s.issue(t, s.compile(t, f, func(p *TemplateParams) { p.Envelope.Chain = chain }), "A1")
		var e Envelope
		for name, lim := range map[string]Limits{"Certificates": {}, "VoucherBytes": {VoucherBytes: 100}} {
			d := EnvelopeDecoder{Limits: lim}
			var limit *LimitError
			if err := d.Decode(voucher, &e); !errors.As(err, &limit) || limit.Limit != name {
				t.Errorf("%v: error %v, want the limit %s", f, err, name)
			}
		}
		d := EnvelopeDecoder{Limits: Limits{Certificates: 17}}
		if err := d.Decode(voucher, &e); err != nil {
			t.Errorf("%v: 17 certificates where 17 are allowed: %v", f, err)
		}
	}
}

func TestDeepNestingNamesItsLimit(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	protected := base64url.EncodeToString([]byte(`{"alg":"ES256","future":` + deep + `}`))
	for name, b := range map[string][]byte{
		"CMS":  append([]byte{0x30, 0x80, 0x06, 0x09}, append(bytes.Clone(oidSignedData), bytes.Repeat([]byte{0x30, 0x80}, 40)...)...),
		"JWS":  []byte(`{"payload":"e30","signatures":[{"protected":"` + protected + `","signature":"AAAA"}]}`),
		"COSE": append([]byte{0xd2, 0x84, 0x40, 0xa1, 0x18, 0x63}, append(bytes.Repeat([]byte{0x81}, 40), 0xf6)...),
	} {
		var d EnvelopeDecoder
		var limit *LimitError
		if err := d.Decode(b, new(Envelope)); !errors.As(err, &limit) || limit.Limit != "Depth" || limit.Max != DefaultLimits().Depth {
			t.Errorf("%s: error is %v, want the limit Depth", name, err)
		}
	}
}
