package fuzz

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"testing"
	"testing/iotest"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
)

// row is what one call of Read gave: a record, or the text of a row's error.
type row struct {
	Line                           uint64
	Serial, Issuer, Pin, ExpiresOn string
	Raw                            string
	Fault                          string
}

// mostRows bounds the rows of a list: a row takes an octet at least, and what an
// octet of compressed data may become is bounded by its reader alone.
func mostRows(b []byte) int {
	if bytes.HasPrefix(b, []byte("\x1f\x8b")) || bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")) ||
		len(b) >= 4 && b[0]>>4 == 5 && string(b[1:4]) == "\x2a\x4d\x18" {
		return list.DefaultExpansion*len(b) + 8<<20
	}
	return len(b) + 1
}

// readList reads a whole list of at most so many rows. end is what came instead
// of io.EOF.
func readList(t *testing.T, src io.Reader, most int, opts list.Options) (rows []row, format list.Format, end error) {
	t.Helper()
	r, err := list.NewReader(src, opts)
	if err != nil {
		if !isA[*list.ListError](err) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		return nil, 0, err
	}
	defer func() { must(t, r.Close()) }()
	for {
		var rec list.Record
		err := r.Read(&rec)
		switch bad := (*list.RowError)(nil); {
		case err == io.EOF:
			return rows, r.Format(), nil
		case isA[*list.ListError](err):
			if again := r.Read(&rec); again == nil || again.Error() != err.Error() {
				t.Fatalf("the list ended with %q, then %v", err, again)
			}
			return rows, r.Format(), err
		case asRow(err, &bad):
			rows = append(rows, row{Line: bad.Line, Fault: bad.Error(), Raw: string(bad.Raw)})
		case err != nil:
			t.Fatalf("error of type %T: %v", err, err)
		default:
			soundRecord(t, &rec, opts)
			rows = append(rows, row{Line: rec.Line, Serial: string(rec.Serial), Issuer: string(rec.Issuer), Pin: string(rec.Pin), ExpiresOn: string(rec.ExpiresOn), Raw: string(rec.Raw)})
		}
		if len(rows) > most {
			t.Fatalf("the list holds more than %d rows", most)
		}
	}
}

func asRow(err error, bad **list.RowError) bool {
	r, ok := err.(*list.RowError)
	*bad = r
	return ok
}

func soundRecord(t *testing.T, rec *list.Record, opts list.Options) {
	t.Helper()
	must(t, codec.CheckSerial(rec.Serial, opts.MaxSerialBytes))
	if rec.Issuer != nil {
		canonical, err := codec.NormalizeIssuer(rec.Issuer)
		must(t, err)
		if !bytes.Equal(canonical, rec.Issuer) {
			t.Fatalf("issuer %x is not canonical", rec.Issuer)
		}
	}
	if rec.Line == 0 {
		t.Fatal("a record without a place")
	}
}

// readsAlike holds that a list reads the same however its octets arrive, and
// compressed. It returns the rows.
func readsAlike(t *testing.T, b []byte, opts list.Options) ([]row, error) {
	t.Helper()
	var rows []row
	var format list.Format
	var end error
	frugal(t, len(b), func() { rows, format, end = readList(t, bytes.NewReader(b), mostRows(b), opts) })
	forced := opts
	forced.Format = format
	for name, src := range map[string]io.Reader{
		"octet by octet": iotest.OneByteReader(bytes.NewReader(b)),
		"with its end":   iotest.DataErrReader(bytes.NewReader(b)),
	} {
		again, _, err := readList(t, src, mostRows(b), opts)
		same(t, "the list read "+name, again, rows)
		if (err == nil) != (end == nil) || err != nil && err.Error() != end.Error() {
			t.Fatalf("read %s it ends in %v, else in %v", name, err, end)
		}
	}
	if end != nil || format == list.FormatAuto {
		return rows, end
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(b)
	must(t, err)
	must(t, w.Close())
	again, _, err := readList(t, &packed, mostRows(b), forced)
	if err == nil {
		same(t, "the list unpacked", again, rows)
	}
	return rows, end
}

func FuzzList(f *testing.F) {
	seeds(f, "lists", "idevid")
	f.Fuzz(func(t *testing.T, b []byte) { readsAlike(t, b, list.Options{Name: "list"}) })
}

func FuzzCSV(f *testing.F) {
	seeds(f, "lists")
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, end := readsAlike(t, b, list.Options{Format: list.FormatCSV, Delimiter: ',', Name: "list"})
		if end == nil {
			csvAgrees(t, b, rows)
		}
	})
}

// csvAgrees compares with encoding/csv where it reads the whole list, which it
// does for lists that keep to RFC 4180. It drops every carriage return before a
// line feed, in quotes too.
func csvAgrees(t *testing.T, b []byte, rows []row) {
	t.Helper()
	if bytes.HasPrefix(b, []byte("\ufeff")) || bytes.ContainsRune(b, '\r') {
		return
	}
	oracle := csv.NewReader(bytes.NewReader(b))
	oracle.FieldsPerRecord = -1
	header, err := oracle.Read()
	if err != nil {
		return
	}
	column := -1
	for i, name := range header {
		if name == "serial-number" {
			column = i
		}
	}
	if column < 0 {
		return // spelt another way that is known here
	}
	records, err := oracle.ReadAll()
	if err != nil {
		return
	}
	if len(records) != len(rows) {
		t.Fatalf("encoding/csv reads %d rows, list %d: %+v", len(records), len(rows), rows)
	}
	for i, r := range rows {
		if r.Fault == "" && (len(records[i]) != len(header) || records[i][column] != r.Serial) {
			t.Fatalf("row %d is %q for encoding/csv, serial number %q here", i, records[i], r.Serial)
		}
		if r.Fault != "" && len(records[i]) == len(header) && len(header) == 1 && codec.CheckSerial([]byte(records[i][0]), 0) == nil {
			t.Fatalf("row %d is refused: %s", i, r.Fault)
		}
	}
}

func FuzzNDJSON(f *testing.F) {
	seeds(f, "lists")
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, _ := readsAlike(t, b, list.Options{Format: list.FormatNDJSON, Name: "list"})
		for _, r := range rows {
			if r.Fault != "" {
				continue
			}
			var members map[string]any
			if err := json.Unmarshal([]byte(r.Raw), &members); err != nil {
				t.Fatalf("encoding/json refuses %q, which was accepted: %v", r.Raw, err)
			}
			if got, ok := members["serial-number"].(string); ok && got != r.Serial {
				t.Fatalf("serial number %q for encoding/json, %q here", got, r.Serial)
			}
		}
	})
}

func FuzzCBORSequence(f *testing.F) {
	seeds(f, "lists")
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, _ := readsAlike(t, b, list.Options{Format: list.FormatCBORSeq, Name: "list"})
		for _, r := range rows {
			if r.Fault != "" {
				continue
			}
			if err := strictCBOR.Wellformed([]byte(r.Raw)); err != nil {
				t.Fatalf("fxamacker/cbor refuses %x, which was accepted: %v", r.Raw, err)
			}
		}
	})
}

func FuzzCertificateList(f *testing.F) {
	seeds(f, "lists", "idevid", "certs")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, format := range []list.Format{list.FormatPEM, list.FormatDER} {
			readsAlike(t, b, list.Options{Format: format, Name: "list"})
		}
	})
}
