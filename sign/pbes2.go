package sign

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Encrypted PKCS#8 (RFC 5958 §3) by PBES2 (RFC 8018 §6.2): PBKDF2 or scrypt,
// then AES-CBC, which is what openssl writes. The parameters come from the
// file, so what they may cost is bounded before any of it is spent.

// Limits on what an encrypted key may ask for.
const (
	// MaxPBKDF2Iterations is a few seconds of work.
	MaxPBKDF2Iterations = 10_000_000
	// MaxScryptMemory bounds 128·N·r, in octets.
	MaxScryptMemory = 256 << 20
	// maxScryptWork bounds 128·N·r·p, in octets.
	maxScryptWork = 4 * MaxScryptMemory
)

// writtenIterations is what we write: OWASP's figure for PBKDF2 with
// HMAC-SHA-256.
const writtenIterations = 600_000

type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Parameters struct {
	KeyDerivation pkix.AlgorithmIdentifier
	Encryption    pkix.AlgorithmIdentifier
}

type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParameters struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

var (
	oidPBES2          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt         = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// cipherKeySizes are the AES-CBC variants and their key sizes in octets.
var cipherKeySizes = map[string]int{
	"2.16.840.1.101.3.4.1.2":  16,
	"2.16.840.1.101.3.4.1.22": 24,
	oidAES256CBC.String():     32,
}

// pseudoRandom are the PRFs of PBKDF2. SHA-1 is the default of the standard
// and no weakness here (RFC 8018 appendix B.1.1).
var pseudoRandom = map[string]func() hash.Hash{
	"":                         sha1.New,
	"1.2.840.113549.2.7":       sha1.New,
	oidHMACWithSHA256.String(): sha256.New,
	"1.2.840.113549.2.10":      sha512.New384,
	"1.2.840.113549.2.11":      sha512.New,
}

// decryptPKCS8 opens an EncryptedPrivateKeyInfo. A wrong passphrase is
// [ErrPassphrase], as far as padding and form of the result show it.
func decryptPKCS8(der, pass []byte) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "this is not an encrypted PKCS#8 key", Err: err}
	}
	var params pbes2Parameters
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, &KeyError{Reason: fmt.Sprintf("encryption scheme %v is not PBES2; rewrite the key with openssl pkcs8 -topk8 -v2 aes-256-cbc", info.Algorithm.Algorithm)}
	}
	if rest, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "its PBES2 parameters are malformed", Err: err}
	}
	size, ok := cipherKeySizes[params.Encryption.Algorithm.String()]
	if !ok {
		return nil, &KeyError{Reason: fmt.Sprintf("cipher %v is not AES-CBC; rewrite the key with openssl pkcs8 -topk8 -v2 aes-256-cbc", params.Encryption.Algorithm)}
	}
	var iv []byte
	if rest, err := asn1.Unmarshal(params.Encryption.Parameters.FullBytes, &iv); err != nil || len(rest) != 0 || len(iv) != aes.BlockSize {
		return nil, &KeyError{Reason: "its initialisation vector is malformed", Err: err}
	}
	if len(info.Data) == 0 || len(info.Data)%aes.BlockSize != 0 {
		return nil, &KeyError{Reason: "its encrypted part is not whole blocks"}
	}
	key, err := deriveKey(params.KeyDerivation, pass, size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return decryptCBC(key, iv, info.Data)
}

// decryptCBC decrypts and removes the padding of RFC 8018 §6.1.1.
func decryptCBC(key, iv, data []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &KeyError{Reason: "decryption failed", Err: err}
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		clear(plain)
		return nil, ErrPassphrase
	}
	return plain[:len(plain)-pad], nil
}

func deriveKey(kdf pkix.AlgorithmIdentifier, pass []byte, size int) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		return derivePBKDF2(kdf.Parameters.FullBytes, pass, size)
	case kdf.Algorithm.Equal(oidScrypt):
		return deriveScrypt(kdf.Parameters.FullBytes, pass, size)
	}
	return nil, &KeyError{Reason: fmt.Sprintf("key derivation %v is neither PBKDF2 nor scrypt", kdf.Algorithm)}
}

func derivePBKDF2(der, pass []byte, size int) ([]byte, error) {
	var p pbkdf2Parameters
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "its PBKDF2 parameters are malformed", Err: err}
	}
	prf := ""
	if len(p.PRF.Algorithm) != 0 {
		prf = p.PRF.Algorithm.String()
	}
	newHash, ok := pseudoRandom[prf]
	if !ok {
		return nil, &KeyError{Reason: "PBKDF2 with function " + prf + " is not supported"}
	}
	if p.Iterations < 1 || p.Iterations > MaxPBKDF2Iterations || p.KeyLength != 0 && p.KeyLength != size {
		return nil, &KeyError{Reason: fmt.Sprintf("PBKDF2 with %d iterations for %d octets: 1 to %d for %d are accepted", p.Iterations, p.KeyLength, MaxPBKDF2Iterations, size)}
	}
	key, err := pbkdf2.Key(newHash, string(pass), p.Salt, p.Iterations, size)
	if err != nil {
		return nil, &KeyError{Reason: "PBKDF2 failed", Err: err}
	}
	return key, nil
}

func deriveScrypt(der, pass []byte, size int) ([]byte, error) {
	var p scryptParameters
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) != 0 {
		return nil, &KeyError{Reason: "its scrypt parameters are malformed", Err: err}
	}
	const most = 1 << 30 // so that the products below stay in 64 bits
	memory := int64(128)
	for _, factor := range []int{p.N, p.R} {
		if factor < 1 || factor > most || memory*int64(factor) > MaxScryptMemory {
			return nil, &KeyError{Reason: fmt.Sprintf("scrypt with N=%d, r=%d wants more than %d MiB", p.N, p.R, MaxScryptMemory>>20)}
		}
		memory *= int64(factor)
	}
	if p.P < 1 || p.P > most || memory*int64(p.P) > maxScryptWork || p.KeyLength != 0 && p.KeyLength != size {
		return nil, &KeyError{Reason: fmt.Sprintf("scrypt with p=%d for %d octets is refused", p.P, p.KeyLength)}
	}
	key, err := scrypt.Key(pass, p.Salt, p.N, p.R, p.P, size)
	if err != nil {
		return nil, &KeyError{Reason: "scrypt failed", Err: err}
	}
	return key, nil
}

// encryptPKCS8 makes an EncryptedPrivateKeyInfo: PBKDF2 with HMAC-SHA-256,
// AES-256-CBC.
func encryptPKCS8(plain, pass []byte) ([]byte, error) {
	salt, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	rand.Read(salt) // crypto/rand.Read never fails
	rand.Read(iv)
	key, err := pbkdf2.Key(sha256.New, string(pass), salt, writtenIterations, 32)
	if err != nil {
		return nil, &KeyError{Reason: "PBKDF2 failed", Err: err}
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &KeyError{Reason: "encryption failed", Err: err}
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	data := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)

	kdf, err := parameters(oidPBKDF2, pbkdf2Parameters{Salt: salt, Iterations: writtenIterations,
		PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256, Parameters: asn1.NullRawValue}})
	if err != nil {
		return nil, err
	}
	enc, err := parameters(oidAES256CBC, iv)
	if err != nil {
		return nil, err
	}
	scheme, err := parameters(oidPBES2, pbes2Parameters{KeyDerivation: kdf, Encryption: enc})
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(encryptedPrivateKeyInfo{Algorithm: scheme, Data: data})
	if err != nil {
		return nil, &KeyError{Reason: "cannot be encoded", Err: err}
	}
	return der, nil
}

// parameters is an AlgorithmIdentifier with encoded parameters.
func parameters(oid asn1.ObjectIdentifier, value any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(value)
	if err != nil {
		return pkix.AlgorithmIdentifier{}, &KeyError{Reason: "parameters cannot be encoded", Err: err}
	}
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}, nil
}
