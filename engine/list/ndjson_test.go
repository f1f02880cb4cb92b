package list

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
)

func TestNDJSONReadsOneObjectALine(t *testing.T) {
	for name, in := range map[string]string{
		"plain":       "{\"serial-number\":\"A1\"}\n{\"serial-number\":\"B2\"}\n",
		"CRLF, blank": "\xEF\xBB\xBF{\"serial-number\":\"A1\"}\r\n\r\n  \n{\"serial-number\":\"B2\"}",
		"spaces":      " { \"expires-on\" : null ,\t\"serial-number\" : \"A1\" } \n{\"serial-number\":\"B2\",\"pinned-domain-cert\":\"\"}",
		"escapes":     `{"serial\u002dnumber":"\u00411"}` + "\n" + `{"serial-number":"\u0042\u0032"}`,
	} {
		got, bad, end := read(t, in, Options{})
		if strings.Join(got, " ") != "A1 B2" || len(bad) > 0 || end != nil {
			t.Errorf("%s: got %q, bad %v, end %v", name, got, bad, end)
		}
	}
}

func TestNDJSONGoesOnBehindABrokenLine(t *testing.T) {
	deep := strings.Repeat("[", 20_000)
	for name, c := range map[string]struct {
		line  string
		cause error
		col   int
		says  string
	}{
		"duplicate member":   {`{"serial-number":"A","serial-number":"B"}`, ErrColumn, 22, "there twice"},
		"escaped duplicate":  {`{"serial-number":"A","serial\u002dnumber":"B"}`, ErrColumn, 22, "there twice"},
		"unknown member":     {`{"serial-number":"A","expires":"never"}`, ErrColumn, 22, `"expires-on"`},
		"number":             {`{"serial-number":0012345678901234567890e9999}`, ErrSyntax, 18, "quotes"},
		"boolean":            {`{"serial-number":true}`, ErrSyntax, 18, "boolean"},
		"deep nesting":       {`{"serial-number":` + deep + `}`, ErrSyntax, 18, "array"},
		"deep unknown":       {`{"x":` + deep + `}`, ErrColumn, 2, "unknown"},
		"array line":         {deep, ErrSyntax, 1, "not a JSON object"},
		"null serial":        {`{"serial-number":null}`, ErrValue, 1, "empty"},
		"no serial":          {`{"expires-on":"never"}`, ErrColumn, 0, "missing"},
		"empty object":       {`{}`, ErrColumn, 0, "missing"},
		"empty serial":       {`{"serial-number":""}`, ErrValue, 18, "empty"},
		"long serial":        {`{"serial-number":"` + strings.Repeat("7", 10_000) + `"}`, ErrValue, 18, "64"},
		"NUL":                {`{"serial-number":"A\u0000"}`, ErrValue, 18, "control"},
		"not UTF-8":          {"{\"serial-number\":\"A\xFF\"}", ErrValue, 18, "UTF-8"},
		"half a pair":        {`{"serial-number":"\ud83d"}`, ErrSyntax, 19, "surrogate"},
		"two low halves":     {`{"serial-number":"\udc00\udc00"}`, ErrSyntax, 19, "surrogate"},
		"unknown escape":     {`{"serial-number":"\x41"}`, ErrSyntax, 19, "escape"},
		"short escape":       {`{"serial-number":"\u00"}`, ErrSyntax, 19, "escape"},
		"string without end": {`{"serial-number":"A`, ErrSyntax, 18, "no end"},
		"escaped end":        {`{"serial-number":"A\"`, ErrSyntax, 18, "no end"},
		"object without end": {`{"serial-number":"A"`, ErrSyntax, 21, "comma"},
		"two objects":        {`{"serial-number":"A"}{"serial-number":"B"}`, ErrSyntax, 22, "follows"},
		"NUL behind":         {"{\"serial-number\":\"A\"}\x00", ErrSyntax, 22, "follows"},
		"trailing comma":     {`{"serial-number":"A",}`, ErrSyntax, 22, "member name"},
		"no colon":           {`{"serial-number" "A"}`, ErrSyntax, 18, "colon"},
		"single quotes":      {`{'serial-number':'A'}`, ErrSyntax, 2, "member name"},
		"over 64 KiB":        {`{"serial-number":"` + strings.Repeat("7", DefaultRowBytes) + `"}`, ErrRowTooLong, DefaultRowBytes + 1, "65536"},
	} {
		in := "{\"serial-number\":\"FIRST\"}\n" + c.line + "\n{\"serial-number\":\"GOOD\"}\n"
		got, bad, end := read(t, in, Options{})
		if end != nil || strings.Join(got, " ") != "FIRST GOOD" || len(bad) != 1 {
			t.Errorf("%s: got %q, end %v, bad %v", name, got, end, bad)
			continue
		}
		if e := bad[0]; !errors.Is(e, c.cause) || e.Line != 2 || e.Column != c.col || !strings.Contains(e.Error(), c.says) || e.Remedy == "" {
			t.Errorf("%s: column %d: %v", name, e.Column, e)
		}
	}
}

func TestNDJSONTruncatedAtEveryOctet(t *testing.T) {
	const in = `{"serial-number":"A\u0041","expires-on":"never"}` + "\n" + `{"serial-number":"B2"}`
	for n := range len(in) {
		got, bad, end := read(t, in[:n], Options{Format: FormatNDJSON})
		first := strings.IndexByte(in, '\n')
		switch {
		case end != nil:
			t.Fatalf("%d octets: %v", n, end)
		case n > 0 && n < first && (len(got) != 0 || len(bad) != 1),
			n >= first && (len(got) != 1 || got[0] != "AA" || len(bad) != min(1, max(0, n-first-1))):
			t.Fatalf("%d octets: %q, %v", n, got, bad)
		}
	}
}

// Whatever we read from a line, encoding/json reads the same; what it refuses,
// so do we.
func TestNDJSONAgreesWithEncodingJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pieces := []string{`{`, `}`, `"serial-number"`, `:`, `,`, `"A1"`, `"\u00e9\n"`, `"\ud83d\ude00"`, `"\\\""`, ` `, `null`, `"expires-on"`, `"never"`, `1`, `[`, `]`, "\t",
		`{"serial-number":`, `"}`, `"x`, `"pinned-domain-cert":`, `"serial-number":"Z"`}
	agreed := 0
	for range 40_000 {
		line := []string{"", `{`, `{"serial-number":`, `{"serial-number":"A1"`, `{"serial-number":"A1",`}[rng.IntN(5)]
		for range rng.IntN(6) {
			line += pieces[rng.IntN(len(pieces))]
		}
		line += []string{"", "}", "}"}[rng.IntN(3)]
		r, err := NewReader(strings.NewReader(line), Options{Format: FormatNDJSON})
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		if r.Read(&rec) != nil {
			continue
		}
		var want map[string]*string
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatalf("%q: we read %q, encoding/json says %v", line, rec.Serial, err)
		}
		for name, got := range map[string][]byte{"serial-number": rec.Serial, "expires-on": rec.ExpiresOn, "pinned-domain-cert": rec.Pin} {
			w := ""
			if want[name] != nil {
				w = *want[name]
			}
			if w != string(got) {
				t.Fatalf("%q: %s is %q, encoding/json has %q", line, name, got, w)
			}
		}
		agreed++
	}
	if agreed < 300 {
		t.Fatalf("only %d lines agreed on", agreed)
	}
}

func TestEveryStringJSONCanWriteIsReadBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5_000 {
		s := ""
		for range 1 + rng.IntN(8) {
			c := rune(rng.IntN(0x3000))
			if rng.IntN(4) == 0 {
				c = 0x1F300 + rune(rng.IntN(256))
			}
			s += string(c)
		}
		text, _ := json.Marshal(s)
		r, err := NewReader(strings.NewReader(fmt.Sprintf(`{"serial-number":%s}`, text)), Options{Format: FormatNDJSON})
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		err = r.Read(&rec)
		var bad *RowError
		switch {
		case err == nil && string(rec.Serial) != s:
			t.Fatalf("%q read as %q", s, rec.Serial)
		case err != nil && (!errors.As(err, &bad) || !errors.Is(err, ErrValue) || codec.CheckSerial([]byte(s), 64) == nil):
			t.Fatalf("%q: %v", s, err)
		}
		if err := r.Read(&rec); err != io.EOF {
			t.Fatal(err)
		}
	}
}
