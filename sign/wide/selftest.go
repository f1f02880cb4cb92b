package wide

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// The key and a signature of RFC 6979 A.2.5, P-256 with SHA-256, message
// "sample".
const (
	knownKey       = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"
	knownSignature = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
		"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)

// knownAnswers signs a published message in every lane and verifies it under
// keys and under one key with its table; changed signatures must fail.
func knownAnswers() error {
	d, _ := hex.DecodeString(knownKey)
	want, _ := hex.DecodeString(knownSignature)
	s, err := newSigner(d, true)
	if err != nil {
		return err
	}
	defer s.Close()
	s.SetProof(ProveNone) // a failed proof would bring in crypto/ecdsa
	digest := sha256.Sum256([]byte("sample"))
	digests, sigs := make([][]byte, Lanes), make([]byte, SignatureSize*Lanes)
	for i := range digests {
		digests[i] = digest[:]
	}
	if err := s.SignDigests(sigs, digests); err != nil {
		return err
	}
	if !bytes.Equal(sigs, bytes.Repeat(want, Lanes)) {
		return errors.New("a signature differs from RFC 6979 A.2.5")
	}
	return knownVerification(s, digests, sigs)
}

func knownVerification(s *Signer, digests [][]byte, sigs []byte) error {
	k, err := newKey(s.Public(), true)
	if err != nil {
		return err
	}
	keys, views, ok := make([]*Key, Lanes), make([][]byte, Lanes), make([]bool, Lanes)
	for i := range views {
		keys[i], views[i] = k, sigs[SignatureSize*i:SignatureSize*(i+1)]
		if i%2 == 1 {
			views[i][SignatureSize-1-i] ^= 1
		}
	}
	verifyWide(keys, nil, digests, views, ok)
	for range 2 {
		for i := range ok {
			if ok[i] != (i%2 == 0) {
				return errors.New("a verification gives the wrong answer")
			}
			ok[i] = i%2 == 1
		}
		k.seen.Store(tableAfter)
		verifyWide(nil, k, digests, views, ok)
	}
	k.forget()
	return nil
}
