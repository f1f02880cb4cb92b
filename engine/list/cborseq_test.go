package list

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func unhex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCBORSequenceReadsMapsAndBareText(t *testing.T) {
	issuer, _ := hex.DecodeString(testIssuer)
	in := marshal(t, map[string]any{"serial-number": "A1", "idevid-issuer": issuer, "expires-on": cbor.Tag{Number: 0, Content: "2030-01-01T00:00:00Z"}}) +
		"\x62B2" + marshal(t, map[string]any{"serial-number": "C3", "idevid-issuer": testIssuer, "expires-on": nil}) +
		"\xBF\x6Dserial-number\x62D4\xFF"
	r, err := NewReader(strings.NewReader(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for i, want := range []struct {
		serial, expires string
		issuer          bool
	}{{"A1", "2030-01-01T00:00:00Z", true}, {"B2", "", false}, {"C3", "", true}, {"D4", "", false}} {
		if err := r.Read(&rec); err != nil {
			t.Fatal(err)
		}
		if string(rec.Serial) != want.serial || string(rec.ExpiresOn) != want.expires || bytes.Equal(rec.Issuer, issuer) != want.issuer || rec.Line != uint64(i+1) {
			t.Fatalf("item %d: %+v", i+1, rec)
		}
	}
	if err := r.Read(&rec); err != io.EOF || r.Format() != FormatCBORSeq {
		t.Fatal(err, r.Format())
	}
}

func TestCBORGoesOnBehindAnItemThatSaysTheWrongThing(t *testing.T) {
	for name, c := range map[string]struct {
		item  string
		cause error
	}{
		"integer":           {"\x18\x2A", ErrSyntax},
		"huge number":       {unhex(t, "1bffffffffffffffff"), ErrSyntax},
		"bignum":            {unhex(t, "c2 49 010000000000000000"), ErrSyntax},
		"array":             {"\x81\x61A", ErrSyntax},
		"unknown key":       {marshal(t, map[string]string{"serial": "A"}), ErrColumn},
		"integer key":       {unhex(t, "a1 01 6141"), ErrSyntax},
		"duplicate key":     {unhex(t, "a2 6d") + "serial-number\x61A\x6Dserial-number\x61B", ErrColumn},
		"no serial":         {marshal(t, map[string]string{"expires-on": "never"}), ErrColumn},
		"empty map":         {"\xA0", ErrColumn},
		"empty serial":      {"\x60", ErrValue},
		"10,000 octets":     {marshal(t, strings.Repeat("x", 10_000)), ErrValue},
		"NUL":               {"\x63A\x00B", ErrValue},
		"not UTF-8":         {"\x62A\xFF", ErrValue},
		"serial in pieces":  {unhex(t, "7f 6141 6142 ff"), ErrSyntax},
		"value in pieces":   {"\xA1\x6Dserial-number\x7F\x61A\xFF", ErrSyntax},
		"serial as octets":  {"\xA1\x6Dserial-number\x41A", ErrSyntax},
		"serial as number":  {marshal(t, map[string]any{"serial-number": 1.5}), ErrSyntax},
		"nested":            {marshal(t, map[string]any{"serial-number": []any{[]any{"A"}}}), ErrSyntax},
		"issuer of nothing": {marshal(t, map[string]any{"serial-number": "A", "idevid-issuer": strings.Repeat("A", 2000)}), ErrValue},
	} {
		got, bad, end := read(t, "\x65FIRST"+c.item+"\x64GOOD", Options{Format: FormatCBORSeq})
		if end != nil || strings.Join(got, " ") != "FIRST GOOD" || len(bad) != 1 {
			t.Errorf("%s: got %q, end %v, bad %v", name, got, end, bad)
			continue
		}
		if e := bad[0]; !errors.Is(e, c.cause) || e.Line != 2 || e.Unit != "item" || e.Remedy == "" || string(e.Raw) != c.item {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestMalformedCBOREndsTheList(t *testing.T) {
	for name, item := range map[string]string{
		"reserved":              "\x7C",
		"break alone":           "\xFF",
		"break in definite map": "\xA1\xFF",
		"odd indefinite map":    "\xBF\x61A\xFF",
		"pieces of other type":  "\x7F\x41A\xFF",
		"pieces in pieces":      "\x7F\x7F\x61A\xFF\xFF",
		"nested too deep":       strings.Repeat("\x81", 17) + "\x00",
		"nested very deep":      strings.Repeat("\x81", 60_000),
		"tags very deep":        strings.Repeat("\xC1", 60_000),
		"huge text":             unhex(t, "7b 7fffffffffffffff"),
		"huge map":              unhex(t, "bb ffffffffffffffff"),
		"over the limit":        marshal(t, strings.Repeat("x", DefaultRowBytes)),
		"long simple value":     "\xF8\x14",
	} {
		got, _, end := read(t, "\x65FIRST"+item+"\x64GOOD", Options{Format: FormatCBORSeq})
		var list *ListError
		if strings.Join(got, " ") != "FIRST" || !errors.As(end, &list) || !strings.Contains(list.Place, "item 2, octet 6") || list.Remedy == "" {
			t.Errorf("%s: got %q, end %v", name, got, end)
		}
	}
}

func TestCBORTruncatedAtEveryOctet(t *testing.T) {
	in := marshal(t, map[string]any{"serial-number": "A1", "expires-on": "never"}) + "\x78\x18" + strings.Repeat("B", 24) + "\x62C3"
	ends := map[int]int{0: 0, len(in) - 29: 1, len(in) - 3: 2}
	for n := range len(in) {
		got, bad, end := read(t, in[:n], Options{Format: FormatCBORSeq})
		if whole, ok := ends[n]; ok {
			if end != nil || len(got) != whole {
				t.Fatalf("%d octets: %q, %v", n, got, end)
			}
		} else if len(bad) > 0 || !errors.Is(end, io.ErrUnexpectedEOF) {
			t.Fatalf("%d octets: %q, %v, %v", n, got, bad, end)
		}
	}
}

// cborItem and fxamacker/cbor agree on what is well-formed and how long it is.
func TestWellFormedCBORAgreesWithFxamacker(t *testing.T) {
	mode, err := cbor.DecOptions{MaxNestedLevels: maxDepth, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(9, 9))
	heads := []byte{0x00, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1F, 0x20, 0x40, 0x42, 0x58, 0x5F, 0x60, 0x61, 0x78, 0x7F, 0x80, 0x81, 0x82, 0x9F, 0xA0, 0xA1, 0xA2, 0xBF, 0xC6, 0xF4, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFF, 0x02}
	whole := 0
	for range 200_000 {
		b := make([]byte, 1+rng.IntN(10))
		for i := range b {
			b[i] = heads[rng.IntN(len(heads))]
		}
		n, err := cborItem(b, DefaultRowBytes)
		var first cbor.RawMessage
		rest, theirs := mode.UnmarshalFirst(b, &first)
		if (err == nil) != (theirs == nil) || err == nil && n != len(b)-len(rest) {
			t.Fatalf("%x: %d octets, %v; fxamacker/cbor: %d, %v", b, n, err, len(b)-len(rest), theirs)
		}
		if err == nil {
			whole++
		}
	}
	if whole < 10_000 {
		t.Fatalf("only %d well-formed items", whole)
	}
}
