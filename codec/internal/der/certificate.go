package der

import "bytes"

// Certificate holds the parts of an X.509 certificate (RFC 5280 §4.1) by which
// an envelope names its signer and a curve is known. All are views into the
// certificate: Issuer and Subject are whole Name elements, Serial is the value
// of the INTEGER, KeyAlgorithm the value of the SPKI's AlgorithmIdentifier.
type Certificate struct {
	Issuer, Subject, Serial, KeyAlgorithm []byte

	rest Cursor // what follows the SPKI
}

var subjectKeyIdentifier = []byte{0x55, 0x1d, 0x0e}

// ParseCertificate finds the parts of the one certificate that cert holds. It
// checks the structure as far as it reads, which is to the key.
func ParseCertificate(cert []byte) (Certificate, error) {
	var c Certificate
	outer := Cursor{cert}
	whole, err := outer.Enter(TagSequence)
	if err != nil {
		return c, err
	}
	if err = outer.End(); err != nil {
		return c, err
	}
	tbs, err := whole.Enter(TagSequence)
	if err != nil {
		return c, err
	}
	if _, err = tbs.Optional(ContextConstructed); err != nil { // version
		return c, err
	}
	serial, err := tbs.Read(TagInteger)
	if err != nil {
		return c, err
	}
	c.Serial = serial.Body
	if _, err = tbs.Read(TagSequence); err != nil { // signature
		return c, err
	}
	if c.Issuer, err = sequence(&tbs); err != nil {
		return c, err
	}
	if _, err = tbs.Read(TagSequence); err != nil { // validity
		return c, err
	}
	if c.Subject, err = sequence(&tbs); err != nil {
		return c, err
	}
	spki, err := tbs.Enter(TagSequence)
	if err != nil {
		return c, err
	}
	alg, err := spki.Read(TagSequence)
	if err != nil {
		return c, err
	}
	c.KeyAlgorithm = alg.Body
	c.rest = tbs
	return c, nil
}

func sequence(c *Cursor) ([]byte, error) {
	e, err := c.Read(TagSequence)
	return e.Raw, err
}

// KeyID returns the octets of the subject key identifier, nil when there is no
// such extension.
func (c *Certificate) KeyID() ([]byte, error) {
	tbs := c.rest
	for !tbs.Empty() {
		e, err := tbs.Any()
		if err != nil {
			return nil, err
		}
		if e.Tag != ContextConstructed|3 {
			continue
		}
		wrapped := Cursor{e.Body}
		list, err := wrapped.Enter(TagSequence)
		for err == nil && !list.Empty() {
			var id []byte
			if id, err = keyIDExtension(&list); id != nil {
				return id, nil
			}
		}
		return nil, err
	}
	return nil, nil
}

func keyIDExtension(list *Cursor) ([]byte, error) {
	ext, err := list.Enter(TagSequence)
	if err != nil {
		return nil, err
	}
	oid, err := ext.Read(TagOID)
	if err != nil || !bytes.Equal(oid.Body, subjectKeyIdentifier) {
		return nil, err
	}
	if _, err = ext.Optional(TagBoolean); err != nil {
		return nil, err
	}
	value, err := ext.Read(TagOctetString)
	if err != nil {
		return nil, err
	}
	inner := Cursor{value.Body}
	id, err := inner.Read(TagOctetString)
	return id.Body, err
}
