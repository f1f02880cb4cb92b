package est_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log"

	"github.com/vouchmill/vouchmill/codec/est"
)

// A client is told what its request must hold, makes it, and the server checks
// that it does.
func Example() {
	// The server: a fixed organization, the device's serial number, a P-256 key.
	attrs := est.CSRAttrs{Template: &est.Template{
		Subject: []est.NameAttribute{
			{RDN: 0, ID: est.OIDOrganization, Tag: est.TagUTF8String, Value: []byte("Doors")},
			{RDN: 1, ID: est.OIDSerialNumber}, // left to the client
		},
		Key:        est.P256,
		Extensions: []est.Extension{{ID: est.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 7, 0x80}}},
	}}
	der, err := attrs.Append(nil)
	if err != nil {
		log.Fatal(err)
	}
	answer := est.AppendBody(nil, der)

	// The client.
	der, err = est.DecodeBody(nil, answer)
	if err != nil {
		log.Fatal(err)
	}
	asked, err := est.ParseCSRAttrs(der, est.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	demand, err := asked.Fill(&est.FillParams{SerialNumber: "JADA123456789", Keys: []est.Key{est.P256}})
	if err != nil {
		log.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // demand.Key
	if err != nil {
		log.Fatal(err)
	}
	request, err := sign(key, demand)
	if err != nil {
		log.Fatal(err)
	}

	// The server again. It also verifies the signature.
	csr, err := est.ParseCSR(request, est.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(csr.SerialNumbers(), csr.Key, attrs.Check(csr))
	// Output: [JADA123456789] EC P-256 <nil>
}

func sign(key *ecdsa.PrivateKey, demand *est.Demand) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	info, err := est.AppendCSRInfo(nil, est.CSRParams{Subject: demand.Subject, PublicKey: public, Extensions: demand.Extensions})
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(info)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	ecdsaWithSHA256 := []byte{0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}
	return est.AppendCSR(nil, info, ecdsaWithSHA256, signature)
}
