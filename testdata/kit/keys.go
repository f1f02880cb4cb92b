package kit

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"strings"
)

// stream returns n octets that follow from a name.
func stream(name string, n int) []byte {
	var out []byte
	for i := uint32(0); len(out) < n; i++ {
		block := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("vouchmill test kit: "+name+"\x00"), i))
		out = append(out, block[:]...)
	}
	return out[:n]
}

// algorithm is a signature algorithm as the envelopes name it.
type algorithm struct {
	name, jose string
	cose       int64
	signature  []byte // DER AlgorithmIdentifier
	digest     []byte
	hash       crypto.Hash
	curve      elliptic.Curve // ECDSA
}

var (
	sha256ID = sequence(oid(2, 16, 840, 1, 101, 3, 4, 2, 1))
	sha384ID = sequence(oid(2, 16, 840, 1, 101, 3, 4, 2, 2))
	sha512ID = sequence(oid(2, 16, 840, 1, 101, 3, 4, 2, 3))
	sha1ID   = sequence(oid(1, 3, 14, 3, 2, 26))

	es256   = &algorithm{"ES256", "ES256", -7, sequence(oid(1, 2, 840, 10045, 4, 3, 2)), sha256ID, crypto.SHA256, elliptic.P256()}
	es384   = &algorithm{"ES384", "ES384", -35, sequence(oid(1, 2, 840, 10045, 4, 3, 3)), sha384ID, crypto.SHA384, elliptic.P384()}
	es512   = &algorithm{"ES512", "ES512", -36, sequence(oid(1, 2, 840, 10045, 4, 3, 4)), sha512ID, crypto.SHA512, elliptic.P521()}
	eddsa   = &algorithm{"Ed25519", "EdDSA", -8, sequence(oid(1, 3, 101, 112)), sha512ID, crypto.SHA512, nil}
	rs256   = &algorithm{"RS256", "RS256", -257, sequence(oid(1, 2, 840, 113549, 1, 1, 11), null), sha256ID, crypto.SHA256, nil}
	allKeys = []*algorithm{es256, es384, es512, eddsa, rs256}
)

// newKey derives a private key from a name.
func newKey(alg *algorithm, name string) (crypto.Signer, error) {
	switch {
	case alg.curve != nil:
		size := (alg.curve.Params().BitSize + 7) / 8
		scalar := stream(name, size)
		if alg == es512 {
			scalar[0] = 0 // below the order, whose top octet is 1
		}
		return ecdsa.ParseRawPrivateKey(alg.curve, scalar)
	case alg == eddsa:
		return ed25519.NewKeyFromSeed(stream(name, ed25519.SeedSize)), nil
	default:
		return newRSAKey(name)
	}
}

// newRSAKey derives a key of 2,048 bits: two primes searched upwards from
// octets of the stream.
func newRSAKey(name string) (*rsa.PrivateKey, error) {
	const e = 65537
	one, public := big.NewInt(1), big.NewInt(e)
	totient, n := big.NewInt(1), big.NewInt(1)
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: new(big.Int)}
	for _, which := range []string{"p", "q"} {
		start := stream(name+" "+which, 128)
		start[0] |= 0xc0 // so that the product has 2,048 bits
		start[127] |= 1
		prime := new(big.Int).SetBytes(start)
		less := new(big.Int)
		for !prime.ProbablyPrime(20) || new(big.Int).GCD(nil, nil, less.Sub(prime, one), public).Cmp(one) != 0 {
			prime.Add(prime, big.NewInt(2))
		}
		n.Mul(n, prime)
		totient.Mul(totient, less.Sub(prime, one))
		key.Primes = append(key.Primes, prime)
	}
	key.D.ModInverse(public, totient)
	key.Precompute()
	return key, key.Validate()
}

func (a *algorithm) sum(message []byte) []byte {
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return sum[:]
	default:
		sum := sha512.Sum512(message)
		return sum[:]
	}
}

// derSignature signs a message; ECDSA gives an Ecdsa-Sig-Value.
func (a *algorithm) derSignature(key crypto.Signer, message []byte) []byte {
	input, opts := message, crypto.SignerOpts(crypto.Hash(0))
	if a != eddsa {
		input, opts = a.sum(message), a.hash
	}
	signature, err := key.Sign(nil, input, opts)
	if err != nil {
		panic(err) // the keys are the kit's own
	}
	return signature
}

// rawSignature signs a message; ECDSA gives r‖s.
func (a *algorithm) rawSignature(key crypto.Signer, message []byte) []byte {
	signature := a.derSignature(key, message)
	if a.curve == nil {
		return signature
	}
	var value struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &value); err != nil {
		panic(err)
	}
	size := (a.curve.Params().BitSize + 7) / 8
	raw := make([]byte, 2*size)
	value.R.FillBytes(raw[:size])
	value.S.FillBytes(raw[size:])
	return raw
}

// passphrase opens the encrypted keys of the kit.
const passphrase = "correct horse battery staple"

// keyCases adds key files.
func (b *builder) keyCases() error {
	var es256Key crypto.Signer
	for _, alg := range allKeys {
		key, err := newKey(alg, "key file "+alg.name)
		if err != nil {
			return err
		}
		text, err := pkcs8PEM(key)
		if err != nil {
			return err
		}
		c := Case{File: "keys/pkcs8-" + strings.ToLower(alg.name) + ".pem", Kind: KindKey, Algorithm: alg.name, About: "PKCS #8"}
		if alg == rs256 {
			c.About = "RSA is read only: no key of it is taken for signing"
			b.bad(text, "algorithm", "", c)
			continue
		}
		b.good(text, c)
		if alg == es256 {
			es256Key = key
		}
	}
	return b.es256Files(es256Key.(*ecdsa.PrivateKey))
}

// es256Files adds one key in all its forms, and in some it must not have.
func (b *builder) es256Files(key *ecdsa.PrivateKey) error {
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	plain, err := pkcs8PEM(key)
	if err != nil {
		return err
	}
	encrypted, err := encryptedPEM(key)
	if err != nil {
		return err
	}
	sec1PEM := pemBlock("EC PRIVATE KEY", sec1)
	p224, err := ecdsa.ParseRawPrivateKey(elliptic.P224(), append([]byte{0}, stream("P-224", 27)...))
	if err != nil {
		return err
	}
	p224PEM, err := pkcs8PEM(p224)
	if err != nil {
		return err
	}
	c := func(name, about string) Case {
		return Case{File: "keys/" + name + ".pem", Kind: KindKey, Algorithm: es256.name, About: about}
	}
	b.good(sec1PEM, c("sec1-es256", "SEC 1, as openssl ecparam writes it"))
	b.good(append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), sec1PEM...), c("parameters-es256", "a block of parameters before the key"))
	b.good(encrypted, c("encrypted-es256", "encrypted PKCS #8: PBKDF2 with HMAC-SHA-256, AES-256-CBC"))
	b.bad(p224PEM, "key", "", c("bad-p224", "P-224, with which nothing here signs"))
	b.bad(plain[:len(plain)/2], "key", "", c("bad-truncated", "cut off within the block"))
	b.bad(pemBlock("PRIVATE KEY", sec1), "key", "", c("bad-label", "SEC 1 under the label of PKCS #8"))
	b.bad(pemBlock("PRIVATE KEY", nil), "key", "", c("bad-empty-block", "a block with nothing in it"))
	b.bad(nil, "key", "", c("bad-empty", "an empty file"))
	b.bad(pemBlock("PUBLIC KEY", []byte{0x30, 0}), "key", "", c("bad-public", "no private key in it"))
	return nil
}

func pemBlock(label string, body []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: body})
}

func pkcs8PEM(key crypto.Signer) ([]byte, error) {
	body, err := x509.MarshalPKCS8PrivateKey(key)
	return pemBlock("PRIVATE KEY", body), err
}

// encryptedPEM writes an EncryptedPrivateKeyInfo (RFC 5958 §3, RFC 8018 §6.2)
// with a salt and an initial vector that follow from their names.
func encryptedPEM(key crypto.Signer) ([]byte, error) {
	const iterations = 2048
	body, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	salt, iv := stream("salt", 16), stream("iv", 16)
	secret, err := pbkdf2.Key(sha256.New, passphrase, salt, iterations, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(body)%aes.BlockSize
	for range pad {
		body = append(body, byte(pad))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, body)
	prf := sequence(oid(1, 2, 840, 113549, 2, 9), null)
	kdf := sequence(oid(1, 2, 840, 113549, 1, 5, 12), sequence(octetString(salt), integer(iterations), prf))
	scheme := sequence(oid(2, 16, 840, 1, 101, 3, 4, 1, 42), octetString(iv))
	pbes2 := sequence(oid(1, 2, 840, 113549, 1, 5, 13), sequence(kdf, scheme))
	return pemBlock("ENCRYPTED PRIVATE KEY", sequence(pbes2, octetString(body))), nil
}
