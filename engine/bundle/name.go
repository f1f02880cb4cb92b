package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/vouchmill/vouchmill/codec"
)

const (
	maxNameBytes  = 255 // what common file systems take
	longNameBytes = 160 // of the serial, where a name would be longer
	upperHex      = "0123456789ABCDEF"
)

// AppendName appends the file name of a voucher: its serial number, then ~ and
// the issuer's key identifier in hex where keyID is not empty (two issuers
// share the serial), then the format's extension.
//
// Octets of the serial outside [A-Za-z0-9._-] are written %XX, as are a dot or
// a hyphen at the start (hidden files, options) and the first letter of a name
// that Windows takes for a device (CON, COM1 …). A name that would be longer
// than 255 octets is cut and carries ~sha256- and the SHA-256, in hex, of
// serial, a zero octet and keyID.
func AppendName(dst, serial, keyID []byte, format codec.Format) []byte {
	start := len(dst)
	device := isDevice(serial)
	for i, c := range serial {
		first := i == 0 && (c == '.' || c == '-' || device)
		if plain(c) && !first {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	ext := format.Extension()
	suffix := 0
	if len(keyID) > 0 {
		suffix = 1 + hex.EncodedLen(len(keyID))
	}
	if len(dst)-start+suffix+len(ext) > maxNameBytes {
		return append(cutName(dst, start, serial, keyID), ext...)
	}
	if len(keyID) > 0 {
		dst = hex.AppendEncode(append(dst, '~'), keyID)
	}
	return append(dst, ext...)
}

// cutName shortens the escaped serial at dst[start:], never within an escape,
// and makes the name unique again by a digest.
func cutName(dst []byte, start int, serial, keyID []byte) []byte {
	end := min(len(dst), start+longNameBytes)
	for back := 1; back <= 2 && end-back > start; back++ {
		if dst[end-back] == '%' {
			end -= back
			break
		}
	}
	h := sha256.New()
	h.Write(serial)
	h.Write([]byte{0})
	h.Write(keyID)
	return hex.AppendEncode(append(dst[:end], "~sha256-"...), h.Sum(nil))
}

// plain reports whether an octet stands for itself in a name.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// isDevice reports whether Windows takes a file of this name, whatever its
// extension, for a device.
func isDevice(serial []byte) bool {
	stem, _, _ := strings.Cut(string(serial[:min(len(serial), 8)]), ".")
	stem = strings.ToUpper(stem)
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") && '0' <= stem[3] && stem[3] <= '9'
}

// ParseName undoes AppendName: the serial number, the key identifier (nil
// where there is none) and the format. ok is false for names that AppendName
// does not make, and for cut ones, which do not tell the serial.
func ParseName(name string) (serial, keyID []byte, format codec.Format, ok bool) {
	for _, f := range []codec.Format{codec.FormatCMS, codec.FormatJWS, codec.FormatCOSE} {
		if stem, found := strings.CutSuffix(name, f.Extension()); found {
			name, format = stem, f
			break
		}
	}
	if format == codec.FormatUnknown {
		return nil, nil, codec.FormatUnknown, false
	}
	stem, id, shared := strings.Cut(name, "~")
	if shared {
		var err error
		if keyID, err = hex.DecodeString(id); err != nil || len(keyID) == 0 {
			return nil, nil, format, false
		}
	}
	for i := 0; i < len(stem); i++ {
		c := stem[i]
		if c == '%' {
			if i+2 >= len(stem) {
				return nil, nil, format, false
			}
			if _, err := hex.Decode([]byte{0}, []byte(stem[i+1:i+3])); err != nil {
				return nil, nil, format, false
			}
			c = unhex(stem[i+1])<<4 | unhex(stem[i+2])
			i += 2
		}
		serial = append(serial, c)
	}
	// One name for one voucher: a name spelt otherwise is not ours.
	if string(AppendName(nil, serial, keyID, format)) != name+format.Extension() || len(serial) == 0 {
		return nil, nil, format, false
	}
	return serial, keyID, format, true
}

// unhex is the value of a hex digit that is known to be one.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
