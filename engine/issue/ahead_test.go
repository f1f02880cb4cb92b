package issue_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/sign"
)

// Unreadable rows, unknown pins and duplicates stand close together, so that
// some are found while rows are read ahead and some when they are judged.
func TestRowsLeftOutAreReportedInTheOrderOfTheList(t *testing.T) {
	p := newPKI(t, sign.ES256)
	var text strings.Builder
	text.WriteString("serial-number,pinned-domain-cert\n")
	var want []string
	for i := range 500 {
		line := i + 2
		switch {
		case i%7 == 3:
			fmt.Fprintf(&text, "S%d,nobody\n", i)
		case i%7 == 4:
			fmt.Fprintf(&text, "a\x01,\n")
		case i%7 == 5:
			fmt.Fprintf(&text, "S%d,\n", i-5)
		default:
			fmt.Fprintf(&text, "S%d,\n", i)
			continue
		}
		want = append(want, fmt.Sprint(line))
	}
	path := filepath.Join(t.TempDir(), "rejects.csv")
	rejects, err := list.CreateRejects(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg := issue.Config{Store: openStore(t, t.TempDir()), Header: p.header("cose"), Signer: p.signer, Devices: rows(text.String()), OnError: issue.Skip, Rejects: rejects}
	result, err := issue.Run(context.Background(), cfg)
	if err != nil || result.Rejected != uint64(len(want)) || result.Vouchers != 500-uint64(len(want)) {
		t.Fatalf("%+v, %v: want %d rows left out", result, err, len(want))
	}
	if err := rejects.Commit(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := slices.Index(table[0], "line")
	var got []string
	for _, record := range table[1:] {
		got = append(got, record[column])
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
}
