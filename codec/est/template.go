package est

import "github.com/vouchmill/vouchmill/codec/internal/der"

// readTemplate reads a CertificationRequestInfoTemplate (RFC 9908 §3.4 and its
// module, whose tags are implicit).
func readTemplate(values *der.Cursor, lim *Limits) (*Template, error) {
	const part = "template"
	c, err := values.Enter(der.TagSequence)
	if err != nil {
		return nil, fault(objCSRAttrs, part, err)
	}
	if err := readVersion(objCSRAttrs, &c); err != nil {
		return nil, err
	}
	t := &Template{}
	subject, err := c.Optional(der.TagSequence)
	if err != nil {
		return nil, fault(objCSRAttrs, part, err)
	}
	if subject.Raw != nil {
		if t.Subject, err = parseName(objCSRAttrs, "template subject", subject.Body, lim.RDNs, true); err != nil {
			return nil, err
		}
	}
	key, err := c.Optional(der.ContextConstructed)
	if err != nil {
		return nil, fault(objCSRAttrs, part, err)
	}
	if key.Raw != nil {
		if t.Key, err = readKeyTemplate(key.Body); err != nil {
			return nil, fault(objCSRAttrs, "template subjectPKInfo", err)
		}
	}
	attributes, err := c.Enter(der.ContextConstructed | 1)
	if err == nil {
		err = c.End()
	}
	if err != nil {
		return nil, fault(objCSRAttrs, "template attributes", err)
	}
	return t, t.readAttributes(&attributes, lim)
}

// readKeyTemplate reads a SubjectPublicKeyInfoTemplate, whose key is there only
// to show how long an RSA modulus is to be: in octets, as its bits are made up.
func readKeyTemplate(body []byte) (Key, error) {
	c := der.Cursor{Rest: body}
	k, err := readKeyAlgorithm(&c)
	if err != nil || c.Empty() {
		return k, err
	}
	placeholder, err := readBitString(&c)
	if err != nil {
		return k, err
	}
	if err = c.End(); err != nil {
		return k, err
	}
	if k.Algorithm == OIDRSAPublicKey {
		k.Bits, err = modulusBits(placeholder)
		k.Bits = (k.Bits + 7) / 8 * 8
	}
	return k, err
}

// readAttributes reads the attributes of a template. Extensions come in one
// id-ExtensionReq or one id-aa-extensionReqTemplate, never both. The set of the
// latter holds a SEQUENCE OF ExtensionTemplate, as the module has it, where the
// prose of RFC 9908 §3.4 names one alone.
func (t *Template) readAttributes(c *der.Cursor, lim *Limits) error {
	for n := 1; !c.Empty(); n++ {
		if err := within("CSRAttributes", lim.CSRAttributes, n); err != nil {
			return err
		}
		a, err := readAttribute(c)
		if err != nil {
			return fault(objCSRAttrs, "template attributes", err)
		}
		open := a.ID == OIDExtensionReqTemplate
		if !open && a.ID != OIDExtensionRequest {
			t.Attributes = append(t.Attributes, a)
			continue
		}
		part := "template attribute " + a.ID
		if t.Extensions != nil {
			return problem(objCSRAttrs, part, "a second list of extensions where one is allowed (RFC 9908 §3.4)")
		}
		values := der.Cursor{Rest: a.Values}
		if t.Extensions, err = readExtensions(objCSRAttrs, part, &values, lim.Extensions, open); err != nil {
			return err
		}
		if values.End() != nil {
			return problem(objCSRAttrs, part, "has several values where one is allowed (RFC 9908 §3.4)")
		}
	}
	return nil
}

// append appends the CertificationRequestInfoTemplate.
func (t *Template) append(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, der.TagInteger, 1, 0)
	var err error
	if t.Subject != nil {
		if dst, err = appendName(dst, objCSRAttrs, t.Subject, true); err != nil {
			return dst[:start], err
		}
	}
	if dst, err = t.Key.appendTemplate(dst); err != nil {
		return dst[:start], err
	}
	attributes := len(dst)
	if len(t.Extensions) > 0 {
		if dst, err = appendExtensionTemplate(dst, t.Extensions); err != nil {
			return dst[:start], err
		}
	}
	for i := range t.Attributes {
		a := &t.Attributes[i]
		if a.Values == nil {
			return dst[:start], &EncodeError{objCSRAttrs, "template attribute " + a.ID, "has no values"}
		}
		if dst, err = appendItem(dst, a); err != nil {
			return dst[:start], err
		}
	}
	sortSet(dst[attributes:])
	dst = der.Wrap(dst, attributes, der.ContextConstructed|1)
	return der.Wrap(dst, start, der.TagSequence), nil
}

// appendExtensionTemplate appends the attribute that holds the extensions:
// id-ExtensionReq unless a value is left open (RFC 9908 §3.4).
func appendExtensionTemplate(dst []byte, list []Extension) ([]byte, error) {
	open := false
	for i := range list {
		open = open || list[i].Value == nil
	}
	if !open {
		return appendExtensionRequest(dst, objCSRAttrs, list)
	}
	start := len(dst)
	dst, _ = appendOID(dst, OIDExtensionReqTemplate)
	value := len(dst)
	dst, err := appendExtensions(dst, objCSRAttrs, list, true)
	if err != nil {
		return dst[:start], err
	}
	dst = der.Wrap(dst, value, der.TagSet)
	return der.Wrap(dst, start, der.TagSequence), nil
}

// appendTemplate appends the SubjectPublicKeyInfoTemplate, nothing for the zero Key.
func (k Key) appendTemplate(dst []byte) ([]byte, error) {
	if k == (Key{}) {
		return dst, nil
	}
	start, ok := len(dst), false
	if dst, ok = appendOID(dst, k.Algorithm); !ok {
		return dst, &EncodeError{objCSRAttrs, "key", "its algorithm is no object identifier in dotted decimals"}
	}
	switch {
	case k.Params != "":
		dst = append(dst, k.Params...)
	case k.Curve != "":
		if dst, ok = appendOID(dst, k.Curve); !ok {
			return dst[:start], &EncodeError{objCSRAttrs, "key", "its curve is no object identifier in dotted decimals"}
		}
	case k.Algorithm == OIDRSAPublicKey:
		dst = append(dst, der.TagNull, 0)
	}
	dst = der.Wrap(dst, start, der.TagSequence)
	if k.Bits != 0 {
		if k.Algorithm != OIDRSAPublicKey || k.Bits < 8 || k.Bits%8 != 0 {
			return dst[:start], &EncodeError{objCSRAttrs, "key", "has a size that is not that of an RSA modulus in whole octets"}
		}
		dst = appendPlaceholder(dst, k.Bits/8)
	}
	return der.Wrap(dst, start, der.ContextConstructed), nil
}

// appendPlaceholder appends a BIT STRING with an RSAPublicKey that is no key and
// has a modulus of the given octets: 2^(8·octets-1), exponent 65537.
func appendPlaceholder(dst []byte, octets int) []byte {
	start := len(dst)
	dst = append(dst, 0)
	key := len(dst)
	dst = der.AppendHeader(dst, der.TagInteger, octets+1)
	dst = append(dst, 0, 0x80)
	for range octets - 1 {
		dst = append(dst, 0)
	}
	dst = append(dst, der.TagInteger, 3, 1, 0, 1)
	dst = der.Wrap(dst, key, der.TagSequence)
	return der.Wrap(dst, start, der.TagBitString)
}
