package list

import (
	"strconv"
	"strings"
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
	if near := nearestColumn(name); near != "" {
		return "did you mean " + strconv.Quote(near) + "? remove or rename it", err
	}
	return "remove or rename it; the columns are " + strings.Join(columnNames[:], ", "), err
}

// nearestColumn is the column that name most likely stands for: the one of which
// it is a word or several ("issuer"), or else the one that takes the fewest edits
// to get to, if they are few for a name as long. It is "" where there is none.
func nearestColumn(name []byte) string {
	if len(name) == 0 || len(name) > 64 {
		return ""
	}
	folded := make([]byte, len(name))
	for i, c := range name {
		folded[i] = foldColumn(c)
	}
	best, fewest := "", max(2, len(name)/3)+1
	for _, c := range columnNames {
		if strings.Contains("-"+c+"-", "-"+string(folded)+"-") {
			return c
		}
		if d := editDistance(folded, c); d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// editDistance counts insertions, deletions and replacements (Levenshtein).
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
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// foldColumn makes lower case of upper case, and a hyphen of space and underscore.
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
