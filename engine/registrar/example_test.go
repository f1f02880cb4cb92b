package registrar_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// offline is a network on which no MASA answers.
type offline struct{}

func (offline) Do(context.Context, *registrar.Call) (*registrar.Reply, error) {
	return nil, &registrar.NetworkError{Err: fmt.Errorf("no route to host")}
}

// A device asks for its voucher and is on no list; the operator finds out why and
// approves it.
func Example() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	newSigner := func() sign.Signer {
		key, err := sign.GenerateKey(sign.ES256, nil)
		check(err)
		s, err := sign.NewSigner(sign.ES256, key, sign.Options{})
		check(err)
		return s
	}
	authority := func(name string) *ca.Authority {
		key, err := sign.GenerateKey(sign.ES256, nil)
		check(err)
		a, err := ca.NewRoot(ca.RootParams{CommonName: name, Key: key, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(20, 0, 0)}, ca.Options{})
		check(err)
		return a
	}
	site, maker := authority("Site CA"), authority("Maker CA")
	own := newSigner()
	cert, err := site.Registrar(ca.EntityParams{CommonName: "registrar", PublicKey: own.Public(), NotBefore: now, NotAfter: now.AddDate(2, 0, 0), Names: ca.ServerNames{DNS: []string{"registrar.example.com"}}})
	check(err)
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	check(err)
	s, err := registrar.New(registrar.Config{DB: state.NewMemory(), Verifier: artefact.Verifying(verifier), Signer: artefact.Signing(own), Chain: []*x509.Certificate{cert, site.Certificate()},
		Authority: site, Network: offline{}, Clock: func() time.Time { return now }})
	check(err)
	defer s.Close()
	ctx := context.Background()
	check(s.AddManufacturer(ctx, registrar.Manufacturer{Name: "maker", Anchors: []*x509.Certificate{maker.Certificate()}, MASAURL: "masa.example.com"}))

	// What a transport does with a request to requestvoucher:
	device := newSigner()
	idevid, err := maker.IDevID(ca.IDevIDParams{SerialNumber: "SN-1", PublicKey: device.Public(), NotBefore: now})
	check(err)
	ask := func() error {
		_, err := s.RequestVoucher(ctx, &exchange.Request{Now: now, Peer: []*x509.Certificate{idevid}, ContentType: codec.FormatCMS.MediaType(), Body: pledgeRequest(device, idevid, cert)})
		return err
	}
	fmt.Println(decision.Of(ask()).Kind)

	x, err := s.Explain(ctx, "SN-1")
	check(err)
	for _, c := range x.Attempts[0].Checks {
		fmt.Println(c.Name, c.OK)
	}
	_, err = s.Approve(ctx, "SN-1")
	check(err)
	fmt.Println(decision.Of(ask()).Kind)
	// Output:
	// device-not-listed
	// client-certificate true
	// content-type true
	// accept true
	// signature true
	// signer true
	// content true
	// nonce true
	// serial-number true
	// proximity true
	// freshness true
	// admission false
	// masa-unreachable
}

var exampleNonce byte

// pledgeRequest is what a device sends, having seen the registrar's certificate.
func pledgeRequest(key sign.Signer, idevid, seen *x509.Certificate) []byte {
	s, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: artefact.Signing(key), Chain: []*x509.Certificate{idevid}})
	if err != nil {
		panic(err)
	}
	exampleNonce++
	body, err := s.Request(context.Background(), &codec.VoucherRequest{
		Voucher:                codec.Voucher{Assertion: codec.AssertionProximity, SerialNumber: []byte("SN-1"), Nonce: bytes.Repeat([]byte{exampleNonce}, 16)},
		ProximityRegistrarCert: seen.Raw,
	})
	if err != nil {
		panic(err)
	}
	return body
}
