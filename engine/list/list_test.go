package list

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vouchmill/vouchmill/codec"
)

func TestReadingARowAllocatesNothing(t *testing.T) {
	for _, f := range []Format{FormatCSV, FormatNDJSON, FormatCBORSeq} {
		s := Synthetic{Count: 40_000, Format: f, Issuers: []string{testIssuer, testIssuer[:50] + "00"}, Pins: []string{`buyer "a"`, "b"}, Expiries: []string{"never", "2030-01-01T00:00:00+01:00", "8760h"}}
		r, err := NewReader(bytes.NewReader(synthetic(t, s)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		next := func() {
			if err := r.Read(&rec); err != nil {
				t.Fatal(err)
			}
		}
		// Until the window is full-sized and both issuers are known.
		for range 4_000 {
			next()
		}
		if n := testing.AllocsPerRun(30_000, next); n != 0 {
			t.Errorf("%s: %v allocations a row", f, n)
		}
	}
}

func TestIssuersAreReadInEverySpelling(t *testing.T) {
	id := testKeyID
	aki := append([]byte{0x30, 0x16, 0x80, 0x14}, id...)
	ext := append([]byte{0x04, 0x18}, aki...)
	var colons []string
	for _, b := range ext {
		colons = append(colons, fmt.Sprintf("%02X", b))
	}
	spellings := []string{strings.Join(colons, ":")}
	for _, form := range [][]byte{id, aki, ext} {
		spellings = append(spellings, hex.EncodeToString(form), strings.ToUpper(hex.EncodeToString(form)), base64.StdEncoding.EncodeToString(form),
			base64.RawStdEncoding.EncodeToString(form), base64.URLEncoding.EncodeToString(form), base64.RawURLEncoding.EncodeToString(form))
	}
	for _, s := range spellings {
		r, err := NewReader(strings.NewReader("serial-number,idevid-issuer\nA,"+s+"\nB,"+s+"\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		for range 2 {
			if err := r.Read(&rec); err != nil || !bytes.Equal(rec.Issuer, ext) {
				t.Errorf("%s: %x, %v", s, rec.Issuer, err)
			}
		}
	}
	for _, s := range []string{"zz!", "A", "====", strings.Repeat("00", 513), strings.Repeat("0", 3000)} {
		_, bad, _ := read(t, "serial-number,idevid-issuer\nA,"+s+"\n", Options{})
		if len(bad) != 1 || bad[0].Field != "idevid-issuer" || bad[0].Column != 3 {
			t.Errorf("%.20s: %v", s, bad)
		}
	}
}

func TestMoreIssuersThanAreRememberedAreStillRight(t *testing.T) {
	var in strings.Builder
	in.WriteString("serial-number,idevid-issuer\n")
	for i := range 3 * maxIssuers {
		fmt.Fprintf(&in, "%d,%040x\n", i, i%(2*maxIssuers))
	}
	r, err := NewReader(strings.NewReader(in.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for i := range 3 * maxIssuers {
		if err := r.Read(&rec); err != nil {
			t.Fatal(err)
		}
		if got, want := hex.EncodeToString(rec.Issuer), fmt.Sprintf("041830168014%040x", i%(2*maxIssuers)); got != want {
			t.Fatalf("row %d: %s, want %s", i, got, want)
		}
	}
}

func TestPinsAreNames(t *testing.T) {
	for _, s := range []string{"buyer", "Käufer 7", strings.Repeat("p", 255)} {
		if _, bad, end := read(t, "serial-number,pinned-domain-cert\nA,"+s+"\n", Options{}); len(bad) > 0 || end != nil {
			t.Errorf("%q: %v %v", s, bad, end)
		}
	}
	for _, s := range []string{strings.Repeat("p", 256), "a\x00b", "a\xFFb", "\x7F"} {
		_, bad, _ := read(t, "serial-number,pinned-domain-cert\nA,"+s+"\n", Options{})
		if len(bad) != 1 || bad[0].Field != "pinned-domain-cert" || bad[0].Remedy == "" {
			t.Errorf("%.20q: %v", s, bad)
		}
	}
}

func TestErrorsNamePlaceCauseAndRemedy(t *testing.T) {
	e := &RowError{File: "7.pem", Unit: "certificate", Line: 9, Column: 3, Field: "serial-number", Err: ErrValue, Remedy: "correct it"}
	if got, want := e.Error(), "7.pem, certificate 9, octet 3: serial-number: unusable value; correct it"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	_, bad, _ := read(t, "serial-number\n\x00\n", Options{})
	var rule *codec.RuleError
	if len(bad) != 1 || !errors.As(bad[0], &rule) {
		t.Errorf("the rule a serial number breaks is lost: %v", bad)
	}
	_, err := NewReader(strings.NewReader(strings.Repeat("y", 60)+"Z,\n"), Options{Name: "devices.csv"})
	if want := "devices.csv: line 1: unknown column \"" + strings.Repeat("y", 48) + "\"…"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestExpiryIsCheckedForItsShapeAlone(t *testing.T) {
	for _, s := range []string{"never", "2030-01-31", "2030-01-31T23:59:59Z", "2030-01-31T23:59:60Z", "2030-01-31T23:59:59.123456789+05:30", "2030-01-31T23:59:59-00:00",
		"8760h", "365d", "52w", "1y", "1h30m", "1.5h", "P1Y", "P1Y2M3DT4H5M6S", "PT12H", "P4W"} {
		if err := checkExpiry([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"Never", "2030", "2030-1-31", "2030-01-31 ", "2030-01-31T", "2030-01-31T23:59:59", "2030-01-31 23:59:59Z", "2030-01-31T23:59:59z", "2030-01-31T23:59:59.Z",
		"2030-01-31T23:59:59+0530", "2030-01-31T23:59:59+05:30Z", "1", "h", "1x", "1h ", "-1h", "P", "PT", "P1", "P1H", "PT1Y", "P1YT", "31.01.2030", "01/31/2030", strings.Repeat("9", 100) + "h", "0x10"} {
		if checkExpiry([]byte(s)) == nil {
			t.Errorf("%s is taken", s)
		}
	}
}

func TestFormsAreToldByContent(t *testing.T) {
	for in, want := range map[string]Format{
		"serial-number\n":                            FormatCSV,
		"\xEF\xBB\xBFserial-number\n":                FormatCSV,
		"idevid-issuer,serial-number\n":              FormatCSV,
		"device_serial_number,x\nA,B\n":              FormatCSV,
		"serial,foo\nX1,Y2\n":                        FormatCSV,
		"0\n":                                        FormatCSV,
		" \n{\"serial-number\":\"A\"}":               FormatNDJSON,
		"{}":                                         FormatNDJSON,
		"{broken":                                    FormatCSV, // CBOR text of 27 octets, were it whole
		"\x62A1\x62B2":                               FormatCBORSeq,
		"\x78\x18" + strings.Repeat("B", 24):         FormatCBORSeq,
		"jSN-0000001jSN-0000002":                     FormatCBORSeq,
		"\xA1\x6Dserial-number\x61A":                 FormatCBORSeq,
		"\xBF\x6Dserial-number\x61A\xFF":             FormatCBORSeq,
		"-----BEGIN CERTIFICATE-----\n":              FormatPEM,
		"Bag Attributes\n-----BEGIN CERTIFICATE----": FormatPEM,
		"\x30\x82\x01\x00":                           FormatDER,
		"\x30\x81\x80":                               FormatDER,
	} {
		if got := detect([]byte(in)); got != want {
			t.Errorf("%.30q: %v, want %v", in, got, want)
		}
	}
}

func TestRandomOctetsAreReadToAnEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	heads := []string{"", "serial-number\n", "serial-number,idevid-issuer\n", "{", "\x1F\x8B\x08", "\x28\xB5\x2F\xFD", "-----BEGIN CERTIFICATE-----\n", "\x30\x82", "\xA1"}
	for range 4_000 {
		b := make([]byte, rng.IntN(300))
		for i := range b {
			if b[i] = byte(rng.Uint32()); rng.IntN(4) == 0 {
				b[i] = "\n\",{}:"[rng.IntN(6)]
			}
		}
		in := heads[rng.IntN(len(heads))] + string(b)
		for f := FormatAuto; f < FormatDir; f++ {
			r, err := NewReader(strings.NewReader(in), Options{Format: f})
			if err != nil {
				continue
			}
			got, bad, _ := all(t, r)
			if len(got)+len(bad) > len(in) {
				t.Fatalf("%q as %v: %d rows", in, f, len(got)+len(bad))
			}
			for _, s := range got {
				if err := codec.CheckSerial([]byte(s), 64); err != nil {
					t.Fatalf("%q as %v: serial %q: %v", in, f, s, err)
				}
			}
		}
	}
}

// However the source cuts a list up, it reads the same.
func TestTheSizeOfPiecesDoesNotMatter(t *testing.T) {
	for _, f := range []Format{FormatCSV, FormatNDJSON, FormatCBORSeq} {
		in := synthetic(t, Synthetic{Count: 1500, Format: f, Pins: []string{"a\"b", "c,d"}})
		want, _, _ := read(t, string(in), Options{})
		for name, src := range map[string]io.Reader{
			"one": iotest.OneByteReader(bytes.NewReader(in)), "half": iotest.HalfReader(bytes.NewReader(in)), "data with EOF": iotest.DataErrReader(bytes.NewReader(in)),
		} {
			r, err := NewReader(src, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, bad, end := all(t, r)
			if len(want) != 1500 || strings.Join(got, " ") != strings.Join(want, " ") || len(bad) > 0 || end != nil {
				t.Errorf("%v, %s: %d devices, %v, %v", f, name, len(got), bad, end)
			}
		}
	}
}

func TestAFailingSourceEndsTheListAndKeepsSayingSo(t *testing.T) {
	broken := errors.New("cable pulled")
	r, err := NewReader(io.MultiReader(strings.NewReader("serial-number\nA\nB"), iotest.ErrReader(broken)), Options{Name: "devices.csv"})
	if err != nil {
		t.Fatal(err)
	}
	got, bad, end := all(t, r)
	if strings.Join(got, " ") != "A" || len(bad) > 0 || !errors.Is(end, broken) || !strings.Contains(end.Error(), "devices.csv: line 3") {
		t.Fatalf("%q, %v, %v", got, bad, end)
	}
	var rec Record
	if again := r.Read(&rec); again != end {
		t.Fatalf("then %v", again)
	}
	if _, err := NewReader(iotest.ErrReader(broken), Options{}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	idle := readerFunc(func([]byte) (int, error) { return 0, nil })
	if _, err := NewReader(idle, Options{}); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestAClosedReaderReadsNoMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.csv")
	if err := os.WriteFile(path, []byte("serial-number\nA\nB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	if err := r.Read(&rec); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if err := r.Read(&rec); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}

func TestSyntheticListsHoldEachSerialOnceInAnyOrder(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 3, 100, 4097} {
		var s Synthetic
		s.Count, s.Seed = n, 5
		seen := map[string]bool{}
		ascending := n > 3
		last := ""
		for i := range n {
			serial := string(s.AppendSerial(nil, i))
			if serial < last {
				ascending = false
			}
			last = serial
			seen[serial] = true
		}
		for i := range n {
			if !seen[fmt.Sprintf("VM-%09d", i)] {
				t.Fatalf("n=%d: %d is missing", n, i)
			}
		}
		if uint64(len(seen)) != n || ascending {
			t.Fatalf("n=%d: %d serials, ascending %v", n, len(seen), ascending)
		}
		got, bad, end := read(t, string(synthetic(t, s)), Options{})
		if uint64(len(got)) != n || len(bad) > 0 || end != nil || n > 0 && got[n-1] != last {
			t.Fatalf("n=%d: %d devices, %v, %v", n, len(got), bad, end)
		}
	}
	a, b := Synthetic{Count: 1000, Seed: 1}, Synthetic{Count: 1000, Seed: 2}
	if !bytes.Equal(synthetic(t, a), synthetic(t, a)) || bytes.Equal(synthetic(t, a), synthetic(t, b)) {
		t.Fatal("the seed and nothing else must choose the order")
	}
}

func TestRejectsAreWrittenWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejects.csv")
	r, err := NewReader(strings.NewReader("serial-number,expires-on\nA,never\n,never\n\"B\n2\",never\nC\xFF,\nD,E,F\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := CreateRejects(path)
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for {
		err := r.Read(&rec)
		var bad *RowError
		if err == io.EOF {
			break
		} else if errors.As(err, &bad) {
			if err := w.Add(bad); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("there before it is whole: %v", err)
	}
	if err := errors.Join(w.Commit(), w.Abort()); err != nil || w.Count() != 4 {
		t.Fatal(err, w.Count())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%v: %s", err, b)
	}
	for i, want := range [][2]string{{"3", ",never"}, {"4", "\"B\n2\",never"}, {"6", "h'43ff2c'"}, {"7", "D,E,F"}} {
		if row := rows[i+1]; row[1] != want[0] || row[6] != want[1] || row[4] == "" || row[5] == "" {
			t.Errorf("row %d: %q", i+1, row)
		}
	}
	again, err := CreateRejects(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Abort(); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, b) {
		t.Fatal("an aborted file has replaced the one before it")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
	if err := again.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := CreateRejects(filepath.Join(path, "nowhere")); err == nil {
		t.Fatal("created in a place that is no directory")
	}
}
