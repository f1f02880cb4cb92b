package artefact

import (
	"crypto/sha1" // RFC 5280 §4.2.1.2 method 1 names a key, it protects nothing
	"crypto/x509"

	"github.com/vouchmill/vouchmill/codec"
)

// IssuerLeaf returns the idevid-issuer that a registrar states for an IDevID
// (draft-ietf-anima-rfc8366bis): its AKI extension's value or, without one, a
// structure around the SHA-1 of the device's own key.
func IssuerLeaf(facts *codec.IDevID) []byte {
	if issuer := facts.Issuer(); issuer != nil {
		return issuer
	}
	own := sha1.Sum(facts.PublicKeyBits)
	return codec.IssuerFromKeyID(own[:])
}

// IssuerMatches reports whether an idevid-issuer, in any of its forms, is that
// of the IDevID: its AKI's keyIdentifier; without an AKI the SHA-1 of the
// device's own key, as the text says, or of the key of issuer, as it may have
// been meant (issuer may be nil).
func IssuerMatches(leaf []byte, facts *codec.IDevID, issuer *x509.Certificate) bool {
	keyID, err := codec.IssuerKeyID(leaf)
	if err != nil {
		return false
	}
	if len(facts.KeyIdentifier) > 0 {
		return string(keyID) == string(facts.KeyIdentifier)
	}
	own := sha1.Sum(facts.PublicKeyBits)
	if string(keyID) == string(own[:]) {
		return true
	}
	if issuer == nil {
		return false
	}
	parent, err := codec.ReadIDevID(issuer)
	if err != nil {
		return false
	}
	theirs := sha1.Sum(parent.PublicKeyBits)
	return string(keyID) == string(theirs[:])
}
