package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPrefixAndTailMakeTheSignedMessage(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		tmpl := s.compile(t, f, nil)
		encoder, err := NewEnvelopeEncoder(EnvelopeParams{Format: f, Algorithm: s.id, Chain: s.chain})
		if err != nil {
			t.Fatal(err)
		}
		for _, serial := range oracleSerials {
			class := tmpl.Class([]byte(serial))
			if class < 0 || class >= tmpl.Classes() {
				t.Fatalf("%v %q: class %d of %d", f, serial, class, tmpl.Classes())
			}
			m, err := tmpl.AppendTail(tmpl.AppendPrefix([]byte("kept"), class), []byte(serial))
			if err != nil {
				t.Fatal(err)
			}
			payload, err := tmpl.AppendPayload(nil, []byte(serial))
			if err != nil {
				t.Fatal(err)
			}
			if want := encoder.AppendSigned1([]byte("kept"), payload); !bytes.Equal(m, want) {
				t.Errorf("%v %q: message %q, want %q", f, serial, m, want)
			}
			if !bytes.Equal(tmpl.AttributesPrefix(), encoder.AttributesPrefix()) {
				t.Errorf("%v: attributes differ", f)
			}
			digest, signature := make([]byte, 32), bytes.Repeat([]byte{0x91}, 64)
			a, errA := tmpl.AppendEnvelope(nil, []byte(serial), digest, signature)
			b, errB := encoder.AppendEnvelope(nil, payload, digest, signature)
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("%v %q: template and encoder differ (%v, %v)", f, serial, errA, errB)
			}
			if len(a) > tmpl.MaxEnvelopeSize(len(serial)) || len(b) > encoder.MaxEnvelopeSize(len(payload)) {
				t.Errorf("%v %q: %d octets exceed the bounds %d, %d", f, serial, len(a), tmpl.MaxEnvelopeSize(len(serial)), encoder.MaxEnvelopeSize(len(payload)))
			}
		}
	}
}

func TestTemplatePayloadIsTheVouchersEncoding(t *testing.T) {
	s := newTestSigner(t, "ES256")
	leaves := testVoucher(s.chain[1])
	leaves.IDevIDIssuer = IssuerFromKeyID(bytes.Repeat([]byte{7}, 20))
	leaves.EstDomain = []byte("https://est.example.com")
	leaves.AdditionalConfigurationURL = []byte("https://conf.example.com")
	leaves.Extensions = []Extension{{SID: 60000}, {Name: []byte("example.com-colour")}}
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		tmpl := s.compile(t, f, func(p *TemplateParams) { p.Voucher = leaves })
		for _, serial := range oracleSerials {
			got, err := tmpl.AppendPayload(nil, []byte(serial))
			if err != nil {
				t.Fatal(err)
			}
			v := leaves
			v.SerialNumber = []byte(serial)
			want, err := AppendVoucherJSON(nil, &v)
			if f == FormatCOSE {
				want, err = AppendVoucherCBOR(nil, &v)
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v %q: %q, want %q (%v)", f, serial, got, want, err)
			}
		}
	}
}

// What varies is at the end: two vouchers share all that a prefix promises, and
// the tail of a short serial number is short.
func TestTailIsShort(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		tail, err := s.compile(t, f, nil).AppendTail(nil, []byte("SN-123456789"))
		if err != nil || len(tail) > 40 {
			t.Errorf("%v: tail of %d octets, %v", f, len(tail), err)
		}
	}
}

func TestJWSProtectedHeaderIsExactlyAlgTypX5c(t *testing.T) {
	s := newTestSigner(t, "ES256")
	tmpl := s.compile(t, FormatJWS, nil)
	prefix := tmpl.AppendPrefix(nil, 0)
	header, err := base64.RawURLEncoding.DecodeString(string(prefix[:bytes.IndexByte(prefix, '.')]))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"alg":"ES256","typ":"voucher-jws+json","x5c":["` + base64.StdEncoding.EncodeToString(s.chain[0]) + `","` + base64.StdEncoding.EncodeToString(s.chain[1]) + `"]}`
	if string(header) != want {
		t.Errorf("protected header %s, want %s", header, want)
	}
	if constant := prefix[bytes.IndexByte(prefix, '.')+1:]; len(constant)%4 != 0 {
		t.Errorf("the constant part of the payload has %d characters, not whole groups", len(constant))
	}
}

func TestTemplateAllocatesNothingPerVoucher(t *testing.T) {
	s := newTestSigner(t, "ES256")
	serial := []byte("SN-123456789")
	digest, signature := make([]byte, 32), bytes.Repeat([]byte{0xa5}, 64)
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		tmpl := s.compile(t, f, nil)
		dst := make([]byte, 0, tmpl.MaxEnvelopeSize(len(serial)))
		if n := testing.AllocsPerRun(100, func() {
			if _, err := tmpl.AppendTail(dst, serial); err != nil {
				t.Fatal(err)
			}
			if _, err := tmpl.AppendEnvelope(dst, serial, digest, signature); err != nil {
				t.Fatal(err)
			}
			tmpl.AppendPrefix(dst, tmpl.Class(serial))
		}); n != 0 {
			t.Errorf("%v: %v allocations", f, n)
		}
	}
}

func TestTemplateRefusesBadSerialsDigestsAndSignatures(t *testing.T) {
	s := newTestSigner(t, "ES256")
	tmpl := s.compile(t, FormatCMS, nil)
	digest, signature := make([]byte, 32), make([]byte, 64)
	for _, serial := range []string{"", " a", "a\n", "a\x00", "\xff", strings.Repeat("x", 65), strings.Repeat("x", 10000)} {
		var rule *RuleError
		if _, err := tmpl.AppendTail(nil, []byte(serial)); !errors.As(err, &rule) {
			t.Errorf("tail of %.20q: %v", serial, err)
		}
		if _, err := tmpl.AppendEnvelope(nil, []byte(serial), digest, signature); !errors.As(err, &rule) {
			t.Errorf("envelope of %.20q: %v", serial, err)
		}
		if _, err := tmpl.AppendPayload(nil, []byte(serial)); !errors.As(err, &rule) {
			t.Errorf("payload of %.20q: %v", serial, err)
		}
	}
	if _, err := tmpl.AppendEnvelope(nil, []byte("a"), digest[:31], signature); err == nil {
		t.Error("a digest of 31 octets is taken")
	}
	if _, err := tmpl.AppendEnvelope(nil, []byte("a"), digest, signature[:63]); err == nil {
		t.Error("a signature of 63 octets is taken")
	}
}

func TestLongSerialsFitWhenAskedFor(t *testing.T) {
	s := newTestSigner(t, "ES256")
	serial := strings.Repeat(`"`, 1024)
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		tmpl := s.compile(t, f, func(p *TemplateParams) { p.MaxSerialBytes = 1024 })
		voucher := s.issue(t, tmpl, serial)
		if len(voucher) > tmpl.MaxEnvelopeSize(1024) {
			t.Errorf("%v: %d octets exceed %d", f, len(voucher), tmpl.MaxEnvelopeSize(1024))
		}
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode(voucher, &e); err != nil {
			t.Fatal(err)
		}
		var v Voucher
		p := PayloadDecoder{Limits: Limits{SerialBytes: 1024}}
		decode := p.VoucherJSON
		if f == FormatCOSE {
			decode = p.VoucherCBOR
		}
		if err := decode(e.Payload, &v); err != nil || string(v.SerialNumber) != serial {
			t.Errorf("%v: serial of %d octets, %v", f, len(v.SerialNumber), err)
		}
	}
}

func TestConstantsTellTemplatesApart(t *testing.T) {
	s := newTestSigner(t, "ES256")
	var seen [][]byte
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		for _, created := range []int64{1700000000, 1700000001} {
			for _, chain := range [][][]byte{s.chain, s.chain[:1]} {
				tmpl := s.compile(t, f, func(p *TemplateParams) {
					p.Voucher.CreatedOn = time.Unix(created, 0)
					p.Envelope.Chain = chain
				})
				c := tmpl.AppendConstants(nil)
				if slices.ContainsFunc(seen, func(o []byte) bool { return bytes.Equal(o, c) }) {
					t.Errorf("%v: another template has the same constants", f)
				}
				seen = append(seen, c)
			}
		}
	}
}

func TestCompileRefusesWhatCannotBeWritten(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for name, with := range map[string]func(*TemplateParams){
		"serial set":             func(p *TemplateParams) { p.Voucher.SerialNumber = []byte("x") },
		"no pin":                 func(p *TemplateParams) { p.Voucher.PinnedDomainCert = nil },
		"no format":              func(p *TemplateParams) { p.Envelope.Format = FormatUnknown },
		"no chain in CMS":        func(p *TemplateParams) { p.Envelope.Chain = nil },
		"no chain in JWS":        func(p *TemplateParams) { p.Envelope.Format, p.Envelope.Chain = FormatJWS, nil },
		"broken certificate":     func(p *TemplateParams) { p.Envelope.Chain = [][]byte{[]byte("x")} },
		"two in one certificate": func(p *TemplateParams) { p.Envelope.Chain = [][]byte{append(slices.Clone(s.chain[0]), s.chain[1]...)} },
		"no CMS identifiers":     func(p *TemplateParams) { p.Envelope.Algorithm.SignatureOID = nil },
		"broken identifier":      func(p *TemplateParams) { p.Envelope.Algorithm.DigestOID = []byte{0x30, 9} },
		"alg none":               func(p *TemplateParams) { p.Envelope.Format, p.Envelope.Algorithm.JOSE = FormatJWS, "none" },
		"alg HS256":              func(p *TemplateParams) { p.Envelope.Format, p.Envelope.Algorithm.JOSE = FormatJWS, "HS256" },
		"no COSE identifier":     func(p *TemplateParams) { p.Envelope.Format, p.Envelope.Algorithm.COSE = FormatCOSE, 0 },
		"no signature size":      func(p *TemplateParams) { p.Envelope.Algorithm.SignatureSize = 0 },
		"id-data in JWS":         func(p *TemplateParams) { p.Envelope.Format, p.Envelope.DataContentType = FormatJWS, true },
		"signing time in COSE":   func(p *TemplateParams) { p.Envelope.Format, p.Envelope.SigningTime = FormatCOSE, time.Unix(1, 0) },
		"signing time year 10000": func(p *TemplateParams) {
			p.Envelope.SigningTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		},
	} {
		p := TemplateParams{Envelope: EnvelopeParams{Format: FormatCMS, Algorithm: s.id, Chain: s.chain}, Voucher: testVoucher(s.chain[1])}
		with(&p)
		if _, err := CompileTemplate(p); err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
}
