package list

import (
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
)

// Format is the form a list is written in.
type Format uint8

// The forms of a list. FormatAuto tells them apart by content.
const (
	FormatAuto Format = iota
	FormatCSV
	FormatNDJSON
	FormatCBORSeq
	FormatPEM // a bundle of PEM certificates
	FormatDER // DER certificates one behind the other
	FormatDir // a directory of certificate files
)

var formatNames = [...]string{"auto", "csv", "ndjson", "cborseq", "pem", "der", "dir"}

// String returns the name ParseFormat takes.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// ParseFormat returns the format called name: auto, csv, ndjson, cborseq, pem,
// der or dir.
func ParseFormat(name string) (Format, error) {
	for i, n := range formatNames {
		if n == name {
			return Format(i), nil
		}
	}
	return FormatAuto, fmt.Errorf("list format %q is not one of auto, csv, ndjson, cborseq, pem, der, dir", name)
}

// Bounds of the settable limits.
const (
	DefaultRowBytes    = 64 << 10
	MaxRowBytes        = 4 << 20
	DefaultSerialBytes = 64
	MaxSerialBytes     = 1024
	DefaultExpansion   = 250

	windowBytes = 1 << 20
)

// Options says how a list is read. The zero value reads any form with the
// default limits.
type Options struct {
	// Format forces a form; FormatAuto tells by content.
	Format Format
	// Delimiter between CSV fields: ',', ';' or '\t'. Zero takes the one that
	// makes sense of the header row.
	Delimiter byte
	// MaxRowBytes bounds one row, item or certificate, in octets as written.
	// Zero is DefaultRowBytes, the most is MaxRowBytes.
	MaxRowBytes int
	// MaxSerialBytes bounds a serial number, in octets. Zero is
	// DefaultSerialBytes, the most is MaxSerialBytes.
	MaxSerialBytes int
	// MaxExpansion bounds how many octets one compressed octet may become,
	// over the whole list read so far and after a grace of 4 MiB. Zero is
	// DefaultExpansion.
	MaxExpansion int
	// SerialFrom is the fact of a certificate that is the serial number; zero is
	// the one serialNumber of the subject.
	SerialFrom codec.SerialSource
	// Name is what errors call the list; Open sets it to the path when empty.
	Name string
}

// normalise fills in defaults and refuses what is out of bounds.
func (o *Options) normalise() error {
	if o.Name == "" {
		o.Name = "device list"
	}
	for _, n := range []struct {
		name     string
		value    *int
		def, max int
	}{
		{"MaxRowBytes", &o.MaxRowBytes, DefaultRowBytes, MaxRowBytes},
		{"MaxSerialBytes", &o.MaxSerialBytes, DefaultSerialBytes, MaxSerialBytes},
		{"MaxExpansion", &o.MaxExpansion, DefaultExpansion, 1 << 20},
	} {
		if *n.value == 0 {
			*n.value = n.def
		}
		if *n.value < 1 || *n.value > n.max {
			return o.fatal("", fmt.Errorf("option %s is %d", n.name, *n.value), fmt.Sprintf("choose 1 to %d", n.max))
		}
	}
	switch o.Delimiter {
	case 0, ',', ';', '\t':
	default:
		return o.fatal("", fmt.Errorf("delimiter %q", o.Delimiter), "choose a comma, a semicolon or a tab")
	}
	if int(o.Format) >= len(formatNames) {
		return o.fatal("", fmt.Errorf("unknown list format %d", o.Format), "choose one of the Format constants")
	}
	return nil
}

func (o *Options) fatal(place string, err error, remedy string) *ListError {
	return &ListError{Name: o.Name, Place: place, Err: err, Remedy: remedy}
}
