package list

import (
	"bytes"
	"strings"
	"unicode"
)

// detectBytes is how much of a list is looked at to tell its form.
const detectBytes = 4096

var (
	bom      = []byte("\xEF\xBB\xBF")
	pemBegin = []byte("-----BEGIN ")
)

// detect tells the form of the list that begins with data. Text in a CBOR
// sequence begins like a small letter, so what could be either is CSV when its
// first line looks like a header, and CBOR when its first item holds up.
func detect(data []byte) Format {
	text := bytes.TrimLeft(bytes.TrimPrefix(data, bom), " \t\r\n")
	switch {
	case len(text) == 0:
		return FormatCSV
	case bytes.HasPrefix(text, pemBegin) || bytes.Contains(text, append([]byte{'\n'}, pemBegin...)):
		return FormatPEM
	case text[0] == '{' && (len(text) == 1 || strings.IndexByte(" \t\r\n\"}", text[1]) >= 0):
		return FormatNDJSON
	case data[0] == 0x30 && len(data) > 1 && data[1] >= 0x80 && data[1] <= 0x84:
		return FormatDER
	case data[0] >= 0xA0 && data[0] <= 0xBF && !bytes.HasPrefix(data, bom):
		return FormatCBORSeq
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	if bytes.Contains(line, []byte(columnNames[colSerial])) {
		return FormatCSV
	}
	if isCBORSequence(data) {
		return FormatCBORSeq
	}
	return FormatCSV
}

// isCBORSequence reports whether data goes like a CBOR sequence of text: item
// behind item up to its end, none with a control character in it, as the line
// end of a CSV header would be.
func isCBORSequence(data []byte) bool {
	for whole := 0; ; whole++ {
		if len(data) == 0 {
			return whole > 0
		}
		h, _ := readHead(data)
		if h.major < cborText || h.major > cborTag {
			return false
		}
		n, err := cborItem(data, DefaultRowBytes)
		if err != nil {
			return err == errShort && whole > 0 && bytes.IndexByte(data, '\n') < 0
		}
		if h.major == cborText && bytes.IndexFunc(data[h.size:n], unicode.IsControl) >= 0 {
			return false
		}
		data = data[n:]
	}
}

// wrongForm refuses forms that are near to one of ours and says how to get
// there.
func (r *Reader) wrongForm() error {
	data := r.win.unread()
	text := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		return r.opts.fatal("octet 0", because(ErrSyntax, "the list is UTF-16"), "save it as UTF-8")
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return r.opts.fatal("octet 0", because(ErrSyntax, "the list is a ZIP archive or a spreadsheet"), "unpack it, or save it as CSV")
	case bytes.HasPrefix(text, []byte{'['}):
		return r.opts.fatal("octet 0", because(ErrSyntax, "the list is a JSON array"), "write one object a line, as jq -c '.[]' does")
	case len(text) == 0 && r.win.atEOF():
		return r.opts.fatal("", ErrEmpty, "check that the program that writes it has done so")
	}
	return nil
}
