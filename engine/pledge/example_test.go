package pledge_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// A device as its maker sends it out: an IDevID, and the anchor of the maker's
// vouchers. Here no cable is plugged in; a program uses client.NewTransport,
// client.OpenDir and client.SystemClock of cmd/pledge/client.
func Example() {
	made := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	makerKey, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		log.Fatal(err)
	}
	maker, err := ca.NewRoot(ca.RootParams{CommonName: "Maker CA", Key: makerKey, NotBefore: made, NotAfter: ca.NoExpiry()}, ca.Options{})
	if err != nil {
		log.Fatal(err)
	}
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		log.Fatal(err)
	}
	idevid, err := maker.IDevID(ca.IDevIDParams{SerialNumber: "JADA123456789", PublicKey: key.Public(), NotBefore: made})
	if err != nil {
		log.Fatal(err)
	}

	p, err := pledge.New(pledge.Config{
		IDevID:         pledge.Identity{Chain: []*x509.Certificate{idevid, maker.Certificate()}, Key: key},
		VoucherAnchors: []*x509.Certificate{maker.Certificate()},
		Network:        network{}, Storage: newMemory(), Clock: &clock{now: made},
		Once: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	joined, err := p.Join(context.Background(), "https://registrar.example:8443")
	var failed *pledge.JoinError
	if errors.As(err, &failed) {
		fmt.Println(p.SerialNumber(), failed.Outcome())
		fmt.Println(err)
		return
	}
	fmt.Println("joined", joined.Registrar)
	// Output:
	// JADA123456789 nothing-reached
	// not joined; https://registrar.example:8443: no route to host
}
