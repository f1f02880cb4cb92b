package bundle

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec"
)

// Entry is one voucher of a bundle.
type Entry struct {
	// Place says where a reader found it: "line 7", "member A.vcj", a file name.
	// Writers do not look at it.
	Place string
	// Serial is the serial number; nil from a reader that cannot tell without
	// decoding the voucher.
	Serial []byte
	// Issuer is the idevid-issuer as vouchers carry it, nil without one. Tar
	// files and directories do not carry it.
	Issuer []byte
	// IssuerKeyID is the key identifier within Issuer. It becomes part of the
	// file name where Shared is true: another issuer has the same serial.
	IssuerKeyID []byte
	Shared      bool
	// Format is the envelope's; FormatUnknown from a reader of loose files.
	Format codec.Format
	// Voucher is the signed voucher. From a reader it is a view, as are the
	// other octets: valid until the next call.
	Voucher []byte
}

// The names of the values, in NDJSON and CBOR alike.
const (
	memberSerial  = "serial-number"
	memberIssuer  = "idevid-issuer"
	memberFormat  = "format"
	memberVoucher = "voucher"
)

// check refuses what no form can hold.
func (e *Entry) check(name string) error {
	switch {
	case len(e.Serial) == 0 || !utf8.Valid(e.Serial):
		return fail(name, "", ErrEntry, "serial number %q is not UTF-8 text of one octet or more", e.Serial)
	case e.Format.Extension() == "":
		return fail(name, "serial "+string(e.Serial), ErrEntry, "its format is unknown")
	case e.Shared && len(e.IssuerKeyID) == 0:
		return fail(name, "serial "+string(e.Serial), ErrEntry, "it shares its serial number with another and has no issuer to tell them apart")
	case len(e.Voucher) == 0:
		return fail(name, "serial "+string(e.Serial), ErrEntry, "it has no octets")
	}
	return nil
}

// appendJSON appends the NDJSON line of e, with its line feed.
func (e *Entry) appendJSON(dst []byte) []byte {
	dst = codec.AppendJSONString(append(dst, `{"`+memberSerial+`":`...), e.Serial)
	if e.Issuer != nil {
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"`+memberIssuer+`":"`...), e.Issuer)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"`+memberFormat+`":"`...)
	dst = append(dst, e.Format.String()...)
	dst = base64.StdEncoding.AppendEncode(append(dst, `","`+memberVoucher+`":"`...), e.Voucher)
	return append(dst, "\"}\n"...)
}

// Major types of RFC 8949 §3.1.
const (
	cborBytes = 2
	cborText  = 3
	cborMap   = 5
)

// appendCBOR appends e as a map in the core deterministic encoding (RFC 8949
// §4.2.1), which puts the shorter names first.
func (e *Entry) appendCBOR(dst []byte) []byte {
	pairs := uint64(3)
	if e.Issuer != nil {
		pairs++
	}
	dst = appendHead(dst, cborMap, pairs)
	dst = appendCBORString(appendCBORString(dst, cborText, memberFormat), cborText, e.Format.String())
	dst = appendCBORString(appendCBORString(dst, cborText, memberVoucher), cborBytes, e.Voucher)
	if e.Issuer != nil {
		dst = appendCBORString(appendCBORString(dst, cborText, memberIssuer), cborBytes, e.Issuer)
	}
	return appendCBORString(appendCBORString(dst, cborText, memberSerial), cborText, e.Serial)
}

func appendCBORString[T string | []byte](dst []byte, major byte, text T) []byte {
	return append(appendHead(dst, major, uint64(len(text))), text...)
}

// appendHead appends the shortest head of a data item.
func appendHead(dst []byte, major byte, arg uint64) []byte {
	switch {
	case arg < 24:
		return append(dst, major<<5|byte(arg))
	case arg < 1<<8:
		return append(dst, major<<5|24, byte(arg))
	case arg < 1<<16:
		return append(dst, major<<5|25, byte(arg>>8), byte(arg))
	default:
		return append(dst, major<<5|26, byte(arg>>24), byte(arg>>16), byte(arg>>8), byte(arg))
	}
}
