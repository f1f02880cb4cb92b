package list

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// all reads a list to its end and copies what it says: one string a device, and
// the errors of its rows.
func all(t testing.TB, r *Reader) (got []string, bad []*RowError, end error) {
	t.Helper()
	var rec Record
	for {
		err := r.Read(&rec)
		var row *RowError
		switch {
		case err == nil:
			got = append(got, string(rec.Serial))
		case errors.As(err, &row):
			c := *row
			c.Raw = append([]byte(nil), row.Raw...)
			bad = append(bad, &c)
		case err == io.EOF:
			return got, bad, nil
		default:
			return got, bad, err
		}
	}
}

func TestCSVReadsWhatRFC4180Allows(t *testing.T) {
	for name, in := range map[string]string{
		"LF":                "serial-number,expires-on\nA1,never\nB2,\n",
		"CRLF":              "serial-number,expires-on\r\nA1,never\r\nB2,\r\n",
		"BOM":               "\xEF\xBB\xBFserial-number,expires-on\nA1,never\nB2,",
		"quoted":            "\"serial-number\",\"expires-on\"\n\"A1\",\"never\"\r\nB2,\"\"",
		"semicolon":         "expires-on;serial-number\nnever;A1\n;B2\n",
		"tab":               "serial-number\texpires-on\nA1\tnever\nB2\t\n",
		"no last line end":  "serial-number\nA1\nB2",
		"blank lines":       "\n\r\nserial-number\n\nA1\n\r\nB2\n\n",
		"one octet a piece": "serial-number\nA1\n\"B2\"",
	} {
		t.Run(name, func(t *testing.T) {
			var src io.Reader = strings.NewReader(in)
			if name == "one octet a piece" {
				src = iotest.OneByteReader(src)
			}
			r, err := NewReader(src, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, bad, end := all(t, r)
			if strings.Join(got, " ") != "A1 B2" || len(bad) > 0 || end != nil {
				t.Fatalf("got %q, bad rows %v, end %v", got, bad, end)
			}
			if name == "semicolon" || name == "tab" {
				return
			}
			rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(in, "\xEF\xBB\xBF"))).ReadAll()
			if err != nil || len(rows) != 3 || rows[1][0] != "A1" || rows[2][0] != "B2" {
				t.Fatalf("encoding/csv reads %q, %v", rows, err)
			}
		})
	}
}

func read(t testing.TB, in string, opts Options) (got []string, bad []*RowError, end error) {
	t.Helper()
	r, err := NewReader(strings.NewReader(in), opts)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	return all(t, r)
}

func TestCSVViewsSayWhatTheRowSays(t *testing.T) {
	const in = "pinned-domain-cert,serial-number,expires-on,idevid-issuer\n" +
		"buyer a,SN 1,2030-01-01T00:00:00+02:00," + testIssuer + "\n" +
		"\"buy\"\"er\",\"S,\"\"2\"\"\",,\n"
	r, err := NewReader(strings.NewReader(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rec Record
	if err := r.Read(&rec); err != nil {
		t.Fatal(err)
	}
	if rec.Line != 2 || string(rec.Serial) != "SN 1" || string(rec.Pin) != "buyer a" || string(rec.ExpiresOn) != "2030-01-01T00:00:00+02:00" || len(rec.Issuer) != 26 {
		t.Fatalf("first row: %+v", rec)
	}
	if err := r.Read(&rec); err != nil {
		t.Fatal(err)
	}
	if rec.Line != 3 || string(rec.Serial) != `S,"2"` || string(rec.Pin) != `buy"er` || rec.ExpiresOn != nil || rec.Issuer != nil {
		t.Fatalf("second row: %+v", rec)
	}
	if string(rec.Raw) != `"buy""er","S,""2""",,` {
		t.Fatalf("raw row %q", rec.Raw)
	}
	if err := r.Read(&rec); err != io.EOF {
		t.Fatal(err)
	}
}

func TestCSVGoesOnBehindABrokenRow(t *testing.T) {
	long := strings.Repeat("x", DefaultRowBytes+1)
	for name, c := range map[string]struct {
		row   string
		cause error
		col   int
		lines uint64 // the row's own
		raw   string
	}{
		"too few fields":    {"A", ErrFieldCount, 0, 1, "A"},
		"too many fields":   {"A,never,B", ErrFieldCount, 0, 1, "A,never,B"},
		"quoted, too many":  {`"A",never,B`, ErrFieldCount, 0, 1, `"A",never,B`},
		"bare quote":        {`A"B,never`, ErrQuote, 2, 1, `A"B,never`},
		"text behind quote": {`"A"B,never`, ErrQuote, 4, 1, `"A"B,never`},
		"quote never ends":  {`"A,never`, ErrQuote, 1, 1, `"A,never`},
		"empty serial":      {",never", ErrValue, 1, 1, ",never"},
		"blank serial":      {" A,never", ErrValue, 1, 1, " A,never"},
		"NUL":               {"A\x00B,never", ErrValue, 1, 1, "A\x00B,never"},
		"bare CR":           {"A\rB,never", ErrValue, 1, 1, "A\rB,never"},
		"newline in serial": {"\"A\nB\",never", ErrValue, 1, 2, "\"A\nB\",never"},
		"not UTF-8":         {"A\xFFB,never", ErrValue, 1, 1, "A\xFFB,never"},
		"C1 control":        {"A\u0085B,never", ErrValue, 1, 1, "A\u0085B,never"},
		"65 octets":         {strings.Repeat("9", 65) + ",never", ErrValue, 1, 1, strings.Repeat("9", 65) + ",never"},
		"10,000 octets":     {strings.Repeat("9", 10_000) + ",never", ErrValue, 1, 1, strings.Repeat("9", 10_000) + ",never"},
		"row over 64 KiB":   {long, ErrRowTooLong, DefaultRowBytes + 1, 1, long[:256]},
		"quoted over limit": {`"` + long + `",never`, ErrRowTooLong, 1, 1, `"` + long[:255]},
		"no zone":           {"A,2030-01-01T00:00:00", ErrValue, 3, 1, "A,2030-01-01T00:00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			in := "serial-number,expires-on\n" + c.row + "\nGOOD,never\n"
			got, bad, end := read(t, in, Options{})
			if end != nil || strings.Join(got, " ") != "GOOD" || len(bad) != 1 {
				t.Fatalf("got %q, end %v, bad %v", got, end, bad)
			}
			e := bad[0]
			if !errors.Is(e, c.cause) || e.Line != 2 || e.Column != c.col || e.Remedy == "" {
				t.Errorf("error %+v: %v", e, e)
			}
			if string(e.Raw) != c.raw {
				t.Errorf("raw row %q, want %q", e.Raw, c.raw)
			}
			r, err := NewReader(strings.NewReader(in), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var rec Record
			for r.Read(&rec) != nil {
			}
			if want := 2 + c.lines; rec.Line != want {
				t.Errorf("the next row is on line %d, want %d", rec.Line, want)
			}
		})
	}
}

func TestAnUnclosedQuoteCostsOneLine(t *testing.T) {
	got, bad, end := read(t, "serial-number\nA\n\"B\nC\nD", Options{})
	if strings.Join(got, " ") != "A C D" || len(bad) != 1 || bad[0].Line != 3 || end != nil {
		t.Fatalf("got %q, bad %v, end %v", got, bad, end)
	}
}

func TestHeadersThatCannotBeReadAreRefusedWithAWayOut(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "the list is empty",
		"\n\n":                               "the list is empty",
		"Serial_Number\nA\n":                 `did you mean "serial-number"`,
		"serial-number,expires\nA,never\n":   `did you mean "expires-on"`,
		"serial-number;issuer\nA;\n":         `did you mean "idevid-issuer"`,
		"serial-number,colour\nA,red\n":      `unknown column "colour"; remove or rename it; the columns are serial-number, `,
		"serial-nmuber\nA\n":                 `did you mean "serial-number"`,
		"serial-number,Pinned Cert\nA,b\n":   `remove or rename it; the columns are`,
		"serial-number,\nA,\n":               `unknown column ""`,
		"expires-on\nnever\n":                `no column "serial-number"`,
		"serial-number,serial-number\nA,B\n": `"serial-number" is there twice`,
		"serial-number,\"expires-on\nA,B\n":  "quote never closed",
		"\xFF\xFEs\x00":                      "UTF-16",
		"PK\x03\x04...":                      "ZIP",
		"[{\"serial-number\":\"A\"}]":        "jq -c",
		"serial-number\rA\rB\r":              "unknown column",
		strings.Repeat("X", 70_000):          "header row over",
	} {
		_, err := NewReader(strings.NewReader(in), Options{Name: "devices.csv"})
		var list *ListError
		if !errors.As(err, &list) || list.Name != "devices.csv" || list.Remedy == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", in, err)
		}
	}
}

func TestAHeaderAloneIsAListOfNoDevices(t *testing.T) {
	for _, in := range []string{"serial-number", "serial-number\n", "serial-number,expires-on\r\n"} {
		if got, bad, end := read(t, in, Options{}); got != nil || bad != nil || end != nil {
			t.Errorf("%q: %v %v %v", in, got, bad, end)
		}
	}
}

// A list cut off anywhere yields the rows in front of the cut; the last of them
// may be cut short itself, which nothing in a CSV file can tell.
func TestCSVTruncatedAtEveryOctet(t *testing.T) {
	const in = "serial-number,expires-on\nA1,never\n\"B,\"\"2\"\"\",\"never\"\r\nC3,2030-01-01\n"
	want, _, _ := read(t, in, Options{})
	for n := range len(in) {
		got, bad, end := read(t, in[:n], Options{Format: FormatCSV})
		if end != nil && n > len("serial-number,expires-on") {
			t.Fatalf("%d octets: %v", n, end)
		}
		if len(got) > len(want) || len(got)+len(bad) > len(want)+1 {
			t.Fatalf("%d octets: %q, %v", n, got, bad)
		}
		for i, s := range got {
			if s != want[i] {
				t.Fatalf("%d octets: device %d is %q", n, i, s)
			}
		}
	}
}

func TestAForcedDelimiterIsTheOnlyOne(t *testing.T) {
	got, bad, end := read(t, "serial-number\nA,B;C\n", Options{Delimiter: '\t'})
	if end != nil || len(bad) > 0 || strings.Join(got, " ") != "A,B;C" {
		t.Fatalf("%q %v %v", got, bad, end)
	}
	if _, _, end := read(t, "serial-number;expires-on\nA;\n", Options{Delimiter: ','}); !errors.Is(end, ErrColumn) {
		t.Fatal(end)
	}
	if _, err := NewReader(strings.NewReader(""), Options{Delimiter: '|'}); err == nil {
		t.Fatal("delimiter | is taken")
	}
}

func TestSerialLimitIsSettableUpTo1024(t *testing.T) {
	in := "serial-number\n" + strings.Repeat("é", 512) + "\n"
	if got, bad, end := read(t, in, Options{MaxSerialBytes: 1024}); len(got) != 1 || end != nil {
		t.Fatal(bad, end)
	}
	if _, err := NewReader(strings.NewReader(in), Options{MaxSerialBytes: 1025}); err == nil {
		t.Fatal("1025 is taken")
	}
}

// What encoding/csv reads, we read the same, except for what a device list has
// no use for.
func TestCSVAgreesWithEncodingCSV(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"A", "b", "\"", "\"\"", ",", "\n", "\r\n", "\n\"", ",\"", "\",", "\"\n", "never", ""}
	compared := 0
	for range 40_000 {
		body := ""
		for range rng.IntN(12) {
			body += pieces[rng.IntN(len(pieces))]
		}
		in := "serial-number,pinned-domain-cert\n" + body
		rows, err := csv.NewReader(strings.NewReader(in)).ReadAll()
		r, ours := NewReader(strings.NewReader(in), Options{Format: FormatCSV})
		if ours != nil {
			t.Fatalf("%q: %v", in, ours)
		}
		got, bad := [][2]string{}, 0
		var rec Record
		for {
			err := r.Read(&rec)
			if err == io.EOF {
				break
			}
			if err != nil {
				bad++
				continue
			}
			got = append(got, [2]string{string(rec.Serial), string(rec.Pin)})
		}
		if err != nil {
			if bad == 0 {
				t.Fatalf("%q: encoding/csv says %v, we say nothing", in, err)
			}
			continue
		}
		var want [][2]string
		for _, row := range rows[1:] {
			if v := [2]string(row); v[0] != "" && !strings.ContainsAny(v[0]+v[1], "\r\n") {
				want = append(want, v)
			}
		}
		if compared++; fmt.Sprint(got) != fmt.Sprint(append([][2]string{}, want...)) || len(got)+bad != len(rows)-1 {
			t.Fatalf("%q: got %q and %d bad, encoding/csv has %q", in, got, bad, rows[1:])
		}
	}
	if compared < 5_000 {
		t.Fatalf("only %d lists compared", compared)
	}
}
