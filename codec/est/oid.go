package est

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// Object identifiers in dotted decimals, as the fields named ID, Algorithm and
// Curve hold them.
const (
	OIDCommonName   = "2.5.4.3"
	OIDSerialNumber = "2.5.4.5"
	OIDCountry      = "2.5.4.6"
	OIDOrganization = "2.5.4.10"
	OIDUnit         = "2.5.4.11"
	OIDDNQualifier  = "2.5.4.46"

	OIDKeyUsage         = "2.5.29.15"
	OIDSubjectAltName   = "2.5.29.17"
	OIDBasicConstraints = "2.5.29.19"
	OIDExtendedKeyUsage = "2.5.29.37"

	OIDChallengePassword    = "1.2.840.113549.1.9.7"       // RFC 2985 §5.4.1
	OIDExtensionRequest     = "1.2.840.113549.1.9.14"      // RFC 2985 §5.4.2, id-ExtensionReq of RFC 9908
	OIDRequestInfoTemplate  = "1.2.840.113549.1.9.16.2.61" // RFC 9908 §3.4
	OIDExtensionReqTemplate = "1.2.840.113549.1.9.16.2.62" // RFC 9908 §3.4

	OIDRSAPublicKey = "1.2.840.113549.1.1.1"
	OIDECPublicKey  = "1.2.840.10045.2.1"
	OIDEd25519      = "1.3.101.112"
	OIDEd448        = "1.3.101.113"
	OIDP256         = "1.2.840.10045.3.1.7"
	OIDP384         = "1.3.132.0.34"
	OIDP521         = "1.3.132.0.35"

	OIDECDSAWithSHA256 = "1.2.840.10045.4.3.2"
	OIDECDSAWithSHA384 = "1.2.840.10045.4.3.3"
	OIDECDSAWithSHA512 = "1.2.840.10045.4.3.4"
	OIDSHA256WithRSA   = "1.2.840.113549.1.1.11"
	OIDSHA384WithRSA   = "1.2.840.113549.1.1.12"
	OIDSHA512WithRSA   = "1.2.840.113549.1.1.13"
	OIDRSAPSS          = "1.2.840.113549.1.1.10"
	OIDSHA256          = "2.16.840.1.101.3.4.2.1"
	OIDSHA384          = "2.16.840.1.101.3.4.2.2"
	OIDSHA512          = "2.16.840.1.101.3.4.2.3"

	oidSignedData = "1.2.840.113549.1.7.2"
	oidData       = "1.2.840.113549.1.7.1"
	oidClientAuth = "1.3.6.1.5.5.7.3.2"

	arcCertificateExtension = "2.5.29."          // id-ce
	arcPrivateExtension     = "1.3.6.1.5.5.7.1." // id-pe
)

var errOID = errors.New("OBJECT IDENTIFIER malformed, or with an arc of 2^63 or more")

// readOID reads an OBJECT IDENTIFIER and returns its value octets and its text.
func readOID(c *der.Cursor) (octets []byte, dotted string, err error) {
	e, err := c.Read(der.TagOID)
	if err != nil {
		return nil, "", err
	}
	dotted, err = dottedOID(e.Body)
	return e.Body, dotted, err
}

// dottedOID returns the text of the value octets of an OBJECT IDENTIFIER (X.690 §8.19).
func dottedOID(octets []byte) (string, error) {
	if len(octets) == 0 || octets[len(octets)-1] >= 0x80 {
		return "", errOID
	}
	var room [64]byte
	text := room[:0]
	arc, fresh := uint64(0), true
	for _, c := range octets {
		if fresh && c == 0x80 || arc > math.MaxInt64>>7 {
			return "", errOID
		}
		arc, fresh = arc<<7|uint64(c&0x7f), false
		if c >= 0x80 {
			continue
		}
		if len(text) == 0 {
			first := min(arc/40, 2)
			text = strconv.AppendUint(text, first, 10)
			arc -= 40 * first
		}
		text = append(text, '.')
		text = strconv.AppendUint(text, arc, 10)
		arc, fresh = 0, true
	}
	return string(text), nil
}

// appendOID appends the OBJECT IDENTIFIER that a text names, and reports whether
// it names one.
func appendOID(dst []byte, dotted string) ([]byte, bool) {
	start := len(dst)
	arcs, first := 0, uint64(0)
	for rest, more := dotted, true; more; arcs++ {
		var text string
		text, rest, more = strings.Cut(rest, ".")
		arc, err := strconv.ParseUint(text, 10, 63)
		if err != nil || text[0] == '+' || len(text) > 1 && text[0] == '0' {
			return dst[:start], false
		}
		switch arcs {
		case 0:
			if first = arc; arc > 2 {
				return dst[:start], false
			}
			continue
		case 1:
			if first < 2 && arc > 39 || arc > math.MaxInt64-80 {
				return dst[:start], false
			}
			arc += 40 * first
		}
		dst = appendArc(dst, arc)
	}
	if arcs < 2 {
		return dst[:start], false
	}
	return der.Wrap(dst, start, der.TagOID), true
}

// appendArc appends an arc in base 128, most significant digit first.
func appendArc(dst []byte, arc uint64) []byte {
	shift := 0
	for arc>>shift >= 0x80 {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		dst = append(dst, 0x80|byte(arc>>shift)&0x7f)
	}
	return append(dst, byte(arc)&0x7f)
}
