package codec_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"time"

	"github.com/vouchmill/vouchmill/codec"
)

// exampleSigner returns a key with a certificate of its own.
func exampleSigner() (*ecdsa.PrivateKey, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example MASA"},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(2000000000, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	return key, der
}

// A template signs COSE vouchers: the message is a prefix and a tail, and the
// envelope takes the raw signature.
func ExampleTemplate() {
	key, cert := exampleSigner()
	template, err := codec.CompileTemplate(codec.TemplateParams{
		Envelope: codec.EnvelopeParams{
			Format:    codec.FormatCOSE,
			Algorithm: codec.AlgorithmID{COSE: -7, SignatureSize: 64, ECDSA: true},
			Chain:     [][]byte{cert},
		},
		Voucher: codec.Voucher{
			Assertion: codec.AssertionLogged, CreatedOn: time.Unix(1790000000, 0),
			ExpiresOn: time.Unix(1800000000, 0), PinnedDomainCert: cert,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, serial := range [][]byte{[]byte("SN-1"), []byte("SN-2")} {
		message := template.AppendPrefix(nil, template.Class(serial))
		if message, err = template.AppendTail(message, serial); err != nil {
			log.Fatal(err)
		}
		digest := sha256.Sum256(message)
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			log.Fatal(err)
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		voucher, err := template.AppendEnvelope(nil, serial, nil, signature)
		if err != nil {
			log.Fatal(err)
		}
		report, err := codec.Inspect(voucher, codec.Limits{})
		if err != nil {
			log.Fatal(err)
		}
		leaves := report.Payload.Leaves
		fmt.Println(report.Format, *leaves[len(leaves)-1].Text, len(report.Problems), "problems")
	}
	// Output:
	// cose SN-1 0 problems
	// cose SN-2 0 problems
}

func ExampleInspect() {
	report, err := codec.Inspect([]byte(`{"ietf-voucher:voucher":{"serial-number":"SN-1","nonce":"-_XE9zK9q8Ll1qylMtLKeg"}}`), codec.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Payload.Artefact)
	for _, o := range report.Oddities {
		fmt.Println(o.Code)
	}
	// Output:
	// voucher
	// nonce-base64url
	// no-created-on
	// no-assertion
}

func ExampleEnvelopeDecoder() {
	var d codec.EnvelopeDecoder // reusable
	var e codec.Envelope
	err := d.Decode([]byte(`{"payload":"e30","protected":"e30","signature":"AA"}`), &e)
	fmt.Println(err)
	// Output:
	// jws envelope: flattened JSON serialisation (one signature without a list): ask for general JSON serialisation
}
