package device

import (
	"bytes"
	"crypto/sha1" // RFC 5280 §4.2.1.2 method 1 names a key, it protects nothing but that
	"crypto/sha256"
	"crypto/sha512"
	"slices"

	"github.com/vouchmill/vouchmill/codec"
)

// NamesIssuerKey reports whether the issuer in a device's ID is a digest of the
// key that signed its IDevID, by one of the methods of RFC 5280 §4.2.1.2 and RFC
// 7093 §2, or the SHA-256 of the SubjectPublicKeyInfo. Then nobody without that
// key certifies a device of the ID. Any other identifier is what who made the
// issuer's certificate liked it to be, and another manufacturer may like it too.
func (who *Identity) NamesIssuerKey() bool {
	issuer := who.Chain[min(1, len(who.Chain)-1)]
	const short = sha1.Size // RFC 7093: the leftmost 160 bits
	info := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	names := [][]byte{info[:], info[:short]}
	if facts, err := codec.ReadIDevID(issuer); err == nil {
		first, second := sha1.Sum(facts.PublicKeyBits), sha256.Sum256(facts.PublicKeyBits)
		third, fourth := sha512.Sum384(facts.PublicKeyBits), sha512.Sum512(facts.PublicKeyBits)
		names = append(names, first[:], second[:short], third[:short], fourth[:short])
	}
	return slices.ContainsFunc(names, func(name []byte) bool { return bytes.Equal(name, []byte(who.ID.IssuerKeyID)) })
}
