package list

import (
	"strconv"
)

// column is one of the values a row may carry.
type column uint8

const (
	colSerial column = iota
	colIssuer
	colPin
	colExpires
	columns
)

var columnNames = [columns]string{"serial-number", "idevid-issuer", "pinned-domain-cert", "expires-on"}

// columnByName finds a column by its exact name.
func columnByName(name []byte) (column, bool) {
	switch string(name) {
	case "serial-number":
		return colSerial, true
	case "idevid-issuer":
		return colIssuer, true
	case "pinned-domain-cert":
		return colPin, true
	case "expires-on":
		return colExpires, true
	}
	return 0, false
}

// unknownColumn is the error for a column, member or key that is none of ours.
func unknownColumn(name []byte) (remedy string, err error) {
	err = because(ErrColumn, "unknown column %s", quoteShort(name))
	return "did you mean " + strconv.Quote(nearestColumn(name)) + "? remove or rename it", err
}

// nearestColumn is the column whose name takes the fewest edits to get from
// name.
func nearestColumn(name []byte) string {
	if len(name) > 64 {
		name = name[:64]
	}
	best, fewest := "", -1
	for _, c := range columnNames {
		if d := editDistance(name, c); fewest < 0 || d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// editDistance counts insertions, deletions and replacements (Levenshtein).
// Upper case, and space or underscore for a hyphen, cost nothing.
func editDistance(a []byte, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if foldColumn(a[i]) != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func foldColumn(c byte) byte {
	switch {
	case c == '_' || c == ' ':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

// quoteShort quotes text from a list for an error, cut to a readable length.
func quoteShort(b []byte) string {
	const most = 48
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}
