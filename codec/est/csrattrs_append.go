package est

import "github.com/vouchmill/vouchmill/codec/internal/der"

// Append appends the DER of the attributes: the template first, then the list in
// the order of the fields. Extensions always go into one id-ExtensionReq, and
// key demands into attributes of the key's type (RFC 9908 §3.2). Attributes that
// say nothing are an empty SEQUENCE. With room in dst nothing is allocated. The
// error is an *EncodeError.
func (a *CSRAttrs) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	var err error
	if a.Template != nil {
		dst, _ = appendOID(dst, OIDRequestInfoTemplate)
		value := len(dst)
		if dst, err = a.Template.append(dst); err != nil {
			return dst[:start], err
		}
		dst = der.Wrap(dst, value, der.TagSet)
		dst = der.Wrap(dst, start, der.TagSequence)
	}
	if a.ChallengePassword {
		dst, _ = appendOID(dst, OIDChallengePassword)
	}
	if dst, err = appendKeys(dst, a.Keys); err != nil {
		return dst[:start], err
	}
	if len(a.Extensions) > 0 {
		if dst, err = appendExtensionRequest(dst, objCSRAttrs, a.Extensions); err != nil {
			return dst[:start], err
		}
	}
	for i := range a.Items {
		if dst, err = appendItem(dst, &a.Items[i]); err != nil {
			return dst[:start], err
		}
	}
	for _, id := range a.Signatures {
		var ok bool
		if dst, ok = appendOID(dst, id); !ok {
			return dst[:start], &EncodeError{objCSRAttrs, "signature algorithm " + id, "is no object identifier in dotted decimals"}
		}
	}
	return der.Wrap(dst, start, der.TagSequence), nil
}

// appendKeys appends the demands for keys. Neighbours of one algorithm share an
// attribute; a demand for the algorithm alone is a bare OID.
func appendKeys(dst []byte, keys []Key) ([]byte, error) {
	for i := 0; i < len(keys); {
		k := keys[i]
		start, ok := len(dst), false
		switch k.Algorithm {
		case OIDECPublicKey, OIDRSAPublicKey, OIDEd25519, OIDEd448:
		default:
			return dst, &EncodeError{objCSRAttrs, k.String(), "has no place in a list: use a template"}
		}
		dst, _ = appendOID(dst, k.Algorithm)
		if k == (Key{Algorithm: k.Algorithm}) {
			i++
			continue
		}
		values := len(dst)
		for ; i < len(keys) && keys[i].Algorithm == k.Algorithm && keys[i] != (Key{Algorithm: k.Algorithm}); i++ {
			if dst, ok = keys[i].appendValue(dst); !ok {
				return dst[:start], &EncodeError{objCSRAttrs, keys[i].String(), "is none that a list can ask for: give a named curve, or bits from 1 to 2^23-1"}
			}
		}
		sortSet(dst[values:])
		dst = der.Wrap(dst, values, der.TagSet)
		dst = der.Wrap(dst, start, der.TagSequence)
	}
	return dst, nil
}

// appendValue appends the curve or the size that a list asks for.
func (k Key) appendValue(dst []byte) ([]byte, bool) {
	switch {
	case k.Algorithm == OIDECPublicKey && k.Curve != "" && k.Bits == 0 && k.Params == "":
		return appendOID(dst, k.Curve)
	case k.Algorithm == OIDRSAPublicKey && k.Bits > 0 && k.Bits < 1<<23 && k.Curve == "" && k.Params == "":
		start := len(dst)
		for shift := 16; shift >= 0; shift -= 8 {
			// A leading octet is needed where the next one has its top bit set.
			if len(dst) > start || shift == 0 || k.Bits>>(shift-1) != 0 {
				dst = append(dst, byte(k.Bits>>shift))
			}
		}
		return der.Wrap(dst, start, der.TagInteger), true
	}
	return dst, false
}

// appendItem appends a bare OID, or an attribute with its values in the order of DER.
func appendItem(dst []byte, a *Attribute) ([]byte, error) {
	start, ok := len(dst), false
	if dst, ok = appendOID(dst, a.ID); !ok {
		return dst, &EncodeError{objCSRAttrs, "attribute " + a.ID, "is no object identifier in dotted decimals"}
	}
	if a.Values == nil {
		return dst, nil
	}
	values := len(dst)
	dst = append(dst, a.Values...)
	sortSet(dst[values:])
	dst = der.Wrap(dst, values, der.TagSet)
	return der.Wrap(dst, start, der.TagSequence), nil
}
