package verify_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// nearlyAlike returns vouchers of which some differ in the serial number alone
// and the others nearly so: what a worker remembers of one must not help or harm
// the next. Nearly all are signed by one who is believed.
func nearlyAlike(t testing.TB, p *fixture.PKI) []bundle.Entry {
	t.Helper()
	m, strangers, sound := makerOf(p), makerOf(fixture.NewPKI(t, sign.ES256)), voucher(p, "SN-1")
	var list []bundle.Entry
	add := func(stated string, b []byte) {
		list = append(list, bundle.Entry{Place: fmt.Sprintf("entry %d", len(list)), Serial: []byte(stated), Voucher: b})
	}
	for _, format := range formats {
		for _, serial := range []string{"SN-1", "SN-2", "SN-1234567", "é", " SN-1", "SN\u0085", strings.Repeat("x", 64), strings.Repeat("x", 65)} {
			v := sound
			v.SerialNumber = []byte(serial)
			add("", m.sealVoucher(t, format, v))
			add(serial, m.sealVoucher(t, format, v))
			add("SN-0", m.sealVoucher(t, format, v))
		}
		for _, change := range []func(*codec.Voucher){
			func(v *codec.Voucher) { v.IDevIDIssuer = codec.IssuerFromKeyID([]byte("twenty octets of key")) },
			func(v *codec.Voucher) { v.IDevIDIssuer = codec.IssuerFromKeyID([]byte("twenty others of key")) },
			func(v *codec.Voucher) { v.CreatedOn = at.AddDate(1, 0, 0) },
			func(v *codec.Voucher) { v.ExpiresOn = at.AddDate(0, 0, -1) },
			func(v *codec.Voucher) { v.ExpiresOn = p.Domain.NotAfter.AddDate(1, 0, 0) },
			func(v *codec.Voucher) { v.PinnedDomainCert = p.CA.Raw },
			func(v *codec.Voucher) { v.PinnedDomainCert = []byte{0x30, 0x00} },
			func(v *codec.Voucher) { v.PinnedDomainCert, v.PinnedDomainPubk = nil, []byte{0x30, 0x00} },
			func(v *codec.Voucher) { v.Assertion, v.Nonce = codec.AssertionVerified, []byte("12345678") },
		} {
			for _, serial := range []string{"SN-1", "SN-2"} {
				v := sound
				v.SerialNumber = []byte(serial)
				change(&v)
				add("", m.sealVoucher(t, format, v))
				for _, stated := range []string{"twenty octets of key", "twenty others of key"} {
					add(serial, m.sealVoucher(t, format, v))
					list[len(list)-1].IssuerKeyID = []byte(stated)
				}
				add("", strangers.sealVoucher(t, format, v))
			}
		}
	}
	plain, err := codec.AppendVoucherJSON(nil, &sound)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{`"serial-number":"\u0053N-1"`, `"serial-number":"SN\"-1"`, `"serial-number":"SN-1","serial-number":"SN-2"`,
		`"serial-number":"SN-1","x":0`, `"serial-number":"SN-2","x":0`, `"serial-number":7`, `"serial-number":""`, `"x":"SN-1"`,
		`"serial-number": "SN-1"`, "\"serial-number\":\"S\x01\"", "\"serial-number\":\"S\xff\"", `"serial-number":"SN-1\"`} {
		payload := replace(t, plain, []byte(`"serial-number":"SN-1"`), []byte(by))
		add("", m.seal(t, codec.FormatCMS, payload, nil))
		add("", m.seal(t, codec.FormatJWS, payload, nil))
	}
	add("", m.seal(t, codec.FormatCMS, append(bytes.Clone(plain), " \n"...), nil))
	add("", m.seal(t, codec.FormatJWS, append(bytes.Clone(plain), '}'), nil))
	return list
}

func TestEveryVoucherIsJudgedAsIfItWereAlone(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	list := nearlyAlike(t, p)
	for name, expect := range map[string]verify.Expectation{
		"nothing":     {},
		"pin":         {Pins: []*x509.Certificate{p.Domain}},
		"another pin": {Pins: []*x509.Certificate{p.CA}},
		"issuer":      {IssuerKeyID: []byte("twenty octets of key")},
	} {
		cfg := verify.Config{Trust: trust(p), Expect: expect, Workers: 1}
		alone := map[string]verify.Failure{}
		for _, e := range list {
			cfg.Sources = []verify.Source{verify.Entries("pile", &memory{entries: []bundle.Entry{e}})}
			_, failures := check(t, cfg)
			if len(failures) > 1 {
				t.Fatal(failures)
			}
			for _, f := range failures {
				alone[f.Place] = f
			}
		}
		if len(alone) == 0 || len(alone) == len(list) {
			t.Fatalf("%s: %d of %d fail: the test shows nothing", name, len(alone), len(list))
		}
		rng := rand.New(rand.NewPCG(5, 6))
		rounds := 6
		if testing.Short() {
			rounds = 2
		}
		for round := range rounds {
			pile := slices.Clone(list)
			for range 3 * len(list) { // every voucher behind many others
				pile = append(pile, list[rng.IntN(len(list))])
			}
			if round > 0 {
				rng.Shuffle(len(pile), func(i, j int) { pile[i], pile[j] = pile[j], pile[i] })
			}
			want := 0
			for _, e := range pile {
				if alone["pile, "+e.Place].Check != "" {
					want++
				}
			}
			cfg.Sources = []verify.Source{verify.Entries("pile", &memory{entries: pile})}
			report, failures := check(t, cfg)
			if len(failures) != want || report.Passed != uint64(len(pile)-want) {
				t.Errorf("expecting %s: %d of %d fail, alone %d", name, len(failures), len(pile), want)
			}
			for _, f := range failures {
				if f != alone[f.Place] {
					t.Errorf("expecting %s: %+v, alone %+v", name, f, alone[f.Place])
				}
			}
		}
	}
}

// The same limits do not hold for all sources: a run may have longer serial
// numbers than the caller allows elsewhere.
func TestALongerSerialNumberIsAllowedInItsRunOnly(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	for _, format := range formats {
		long := strings.Repeat("x", 100)
		h := p.Header(format.String())
		h.SerialBytes = 128
		r := p.Issue(t, fixture.Store(t), h, "serial-number\nSN-1\n"+long+"\nSN-2\n")
		m := makerOf(p)
		short, tooLong := m.sealVoucher(t, format, voucher(p, "SN-1")), m.sealVoucher(t, format, voucher(p, long))
		report, failures := check(t, verify.Config{Trust: trust(p), Workers: 1, Sources: []verify.Source{
			verify.StoredRun(r), vouchers(short, tooLong, short), verify.StoredRun(r)}})
		if report.Passed != 8 || len(failures) != 1 || failures[0].Check != verify.CheckRules || failures[0].Place != "memory, entry 1" {
			t.Errorf("%v: report %+v, failures %v", format, report, failures)
		}
	}
}
