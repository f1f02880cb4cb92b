package est

import (
	"net/netip"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// Tags of the GeneralName choices that a template can leave open (RFC 5280 §4.2.1.6).
const (
	tagDNSName       = der.ContextPrimitive | 2
	tagDirectoryName = der.ContextConstructed | 4
	tagIPAddress     = der.ContextPrimitive | 7
)

// AppendSubjectAltName appends the value of a subjectAltName extension with the
// given names (RFC 5280 §4.2.1.6). In a template an empty DNS name and the zero
// address are names for the client to fill in (RFC 9908 §3.4). DNS names are
// written as they are: the caller sees to it that they are ASCII.
func AppendSubjectAltName(dst []byte, dnsNames []string, addresses []netip.Addr) []byte {
	start := len(dst)
	for _, name := range dnsNames {
		dst = append(der.AppendHeader(dst, tagDNSName, len(name)), name...)
	}
	for _, addr := range addresses {
		dst = appendAddress(dst, addr)
	}
	return der.Wrap(dst, start, der.TagSequence)
}

func appendAddress(dst []byte, addr netip.Addr) []byte {
	switch addr = addr.Unmap(); {
	case !addr.IsValid():
		return append(dst, tagIPAddress, 0)
	case addr.Is4():
		octets := addr.As4()
		return der.Append(dst, tagIPAddress, octets[:])
	}
	octets := addr.As16()
	return der.Append(dst, tagIPAddress, octets[:])
}

// isBlank reports whether a GeneralName is left to the client: a DNS name or an
// address without octets, or a directory name without RDNs.
func isBlank(name *der.Element) bool {
	switch name.Tag {
	case tagDNSName, tagIPAddress:
		return len(name.Body) == 0
	case tagDirectoryName:
		return len(name.Body) == 2 && name.Body[0] == der.TagSequence && name.Body[1] == 0
	}
	return false
}

// generalNames returns the GeneralNames of a subjectAltName's value.
func generalNames(value []byte) ([]der.Element, error) {
	outer := der.Cursor{Rest: value}
	seq, err := outer.Enter(der.TagSequence)
	if err != nil {
		return nil, err
	}
	var names []der.Element
	for !seq.Empty() {
		name, err := seq.Any()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, outer.End()
}

// hasBlanks reports whether an extension's value is a subjectAltName with names
// for the client to fill in.
func hasBlanks(ext *Extension) bool {
	if ext.ID != OIDSubjectAltName || ext.Value == nil {
		return false
	}
	names, err := generalNames(ext.Value)
	for i := range names {
		if err == nil && isBlank(&names[i]) {
			return true
		}
	}
	return false
}

// fillsBlanks reports whether value is template with its blanks filled in.
func fillsBlanks(value, template []byte) bool {
	want, err := generalNames(template)
	got, also := generalNames(value)
	if err != nil || also != nil || len(got) != len(want) {
		return false
	}
	for i := range want {
		if isBlank(&want[i]) {
			if got[i].Tag != want[i].Tag || isBlank(&got[i]) || got[i].Tag == tagIPAddress && len(got[i].Body) != 4 && len(got[i].Body) != 16 {
				return false
			}
		} else if string(got[i].Raw) != string(want[i].Raw) {
			return false
		}
	}
	return true
}
