package list

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"unicode"
	"unicode/utf8"
)

func checkSerial(serial []byte, most int) error {
	switch {
	case len(serial) == 0:
		return fmt.Errorf("serial number is empty")
	case len(serial) > most:
		return fmt.Errorf("serial number has %d octets, over %d", len(serial), most)
	case !utf8.Valid(serial):
		return fmt.Errorf("serial number is not UTF-8")
	}
	for _, c := range string(serial) {
		if unicode.IsControl(c) {
			return fmt.Errorf("serial number has a control character")
		}
	}
	first, _ := utf8.DecodeRune(serial)
	last, _ := utf8.DecodeLastRune(serial)
	if unicode.IsSpace(first) || unicode.IsSpace(last) {
		return fmt.Errorf("serial number has a blank at its end")
	}
	return nil
}

func normaliseIssuer(b []byte) ([]byte, error) { return b, nil }

// certificate makes a record of one IDevID certificate.
func (r *Reader) certificate(rec *Record, raw, der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return r.rowError(r.line, raw, &fault{at: -1, err: &cause{ErrCertificate, err.Error()}, remedy: "take it out of the list, or have it issued anew"})
	}
	v := values{octets: true}
	n := 0
	for _, a := range cert.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 5}) {
			v.text[colSerial] = []byte(s)
			n++
		}
	}
	if n != 1 {
		return r.rowError(r.line, raw, &fault{at: -1, err: because(ErrCertificate, "%d serialNumber", n), remedy: ""})
	}
	_ = sha1.Sum(nil)
	return r.finish(r.line, raw, rec, &v)
}
