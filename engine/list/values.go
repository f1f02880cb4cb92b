package list

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec"
)

// values are the columns of one row as written, nil where the row has none.
type values struct {
	text   [columns][]byte
	at     [columns]int // octet of the row where each starts
	octets bool         // the issuer is not text but the octets themselves
}

func (v *values) set(col column, text []byte, at int) {
	v.text[col], v.at[col] = text, at
}

// checker turns values into records. Devices of one batch mostly share an
// issuer, so each spelling of one is worked out once.
type checker struct {
	maxSerial int
	issuers   map[spelling][]byte
	last      []byte // the spelling seen last, and its canonical form
	lastOct   bool
	lastForm  []byte
}

// spelling is an idevid-issuer as a row has it.
type spelling struct {
	octets bool
	text   string
}

// maxIssuers bounds the spellings remembered; beyond it they are forgotten all
// at once, which is slower but never wrong.
const maxIssuers = 1024

// check fills rec from v, or says which value cannot be used.
func (c *checker) check(rec *Record, v *values) *fault {
	rec.Serial, rec.Issuer, rec.Pin, rec.ExpiresOn = nil, nil, nil, nil
	serial := v.text[colSerial]
	if err := codec.CheckSerial(serial, c.maxSerial); err != nil {
		return v.fault(colSerial, err, "correct the serial number; it must be what the device itself says")
	}
	rec.Serial = serial
	if text := v.text[colIssuer]; len(text) > 0 {
		issuer, err := c.issuer(text, v.octets)
		if err != nil {
			return v.fault(colIssuer, err, "give the authority key identifier of the IDevID certificate in hexadecimal or base64")
		}
		rec.Issuer = issuer
	}
	if text := v.text[colPin]; len(text) > 0 {
		if err := checkPin(text); err != nil {
			return v.fault(colPin, err, "give the name of a pinned certificate, or leave it empty")
		}
		rec.Pin = text
	}
	if text := v.text[colExpires]; len(text) > 0 {
		if err := checkExpiry(text); err != nil {
			return v.fault(colExpires, err, `give an RFC 3339 time with its zone ("2027-01-31T00:00:00Z"), a date, a duration ("8760h") or "never"`)
		}
		rec.ExpiresOn = text
	}
	return nil
}

func (v *values) fault(col column, err error, remedy string) *fault {
	return &fault{at: v.at[col], field: columnNames[col], err: &cause{ErrValue, err}, remedy: remedy}
}

// issuer returns the canonical form of an idevid-issuer as a row has it.
func (c *checker) issuer(text []byte, octets bool) ([]byte, error) {
	if octets == c.lastOct && bytes.Equal(text, c.last) {
		return c.lastForm, nil
	}
	form, ok := c.issuers[spelling{octets, string(text)}]
	if !ok {
		id := text
		var err error
		if !octets {
			id, err = decodeIssuer(text)
		}
		if err == nil {
			form, err = codec.NormalizeIssuer(id)
		}
		if err != nil {
			return nil, err
		}
		if c.issuers == nil || len(c.issuers) >= maxIssuers {
			c.issuers = make(map[spelling][]byte)
		}
		// A canonical form may be a view into the row.
		form = bytes.Clone(form)
		c.issuers[spelling{octets, string(text)}] = form
	}
	c.last, c.lastOct, c.lastForm = append(c.last[:0], text...), octets, form
	return form, nil
}

// maxIssuerText bounds an idevid-issuer as written, in octets.
const maxIssuerText = 1024

// decodeIssuer undoes hexadecimal, with or without the colons openssl prints,
// or base64 in either alphabet, padded or not. What is hexadecimal throughout
// is taken as that: a key identifier of 20 octets has no base64 form that is.
func decodeIssuer(text []byte) ([]byte, error) {
	if len(text) > maxIssuerText {
		return nil, fmt.Errorf("%d octets of text, over %d", len(text), maxIssuerText)
	}
	compact := bytes.ReplaceAll(text, []byte{':'}, nil)
	out := make([]byte, len(compact))
	if n, err := hex.Decode(out, compact); err == nil {
		return out[:n], nil
	}
	compact = bytes.Clone(bytes.TrimRight(text, "="))
	for i, b := range compact {
		switch b {
		case '-':
			compact[i] = '+'
		case '_':
			compact[i] = '/'
		}
	}
	n, err := base64.RawStdEncoding.Strict().Decode(out, compact)
	if err != nil {
		return nil, fmt.Errorf("%s is neither hexadecimal nor base64", quoteShort(text))
	}
	return out[:n], nil
}

// maxPinBytes bounds the name of a pinned certificate.
const maxPinBytes = 255

func checkPin(name []byte) error {
	if len(name) > maxPinBytes {
		return fmt.Errorf("name of %d octets, over %d", len(name), maxPinBytes)
	}
	if !utf8.Valid(name) {
		return fmt.Errorf("name %s is not UTF-8", quoteShort(name))
	}
	for _, b := range name {
		if b < ' ' || b == 0x7F {
			return fmt.Errorf("name %s has a control character", quoteShort(name))
		}
	}
	return nil
}
