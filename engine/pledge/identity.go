package pledge

import (
	"bytes"
	"crypto/sha1" // RFC 5280 §4.2.1.2 method 1 names a key, it protects nothing
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// ownIdentity is what the IDevID says about this device.
type ownIdentity struct {
	serial string
	facts  *codec.IDevID
	issuer *x509.Certificate // nil if the chain holds only the IDevID
}

// identify reads the device's own IDevID.
func identify(id Identity, from codec.SerialSource) (*ownIdentity, error) {
	if len(id.Chain) == 0 || id.Key == nil {
		return nil, errors.New("pledge: the IDevID needs a certificate and its key")
	}
	if err := sign.MatchCertificate(id.Key, id.Chain[0]); err != nil {
		return nil, fmt.Errorf("pledge: the IDevID: %w", err)
	}
	facts, err := codec.ParseIDevID(id.Chain[0].Raw)
	if err != nil {
		return nil, fmt.Errorf("pledge: the IDevID: %w", err)
	}
	serial, err := facts.Serial(from)
	if err == nil {
		err = codec.CheckSerial(serial, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("pledge: the IDevID of %q: %w", id.Chain[0].Subject, err)
	}
	own := &ownIdentity{serial: string(serial), facts: facts}
	if len(id.Chain) > 1 {
		own.issuer = id.Chain[1]
	}
	return own, nil
}

// issuedBy reports whether an idevid-issuer, in any of its forms, is that of
// this device: the keyIdentifier of its AKI; without an AKI the SHA-1 of the
// device's own key, as draft-ietf-anima-rfc8366bis says, or of its issuer's, as
// it may have been meant. (Package device says the same, over a database that
// a device does not have.)
func (own *ownIdentity) issuedBy(leaf []byte) bool {
	keyID, err := codec.IssuerKeyID(leaf)
	if err != nil {
		return false
	}
	if len(own.facts.KeyIdentifier) > 0 {
		return bytes.Equal(keyID, own.facts.KeyIdentifier)
	}
	hash := sha1.Sum(own.facts.PublicKeyBits)
	if bytes.Equal(keyID, hash[:]) {
		return true
	}
	if own.issuer == nil {
		return false
	}
	issuer, err := codec.ParseIDevID(own.issuer.Raw)
	if err != nil {
		return false
	}
	hash = sha1.Sum(issuer.PublicKeyBits)
	return bytes.Equal(keyID, hash[:])
}
