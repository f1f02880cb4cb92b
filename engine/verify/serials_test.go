package verify_test

import (
	"bytes"
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

func expected(t testing.TB, serials ...string) *verify.Serials {
	t.Helper()
	s := new(verify.Serials)
	for _, serial := range serials {
		if added, err := s.Add([]byte(serial), nil); err != nil || !added {
			t.Fatal(added, err)
		}
	}
	return s
}

func TestMissingAndSurplusDevicesAreNamed(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	cose := func(serial string) []byte { return m.sealVoucher(t, codec.FormatCOSE, voucher(p, serial)) }
	broken := cose("broken")
	broken[len(broken)-1] ^= 1
	report, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{vouchers(cose("a"), cose("b"), cose("b"), cose("x"), broken)},
		Expect: verify.Expectation{Serials: expected(t, "z", "b", "a", "broken")}})
	var got []string
	for _, f := range failures {
		word, _, _ := strings.Cut(f.Reason, ":")
		got = append(got, fmt.Sprintf("%s %s %s", f.Check, f.Serial, word))
	}
	want := []string{"serial-number b surplus", "serial-number x surplus", "signature  it does not verify under the ES256 key of \"CN=Test MASA\"", "serial-number z missing", "serial-number broken missing"}
	if len(got) > 2 {
		got[2], _, _ = strings.Cut(got[2], `"CN=`)
		got[2] += `"CN=Test MASA"`
	}
	if !slices.Equal(got, want) {
		t.Errorf("failures\n%q, want\n%q", got, want)
	}
	if report.Passed != 2 || report.Failed != 3 || report.Missing != 2 || report.OK() || !slices.Contains(report.Checks, verify.CheckSerial) {
		t.Errorf("report %+v", report)
	}
	one := expected(t, "a")
	for range 2 { // a set may serve again
		mustHold(t, verify.Config{Trust: trust(p), Sources: []verify.Source{vouchers(cose("a"))}, Expect: verify.Expectation{Serials: one}}, 1)
	}
	mustFail(t, verify.Config{Trust: trust(p), Expect: verify.Expectation{Serials: new(verify.Serials)}}, verify.CheckSerial, cose("a"))
}

func TestDevicesThatShareASerialNumberAreToldApartByIssuer(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	a, b := bytes.Repeat([]byte{0xaa}, 20), bytes.Repeat([]byte{0xbb}, 20)
	with := func(keyID []byte) []byte {
		v := voucher(p, "same")
		if keyID != nil {
			v.IDevIDIssuer = codec.IssuerFromKeyID(keyID)
		}
		return m.sealVoucher(t, codec.FormatCMS, v)
	}
	set := func(keyIDs ...[]byte) *verify.Serials {
		s := new(verify.Serials)
		for _, k := range keyIDs {
			if _, err := s.Add([]byte("same"), k); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	cases := []struct {
		expect  *verify.Serials
		list    [][]byte
		passed  uint64
		missing uint64
	}{
		{set(a, b), [][]byte{with(b), with(a)}, 2, 0},
		{set(a, b), [][]byte{with(a), with(a)}, 1, 1},
		{set(a), [][]byte{with(b)}, 0, 1},
		{set(a), [][]byte{with(nil)}, 1, 0}, // the voucher does not say
		{set(nil), [][]byte{with(b)}, 1, 0}, // the list does not say
		{set(nil, a), [][]byte{with(a), with(b)}, 2, 0},
		{set(a, a), [][]byte{with(a)}, 1, 0}, // twice in the list is one device
	}
	for i, c := range cases {
		report, _ := check(t, verify.Config{Trust: trust(p), Expect: verify.Expectation{Serials: c.expect}, Sources: []verify.Source{vouchers(c.list...)}})
		if report.Passed != c.passed || report.Missing != c.missing {
			t.Errorf("case %d: %+v", i, report)
		}
	}
}

func TestIssuersRecordedInTheStoreTellDevicesApart(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	a, b := strings.Repeat("aa", 20), strings.Repeat("bb", 20)
	r := p.Issue(t, fixture.Store(t), p.Header("jws"), "serial-number,idevid-issuer\nsame,"+a+"\nsame,"+b+"\n")
	set := new(verify.Serials)
	for _, k := range [][]byte{bytes.Repeat([]byte{0xbb}, 20), bytes.Repeat([]byte{0xaa}, 20)} {
		if _, err := set.Add([]byte("same"), k); err != nil {
			t.Fatal(err)
		}
	}
	mustHold(t, verify.Config{Trust: trust(p), Expect: verify.Expectation{Serials: set}, Sources: []verify.Source{verify.StoredRun(r)}}, 2)
}

func TestSerialsAgreeWithAMap(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	rnd := rand.New(rand.NewPCG(1, 2))
	set, model := new(verify.Serials), map[string]bool{}
	for range 20_000 {
		serial := fmt.Sprintf("%d", rnd.IntN(15_000))
		added, err := set.Add([]byte(serial), nil)
		if err != nil || added == model[serial] {
			t.Fatalf("%s: added %v, %v", serial, added, err)
		}
		model[serial] = true
	}
	if set.Len() != uint64(len(model)) {
		t.Errorf("%d devices, want %d", set.Len(), len(model))
	}
	present := map[string]bool{"0": true, "7": true, "14999": true, "not": true}
	source := new(memory)
	for serial := range present {
		source.entries = append(source.entries, bundle.Entry{Voucher: m.sealVoucher(t, codec.FormatCOSE, voucher(p, serial))})
	}
	_, failures := check(t, verify.Config{Trust: trust(p), Expect: verify.Expectation{Serials: set}, Sources: []verify.Source{verify.Entries("memory", source)}})
	for _, f := range failures {
		surplus := strings.HasPrefix(f.Reason, "surplus")
		if surplus != present[f.Serial] || surplus == model[f.Serial] {
			t.Errorf("%v", &f)
		}
		delete(model, f.Serial)
	}
	for serial := range model {
		if !present[serial] {
			t.Errorf("%s is not reported", serial)
		}
	}
	if _, err := set.Add(nil, nil); err == nil {
		t.Error("a device without a serial number is taken")
	}
}
