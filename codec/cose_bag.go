package codec

import (
	"bytes"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// bagMemo remembers who signed by the x5bag seen last. All vouchers of a run
// carry the same bag, and to compare its octets costs a fraction of reading its
// certificates.
type bagMemo struct {
	octets []byte // the certificates, one after the other, then the key identifier
	ends   []int  // of each certificate in octets
	keyed  bool   // a key identifier was given
	index  int    // what signerOfBag made of it
}

// signer is signerOfBag, remembered.
func (m *bagMemo) signer(bag [][]byte, keyID []byte) int {
	if !m.holds(bag, keyID) {
		m.octets, m.ends, m.keyed = m.octets[:0], m.ends[:0], keyID != nil
		for _, cert := range bag {
			m.octets = append(m.octets, cert...)
			m.ends = append(m.ends, len(m.octets))
		}
		m.octets = append(m.octets, keyID...)
		m.index = signerOfBag(bag, keyID)
	}
	return m.index
}

// holds reports whether the memo is of this bag and key identifier.
func (m *bagMemo) holds(bag [][]byte, keyID []byte) bool {
	if len(m.ends) == 0 || len(m.ends) != len(bag) || m.keyed != (keyID != nil) {
		return false
	}
	begin := 0
	for i, end := range m.ends {
		if !bytes.Equal(m.octets[begin:end], bag[i]) {
			return false
		}
		begin = end
	}
	return bytes.Equal(m.octets[begin:], keyID)
}

// signerOfBag finds the signer's certificate in an unordered bag: the only one
// there is, the one whose subject key identifier is the kid, or the only one
// that issued none of the others. It returns -1 when none of this tells.
func signerOfBag(bag [][]byte, keyID []byte) int {
	if len(bag) == 1 {
		return 0
	}
	found := -1
	for i, cert := range bag {
		c, err := der.ParseCertificate(cert)
		if err != nil {
			continue
		}
		if keyID != nil && hasKeyID(&c, keyID) {
			return i
		}
		if issuedAnother(bag, i, c.Subject) {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}

func issuedAnother(bag [][]byte, at int, subject []byte) bool {
	for i, cert := range bag {
		if i == at {
			continue
		}
		c, err := der.ParseCertificate(cert)
		if err == nil && bytes.Equal(c.Issuer, subject) {
			return true
		}
	}
	return false
}
