package peers

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/smallstep/pkcs7"
	"github.com/veraison/go-cose"

	"github.com/vouchmill/vouchmill/bench"
	"github.com/vouchmill/vouchmill/codec"
)

// A Peer makes and reads vouchers with a library of the field.
type Peer struct {
	Name   string // of the library
	Encode func(payload []byte) ([]byte, error)
	Decode func(voucher []byte) error // without checking the signature
	Verify func(voucher []byte) error // the signature too, by the signer's certificate
}

// New returns the peer for a format, with the fixture's key and chain.
func New(format codec.Format, f *bench.Fixture) (*Peer, error) {
	key, ok := f.Key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the fixture's key is a %T, want ECDSA", f.Key)
	}
	switch format {
	case codec.FormatCMS:
		return newPKCS7(key, f.Chain), nil
	case codec.FormatJWS:
		return newJOSE(key, f.Chain)
	case codec.FormatCOSE:
		return newCOSE(key, f.Chain)
	}
	return nil, fmt.Errorf("there is no peer for %v", format)
}

// newPKCS7 writes id-data, which is all the library knows how to write, and a
// signing-time, which it always adds.
func newPKCS7(key *ecdsa.PrivateKey, chain []*x509.Certificate) *Peer {
	roots := x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	return &Peer{
		Name: "smallstep-pkcs7",
		Encode: func(payload []byte) ([]byte, error) {
			data, err := pkcs7.NewSignedData(payload)
			if err != nil {
				return nil, err
			}
			data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
			if err := data.AddSignerChain(chain[0], key, chain[1:], pkcs7.SignerInfoConfig{}); err != nil {
				return nil, err
			}
			return data.Finish()
		},
		Decode: func(voucher []byte) error {
			_, err := pkcs7.Parse(voucher)
			return err
		},
		Verify: func(voucher []byte) error {
			p, err := pkcs7.Parse(voucher)
			if err != nil {
				return err
			}
			return p.VerifyWithChain(roots)
		},
	}
}

// newJOSE writes flattened JSON, as the library does where there is one signature.
func newJOSE(key *ecdsa.PrivateKey, chain []*x509.Certificate) (*Peer, error) {
	x5c := make([]string, len(chain))
	for i, c := range chain {
		x5c[i] = base64.StdEncoding.EncodeToString(c.Raw)
	}
	opts := (&jose.SignerOptions{}).WithType("voucher-jws+json").WithHeader("x5c", x5c)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)
	if err != nil {
		return nil, err
	}
	algorithms := []jose.SignatureAlgorithm{jose.ES256}
	return &Peer{
		Name: "go-jose",
		Encode: func(payload []byte) ([]byte, error) {
			signed, err := signer.Sign(payload)
			if err != nil {
				return nil, err
			}
			return []byte(signed.FullSerialize()), nil
		},
		Decode: func(voucher []byte) error {
			_, err := jose.ParseSignedJSON(string(voucher), algorithms)
			return err
		},
		Verify: func(voucher []byte) error {
			signed, err := jose.ParseSignedJSON(string(voucher), algorithms)
			if err != nil {
				return err
			}
			_, err = signed.Verify(chain[0].PublicKey)
			return err
		},
	}, nil
}

func newCOSE(key *ecdsa.PrivateKey, chain []*x509.Certificate) (*Peer, error) {
	signer, err := cose.NewSigner(cose.AlgorithmES256, key)
	if err != nil {
		return nil, err
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmES256, chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	bag := make([]any, len(chain))
	for i, c := range chain {
		bag[i] = c.Raw
	}
	return &Peer{
		Name: "go-cose",
		Encode: func(payload []byte) ([]byte, error) {
			m := cose.Sign1Message{Payload: payload, Headers: cose.Headers{
				Protected:   cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmES256},
				Unprotected: cose.UnprotectedHeader{cose.HeaderLabelX5Bag: bag},
			}}
			if err := m.Sign(rand.Reader, nil, signer); err != nil {
				return nil, err
			}
			return m.MarshalCBOR()
		},
		Decode: func(voucher []byte) error {
			var m cose.Sign1Message
			return m.UnmarshalCBOR(voucher)
		},
		Verify: func(voucher []byte) error {
			var m cose.Sign1Message
			if err := m.UnmarshalCBOR(voucher); err != nil {
				return err
			}
			if len(m.Payload) == 0 {
				return errors.New("no payload")
			}
			return m.Verify(nil, verifier)
		},
	}, nil
}
