package run

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/sign"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testHeader is a header every rule accepts, with the signer it belongs to.
func testHeader(t testing.TB, format string) (*Header, sign.Signer) {
	t.Helper()
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: "Test MASA", NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(5, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.LoadKey(pki.SignerKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { signer.Close() })
	chain, err := sign.LoadChain(pki.Signer)
	if err != nil {
		t.Fatal(err)
	}
	h := &Header{Version: HeaderVersion, Name: "lot", Format: format, Algorithm: "ES256", CreatedOn: FormatTime(epoch), ExpiresOn: "365d",
		Assertion: "logged", PinAs: PinCert, SerialFrom: "subject", SerialBytes: 64}
	for _, c := range chain {
		h.Chain = append(h.Chain, c.Raw)
	}
	h.Pins = []Pin{{Cert: chain[1].Raw}}
	return h, signer
}

func TestHeadersSurviveTheStore(t *testing.T) {
	h, _ := testHeader(t, "cms")
	checks := false
	h.DomainCertRevocationChecks, h.Extensions, h.Issuer = &checks, []string{"example.com:x", "2470"}, []byte{4, 2, 0x30, 0}
	b, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Marshal()
	if err != nil || !bytes.Equal(b, again) {
		t.Fatalf("%s came back as %s, %v", b, again, err)
	}
	if d := h.Differences(back, true); len(d) != 0 {
		t.Fatalf("differences %v", d)
	}
}

func TestHeadersThatCannotBeAreRefused(t *testing.T) {
	h, _ := testHeader(t, "cms")
	good, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":          nil,
		"truncated":      good[:len(good)/2],
		"other version":  bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1),
		"unknown member": bytes.Replace(good, []byte(`{"version"`), []byte(`{"surprise":1,"version"`), 1),
		"bad name":       bytes.Replace(good, []byte(`"lot"`), []byte(`"../lot"`), 1),
		"bad time":       bytes.Replace(good, []byte("2026-03-01T12:00:00Z"), []byte("2026-03-01T12:00:00+01:00"), 1),
		"bad expiry":     bytes.Replace(good, []byte(`"365d"`), []byte(`"soon"`), 1),
		"bad pin-as":     bytes.Replace(good, []byte(`"pin-as":"cert"`), []byte(`"pin-as":"name"`), 1),
	} {
		if bytes.Equal(b, good) {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if _, err := ParseHeader(b); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: error %v, want one that wraps ErrHeader", name, err)
		}
	}
}

func TestDifferencesNameTheSetting(t *testing.T) {
	h, _ := testHeader(t, "cms")
	for setting, change := range map[string]func(*Header){
		"format":         func(h *Header) { h.Format = "jws" },
		"expires-on":     func(h *Header) { h.ExpiresOn = Never },
		"pin":            func(h *Header) { h.Pins = []Pin{{Cert: h.Chain[0]}} },
		"pin-as":         func(h *Header) { h.PinAs = PinPubk },
		"idevid-issuer":  func(h *Header) { h.Issuer = []byte{1} },
		"econtent":       func(h *Header) { h.DataContentType = true },
		"reproducible":   func(h *Header) { h.Reproducible = true },
		"est-domain":     func(h *Header) { h.EstDomain = "https://est.example" },
		"created-on":     func(h *Header) { h.CreatedOn = "2026-03-02T00:00:00Z" },
		"assertion":      func(h *Header) { h.Assertion = "verified" },
		"include-issuer": func(h *Header) { h.IncludeIssuer = true },
	} {
		other := *h
		change(&other)
		if d := h.Differences(&other, true); len(d) != 1 || d[0].Setting != setting {
			t.Errorf("%s: differences %v", setting, d)
		}
	}
	other := *h
	other.CreatedOn = "2026-03-02T00:00:00Z"
	if d := h.Differences(&other, false); len(d) != 0 {
		t.Errorf("a created-on nobody gave counts: %v", d)
	}
}

func TestExpiryIsResolvedAgainstCreatedOn(t *testing.T) {
	for in, want := range map[string]string{
		"never": "never", "365d": "2027-03-01T12:00:00Z", "1h30m": "2026-03-01T13:30:00Z",
		"2030-01-31": "2030-01-31T00:00:00Z", "2030-01-31T01:00:00+01:00": "2030-01-31T00:00:00Z",
		"2030-01-31T00:00:00.9Z": "2030-01-31T00:00:00Z",
	} {
		if got, err := ResolveExpiry(in, epoch); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0s", "2026-03-01T12:00:00Z", "2020-01-01", "tomorrow", "300y", "9999-12-31T23:59:60Z", "P1M"} {
		if got, err := ResolveExpiry(in, epoch); err == nil {
			t.Errorf("%q gave %s", in, got)
		}
	}
}

func TestTemplatesRefuseWhatMustNotBeSigned(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*Header)
		variant Variant
		says    string
	}{
		"unknown pin":        {nil, Variant{Pin: "west", ExpiresOn: Never}, `"west"`},
		"outlives the pin":   {nil, Variant{ExpiresOn: "2040-01-01T00:00:00Z"}, "2031-03-01"},
		"before created-on":  {nil, Variant{ExpiresOn: "2026-02-01T00:00:00Z"}, "expires-on"},
		"ended pin":          {func(h *Header) { h.CreatedOn = "2032-01-01T00:00:00Z" }, Variant{ExpiresOn: Never}, "ended"},
		"proximity":          {func(h *Header) { h.Assertion = "proximity" }, Variant{ExpiresOn: Never}, "nobody"},
		"renewal, no expiry": {func(h *Header) { h.LastRenewalDate = "30d" }, Variant{ExpiresOn: Never}, "last-renewal-date"},
	} {
		h, _ := testHeader(t, "cms")
		if c.change != nil {
			c.change(h)
		}
		compiler, err := NewCompiler(h)
		if err == nil {
			_, err = compiler.Compile(&c.variant)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %s", name, err, c.says)
		}
	}
}

func TestMakersAllocateNothingOnceWarm(t *testing.T) {
	for _, format := range []string{"cms", "jws", "cose"} {
		h, signer := testHeader(t, format)
		compiler, err := NewCompiler(h)
		if err != nil {
			t.Fatal(err)
		}
		template, err := compiler.Compile(&Variant{ExpiresOn: Never})
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewMaker(sign.ES256)
		if err != nil {
			t.Fatal(err)
		}
		const n = 256
		serials, templates := make([][]byte, n), make([]*Template, n)
		for i := range n {
			serials[i], templates[i] = []byte{'S', byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)}, template
		}
		sigs, leaves := make([]byte, n*64), make([]byte, n*32)
		envelope := make([]byte, 0, template.MaxEnvelopeSize(64))
		if err := m.Prepare(serials, templates); err != nil {
			t.Fatal(err)
		}
		if err := signer.SignBatch(sigs, m.Inputs()); err != nil { // what signers allocate is held where they are
			t.Fatal(err)
		}
		work := func() {
			if err := m.Prepare(serials, templates); err != nil {
				t.Fatal(err)
			}
			if err := m.Leaves(leaves, sigs); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if _, err := m.AppendEnvelope(envelope, i, sigs[i*64:(i+1)*64]); err != nil {
					t.Fatal(err)
				}
			}
		}
		work()
		if allocs := testing.AllocsPerRun(5, work); allocs >= n/64 {
			t.Errorf("%s: %.0f allocations a batch of %d", format, allocs, n)
		}
	}
}

func TestSettingsBecomeAHeader(t *testing.T) {
	h, _ := testHeader(t, "cms")
	s, err := profile.Parse([]byte("format: cose\nexpires-on: 90d\ncreated-on: 2026-03-01T12:00:00Z\nassertion: verified\nserial-bytes: 128\nextensions: [example.com:x, 2470]\nidevid-issuer: 0418301680140102030405060708090a0b0c0d0e0f1011121314\n"), "p")
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewHeader(s, sign.ES256, h.Chain, h.Pins)
	if err != nil {
		t.Fatal(err)
	}
	got.Name = "lot"
	if _, err := got.Marshal(); err != nil {
		t.Fatal(err)
	}
	if got.Format != "cose" || got.Assertion != "verified" || got.SerialBytes != 128 || got.CreatedOn != "2026-03-01T12:00:00Z" || !got.IncludeIssuer || len(got.Issuer) != 26 {
		t.Errorf("header %+v", got)
	}
	compiler, err := NewCompiler(got)
	if err != nil {
		t.Fatal(err)
	}
	template, err := compiler.Compile(&Variant{ExpiresOn: Never})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := template.AppendPayload(nil, []byte("S"))
	if err != nil {
		t.Fatal(err)
	}
	var v codec.Voucher
	if err := (&codec.PayloadDecoder{}).VoucherCBOR(payload, &v); err != nil || len(v.Extensions) != 2 || v.Extensions[1].SID != 2470 {
		t.Errorf("voucher %+v, %v", v, err)
	}
	if _, err := NewHeader(new(profile.Settings), sign.ES256, h.Chain, h.Pins); err == nil {
		t.Error("settings without expires-on passed")
	}
}
