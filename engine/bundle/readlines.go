package bundle

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec"
)

// ndjsonSource reads one JSON object a line.
type ndjsonSource struct {
	r    *Reader
	in   *bufio.Reader
	line uint64
	buf  []byte // issuer and voucher of the entry last read
}

func (s *ndjsonSource) next(e *Entry) error {
	for {
		line, err := s.in.ReadSlice('\n')
		if len(line) == 0 && err == io.EOF {
			return io.EOF
		}
		s.line++
		place := fmt.Sprintf("line %d", s.line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fail(s.r.name, place, ErrTooLarge, "more than %d octets", s.r.lineBytes())
		case err != nil && err != io.EOF:
			return wrap(s.r.name, place, err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := s.parse(line, e); err != nil {
			return &Error{Name: s.r.name, Place: place, Kind: kindOr(err, ErrSyntax), Err: err,
				Remedy: "check that the file is whole and of the form this program writes"}
		}
		e.Place = place
		return e.checkRead(s.r, place)
	}
}

// kindOr is the kind an error has already, else kind.
func kindOr(err, kind error) error {
	if errors.Is(err, ErrTooLarge) {
		return nil
	}
	return kind
}

// parse reads the members of one object, in whatever way it is written.
func (s *ndjsonSource) parse(line []byte, e *Entry) error {
	if s.parseOwn(line, e) {
		return nil
	}
	if !utf8.Valid(line) { // encoding/json would mend it, and the serial number with it
		return errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("it is not a JSON object"), err)
	}
	s.buf = s.buf[:0]
	var issuer, voucher span
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // the decoder yields nothing else for a key
		if seen[name] {
			return fmt.Errorf("member %q comes twice", name)
		}
		seen[name] = true
		token, err := dec.Token()
		if err != nil {
			return err
		}
		value, ok := token.(string)
		if !ok {
			return fmt.Errorf("member %q is not a string", name)
		}
		switch name {
		case memberSerial:
			e.Serial = []byte(value)
		case memberFormat:
			e.Format, err = codec.ParseFormat(value)
		case memberIssuer:
			issuer, err = s.decode(value)
		case memberVoucher:
			voucher, err = s.decode(value)
		default:
			err = errors.New("it is not known")
		}
		if err != nil {
			return fmt.Errorf("member %.40q: %w", name, err)
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is something behind the object")
	}
	if seen[memberIssuer] {
		e.Issuer = s.buf[issuer.begin:issuer.end:issuer.end]
	}
	e.Voucher = s.buf[voucher.begin:voucher.end:voucher.end]
	return nil
}

// parseOwn reads a line exactly as a Writer writes it, whose serial number
// needs no escapes, at a fraction of the cost. Whatever else it meets is for parse
// to judge.
func (s *ndjsonSource) parseOwn(line []byte, e *Entry) bool {
	if !utf8.Valid(line) {
		return false
	}
	serial, rest, ok := quoted(line, `{"`+memberSerial+`":"`)
	if !ok {
		return false
	}
	issuer, next, hasIssuer := quoted(rest, `,"`+memberIssuer+`":"`)
	if hasIssuer {
		rest = next
	}
	format, rest, ok := quoted(rest, `,"`+memberFormat+`":"`)
	if !ok {
		return false
	}
	voucher, rest, ok := quoted(rest, `,"`+memberVoucher+`":"`)
	if !ok || string(rest) != "}" {
		return false
	}
	f, err := codec.ParseFormat(string(format))
	if err != nil {
		return false
	}
	own := base64.StdEncoding.Strict()
	if s.buf, err = own.AppendDecode(s.buf[:0], issuer); err != nil {
		return false
	}
	n := len(s.buf)
	if s.buf, err = own.AppendDecode(s.buf, voucher); err != nil {
		return false
	}
	e.Serial, e.Format, e.Voucher = serial, f, s.buf[n:len(s.buf):len(s.buf)]
	if hasIssuer {
		e.Issuer = s.buf[:n:n]
	}
	return true
}

// quoted returns what stands between prefix and the next quotation mark, where
// nothing in it is escaped or would have to be.
func quoted(line []byte, prefix string) (value, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(line, []byte(prefix))
	if !ok {
		return nil, nil, false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return nil, nil, false
	}
	for _, c := range rest[:end] {
		if c == '\\' || c < 0x20 {
			return nil, nil, false
		}
	}
	return rest[:end:end], rest[end+1:], true
}

// span is a part of a buffer that still grows.
type span struct{ begin, end int }

func (s *ndjsonSource) decode(value string) (span, error) {
	begin := len(s.buf)
	var err error
	s.buf, err = base64.StdEncoding.Strict().AppendDecode(s.buf, []byte(value))
	return span{begin, len(s.buf)}, err
}

// checkRead holds what is true of every entry with its values spelt out.
func (e *Entry) checkRead(r *Reader, place string) error {
	switch {
	case len(e.Serial) == 0 || e.Format == codec.FormatUnknown || len(e.Voucher) == 0:
		return fail(r.name, place, ErrSyntax, "serial-number, format or voucher is missing or empty")
	case len(e.Serial) > maxTextBytes || len(e.Issuer) > maxTextBytes:
		return fail(r.name, place, ErrTooLarge, "serial-number or idevid-issuer has over %d octets", maxTextBytes)
	case len(e.Voucher) > r.opts.MaxVoucherBytes:
		return fail(r.name, place, ErrTooLarge, "the voucher has %d octets, the limit is %d", len(e.Voucher), r.opts.MaxVoucherBytes)
	}
	return nil
}
