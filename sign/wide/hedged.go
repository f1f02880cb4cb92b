package wide

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"io"
)

// hedgedNonces fills k with the output of AES-256 in counter mode, keyed by
// SHA-512 of the private key, 32 octets of random and all digests, candidates
// outside [1, n-1] thrown away. With a random that always says the same the
// nonces are those of a deterministic signer: batches that differ in one digest
// have no nonce in common.
func hedgedNonces(k [][4]uint64, d *[32]byte, digests [][32]byte, random io.Reader) error {
	var extra [32]byte
	if _, err := io.ReadFull(random, extra[:]); err != nil {
		return err
	}
	h := sha512.New()
	h.Write(d[:])
	h.Write(extra[:])
	for i := range digests {
		h.Write(digests[i][:])
	}
	var seed [64]byte
	h.Sum(seed[:0])
	block, err := aes.NewCipher(seed[:32])
	if err != nil {
		return err
	}
	stream := cipher.NewCTR(block, seed[32:48])
	buffer := make([]byte, 32*len(k))
	stream.XORKeyStream(buffer, buffer)
	for i := range k {
		candidate := buffer[32*i : 32*i+32]
		k[i] = wordsFromBytes(candidate)
		for !isScalar(&k[i]) {
			clear(candidate)
			stream.XORKeyStream(candidate, candidate)
			k[i] = wordsFromBytes(candidate)
		}
	}
	clear(buffer)
	clear(seed[:])
	h.Reset()
	return nil
}
