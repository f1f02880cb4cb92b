package list

import (
	"crypto/sha1"
	"errors"

	"github.com/vouchmill/vouchmill/codec"
)

// certificate makes a record of one IDevID certificate.
func (r *Reader) certificate(rec *Record, raw, der []byte) error {
	serial, issuer, err := identify(der, r.opts.SerialFrom)
	if err != nil {
		return r.rowError(r.line, raw, &fault{at: -1, err: &cause{ErrCertificate, err},
			remedy: "take it out of the list, or have it issued anew"})
	}
	v := values{octets: true}
	v.set(colSerial, serial, -1)
	v.set(colIssuer, issuer, -1)
	return r.finish(r.line, raw, rec, &v)
}

// identify returns the serial number and the idevid-issuer that a certificate
// states. Without an authority key identifier the issuer is made of the
// certificate's own key, by RFC 8366bis: SHA-1 over the BIT STRING content of
// the key (RFC 5280 §4.2.1.2 method 1). It names a key and protects nothing.
func identify(der []byte, from codec.SerialSource) (serial, issuer []byte, err error) {
	c, err := codec.ParseIDevID(der)
	if err != nil {
		return nil, nil, err
	}
	if c.CertificateAuthority {
		return nil, nil, errors.New("it is of a certification authority and no device")
	}
	if serial, err = c.Serial(from); err != nil {
		return nil, nil, err
	}
	switch {
	case c.AuthorityKeyID == nil:
		sum := sha1.Sum(c.PublicKeyBits)
		issuer = codec.IssuerFromKeyID(sum[:])
	case c.KeyIdentifier == nil:
		return nil, nil, errors.New("its authority key identifier names no key")
	default:
		issuer = c.Issuer()
	}
	return serial, issuer, nil
}
