package est

import "github.com/vouchmill/vouchmill/codec/internal/der"

// An Extension is an X.509 extension that a request asks for (RFC 5280 §4.1),
// or that CSR attributes want asked for.
type Extension struct {
	ID       string // extnID, dotted
	OID      []byte // extnID, value octets; not used when writing
	Critical bool
	Value    []byte // what the extnValue OCTET STRING holds; nil: a template leaves it to the client
}

// FindExtension returns the extension of the given type, nil when there is none.
func FindExtension(list []Extension, id string) *Extension {
	for i := range list {
		if list[i].ID == id {
			return &list[i]
		}
	}
	return nil
}

// readExtensions reads Extensions, or in a template an ExtensionReqTemplate
// whose values are optional (RFC 9908 §3.4). None comes twice.
func readExtensions(object, part string, c *der.Cursor, most int, template bool) ([]Extension, error) {
	seq, err := c.Enter(der.TagSequence)
	if err == nil && seq.Empty() {
		return nil, problem(object, part, "an empty list of extensions: leave it out instead")
	}
	if err != nil {
		return nil, fault(object, part, err)
	}
	var list []Extension
	for !seq.Empty() {
		if err := within("Extensions", most, len(list)+1); err != nil {
			return nil, err
		}
		ext, err := readExtension(&seq, template)
		if err != nil {
			return nil, fault(object, part, err)
		}
		if FindExtension(list, ext.ID) != nil {
			return nil, problem(object, part, "extension "+ext.ID+" twice")
		}
		list = append(list, ext)
	}
	return list, nil
}

func readExtension(seq *der.Cursor, template bool) (ext Extension, err error) {
	c, err := seq.Enter(der.TagSequence)
	if err != nil {
		return ext, err
	}
	if ext.OID, ext.ID, err = readOID(&c); err != nil {
		return ext, err
	}
	critical, err := c.Optional(der.TagBoolean)
	if err != nil {
		return ext, err
	}
	if critical.Raw != nil {
		// DER leaves the default, FALSE, out and has one TRUE (X.690 §11.1, §11.5).
		if len(critical.Body) != 1 || critical.Body[0] != 0xff {
			return ext, der.ErrNotDER
		}
		ext.Critical = true
	}
	if template && c.Empty() {
		return ext, nil
	}
	value, err := c.Read(der.TagOctetString)
	if err != nil {
		return ext, err
	}
	ext.Value = value.Body
	return ext, c.End()
}

// appendExtensions appends Extensions, or an ExtensionReqTemplate.
func appendExtensions(dst []byte, object string, list []Extension, template bool) ([]byte, error) {
	start := len(dst)
	for i := range list {
		ext, at, ok := &list[i], len(dst), false
		if dst, ok = appendOID(dst, ext.ID); !ok {
			return dst[:start], &EncodeError{object, "extension " + ext.ID, "is no object identifier in dotted decimals"}
		}
		for j := range i {
			if list[j].ID == ext.ID {
				return dst[:start], &EncodeError{object, "extension " + ext.ID, "is there twice"}
			}
		}
		if ext.Critical {
			dst = append(dst, der.TagBoolean, 1, 0xff)
		}
		switch {
		case ext.Value != nil:
			dst = der.Append(dst, der.TagOctetString, ext.Value)
		case !template:
			return dst[:start], &EncodeError{object, "extension " + ext.ID, "has no value: set it, or use a template"}
		}
		dst = der.Wrap(dst, at, der.TagSequence)
	}
	return der.Wrap(dst, start, der.TagSequence), nil
}
