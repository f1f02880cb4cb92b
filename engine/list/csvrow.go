package list

import (
	"bytes"
)

// maxFields bounds the fields of one row that are kept; more are only counted.
const maxFields = 16

// csvRow is one parsed row. Its fields are views into the parsed data, or into
// text where a doubled quote had to be undone.
type csvRow struct {
	fields [maxFields][]byte
	at     [maxFields]int // where in the row each field starts
	count  int
	step   int   // length of the row with its line end, once done
	opened int   // where a quote opened that is not closed yet, else -1
	fault  fault // what is broken, once broken
	text   []byte
}

type rowStatus uint8

const (
	rowOpen rowStatus = iota // the data ends within the row
	rowDone
	rowBroken
)

// parse cuts up the row at the start of data by RFC 4180 §2; final says that
// nothing follows data.
func (p *csvRow) parse(data []byte, delim byte, final bool) rowStatus {
	p.count, p.step, p.opened, p.text = 0, 0, -1, p.text[:0]
	for pos := 0; ; pos++ {
		start := pos
		var field []byte
		if pos < len(data) && data[pos] == '"' {
			var status rowStatus
			if field, pos, status = p.quotedField(data, pos, delim, final); status != rowDone {
				return status
			}
		} else {
			for pos < len(data) && data[pos] != delim && data[pos] != '\n' && data[pos] != '"' {
				pos++
			}
			if pos < len(data) && data[pos] == '"' {
				return p.broken(pos, "quote within an unquoted value", "put the whole value in quotes and double the quotes in it")
			}
			if field = data[start:pos]; pos == len(data) || data[pos] == '\n' {
				field = trimLineEnd(field)
			}
		}
		if pos == len(data) && !final {
			return rowOpen
		}
		if p.count < maxFields {
			p.fields[p.count], p.at[p.count] = field, start
		}
		p.count++
		if pos == len(data) || data[pos] == '\n' {
			p.step = min(pos+1, len(data))
			return rowDone
		}
	}
}

// quotedField reads the quoted field at data[pos] and returns the position
// behind it: at a delimiter, a line feed or the end of data.
func (p *csvRow) quotedField(data []byte, pos int, delim byte, final bool) (field []byte, end int, status rowStatus) {
	p.opened = pos
	pos++
	for kept, doubled := len(p.text), false; ; {
		i := bytes.IndexByte(data[pos:], '"')
		if i < 0 {
			if final {
				return nil, 0, p.broken(p.opened, "quote never closed", "close the quote that opens here")
			}
			return nil, 0, rowOpen
		}
		field = data[pos : pos+i]
		pos += i + 1
		again := pos < len(data) && data[pos] == '"'
		if again || doubled {
			p.text = append(p.text, field...)
			field = p.text[kept:len(p.text):len(p.text)]
		}
		if !again {
			break
		}
		p.text = append(p.text, '"')
		doubled = true
		pos++
	}
	p.opened = -1
	if pos < len(data) && data[pos] == '\r' && (pos+1 == len(data) || data[pos+1] == '\n') {
		pos++
	}
	if pos < len(data) && data[pos] != delim && data[pos] != '\n' {
		return nil, 0, p.broken(pos, "text behind a closing quote", "double the quotes within the value")
	}
	return field, pos, rowDone
}

func (p *csvRow) broken(at int, text, remedy string) rowStatus {
	p.fault = fault{at: at, err: because(ErrQuote, "%s", text), remedy: remedy}
	return rowBroken
}

// trimLineEnd takes one "\n", "\r\n" or "\r" off the end.
func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}
