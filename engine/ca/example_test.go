package ca_test

import (
	"crypto/x509"
	"fmt"
	"log"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

// A domain CA, its registrar and the certificate of a device.
func Example() {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		log.Fatal(err)
	}
	domain, err := ca.NewRoot(ca.RootParams{CommonName: "Plant 7 domain CA", Key: key, NotBefore: start, NotAfter: start.AddDate(20, 0, 0)}, ca.Options{})
	if err != nil {
		log.Fatal(err)
	}

	names, err := ca.ParseServerNames("registrar.plant7.example", "192.0.2.10")
	if err != nil {
		log.Fatal(err)
	}
	registrarKey, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		log.Fatal(err)
	}
	registrar, err := domain.Registrar(ca.EntityParams{CommonName: "Plant 7 registrar", PublicKey: registrarKey.Public(),
		NotBefore: start, NotAfter: start.AddDate(1, 0, 0), Names: names})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(registrar.DNSNames, registrar.IPAddresses, registrar.ExtKeyUsage, registrar.UnknownExtKeyUsage)

	// What a certification request brought, its possession proved.
	subject := []byte("\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x05\x0c\x03A-1") // a UTF8String, and it stays one
	deviceKey, err := sign.GenerateKey(sign.ES384, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := ca.AcceptableKey(deviceKey.Public(), ca.Policy{}); err != nil {
		log.Fatal(err)
	}
	device, err := domain.LDevID(ca.LDevIDParams{RawSubject: subject, PublicKey: deviceKey.Public(),
		NotBefore: start, NotAfter: start.AddDate(30, 0, 0)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(device.Subject, device.NotAfter.Year(), device.ExtKeyUsage[0] == x509.ExtKeyUsageClientAuth)
	// Output:
	// [registrar.plant7.example] [192.0.2.10] [serverAuth clientAuth] [1.3.6.1.5.5.7.3.28]
	// SERIALNUMBER=A-1 2046 true
}
