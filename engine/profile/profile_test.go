package profile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/profile"
)

const whole = `# every key there is
format: cose
key: masa.key
key-pass-file: pass.txt
cert: "masa.pem"
hedged: true
check: all
econtent: data
signing-time: created-on
created-on: 2026-03-01T00:00:00Z
expires-on: 10y
last-renewal-date: 2030-01-01
assertion: verified
pin:
  acme: acme-ca.pem
  007: bond.pem
pin-as: pubk-sha256
include-issuer: true
idevid-issuer: 04:18:30:16
domain-cert-revocation-checks: false
est-domain: https://est.example.com/
additional-configuration-url: https://example.com/config
extensions:
  - 1234
  - ietf-voucher-x
manufacturer-proprietary: aGVsbG8=
devices: devices.csv.zst
list-format: csv
delimiter: tab
serial-from: hw-module-name
serial-bytes: 1024
row-bytes: 4096
max-expansion: 100
store: ./store
run: order-4711
on-error: skip
rejects: rejects.csv
renew-before: 10d
delta: order-4710
dry-run: true
workers: 2
progress: json
stats: true
json: true
`

func TestAProfileWithEveryKeySetsEverySetting(t *testing.T) {
	s, err := profile.Parse([]byte(whole), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fields := reflect.ValueOf(*s)
	for i := range fields.NumField() {
		set := fields.Field(i).MethodByName("IsSet").Call(nil)[0].Bool()
		if line := fields.Field(i).MethodByName("Line").Call(nil)[0].Int(); !set || line == 0 {
			t.Errorf("%s: set %v by line %d", fields.Type().Field(i).Name, set, line)
		}
	}
	if n := len(profile.Keys()); n != fields.NumField() {
		t.Errorf("%d keys for %d settings", n, fields.NumField())
	}
	for name, pair := range map[string][2]any{
		"format":       {s.Format.Or(0), codec.FormatCOSE},
		"created-on":   {s.CreatedOn.Or(time.Time{}), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		"expires-on":   {s.ExpiresOn.Or(profile.Expiry{}), profile.Expiry{After: 3650 * 24 * time.Hour}},
		"assertion":    {s.Assertion.Or(0), codec.AssertionVerified},
		"pin":          {s.Pins.Or(nil), []profile.Pin{{Name: "acme", File: "acme-ca.pem"}, {Name: "007", File: "bond.pem"}}},
		"pin-as":       {s.PinAs.Or(0), profile.PinPubkSHA256},
		"issuer":       {s.IDevIDIssuer.Or(nil), []byte{4, 0x18, 0x30, 0x16}},
		"revocation":   {s.DomainCertRevocationChecks.Or(true), false},
		"extensions":   {s.Extensions.Or(nil), []codec.Extension{{SID: 1234}, {Name: []byte("ietf-voucher-x")}}},
		"proprietary":  {s.ManufacturerProprietary.Or(nil), []byte("hello")},
		"list-format":  {s.ListFormat.Or(0), list.FormatCSV},
		"delimiter":    {s.Delimiter.Or(0), byte('\t')},
		"serial-bytes": {s.SerialBytes.Or(0), 1024},
		"line":         {s.Format.Line(), 2},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestBadProfilesAreRefusedWithPlaceCauseAndRemedy(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       error
		line       int
		says       string
	}{
		{"unknown key", "format: cms\nexpire-on: 1y\n", profile.ErrKey, 2, "did you mean expires-on?"},
		{"short and far from any key", "abc: 1\n", profile.ErrKey, 1, `"abc"; remove it`},
		{"far from any key", "qqqqqqqqqqqq: 1\n", profile.ErrKey, 1, "remove it"},
		{"key twice", "format: cms\nkey: a\nformat: jws\n", profile.ErrTwice, 3, "line 1 has it already"},
		{"pin twice", "pin:\n  - a=1.pem\n  - a=2.pem\n", profile.ErrValue, 0, "two pins"},
		{"pins without names", "pin:\n  - 1.pem\n  - 2.pem\n", profile.ErrValue, 0, "need names"},
		{"empty pins", "pin: []\n", profile.ErrValue, 1, "empty"},
		{"no value", "format:\n", profile.ErrValue, 1, "no value"},
		{"wrong format", "format: pgp\n", profile.ErrValue, 1, "cms, jws or cose"},
		{"proximity", "assertion: proximity\n", profile.ErrValue, 1, "nobody observed"},
		{"agent-proximity", "assertion: agent-proximity\n", profile.ErrValue, 1, "nobody observed"},
		{"sequence for a scalar", "format: [cms, jws]\n", profile.ErrValue, 1, "several values"},
		{"mapping for a scalar", "format:\n  a: b\n", profile.ErrValue, 0, "several values"},
		{"nested pin", "pin:\n  a:\n    b: c\n", profile.ErrValue, 0, "nests"},
		{"yes is not true", "stats: yes\n", profile.ErrValue, 1, "true"},
		{"number out of range", "serial-bytes: 1025\n", profile.ErrValue, 1, "1 to 1024"},
		{"negative number", "workers: -1\n", profile.ErrValue, 1, "1 to 1024"},
		{"bad time", "created-on: 2026-13-01\n", profile.ErrValue, 1, "time"},
		{"time without zone", "created-on: 2026-03-01T00:00:00\n", profile.ErrValue, 1, "time"},
		{"fraction", "created-on: 2026-03-01T00:00:00.5Z\n", profile.ErrValue, 1, "fraction"},
		{"leap second", "created-on: 2016-12-31T23:59:60Z\n", profile.ErrValue, 1, "time"},
		{"bad duration", "expires-on: 10 years\n", profile.ErrValue, 1, "10y"},
		{"no duration", "expires-on: 0s\n", profile.ErrValue, 1, "passed"},
		{"renewal never", "last-renewal-date: never\n", profile.ErrValue, 1, "leave"},
		{"bad hex", "idevid-issuer: xyz\n", profile.ErrValue, 1, "hex"},
		{"bad base64", "manufacturer-proprietary: '*'\n", profile.ErrValue, 1, "base64"},
		{"bad URL", "est-domain: est.example.com\n", profile.ErrValue, 1, "https"},
		{"empty file name", "key: ''\n", profile.ErrValue, 1, "file"},
		{"anchor", "format: &a cms\n", profile.ErrSyntax, 0, ""},
		{"alias", "key: &a x\ncert: *a\n", profile.ErrSyntax, 0, ""},
		{"tag", "format: !!str cms\n", profile.ErrSyntax, 0, ""},
		{"sequence", "- format\n", profile.ErrSyntax, 0, "mapping"},
		{"scalar", "cms\n", profile.ErrSyntax, 0, "mapping"},
		{"second document", "format: cms\n---\nkey: x\n", profile.ErrSyntax, 0, "second"},
		{"unclosed", "pin: [a, b\n", profile.ErrSyntax, 0, ""},
		{"not UTF-8", "run: \xff\n", profile.ErrSyntax, 0, "UTF-8"},
		{"control character", "run: a\x01\n", profile.ErrSyntax, 1, "U+0001"},
		{"too large", strings.Repeat("#", profile.MaxBytes+1), profile.ErrTooLarge, 0, "65536"},
		{"deep brackets", "pin: " + strings.Repeat("[", 60000), profile.ErrTooLarge, 1, "deep"},
		{"deep dashes", strings.Repeat("- ", 30000), profile.ErrTooLarge, 1, "deep"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := profile.Parse([]byte(tc.text), "p.yaml")
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			e, ok := errors.AsType[*profile.Error](err)
			if !ok || e.File != "p.yaml" || tc.line != 0 && e.Line != tc.line || !strings.Contains(e.Error(), tc.says) {
				t.Fatalf("%v; want line %d and %q", err, tc.line, tc.says)
			}
		})
	}
}

func TestErrorsOfSettingsFromElsewhereNameNoPlaceTwice(t *testing.T) {
	var s profile.Settings
	err := s.Set("assertion", "hearsay")
	if !errors.Is(err, profile.ErrValue) || !strings.HasPrefix(err.Error(), "unusable value: ") {
		t.Errorf("a value: %v", err)
	}
	if err := s.Set("assertoin", "verified"); err == nil || err.Error() != `unknown key: "assertoin"; did you mean assertion?` {
		t.Errorf("a name: %v", err)
	}
	// Check is about several settings, so its errors name one.
	for key, value := range map[string]string{"format": "jws", "signing-time": "created-on"} {
		if err := s.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(); err == nil || !strings.HasPrefix(err.Error(), "signing-time: unusable value: only CMS has it") {
		t.Errorf("a contradiction: %v", err)
	}
	fromFile, err := profile.Parse([]byte("format: jws\nsigning-time: created-on\n"), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := fromFile.Check(); err == nil || !strings.HasPrefix(err.Error(), "profile, line 2, signing-time: unusable value: ") {
		t.Errorf("a contradiction within a profile: %v", err)
	}
}

func TestEmptyProfilesSetNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		s, err := profile.Parse([]byte(text), "p.yaml")
		if err != nil || s.Format.IsSet() {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFlagsOverrideTheProfile(t *testing.T) {
	s, err := profile.Parse([]byte("format: cms\nrun: a\npin: a=1.pem\nhedged: true\n"), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var flags profile.Settings
	for name, text := range map[string]string{"format": "jws", "pin": "b=2.pem,c=3.pem", "hedged": "false"} {
		if err := flags.Set(name, text); err != nil {
			t.Fatal(err)
		}
	}
	s.Override(&flags)
	if s.Format.Or(0) != codec.FormatJWS || s.Run.Or("") != "a" || s.Hedged.Or(true) || len(s.Pins.Or(nil)) != 2 || s.Pins.Or(nil)[0].Name != "b" {
		t.Fatalf("%+v", s)
	}
	if err := flags.Set("formt", "jws"); !errors.Is(err, profile.ErrKey) || !strings.Contains(err.Error(), "format") {
		t.Fatal(err)
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	for _, text := range []string{
		"last-renewal-date: 1y\n", "last-renewal-date: 1y\nexpires-on: never\n",
		"format: jws\nsigning-time: created-on\n", "format: cose\necontent: data\n",
		"include-issuer: false\nidevid-issuer: '04'\n",
	} {
		s, err := profile.Parse([]byte(text), "p.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); !errors.Is(err, profile.ErrValue) {
			t.Errorf("%q: %v", text, err)
		}
	}
	s, err := profile.Parse([]byte("last-renewal-date: 1y\nexpires-on: 2y\nsigning-time: created-on\n"), "p.yaml")
	if err != nil || s.Check() != nil {
		t.Fatal(err, s.Check())
	}
}

func TestDurationsHaveTheDocumentedUnits(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"1y": 365 * day, "1w": 7 * day, "90d": 90 * day, "1y6w2d": 409 * day, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"1.5h": 90 * time.Minute, "10ms": 10 * time.Millisecond, "2us": 2 * time.Microsecond, "2µs": 2 * time.Microsecond, "3ns": 3, "0s": 0,
		"P1Y": 365 * day, "P1Y2W3D": 382 * day, "PT36H": 36 * time.Hour, "P1DT1M": day + time.Minute, "292y": 292 * 365 * day,
	} {
		if got, err := profile.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "y", "-1y", "1 y", "1yy", "1..5h", ".h", "P", "PT", "P1M", "P1H", "PT1D", "293y", "200y200y",
		"9223372036854775808ns", strings.Repeat("1s", 100), "1e3s", "P1DT", "NaNs", "InfP"} {
		if got, err := profile.ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestExpiriesCountFromTheirStart(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"never": {}, "1d": start.Add(24 * time.Hour), "2030-01-01": time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		"2030-01-01T01:00:00+01:00": time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		e, err := profile.ParseExpiry(text)
		if err != nil || !e.From(start).Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, e.From(start), err, want)
		}
	}
}

func TestDescribeHasEveryKey(t *testing.T) {
	var b bytes.Buffer
	if err := profile.Describe(&b); err != nil {
		t.Fatal(err)
	}
	for _, k := range profile.Keys() {
		if !strings.Contains(b.String(), "\n"+k.Name+": ") && !strings.HasPrefix(b.String(), k.Name+": ") || k.Meaning == "" || k.Values == "" || k.Default == "" {
			t.Errorf("%+v is not described", k)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("pin: {a: b, c: d}\n? x\n: y\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := profile.Parse(text, "p.yaml"); err == nil {
			_ = s.Check()
		} else if _, ok := errors.AsType[*profile.Error](err); !ok {
			t.Fatalf("%T: %v", err, err)
		}
	})
}

func Example() {
	s, err := profile.Parse([]byte("format: jws\nexpires-on: 10y\n"), "order.yaml")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	if err := s.Set("format", "cms"); err != nil { // a flag
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println(s.Format.Or(codec.FormatCMS), s.ExpiresOn.Or(profile.Expiry{Never: true}))
	_, err = profile.Parse([]byte("fromat: jws\n"), "order.yaml")
	fmt.Println(err)
	// Output:
	// cms 87600h0m0s
	// profile order.yaml, line 1, column 1: unknown key: "fromat"; did you mean format?
}

func TestPinsGivenOneByOneMayHaveAnyFileName(t *testing.T) {
	var s profile.Settings
	if err := s.SetPins([]string{"a,b.pem", "west=./w=e.pem"}); err != nil {
		t.Fatal(err)
	}
	want := []profile.Pin{{File: "a,b.pem"}, {Name: "west", File: "./w=e.pem"}}
	if got := s.Pins.Or(nil); !slices.Equal(got, want) {
		t.Errorf("pins %+v, want %+v", got, want)
	}
	if err := s.SetPins([]string{"./a=b.pem"}); err != nil || s.Pins.Or(nil)[0] != (profile.Pin{File: "./a=b.pem"}) {
		t.Errorf("pins %+v, %v", s.Pins.Or(nil), err)
	}
	for _, bad := range [][]string{nil, {""}, {"=x.pem"}, {"x.pem", "y.pem"}, {"a=x.pem", "a=y.pem"}} {
		if err := s.SetPins(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}
