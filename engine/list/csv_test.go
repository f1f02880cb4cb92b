package list

import (
	"encoding/csv"
	"errors"
	"io"
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
