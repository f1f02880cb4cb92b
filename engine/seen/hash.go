package seen

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// Key is the secret 128-bit key of the hashes of one set or index. It is safe
// for concurrent use.
type Key struct{ k0, k1 uint64 }

// NewKey makes a Key of 16 octets, which should be random and kept with the
// hashes.
func NewKey(key [16]byte) Key {
	return Key{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])}
}

// Device is what tells one device from all others.
type Device struct {
	IssuerKeyID []byte // key identifier of the IDevID's issuer, nil for none
	Serial      []byte
}

// hashOnStack is the input length up to which Hash needs no memory: an issuer
// key identifier of 20 octets and a serial number of 64 fit with room to spare.
const hashOnStack = 128

// Hash returns SipHash-2-4 over the length of issuerKeyID (32 bits, big-endian),
// issuerKeyID, and serial. A nil and an empty issuerKeyID are the same. It
// allocates only where both together exceed 124 octets.
func (k Key) Hash(issuerKeyID, serial []byte) uint64 {
	if 4+len(issuerKeyID)+len(serial) > hashOnStack {
		return k.hashLong(issuerKeyID, serial)
	}
	var buf [hashOnStack]byte
	binary.BigEndian.PutUint32(buf[:], uint32(len(issuerKeyID)))
	n := 4
	if len(issuerKeyID) > 0 {
		n += copy(buf[n:], issuerKeyID)
	}
	n += copy(buf[n:], serial)
	return siphash.Hash(k.k0, k.k1, buf[:n])
}

func (k Key) hashLong(issuerKeyID, serial []byte) uint64 {
	buf := make([]byte, 4, 4+len(issuerKeyID)+len(serial))
	binary.BigEndian.PutUint32(buf, uint32(len(issuerKeyID)))
	buf = append(append(buf, issuerKeyID...), serial...)
	return siphash.Hash(k.k0, k.k1, buf)
}

// AppendHashes appends the hash of every device to dst.
func (k Key) AppendHashes(dst []uint64, devices []Device) []uint64 {
	for i := range devices {
		dst = append(dst, k.Hash(devices[i].IssuerKeyID, devices[i].Serial))
	}
	return dst
}
